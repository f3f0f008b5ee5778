//! What a report shows of the latent space of a VAE that has been trained.

use anyhow::Result;
use indicatif::ProgressBar;

use super::config::Config;
use crate::backend::work::{Network, Work};
use crate::backend::{Backend, Vae, Weights};
use crate::data::split::hold_out;
use crate::data::{Dataset, IMAGE_BYTES, Images};
use crate::latent::features;
use crate::latent::neighbours::nearest;
use crate::latent::tsne::tsne;
use crate::report::{Interpolation, LatentSpace, Neighbours, Picture};
use crate::train::pretrain::held_out;

/// Images held out that are shown: half of them as ends of ways, half with their neighbours.
const SHOWN: usize = 8;
/// Decoded images of a way.
const STEPS: usize = 8;
/// Neighbours of an image.
const NEAREST: usize = 6;
/// The most images among which neighbours are looked for.
const AMONG: usize = 4000;
/// The most points of a map: t-SNE looks at all pairs.
const POINTS: usize = 1000;

/// Computes the views. None where the training diverged.
pub fn views(
    backend: &dyn Backend,
    weights: &Weights,
    config: &Config,
    data: &Dataset,
) -> Result<Option<LatentSpace>> {
    let autoencoder = config.autoencoder()?;
    let vae = backend
        .suited_to(&Work::answers(Network::Vae(autoencoder), features::BATCH))?
        .vae(autoencoder, weights)?;
    let encode = |images: &Images, indices: Vec<usize>| {
        let progress = ProgressBar::hidden();
        features::means(&*vae, autoencoder.latent(), images, indices, &progress)
    };
    let images = &data.unlabelled;
    let held = hold_out(images.len(), held_out(images.len()), config.seed).held_out;
    let mut indices = spread(held.len(), SHOWN);
    indices.iter_mut().for_each(|index| *index = held[*index]);
    let shown = indices.len();
    let others = spread(images.len(), AMONG).into_iter();
    indices.extend(
        others
            .filter(|index| !indices[..shown].contains(index))
            .collect::<Vec<_>>(),
    );
    let rows = encode(images, indices.clone())?;
    let labelled = spread(data.val.labels.len(), POINTS);
    let points = encode(&data.val.images, labelled.clone())?;
    let classes = labelled.iter().map(|&image| data.val.labels[image]);
    if !rows.are_finite() || !points.are_finite() {
        return Ok(None);
    }

    // Neighbours in the list are often alike, so the ends of a way lie half the list apart.
    let ways = (0..shown / 2)
        .step_by(2)
        .map(|from| (from, from + shown / 2));
    let decodes = config.pretrain()?.decodes();
    let interpolations = ways.filter(|_| decodes).map(|(from, to)| {
        Ok(Interpolation {
            from: picture(images, indices[from])?,
            steps: way(&*vae, rows.row(from), rows.row(to))?,
            to: picture(images, indices[to])?,
        })
    });
    let neighbours = (1..shown).step_by(2).map(|query| {
        let others: Vec<_> = (0..rows.len()).filter(|&row| row != query).collect();
        let near = nearest(&rows, &others, rows.row(query), NEAREST);
        let near = near.into_iter().map(|row| picture(images, indices[row]));
        Ok(Neighbours {
            query: picture(images, indices[query])?,
            nearest: near.collect::<Result<_>>()?,
        })
    });
    Ok(Some(LatentSpace {
        interpolations: interpolations.collect::<Result<_>>()?,
        neighbours: neighbours.collect::<Result<_>>()?,
        among: rows.len(),
        map: tsne(&points)?.into_iter().zip(classes).collect(),
    }))
}

/// At most `count` of `all` indices, spread evenly.
fn spread(all: usize, count: usize) -> Vec<usize> {
    let count = count.min(all);
    (0..count).map(|i| i * all / count).collect()
}

fn picture(images: &Images, index: usize) -> Result<Picture> {
    let mut bytes = vec![0; IMAGE_BYTES];
    images.read(index, &mut bytes)?;
    Picture::new(bytes)
}

/// What lies on the straight line between two points, ends included, decoded.
fn way(vae: &dyn Vae, from: &[f32], to: &[f32]) -> Result<Vec<Picture>> {
    let latent = (0..STEPS).flat_map(|step| {
        let share = step as f32 / (STEPS - 1) as f32;
        from.iter()
            .zip(to)
            .map(move |(from, to)| from + share * (to - from))
    });
    let decoded = vae.decode(&latent.collect::<Vec<_>>())?;
    let side = decoded.side;
    let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let images = decoded.values()?.chunks_exact(side * side * 3);
    images
        .map(|image| Picture::new(image.iter().map(byte).collect()))
        .collect()
}
