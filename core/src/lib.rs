//! Fixed-shape 96×96 image classifiers for microcontrollers.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

#[cfg(target_endian = "big")]
compile_error!("model files are used in place and are little-endian; this machine is not");

mod aligned;
mod classifier;
mod encoder;
#[cfg(feature = "float")]
pub mod float;
pub mod frame;
pub mod interpreter;
mod kernels;
pub mod layer;
pub mod model;
pub mod network;
pub mod plan;
mod quantised;
pub mod requantise;
pub mod rows;
pub mod scores;
mod stream;

pub use aligned::Aligned;
pub use classifier::Classifier;
pub use encoder::Encoder;
pub use frame::{Frame, FrameStream};
pub use interpreter::{Interpreter, InterpreterError};
pub use layer::{Activation, Features, Layer, Op, Shape, Window};
pub use model::{Model, ModelError};
pub use network::{
    Architecture, Classifies, Description, EDGE, Edge, EdgeDense, EdgeEncoder, Encodes, Head,
    INPUT, Kind, MAX_CLASSES, Network, PAPER, Paper, PaperDense, PaperEncoder, SIDE,
};
pub use plan::PlanError;
pub use quantised::Quantised;
pub use rows::{IMAGE_BYTES, ROW_BYTES, RowSource};
pub use scores::{Logits, Score};
pub use stream::RowError;
