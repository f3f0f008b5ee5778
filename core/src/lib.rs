//! Fixed-shape 96×96 image classifiers for microcontrollers: int8, without a heap, without a
//! panic, in the line buffers of one frame.
//!
//! A network is a type, so all its sizes are constants; its weights are a [model file](model)
//! that is checked once and used in place. The frame is never stored: each row of 96 pixels is
//! computed with as it is pushed.
//!
//! ```
//! use vae96::{Classifier, Edge, ModelError, RowError};
//!
//! fn class_of(
//!     classifier: &mut Classifier<'_, Edge>,
//!     camera: impl Iterator<Item = [u8; vae96::ROW_BYTES]>,
//! ) -> Result<Option<usize>, RowError> {
//!     for row in camera.take(vae96::SIDE) {
//!         classifier.push(&row)?;
//!     }
//!     let best = classifier.finish()?.top_k::<1>();
//!     Ok(best.first().filter(|score| score.probability > 0.8).map(|score| score.class))
//! }
//!
//! // On a device: static MODEL: &Aligned<[u8]> = vae96::include_model!("model.v96");
//! let foreign = Classifier::<Edge>::new(b"no model");
//! assert_eq!(foreign.err(), Some(ModelError::TooShort));
//! ```
//!
//! [`Encoder`] gives a VAE's latent instead, from which [`Prototypes`] learn new classes on the
//! device; [`Interpreter`] runs whatever network a file is of.
//! Not supported: other image sizes, layers beyond [`Op`], big-endian machines.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[cfg(feature = "std")]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("model files are used in place and are little-endian; this machine is not");

mod aligned;
mod classifier;
mod encoder;
#[cfg(feature = "float")]
pub mod float;
pub mod frame;
#[cfg(feature = "std")]
mod interleaved;
pub mod interpreter;
mod kernels;
pub mod layer;
pub mod model;
pub mod network;
mod packing;
mod pairing;
pub mod plan;
pub mod prototypes;
mod quantised;
pub mod requantise;
pub mod rows;
pub mod scores;
mod stream;

pub use aligned::Aligned;
pub use classifier::Classifier;
pub use encoder::Encoder;
pub use frame::{Frame, FrameStream};
#[cfg(feature = "std")]
pub use interleaved::{Interleaved, Line};
pub use interpreter::{Interpreter, InterpreterError};
pub use layer::{Activation, Features, Layer, Op, Shape, Window};
pub use model::{Model, ModelError};
pub use network::{
    Architecture, Autoencoder, Classifies, Description, EDGE, Edge, EdgeDeepEncoder,
    EdgeDeepEncoderWinograd, EdgeDense, EdgeEncoder, EdgeWinograd, Encodes, Head, INPUT, Kind,
    MAX_CLASSES, Network, PAPER, Paper, PaperDense, PaperEncoder, SIDE,
};
pub use plan::PlanError;
pub use prototypes::{Calibration, Match, Prototypes, SavedError, TeachError};
pub use quantised::Quantised;
pub use rows::{IMAGE_BYTES, ROW_BYTES, RowSource};
pub use scores::{Logits, Score};
pub use stream::RowError;

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
