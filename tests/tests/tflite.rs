//! Our int8 arithmetic against TensorFlow Lite's, byte for byte.
//!
//! `fixtures/tflite.json` holds what TensorFlow Lite's reference kernels give for the twins of the
//! trained model files beside it on scenes drawn by code; `fixtures/check_tflite.sh` wrote it, and
//! repeats the comparison with the interpreter itself.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use host::evaluate::Aligned;
use tests::fixture;
use tests::twin::{self, IMAGES};
use vae96::{Classifier, Edge, IMAGE_BYTES};

/// What the fixture says.
struct Fixture {
    /// Adler-32 of each image.
    sums: Vec<u64>,
    /// By model file: the answers, image after image.
    models: HashMap<String, Vec<Vec<i8>>>,
}

impl Fixture {
    fn load() -> Result<Self> {
        let file = read("tflite.json")?;
        let json: serde_json::Value = serde_json::from_slice(&file)?;
        let part = |name: &str| json.get(name).cloned().context("the fixture is incomplete");
        Ok(Self {
            sums: serde_json::from_value(part("image_adler32")?)?,
            models: serde_json::from_value(part("models")?)?,
        })
    }

    fn answers(&self, model: &str) -> Result<&[Vec<i8>]> {
        let answers = self.models.get(model).context("not in the fixture")?;
        Ok(answers)
    }
}

fn read(name: &str) -> Result<Vec<u8>> {
    std::fs::read(fixture(name)).with_context(|| fixture(name).display().to_string())
}

/// The checksum of RFC 1950, section 9.
fn adler32(bytes: &[u8]) -> u64 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u64::from(byte)) % 65521;
        (a, (a + b) % 65521)
    });
    b << 16 | a
}

/// The scenes of the fixture, which must be those that TensorFlow Lite saw.
fn images(fixture: &Fixture) -> Vec<u8> {
    let images = twin::images();
    let sums: Vec<u64> = images.chunks_exact(IMAGE_BYTES).map(adler32).collect();
    assert_eq!(
        sums, fixture.sums,
        "the scenes are drawn otherwise than before: run tests/fixtures/check_tflite.sh --write"
    );
    images
}

fn check(model: &str) -> Result<()> {
    let fixture = Fixture::load()?;
    let images = images(&fixture);
    let expected = fixture.answers(model)?;
    assert_eq!(expected.len(), IMAGES);
    let found = twin::answers(&read(model)?, &images)?;
    for (image, (found, expected)) in found
        .chunks_exact(expected[0].len())
        .zip(expected)
        .enumerate()
    {
        assert_eq!(found, expected, "{model}, image {image}");
    }
    assert_eq!(found.len(), IMAGES * expected[0].len());

    // Equal answers would mean little if they were all alike.
    let different: HashSet<i8> = found.iter().copied().collect();
    assert!(different.len() > 64, "{model}: {} values", different.len());
    Ok(())
}

#[test]
fn the_conv_classifier_gives_the_same_bytes() -> Result<()> {
    check("edge-conv.v96")
}

#[test]
fn the_dense_classifier_gives_the_same_bytes() -> Result<()> {
    check("edge-dense.v96")
}

/// The form that devices use, with all sizes constant.
#[test]
fn the_classifier_as_a_type_gives_the_same_bytes() -> Result<()> {
    let fixture = Fixture::load()?;
    let images = images(&fixture);
    let file = Aligned::new(&read("edge-conv.v96")?);
    let mut classifier = Classifier::<Edge>::new(file.bytes()).map_err(anyhow::Error::from)?;
    let (images, _) = images.as_chunks::<IMAGE_BYTES>();
    for (image, expected) in images.iter().zip(fixture.answers("edge-conv.v96")?) {
        assert_eq!(classifier.classify(image)?.quantised().values, expected);
    }
    Ok(())
}
