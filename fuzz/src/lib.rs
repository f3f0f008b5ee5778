//! Inputs that fuzz targets read and seeds are written in.
//!
//! Each is a few numbers at the front and free bytes behind them. A plain layout instead of
//! `arbitrary`'s lets the seeds be written by hand.
#![forbid(unsafe_code)]

// Random parameters, model files in memory and the plain integer loops.
#[path = "../../core/tests/common/mod.rs"]
pub mod common;
pub mod data;
pub mod frame;
pub mod model;
pub mod network;
pub mod prototypes;

/// Takes numbers off the front of an input; zero once it is at its end.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// The next two bytes, little-endian.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}
