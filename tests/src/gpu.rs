//! This computer's GPU.

use anyhow::Result;
use host::backend::cuda::Cuda;

/// The first GPU; without one it says why, and the test that asked is skipped.
pub fn first() -> Result<Option<Cuda>> {
    match Cuda::new(0) {
        Ok(gpu) => Ok(Some(gpu)),
        Err(error) => {
            println!("skipped: {error:#}");
            Ok(None)
        }
    }
}
