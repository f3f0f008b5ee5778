//! Our side of the comparisons with other programs: images, and a model's answers to them.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use host::backend::cpu::Cpu;
use host::backend::{Backend, Batch};
use host::commands::trained::Trained;
use host::data::IMAGE_BYTES;
use host::evaluate::{Aligned, parse};
use vae96::{INPUT, Interpreter, SIDE};

/// Images of a comparison.
pub const IMAGES: usize = 100;

/// [`IMAGES`] scenes of a seed that no model of the fixtures was trained on, image after image.
pub fn images() -> Vec<u8> {
    crate::scenes(IMAGES, 96).concat()
}

/// The 8-bit values that a model file gives for each of `images` (96×96 RGB bytes each): logits
/// of a classifier, μ of an encoder.
///
/// # Errors
/// Where the file is no model file, or the images are not whole.
pub fn answers(file: &[u8], images: &[u8]) -> Result<Vec<i8>> {
    ensure!(
        images.len().is_multiple_of(IMAGE_BYTES),
        "{} bytes are not whole images of {IMAGE_BYTES}",
        images.len()
    );
    let file = Aligned::new(file);
    let model = parse(file.bytes())?;
    let mut buffer = vec![0; model.network().buffer_words(model.classes())];
    let mut network = Interpreter::of(&model, &mut buffer).map_err(|error| anyhow!("{error}"))?;
    let mut answers = Vec::new();
    for image in images.chunks_exact(IMAGE_BYTES) {
        for row in image.chunks_exact(INPUT.row()) {
            network.push(row)?;
        }
        answers.extend_from_slice(network.finish()?.values);
    }
    Ok(answers)
}

/// The float values that a weights file gives for each of `images`: logits of a classifier, μ of
/// a VAE.
///
/// # Errors
/// Where the file is no weights file, or the images are not whole.
pub fn float_answers(file: &Path, images: &[u8]) -> Result<Vec<f32>> {
    let trained = Trained::load(file, "")?;
    let batch = Batch::new(images.len() / IMAGE_BYTES, SIDE, crate::pixels(images));
    if trained.label.classifier.is_some() {
        return trained.classifier(&Cpu)?.logits(&batch);
    }
    Ok(Cpu
        .vae(trained.autoencoder()?, &trained.weights)?
        .encode(&batch)?
        .mean)
}
