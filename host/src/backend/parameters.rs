//! Which tensors a network has, by name and shape, and what they are before training.

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae96::{Architecture, Head, INPUT, Layer, Op, Shape};

use super::{Tensor, Weights};

/// A tensor that a network has.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in a weights file.
    pub name: String,
    /// Its dimensions, in PyTorch's order.
    pub shape: Vec<usize>,
    /// What it is before training.
    pub start: Start,
}

/// A tensor's values before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// The same value throughout.
    Constant(f32),
    /// Uniform between ± this bound.
    Uniform(f32),
}

/// The tensors of a VAE.
pub fn vae(architecture: &Architecture) -> Vec<Parameter> {
    let mut list = List::from(INPUT, 0);
    list.layers(architecture.encoder);
    list.layers(architecture.bottleneck);
    list.branch(&architecture.mean);
    list.layer(&architecture.log_variance);
    list.layers(architecture.decoder);
    list.parameters
}

/// The tensors of a classifier.
pub fn classifier(architecture: &Architecture, head: Head, classes: usize) -> Vec<Parameter> {
    let mut list = List::from(INPUT, classes);
    list.layers(architecture.encoder);
    list.layers(architecture.head(head));
    list.parameters
}

/// The tensors of the encoder, which both share.
pub fn encoder(architecture: &Architecture) -> Vec<Parameter> {
    let mut list = List::from(INPUT, 0);
    list.layers(architecture.encoder);
    list.parameters
}

impl Weights {
    /// Weights before training. A tensor's values follow from `seed` and its name alone, so two
    /// networks of one seed begin with the same encoder.
    pub fn initial(parameters: &[Parameter], seed: u64) -> Self {
        let tensors = parameters.iter().map(|parameter| {
            let tensor = match parameter.start {
                Start::Constant(value) => Tensor::full(parameter.shape.clone(), value),
                Start::Uniform(bound) => {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    rng.set_stream(hash(&parameter.name));
                    let len = parameter.shape.iter().product();
                    let data = (0..len)
                        .map(|_| (2.0 * rng.random::<f32>() - 1.0) * bound)
                        .collect();
                    Tensor::new(parameter.shape.clone(), data)
                }
            };
            (parameter.name.clone(), tensor)
        });
        Self(tensors.collect())
    }

    /// The tensors of `parameters`, without any others that there may be.
    ///
    /// # Errors
    /// That name the first tensor that is missing, or of another shape.
    pub fn select(&self, parameters: &[Parameter]) -> Result<Self> {
        let tensor = |parameter: &Parameter| {
            let tensor = self.get(&parameter.name)?;
            ensure!(
                tensor.shape == parameter.shape,
                "the tensor {:?} has the shape {:?}; the network needs {:?}",
                parameter.name,
                tensor.shape,
                parameter.shape
            );
            Ok((parameter.name.clone(), tensor.clone()))
        };
        parameters
            .iter()
            .map(tensor)
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// FNV-1a, 64 bits: a number for a name that is the same on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct List {
    shape: Shape,
    classes: usize,
    parameters: Vec<Parameter>,
}

impl List {
    fn from(shape: Shape, classes: usize) -> Self {
        Self {
            shape,
            classes,
            parameters: Vec::new(),
        }
    }

    fn layers(&mut self, layers: &[Layer]) {
        for layer in layers {
            self.layer(layer);
        }
    }

    /// A layer whose output nothing that follows reads.
    fn branch(&mut self, layer: &Layer) {
        let shape = self.shape;
        self.layer(layer);
        self.shape = shape;
    }

    fn layer(&mut self, layer: &Layer) {
        let input = self.shape;
        let channels = layer.weighted_channels(self.classes);
        let shape = match layer.op {
            Op::Conv { window, .. } => {
                Some(vec![channels, input.channels, window.kernel, window.kernel])
            }
            Op::ConvTransposed { window, .. } => {
                Some(vec![input.channels, channels, window.kernel, window.kernel])
            }
            Op::Linear { .. } => Some(vec![channels, input.len()]),
            _ => None,
        };
        if let Some(shape) = shape {
            // PyTorch's default for convolutions and linear layers: ±1/√fan-in, where it takes the
            // second dimension for the fan-in, in transposed convolutions too.
            let fan_in: usize = shape[1..].iter().product();
            let bound = 1.0 / (fan_in as f32).sqrt();
            self.add(layer.name, "weight", shape, Start::Uniform(bound));
            if layer.bias {
                self.add(layer.name, "bias", vec![channels], Start::Uniform(bound));
            }
        }
        let output = layer.output(input, self.classes);
        if layer.batch_norm {
            let name = format!("{}_bn", layer.name);
            for (what, value) in [
                ("weight", 1.0),
                ("bias", 0.0),
                ("running_mean", 0.0),
                ("running_var", 1.0),
            ] {
                self.add(&name, what, vec![channels], Start::Constant(value));
            }
        }
        self.shape = output;
    }

    fn add(&mut self, layer: &str, what: &str, shape: Vec<usize>, start: Start) {
        self.parameters.push(Parameter {
            name: format!("{layer}.{what}"),
            shape,
            start,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae96::{EDGE, PAPER};

    fn count(parameters: &[Parameter]) -> usize {
        parameters
            .iter()
            .filter(|p| !p.name.contains("running"))
            .map(|p| p.shape.iter().product::<usize>())
            .sum()
    }

    /// The figures by hand, from the tables of the two networks.
    #[test]
    fn the_networks_have_as_many_parameters_as_their_tables_say() {
        let fc = |from: usize, to: usize| (from + 1) * to;
        let conv = |from: usize, to: usize, taps: usize| (from * taps + 1) * to;
        let paper_encoder = conv(3, 9, 25) + conv(9, 9, 25) + 2 * (9 + 9);
        let paper_vae = paper_encoder
            + fc(69_696, 1024)
            + 2 * 1024
            + 2 * fc(1024, 1024)
            + fc(1024, 69_696)
            + 2 * 69_696
            + conv(9, 9, 25)
            + 2 * 9
            + conv(9, 3, 25);
        assert_eq!(count(&vae(&PAPER)), paper_vae);
        let edge = 75 * 16 + 2 * 16 + 144 * 32 + 2 * 32 + 288 * 64 + 2 * 64 + 576 * 128 + 2 * 128;
        assert_eq!(
            count(&classifier(&EDGE, Head::Conv, 200)),
            edge + fc(128, 200)
        );
    }

    #[test]
    fn one_seed_gives_vae_and_classifier_the_same_encoder() {
        let vae = Weights::initial(&vae(&EDGE), 7);
        let classifier = Weights::initial(&classifier(&EDGE, Head::Dense, 10), 7);
        for parameter in encoder(&EDGE) {
            assert_eq!(vae.0[&parameter.name], classifier.0[&parameter.name]);
        }
        assert_ne!(vae, Weights::initial(&super::vae(&EDGE), 8));
    }
}
