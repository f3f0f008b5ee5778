//! The formula that PyTorch's side of a fixture shares, and comparisons with what it answered.

use anyhow::{Context, Result};
use host::backend::{Batch, Learner, Tensor, Weights, parameters};
use safetensors::SafeTensors;

/// Allowed error, as a share of a tensor's root mean square.
const TOLERANCE: f64 = 2e-4;

/// Values in [-1, 1) from a name and an index.
pub fn formula(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0x811C_9DC5u32, |seed, byte| {
        (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (0..count as u32)
        .map(|index| {
            let mut h = index.wrapping_mul(0x9E37_79B1).wrapping_add(seed);
            h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
            h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
            h ^= h >> 16;
            (f64::from(h >> 8) / f64::from(1 << 23) - 1.0) as f32
        })
        .collect()
}

/// A network's weights by the formula.
pub fn initial(parameters: &[parameters::Parameter]) -> Weights {
    let tensors = parameters.iter().map(|parameter| {
        let (name, shape) = (&parameter.name, &parameter.shape);
        let mut values = formula(name, shape.iter().product());
        for value in &mut values {
            *value = if name.ends_with("running_var") || name.ends_with("_bn.weight") {
                1.0 + 0.5 * *value
            } else if shape.len() > 1 {
                let inputs: usize = shape[1..].iter().product();
                *value * (1.0 / (inputs as f64).sqrt()) as f32
            } else {
                *value * 0.125
            };
        }
        (name.clone(), Tensor::new(shape.clone(), values))
    });
    Weights(tensors.collect())
}

/// The formula's images in our order.
pub fn images(count: usize, side: usize) -> Batch {
    let pixels = formula("images", count * side * side * 3)
        .into_iter()
        .map(|value| (value + 1.0) / 2.0)
        .collect();
    Batch::new(count, side, pixels)
}

/// Noise for `count` latent vectors of that length.
pub fn noise(count: usize, latent: usize) -> Vec<f32> {
    let values = formula("noise", count * latent).into_iter();
    values.map(|value| 2.0 * value).collect()
}

/// What PyTorch made of one case.
pub struct Expected {
    file: Vec<u8>,
    case: &'static str,
}

impl Expected {
    /// The case of that name in a file of `tests/fixtures`.
    pub fn of(file: &str, case: &'static str) -> Result<Self> {
        let path = crate::fixture(file);
        let file = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(Self { file, case })
    }

    /// The values under a name.
    pub fn values(&self, name: &str) -> Result<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.file)?;
        let tensor = tensors.tensor(&format!("{}/{name}", self.case))?;
        Ok(bytemuck::pod_collect_to_vec(tensor.data()))
    }

    /// The note that the file has under the case's name.
    pub fn note(&self) -> Result<String> {
        let (_, metadata) = SafeTensors::read_metadata(&self.file)?;
        let notes = metadata.metadata().as_ref();
        let note = notes.and_then(|notes| notes.get(self.case));
        note.cloned()
            .with_context(|| format!("no note {}", self.case))
    }

    /// Compares a sample of `values`.
    pub fn check(&self, name: &str, values: &[f32]) -> Result<()> {
        let expected: Vec<f64> = self.values(name)?.into_iter().map(f64::from).collect();
        let count = values.len() as f64;
        let double = || values.iter().map(|v| f64::from(*v));
        let mean = double().sum::<f64>() / count;
        let root = (double().map(|v| v * v).sum::<f64>() / count).sqrt();
        let picks = expected.len() - 2;
        let mut found = vec![mean, root];
        found.extend((0..picks).map(|pick| {
            let index = (pick * (values.len() - 1)) as f64 / (picks.max(2) - 1) as f64;
            f64::from(values[index as usize])
        }));
        let allowed = TOLERANCE * expected[1].max(1e-3);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (found - expected).abs() <= allowed,
                "{}/{name}, value {index}: {found} instead of {expected} ± {allowed}",
                self.case
            );
        }
        Ok(())
    }

    /// Compares a sample of every tensor.
    pub fn check_weights(&self, learner: &(impl Learner + ?Sized)) -> Result<()> {
        for (name, tensor) in learner.weights()?.0 {
            self.check(&name, &tensor.data)?;
        }
        Ok(())
    }

    /// Compares losses.
    pub fn check_losses(&self, found: &[f64]) -> Result<()> {
        for (found, expected) in found.iter().zip(self.values("losses")?) {
            let error = (found - f64::from(expected)).abs();
            assert!(
                error <= 1e-4 * f64::from(expected).abs(),
                "{}: a loss of {found} instead of {expected}",
                self.case
            );
        }
        Ok(())
    }
}
