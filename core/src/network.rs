//! The networks, each described once: training, quantisation, inference and documentation read
//! these constants and nothing else.

use crate::layer::{Activation, Features, Layer, Op, Shape, Window};

/// Edge of every input image, in pixels.
pub const SIDE: usize = 96;

/// Every input image: RGB, 96×96.
pub const INPUT: Shape = Shape::plane(SIDE, SIDE, 3);

/// The most classes a model may tell apart.
pub const MAX_CLASSES: usize = 1000;

/// An encoder with all that may follow it.
///
/// ```text
/// image ─ encoder ┬─ conv head ──────────────────────▶ logits
///                 ├─ dense head ─────────────────────▶ logits
///                 └─ bottleneck ┬─ mean ─────────┐
///                               └─ log variance ─┴ z ─ decoder ─▶ image
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name on the command line and in a run's configuration.
    pub name: &'static str,
    /// Its number in a model file.
    pub id: u8,
    /// What the VAE and the classifiers share, and pre-training learns.
    pub encoder: &'static [Layer],
    /// The convolutional classifier, after the encoder.
    pub conv_head: &'static [Layer],
    /// The feed-forward classifier, after the encoder.
    pub dense_head: &'static [Layer],
    /// From the encoder's output to the layer that μ and log σ² read.
    pub bottleneck: &'static [Layer],
    /// μ of the latent.
    pub mean: Layer,
    /// log σ² of the latent.
    pub log_variance: Layer,
    /// From the latent back to an image.
    pub decoder: &'static [Layer],
}

/// Which layers follow the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Convolutions, pooling, a linear layer.
    Conv,
    /// Linear layers.
    Dense,
}

impl Architecture {
    /// The layers of a classifier's head.
    pub const fn head(&self, head: Head) -> &'static [Layer] {
        match head {
            Head::Conv => self.conv_head,
            Head::Dense => self.dense_head,
        }
    }

    /// Length of the latent vector.
    pub const fn latent(&self) -> usize {
        self.mean.weighted_channels(0)
    }

    /// The architecture of that name, if there is one.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().copied().find(|a| a.name == name)
    }
}

/// Every architecture there is.
pub const ARCHITECTURES: [&Architecture; 2] = [&EDGE, &PAPER];

/// The network for microcontrollers: 26.7 M multiplies and 0.1 MB of weights as a classifier.
pub const EDGE: Architecture = Architecture {
    name: "edge",
    id: 1,
    encoder: &[
        Layer::conv("conv1", Window::new(5, 2, 2), 16),
        Layer::conv("conv2", Window::new(3, 2, 1), 32),
    ],
    conv_head: &[
        Layer::conv("conv3", Window::new(3, 1, 1), 64),
        Layer::new("pool1", Op::MaxPool { size: 2 }),
        Layer::conv("conv4", Window::new(3, 1, 1), 128),
        Layer::new("pool2", Op::GlobalAveragePool),
        Layer::linear("fc1", Features::Classes),
    ],
    dense_head: &[
        Layer::new("pool1", Op::AveragePool { size: 4 }),
        Layer::hidden("fc1", 256),
        Layer::linear("fc2", Features::Classes),
    ],
    bottleneck: &[Layer::hidden("fc1", 128)],
    mean: Layer::linear("fc21", Features::Fixed(64)),
    log_variance: Layer::linear("fc22", Features::Fixed(64)),
    decoder: &[
        Layer::hidden("fc2", 128),
        Layer::hidden("fc3", 24 * 24 * 32),
        Layer::new(
            "plane",
            Op::Unflatten {
                height: 24,
                width: 24,
            },
        ),
        Layer::conv_transposed("conv3", Window::new(4, 2, 1), 16),
        Layer::conv_transposed("conv4", Window::new(4, 2, 1), 3).ending_in(Activation::Sigmoid),
    ],
};

/// The paper's network, layer by layer as its authors trained it: 145 M parameters as a VAE.
pub const PAPER: Architecture = Architecture {
    name: "paper",
    id: 2,
    encoder: &[
        Layer::conv("conv1", Window::new(5, 1, 0), 9).with_bias(),
        Layer::conv("conv2", Window::new(5, 1, 0), 9).with_bias(),
    ],
    conv_head: &[
        Layer::conv("conv3", Window::new(5, 1, 0), 9).with_bias(),
        Layer::new("pool1", Op::MaxPool { size: 2 }),
        Layer::conv("conv4", Window::new(5, 1, 0), 12).with_bias(),
        Layer::new("pool2", Op::MaxPool { size: 2 }),
        Layer::hidden("fc1", 2048).with_bias(),
        Layer::linear("fc2", Features::Classes),
    ],
    dense_head: &[
        Layer::hidden("fc1", 4096).with_bias(),
        Layer::linear("fc2", Features::Classes),
    ],
    bottleneck: &[Layer::hidden("fc1", 1024).with_bias()],
    mean: Layer::linear("fc21", Features::Fixed(1024)),
    log_variance: Layer::linear("fc22", Features::Fixed(1024)),
    decoder: &[
        Layer::hidden("fc2", 88 * 88 * 9).with_bias(),
        Layer::new(
            "plane",
            Op::Unflatten {
                height: 88,
                width: 88,
            },
        ),
        Layer::conv_transposed("conv3", Window::new(5, 1, 0), 9).with_bias(),
        Layer::conv_transposed("conv4", Window::new(5, 1, 0), 3).ending_in(Activation::Relu),
    ],
};
