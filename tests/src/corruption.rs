//! What a GPU hides of images, and the noise that it adds, must be what the processor does to them.

use anyhow::{Result, ensure};
use host::backend::cuda::memory::Kind;
use host::backend::cuda::ops::Gpu;
use host::backend::{Batch, Corruption, HIDDEN};
use host::data::random::{Purpose, stream};

use crate::held::Held;

/// How far a value in [−0.1, 1.1] may be off: the last bits of f32, or half of the last of 8 bits of the
/// value and of what it is made of.
fn tolerance(kind: Kind) -> f32 {
    match kind {
        Kind::F32 => 1e-6,
        Kind::Bf16 => 1.5 / 512.0,
    }
}

/// Noise, masks, and both, which then draw one after the other; images of every kind of remainder.
pub fn is_drawn_alike(gpu: &Gpu) -> Result<()> {
    for (mask, noise) in [(0.0, 0.1), (0.6, 0.0), (0.3, 0.2), (1.0, 0.0)] {
        let corruption = Corruption { mask, noise };
        for side in [1, 9, 44, 96] {
            let count = 3;
            let len = count * side * side * 3;
            let values: Vec<f32> = (0..len).map(|i| (i % 251) as f32 / 500.0).collect();
            let (seed, step) = (3, 1 << 33);
            let kind = gpu.kind();
            let out = Held::new(gpu, &values, kind)?;
            let first = stream(seed, Purpose::Corruption, step, 0);
            gpu.corrupt(corruption, &first, side, out.span())?;
            let found = out.span().download()?;
            let batch = corruption.apply(&Batch::new(count, side, values), seed, step);
            for (index, (&found, &expected)) in found.iter().zip(batch.values()?).enumerate() {
                let alike = (found == HIDDEN) == (expected == HIDDEN);
                // What is near it may be rounded to it.
                let rounded = kind == Kind::Bf16;
                ensure!(
                    (found - expected).abs() <= tolerance(kind)
                        && (alike || rounded && found == HIDDEN),
                    "{corruption:?}, {side} pixels: value {index} is {found}, not {expected}"
                );
            }
        }
    }
    Ok(())
}
