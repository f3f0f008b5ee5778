//! What every machine refuses before it computes: arguments that contradict each other.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use vae96::Shape;

use super::{Answer, Batch, Noise, Pixels, Target, Tensor, VaeObjective, Weights};

/// That a tensor, which the error names, has the dimensions `wanted`.
pub fn shape(name: &str, tensor: &Tensor, wanted: &[usize]) -> Result<()> {
    ensure!(
        tensor.shape == wanted,
        "{name} has shape {:?}; this network wants {wanted:?}",
        tensor.shape
    );
    Ok(())
}

/// That `weights` lack none of a network's tensors, of these names and dimensions.
pub fn complete(weights: &Weights, network: &BTreeMap<&str, &[usize]>) -> Result<()> {
    for (&name, shape) in network {
        ensure!(
            weights.0.contains_key(name),
            "the weights lack {name} of shape {shape:?}"
        );
    }
    Ok(())
}

/// That each of `weights` is one of a network's tensors, of these names and dimensions.
pub fn known(weights: &Weights, network: &BTreeMap<&str, &[usize]>) -> Result<()> {
    for (name, tensor) in &weights.0 {
        let Some(wanted) = network.get(name.as_str()) else {
            let known: Vec<_> = network.keys().copied().collect();
            bail!(
                "there is no tensor {name} (shape {:?}) in this network, only {}",
                tensor.shape,
                known.join(", ")
            );
        };
        shape(name, tensor, wanted)?;
    }
    Ok(())
}

/// The shape of a batch's images, all of whose values are there.
pub fn images(batch: &Batch) -> Result<Shape> {
    let shape = Shape::plane(batch.side, batch.side, 3);
    let count = batch.count;
    ensure!(
        count > 0 && !shape.is_empty(),
        "a batch of {count} images of {shape} holds nothing"
    );
    match &batch.pixels {
        Pixels::Values(values) => ensure!(
            values.len() == count * shape.len(),
            "a batch of {count} images of {shape} holds {} values, not {}",
            count * shape.len(),
            values.len()
        ),
        Pixels::Views(views) | Pixels::Corrupted(views, ..) => ensure!(
            views.len() == count,
            "a batch of {count} images holds {count} views, not {}",
            views.len()
        ),
    }
    Ok(shape)
}

/// How many times smaller than images of a shape those are that a decoder makes.
pub fn shrink(decoded: Shape, images: Shape) -> Result<usize> {
    let factor = images.height / decoded.height.max(1);
    ensure!(
        factor > 0
            && images
                == Shape::plane(
                    factor * decoded.height,
                    factor * decoded.width,
                    decoded.channels
                ),
        "the decoder makes images of {decoded}, which are no {images} shrunk by a whole factor"
    );
    Ok(factor)
}

/// The arguments of a VAE's step, for `latent` values an image.
pub fn vae_step(
    inputs: &Batch,
    targets: &Batch,
    noise: Noise,
    latent: usize,
    objective: &VaeObjective,
) -> Result<()> {
    ensure!(
        (targets.count, targets.side) == (inputs.count, inputs.side),
        "{} inputs of {side}×{side} have {} targets of {other}×{other}",
        inputs.count,
        targets.count,
        side = inputs.side,
        other = targets.side
    );
    images(targets)?;
    if let Noise::Values(noise) = noise {
        ensure!(
            noise.len() == inputs.count * latent,
            "{} images need noise of {} values, not {}",
            inputs.count,
            inputs.count * latent,
            noise.len()
        );
    }
    ensure!(
        objective.contrast.is_none() || inputs.count.is_multiple_of(2),
        "a batch of {} images does not hold two views of each",
        inputs.count
    );
    Ok(())
}

/// That μ and log σ² are of one length.
pub fn latent(mean: Shape, log_variance: Shape) -> Result<()> {
    ensure!(
        mean == log_variance,
        "μ has {mean} values, log σ² {log_variance}"
    );
    Ok(())
}

/// How many latent vectors of `shape` there are.
pub fn latents(values: &[f32], shape: Shape) -> Result<usize> {
    ensure!(
        !values.is_empty() && values.len().is_multiple_of(shape.len()),
        "{} values are no whole number of latent vectors of {}",
        values.len(),
        shape.len()
    );
    Ok(values.len() / shape.len())
}

/// That there is something to tell apart.
pub fn classes(classes: usize) -> Result<()> {
    ensure!(classes > 0, "a classifier needs at least one class");
    Ok(())
}

/// That a classifier's head ends in one logit a class.
pub fn logits(architecture: &str, output: Shape, classes: usize) -> Result<()> {
    ensure!(
        output.len() == classes,
        "{architecture}: the head makes {output} values for {classes} classes"
    );
    Ok(())
}

/// One target an image, of a class that there is.
pub fn targets(targets: &[Target], batch: &Batch, classes: usize) -> Result<()> {
    ensure!(
        targets.len() == batch.count,
        "{} images have {} labels",
        batch.count,
        targets.len()
    );
    for target in targets {
        match &target.answer {
            Answer::Class { class, .. } => ensure!(
                *class < classes,
                "a label is {class}; there are {classes} classes, counted from 0"
            ),
            Answer::Shares(shares) => ensure!(
                shares.len() == classes,
                "an answer has shares of {} classes; there are {classes}",
                shares.len()
            ),
        }
    }
    Ok(())
}
