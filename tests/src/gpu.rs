//! This computer's GPU.

use anyhow::Result;
use host::backend::Precision;
use host::backend::cuda::Cuda;
use host::backend::cuda::group::{Group, gpus};

/// The first GPU in that precision; without one it says why, and the test that asked is skipped.
pub fn first(precision: Precision) -> Result<Option<Cuda>> {
    match Cuda::new(0, Some(precision)) {
        Ok(gpu) => Ok(Some(gpu)),
        Err(error) => {
            println!("skipped: {error:#}");
            Ok(None)
        }
    }
}

/// All GPUs in that precision, as a group even where there is one; without NCCL it says so, and the
/// test that asked is skipped.
pub fn all(precision: Precision) -> Result<Option<Group>> {
    match gpus().and_then(|gpus| Group::of_gpus(gpus, Some(precision))) {
        Ok(group) => Ok(Some(group)),
        Err(error) => {
            println!("skipped: {error:#}");
            Ok(None)
        }
    }
}
