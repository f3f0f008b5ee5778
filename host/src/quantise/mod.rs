//! From trained float weights to an int8 model file: [`fold`] BatchNorm, [`calibrate`] the ranges
//! of activations on training images, make [`integers`] of both, [`pack`] them into a file, [`order`]
//! its weights for a processor.

pub mod calibrate;
pub mod fold;
pub mod integers;
pub mod order;
pub mod pack;

use anyhow::Result;
use vae96::INPUT;
use vae96::network::Description;

use crate::backend::Weights;
use calibrate::Method;
use integers::Integers;

/// The layers of `network` in integers, from the float `weights`, calibrated on `images`
/// (`96 × 96 × 3` values in [0, 1] each). `classes` is 0 for an encoder.
///
/// # Errors
/// Where weights are missing or of another shape, or activations are not numbers.
pub fn layers(
    network: &'static Description,
    classes: usize,
    weights: &Weights,
    images: &[Vec<f32>],
    method: Method,
) -> Result<Vec<Integers>> {
    let layers = fold::fold(network.layers, INPUT, classes, weights)?;
    let ranges = calibrate::ranges(&layers, images, method)?;
    Ok(integers::integers(&layers, &ranges))
}

/// The model file of what [`layers`] gives; the classes' `names` may be left out.
///
/// # Errors
/// Those of [`layers`] and of [`pack`](pack::pack).
pub fn quantise(
    network: &'static Description,
    classes: usize,
    names: &[&str],
    weights: &Weights,
    images: &[Vec<f32>],
    method: Method,
) -> Result<Vec<u8>> {
    let layers = layers(network, classes, weights, images, method)?;
    pack::pack(network, &layers, classes, names)
}
