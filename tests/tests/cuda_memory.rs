//! The memory of this computer's GPU. A process of its own: what others hold counts too.

use anyhow::Result;
use cudarc::driver::result;
use host::backend::{Backend, Precision, Weights, parameters};
use tests::{gpu, parity};
use vae96::EDGE;

/// Bytes that the driver has to give, when all work is done and all memory given back.
fn free() -> Result<usize> {
    result::ctx::synchronize()?;
    Ok(result::mem_get_info()?.0)
}

#[test]
fn memory_is_given_back() -> Result<()> {
    let Some(gpu) = gpu::first(Precision::F32)? else {
        return Ok(());
    };
    let weights = Weights::initial(&parameters::vae(&EDGE.vae), 1);
    let steps = |count| -> Result<()> {
        let mut vae = gpu.vae(&EDGE.vae, &weights)?;
        (0..count).try_for_each(|seed| parity::train(&mut *vae, &EDGE.vae, 16, seed))
    };
    // The driver keeps memory for the graphs of steps, which come with the second.
    steps(10)?;
    let before = free()?;
    steps(1000)?;
    assert_eq!(free()?, before);
    Ok(())
}
