//! Images to points of the latent space.

use anyhow::Result;
use indicatif::ProgressBar;
use vae96::SIDE;

use super::Rows;
use crate::backend::Vae;
use crate::backend::work::Size;
use crate::data::Images;
use crate::data::loader::Samples;
use crate::evaluate;

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
    let samples = Samples::unlabelled(images, indices);
    let values = evaluate::values(samples, BATCH, vae.form(), |batch| {
        let mean = vae.encode(batch)?.mean;
        progress.inc(batch.count as u64);
        Ok(mean)
    })?;
    Ok(Rows::new(latent, values))
}
