//! Which tensors a network has, by name and shape, and what they are before training.

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae96::{Architecture, Autoencoder, Head, INPUT, Layer, Op, Shape};

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

impl Parameter {
    /// Whether it is a tensor of that layer or of its BatchNorm.
    pub fn is_of(&self, layer: &str) -> bool {
        let rest = self.name.strip_prefix(layer);
        rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with("_bn."))
    }
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
pub fn vae(autoencoder: &Autoencoder) -> Vec<Parameter> {
    let mut list = List::from(INPUT, 0);
    list.layers(autoencoder.encoder);
    list.layers(autoencoder.bottleneck);
    list.branch(std::slice::from_ref(&autoencoder.mean));
    list.layer(&autoencoder.log_variance);
    list.branch(autoencoder.projector);
    list.layers(autoencoder.decoder);
    list.parameters
}

/// The tensors of a classifier.
pub fn classifier(architecture: &Architecture, head: Head, classes: usize) -> Vec<Parameter> {
    let mut list = List::from(INPUT, classes);
    list.layers(architecture.encoder);
    list.layers(architecture.head(head));
    list.parameters
}

/// The tensors of the layers that a classifier takes over from a VAE.
pub fn encoder(autoencoder: &Autoencoder) -> Vec<Parameter> {
    let mut list = List::from(INPUT, 0);
    list.layers(autoencoder.encoder);
    list.parameters
}

/// Which of an architecture's VAEs has the encoder that is among `weights`: the deep one where
/// all its layers are there.
///
/// # Errors
/// Where a layer of both is missing or has another shape.
pub fn pretrained(
    architecture: &'static Architecture,
    weights: &Weights,
) -> Result<&'static Autoencoder> {
    let fits = |parameter: &Parameter| {
        let tensor = weights.0.get(&parameter.name);
        tensor.is_some_and(|tensor| tensor.shape == parameter.shape)
    };
    if let Some(deep) = &architecture.deep_vae
        && encoder(deep).iter().all(fits)
    {
        return Ok(deep);
    }
    weights
        .select(&encoder(&architecture.vae))
        .with_context(|| format!("these weights are not of a VAE of {}", architecture.name))?;
    Ok(&architecture.vae)
}

/// The layers with weights, from the image on, that a classifier takes over from a VAE.
pub fn shared_layers(
    architecture: &Architecture,
    head: Head,
    autoencoder: &Autoencoder,
) -> Vec<&'static str> {
    let classifier = architecture.encoder.iter().chain(architecture.head(head));
    let shared = classifier
        .zip(autoencoder.encoder)
        .take_while(|(a, b)| a == b);
    shared
        .filter(|(layer, _)| layer.weighted_channels(0) > 0)
        .map(|(layer, _)| layer.name)
        .collect()
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

    /// Layers whose output nothing that follows reads.
    fn branch(&mut self, layers: &[Layer]) {
        let shape = self.shape;
        self.layers(layers);
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
        assert_eq!(count(&vae(&PAPER.vae)), paper_vae);
        let edge = 75 * 16 + 2 * 16 + 144 * 32 + 2 * 32 + 288 * 64 + 2 * 64 + 576 * 128 + 2 * 128;
        assert_eq!(
            count(&classifier(&EDGE, Head::Conv, 200)),
            edge + fc(128, 200)
        );
    }

    #[test]
    fn classifiers_share_what_they_have_in_common_with_a_vae() {
        let deep = EDGE.deep_vae.as_ref().unwrap();
        let shared = |head, vae| shared_layers(&EDGE, head, vae);
        assert_eq!(shared(Head::Conv, &EDGE.vae), ["conv1", "conv2"]);
        assert_eq!(
            shared(Head::Conv, deep),
            ["conv1", "conv2", "conv3", "conv4"]
        );
        assert_eq!(shared(Head::Dense, deep), ["conv1", "conv2"]);
        for vae in [&EDGE.vae, deep] {
            let weights = Weights::initial(&super::vae(vae), 1);
            assert_eq!(pretrained(&EDGE, &weights).unwrap(), vae);
        }
        let paper = Weights::initial(&encoder(&PAPER.vae), 1);
        let error = format!("{:#}", pretrained(&EDGE, &paper).unwrap_err());
        assert!(
            error.contains("conv1.weight") && error.contains("[9, 3, 5, 5]"),
            "{error}"
        );
    }

    #[test]
    fn one_seed_gives_vae_and_classifier_the_same_encoder() {
        let (shallow, deep) = (&EDGE.vae, EDGE.deep_vae.as_ref().unwrap());
        for (autoencoder, head) in [
            (shallow, Head::Dense),
            (shallow, Head::Conv),
            (deep, Head::Conv),
        ] {
            let vae = Weights::initial(&super::vae(autoencoder), 7);
            let classifier = Weights::initial(&classifier(&EDGE, head, 10), 7);
            for parameter in encoder(autoencoder) {
                assert_eq!(vae.0[&parameter.name], classifier.0[&parameter.name]);
            }
        }
        let of = |seed| Weights::initial(&vae(shallow), seed);
        assert_ne!(of(7), of(8));
    }
}
