//! Classes taught by a few images each, as a device is taught them.
//!
//! ```text
//! images ─▶ features ─▶ episodes ┬─▶ calibrate: what makes a frame one of no class
//!                                └─▶ measure: how right the prototypes are, beside float
//!                                             classifiers of the same features (floats)
//! ```
//! The prototypes are `core`'s, and so are the features: what is measured is what a device does.

pub mod calibrate;
pub mod episodes;
pub mod features;
mod floats;
pub mod measure;

use vae96::Prototypes;
use vae96::prototypes::MAX_FEATURES;

/// The most classes that a file made here may hold.
pub const MAX_CLASSES: usize = 256;

/// As many classes of any model as a computer has room for.
pub type Taught = Prototypes<MAX_CLASSES, MAX_FEATURES>;
