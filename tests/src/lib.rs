//! What the tests share: random weights and images.

pub mod corruption;
pub mod emulator;
pub mod frames;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod held;
pub mod lesson;
pub mod noise;
pub mod norms;
pub mod parity;
pub mod products;
pub mod torch;
pub mod twin;
pub mod views;

use std::path::{Path, PathBuf};

use host::backend::parameters::{Parameter, Start};
use host::backend::{Batch, Outcome, Target, Tensor, Weights};
use host::data::{IMAGE_BYTES, Images, scenes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae96::SIDE;

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.join("fixtures").join(name)
}

/// Weights as after a training: BatchNorm has scales, shifts, means and variances of its own,
/// one far from another.
pub fn random_weights(parameters: &[Parameter], seed: u64) -> Weights {
    let mut weights = Weights::initial(parameters, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for parameter in parameters {
        // Weights of BatchNorm begin at the same value throughout.
        let Start::Constant(start) = parameter.start else {
            continue;
        };
        let value = |rng: &mut ChaCha8Rng| match start {
            0.0 => rng.random_range(-0.5..0.5),
            _ => rng.random_range(-1.5f32..0.5).exp(),
        };
        let len = parameter.shape.iter().product();
        let values = (0..len).map(|_| value(&mut rng)).collect();
        let tensor = Tensor::new(parameter.shape.clone(), values);
        weights.0.insert(parameter.name.clone(), tensor);
    }
    weights
}

/// The first `count` scenes of a seed, as bytes.
pub fn scenes(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let data = scenes::dataset(&scenes::Options {
        seed,
        train_per_class: 0,
        val_per_class: 0,
        unlabelled: count,
    });
    (0..count)
        .map(|index| image(&data.unlabelled, index))
        .collect()
}

/// One image's bytes.
pub fn image(images: &Images, index: usize) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE_BYTES];
    images
        .read(index, &mut bytes)
        .expect("images in memory can be read");
    bytes
}

/// Bytes as values in [0, 1].
pub fn pixels(image: &[u8]) -> Vec<f32> {
    image.iter().map(|&byte| f32::from(byte) / 255.0).collect()
}

/// Images as a batch.
pub fn batch(images: &[Vec<u8>]) -> Batch {
    let values = images.iter().flat_map(|image| pixels(image)).collect();
    Batch::new(images.len(), SIDE, values)
}

/// Labels whose loss is the mean over them.
pub fn targets(labels: &[usize], smoothing: f32) -> Vec<Target> {
    let weight = 1.0 / labels.len() as f32;
    let target = |&class: &usize| Target::class(class, smoothing, weight);
    labels.iter().map(target).collect()
}

/// The sum of the outcomes' cross-entropies.
pub fn loss(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.cross_entropy).sum()
}

/// How many are correct.
pub fn correct(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.correct).count()
}

/// Root of the mean square.
pub fn rms(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    (sum / values.len().max(1) as f64).sqrt()
}
