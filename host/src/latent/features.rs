//! Images to points of the latent space.

use anyhow::Result;
use indicatif::ProgressBar;
use vae96::SIDE;

use super::Rows;
use crate::backend::Vae;
use crate::backend::work::Size;
use crate::data::Images;
use crate::data::loader::{Loader, Samples};

/// Images encoded together.
pub const BATCH: Size = Size {
    count: 128,
    side: SIDE,
};

/// μ of q(z|x) of those images, in the order of `indices`; `latent` is its number of values.
/// `progress` counts images.
///
/// # Errors
/// If an image can no longer be read.
pub fn means(
    vae: &dyn Vae,
    latent: usize,
    images: &Images,
    indices: Vec<usize>,
    progress: &ProgressBar,
) -> Result<Rows> {
    let mut values = Vec::with_capacity(indices.len() * latent);
    let samples = Samples::unlabelled(images, indices);
    for loaded in Loader::evaluation(samples, BATCH.count, BATCH.side)? {
        let batch = loaded?.batch;
        values.extend(vae.encode(&batch)?.mean);
        progress.inc(batch.count as u64);
    }
    Ok(Rows::new(latent, values))
}
