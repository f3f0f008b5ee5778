//! Fixed-shape 96×96 image classifiers for microcontrollers.
#![no_std]
#![forbid(unsafe_code)]

pub mod layer;
pub mod network;
pub mod requantise;

pub use layer::{Activation, Features, Layer, Op, Shape, Window};
pub use network::{Architecture, EDGE, Head, INPUT, MAX_CLASSES, PAPER, SIDE};
