//! The noise that a GPU makes must be what the processor makes of the same stream.

use anyhow::{Result, ensure};
use host::backend::cuda::ops::Gpu;
use host::data::random::{Purpose, stream};

/// How far a value may be off, as a share of it: the last bits of f32.
const TOLERANCE: f32 = 1e-6;

/// Of every kind of remainder, and more than all threads make in one turn.
const LENGTHS: [usize; 9] = [1, 2, 7, 8, 9, 64, 65, 1023, (1 << 22) + 5];

/// Every word of key, nonce and counter counts.
pub fn is_drawn_alike(gpu: &Gpu) -> Result<()> {
    let streams = [
        stream(0, Purpose::Noise, 0, 0),
        stream(1, Purpose::Noise, 0, 1),
        stream(1 << 40, Purpose::Samples, 1 << 41, 1 << 42),
        stream(u64::MAX, Purpose::ValidationNoise, u64::MAX, u64::MAX),
    ];
    let parts = [1, 6, 7, 8, 4001].map(|start| streams[2].after(start));
    for stream in streams.into_iter().chain(parts) {
        for len in LENGTHS {
            let out = gpu.buffer(len)?;
            gpu.normal(&stream, out.whole())?;
            let (found, expected) = (out.whole().download()?, stream.normal(len));
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                ensure!(
                    (found - expected).abs() <= TOLERANCE * expected.abs(),
                    "{stream:?}: value {index} of {len} is {found}, not {expected}"
                );
            }
        }
    }
    Ok(())
}
