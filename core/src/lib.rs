//! Fixed-shape 96×96 image classifiers for microcontrollers.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "float")]
pub mod float;
pub mod frame;
pub mod layer;
pub mod network;
pub mod rows;

pub use frame::{Frame, FrameStream};
pub use layer::{Activation, Features, Layer, Op, Shape, Window};
pub use network::{Architecture, EDGE, Head, INPUT, MAX_CLASSES, PAPER, SIDE};
pub use rows::RowSource;
