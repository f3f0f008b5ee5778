//! Fixed-shape 96×96 image classifiers for microcontrollers.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "float")]
pub mod float;
pub mod layer;
pub mod network;

pub use layer::{Activation, Features, Layer, Op, Shape, Window};
pub use network::{Architecture, EDGE, Head, INPUT, MAX_CLASSES, PAPER, SIDE};
