//! Values on a machine, in memory of their own.

use anyhow::Result;
use host::backend::cuda::memory::{Buffer, Kind, Slot, Span};
use host::backend::cuda::ops::Gpu;

/// Values of one kind.
pub struct Held {
    buffer: Buffer,
    slot: Slot,
}

impl Held {
    /// These, rounded to that kind.
    pub fn new(gpu: &Gpu, values: &[f32], kind: Kind) -> Result<Self> {
        let held = Self::fresh(gpu, values.len(), kind)?;
        held.span().upload(values)?;
        Ok(held)
    }

    /// Room for so many, which are anything.
    pub fn fresh(gpu: &Gpu, len: usize, kind: Kind) -> Result<Self> {
        let slot = Slot {
            start: 0,
            len,
            kind,
        };
        let buffer = gpu.buffer(slot.words())?;
        Ok(Self { buffer, slot })
    }

    /// Where they are.
    pub fn span(&self) -> Span<'_> {
        self.buffer.at(self.slot)
    }
}
