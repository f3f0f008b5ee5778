//! Images through a model file, by the very code that runs on a device.

use anyhow::{Result, anyhow};
use rayon::prelude::*;
use vae96::model::Model;
use vae96::{INPUT, Interleaved, Interpreter, Line, Quantised};

use crate::data::{IMAGE_BYTES, Images};

/// Images of a task.
const TASK: usize = 100;

/// What `take` takes from the model's answer to each image, on all cores.
pub fn each<T: Send>(
    model: &Model<'_>,
    images: &Images,
    take: impl Fn(Quantised<'_>) -> T + Sync,
) -> Result<Vec<T>> {
    let mut lines = vec![Line::ZERO; Interleaved::lines(model)];
    let weights = Interleaved::of(model, &mut lines).map_err(|error| anyhow!("{error}"))?;
    let tasks = (0..images.len())
        .into_par_iter()
        .step_by(TASK)
        .map(|first| {
            let (mut buffer, mut image) = (buffer(model), vec![0; IMAGE_BYTES]);
            let network = Interpreter::interleaved(model, weights, &mut buffer);
            let mut network = network.map_err(|error| anyhow!("{error}"))?;
            (first..images.len().min(first + TASK))
                .map(|index| {
                    images.read(index, &mut image)?;
                    answer(&mut network, &image).map(&take)
                })
                .collect()
        })
        .collect::<Result<Vec<Vec<T>>>>()?;
    Ok(tasks.into_iter().flatten().collect())
}

/// What `take` takes from the model's answer to one image, 96×96 RGB bytes. `buffer` is that of
/// [`buffer`].
pub fn one<T>(
    model: &Model<'_>,
    image: &[u8],
    buffer: &mut [i32],
    take: impl FnOnce(Quantised<'_>) -> T,
) -> Result<T> {
    let mut network = Interpreter::of(model, buffer).map_err(|error| anyhow!("{error}"))?;
    answer(&mut network, image).map(take)
}

/// A buffer for [`one`].
pub fn buffer(model: &Model<'_>) -> Vec<i32> {
    vec![0; model.network().buffer_words(model.classes())]
}

fn answer<'n>(network: &'n mut Interpreter<'_>, image: &[u8]) -> Result<Quantised<'n>> {
    for row in image.chunks_exact(INPUT.row()) {
        network.push(row)?;
    }
    Ok(network.finish()?)
}
