//! This computer's GPU.

use anyhow::Result;
use host::backend::Precision;
use host::backend::cuda::Cuda;
use host::backend::cuda::group::{Group, gpus};

/// The first GPU in that precision; without one it says why, and the test that asked is skipped.
pub fn first(precision: Precision) -> Result<Option<Cuda>> {
    Ok(or_skip(Cuda::new(0, Some(precision))))
}

/// All GPUs in that precision, as a group even where there is one; without NCCL it says so, and the
/// test that asked is skipped.
pub fn all(precision: Precision) -> Result<Option<Group>> {
    let group = gpus().and_then(|gpus| Group::of_gpus(gpus, Some(precision)));
    Ok(or_skip(group))
}

fn or_skip<T>(machine: Result<T>) -> Option<T> {
    machine
        .inspect_err(|error| println!("skipped: {error:#}"))
        .ok()
}
