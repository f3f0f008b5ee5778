//! The GPU backend on the GPU of this computer, against the processor's backend:
//!
//! ```sh
//! cargo test --release -p tests --features gpu --test cuda_device --test cuda_memory -- --nocapture
//! ```

use anyhow::Result;
use host::backend::Precision;
use tests::{corruption, gpu, noise, norms, products, views};

tests::parity_tests!(gpu::first(Precision::F32));

mod tf32 {
    tests::parity_tests!(rounded super::gpu::first(super::Precision::Tf32));
}

mod bf16 {
    tests::parity_tests!(rounded super::gpu::first(super::Precision::Bf16));
}

/// All GPUs together. With one there are only the sums of a group's start.
mod all {
    tests::parity_tests!(super::gpu::all(super::Precision::F32));
}

#[test]
fn products_in_each_precision() -> Result<()> {
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        if let Some(gpu) = gpu::first(precision)? {
            products::are_right(gpu.gpu())?;
        }
    }
    Ok(())
}

#[test]
fn batch_norm_and_sums_of_columns() -> Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        if let Some(gpu) = gpu::first(precision)? {
            for (seed, shape) in norms::SHAPES.into_iter().enumerate() {
                norms::are_right(&gpu.gpu(), shape, seed as u64)?;
            }
        }
    }
    Ok(())
}

#[test]
fn corruption_is_that_of_the_processor() -> Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        if let Some(gpu) = gpu::first(precision)? {
            corruption::is_drawn_alike(&gpu.gpu())?;
        }
    }
    Ok(())
}

#[test]
fn noise_is_that_of_the_processor() -> Result<()> {
    match gpu::first(Precision::F32)? {
        Some(gpu) => noise::is_drawn_alike(&gpu.gpu()),
        None => Ok(()),
    }
}

#[test]
fn views_are_those_of_the_loader() -> Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        if let Some(gpu) = gpu::first(precision)? {
            views::are_made_alike(&gpu.gpu())?;
        }
    }
    Ok(())
}
