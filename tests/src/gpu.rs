//! This computer's GPU.

use anyhow::Result;
use host::backend::Precision;
use host::backend::cuda::Cuda;

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
