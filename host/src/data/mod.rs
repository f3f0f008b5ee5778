//! Images: where they come from, which of them a run sees, and how they reach a training step.
//!
//! ```text
//! folder ─▶ decode ─▶ cache ┐
//!                           ├─▶ Dataset ─▶ split ─▶ loader ─▶ Batch
//! scenes ───────────────────┘                         └ augment ─ resample
//! ```

pub mod augment;
mod cache;
pub mod corrupt;
mod decode;
pub mod folder;
mod images;
pub mod loader;
pub mod random;
mod resample;
mod rotate;
pub mod scenes;
pub mod sheet;
pub mod split;

use std::path::PathBuf;

pub use decode::decode;
pub use images::Images;

/// Bytes of one decoded image: RGB, row by row.
pub const IMAGE_BYTES: usize = vae96::INPUT.len();

/// Images with a class each.
#[derive(Clone, Default)]
pub struct Labelled {
    /// The images.
    pub images: Images,
    /// The class of each, an index into [`Dataset::classes`].
    pub labels: Vec<usize>,
}

/// What a run sees. Parts that were not asked for are empty.
#[derive(Clone, Default)]
pub struct Dataset {
    /// The classes' names, sorted.
    pub classes: Vec<String>,
    /// The images to fine-tune on.
    pub train: Labelled,
    /// The images to report on.
    pub val: Labelled,
    /// The images to pre-train on.
    pub unlabelled: Images,
    /// The file of each of them; none where they come from no files.
    pub unlabelled_files: Vec<PathBuf>,
    /// The files that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A file that could not be read as an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}
