//! Our side of the comparison with TensorFlow Lite: images, and a model's integers for them.

use anyhow::{Result, anyhow, ensure};
use host::data::IMAGE_BYTES;
use host::evaluate::{Aligned, parse};
use vae96::{INPUT, Interpreter};

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
