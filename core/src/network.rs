//! The networks, each described once: training, quantisation, inference and documentation read
//! these constants and nothing else.

use crate::layer::{Activation, Features, Layer, Op, Shape, Window};
use crate::plan::{self, Method};

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
///                 └─ the rest of the VAE ────────────▶ image
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name on the command line and in a run's configuration.
    pub name: &'static str,
    /// Its number in a model file.
    pub id: u8,
    /// What both classifiers and every VAE share.
    pub encoder: &'static [Layer],
    /// The convolutional classifier, after the encoder.
    pub conv_head: &'static [Layer],
    /// The feed-forward classifier, after the encoder.
    pub dense_head: &'static [Layer],
    /// The VAE that pre-trains the encoder.
    pub vae: Autoencoder,
    /// The VAE that pre-trains the convolutional classifier up to its last layer, if there is one.
    pub deep_vae: Option<Autoencoder>,
}

/// A variational auto-encoder.
///
/// ```text
/// image ─ encoder ─ bottleneck ┬─ mean ─────┬─ z ─ decoder ─▶ image
///                              │            └─ projector ───▶ what views are compared by
///                              └─ log variance
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Autoencoder {
    /// What a classifier takes over.
    pub encoder: &'static [Layer],
    /// From the encoder's output to the layer that μ and log σ² read.
    pub bottleneck: &'static [Layer],
    /// μ of the latent.
    pub mean: Layer,
    /// log σ² of the latent.
    pub log_variance: Layer,
    /// From the latent back to an image. A smaller image than the encoder's input stands for that
    /// input shrunk to its size.
    pub decoder: &'static [Layer],
    /// From μ to the vector by which a contrastive term compares two views of an image; empty to
    /// compare μ itself.
    pub projector: &'static [Layer],
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

    /// The architecture of that name, if there is one.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().copied().find(|a| a.name == name)
    }
}

impl Autoencoder {
    /// Length of the latent vector.
    pub const fn latent(&self) -> usize {
        self.mean.weighted_channels(0)
    }

    /// The layers from the image to μ, in three runs.
    const fn up_to_mean(&'static self) -> [&'static [Layer]; 3] {
        let mean = core::slice::from_ref(&self.mean);
        [self.encoder, self.bottleneck, mean]
    }
}

/// Every architecture there is.
pub const ARCHITECTURES: [&Architecture; 2] = [&EDGE, &PAPER];

/// The convolutional classifier of `edge`, from which its encoders are cut.
const EDGE_CLASSIFIER: &[Layer] = &[
    Layer::conv("conv1", Window::new(5, 2, 2), 16),
    Layer::conv("conv2", Window::new(3, 2, 1), 32),
    Layer::conv("conv3", Window::new(3, 1, 1), 64),
    Layer::new("pool1", Op::MaxPool { size: 2 }),
    Layer::conv("conv4", Window::new(3, 1, 1), 128),
    Layer::new("pool2", Op::GlobalAveragePool),
    Layer::linear("fc1", Features::Classes),
];

/// The network for microcontrollers: 26.7 M multiplies and 0.1 MB of weights as a classifier.
pub const EDGE: Architecture = Architecture {
    name: "edge",
    id: 1,
    encoder: EDGE_CLASSIFIER.split_at(2).0,
    conv_head: EDGE_CLASSIFIER.split_at(2).1,
    dense_head: &[
        Layer::new("pool1", Op::AveragePool { size: 4 }),
        Layer::hidden("fc1", 256),
        Layer::linear("fc2", Features::Classes),
    ],
    vae: Autoencoder {
        encoder: EDGE_CLASSIFIER.split_at(2).0,
        bottleneck: &[Layer::hidden("fc1", 128)],
        mean: Layer::linear("fc21", Features::Fixed(64)),
        log_variance: Layer::linear("fc22", Features::Fixed(64)),
        decoder: &[
            Layer::hidden("fc2", 128),
            Layer::hidden("fc3", 24 * 24 * 32),
            Layer::new("plane", Op::square(24)),
            Layer::conv_transposed("conv3", Window::new(4, 2, 1), 16),
            Layer::conv_transposed("conv4", Window::new(4, 2, 1), 3).ending_in(Activation::Sigmoid),
        ],
        projector: &[],
    },
    deep_vae: Some(Autoencoder {
        encoder: EDGE_CLASSIFIER.split_at(6).0,
        bottleneck: &[],
        mean: Layer::linear("fc21", Features::Fixed(128)),
        log_variance: Layer::linear("fc22", Features::Fixed(128)),
        decoder: &[
            Layer::hidden("fc2", 8 * 8 * 64),
            Layer::new("plane", Op::square(8)),
            Layer::conv_transposed("deconv1", Window::new(4, 2, 1), 32),
            Layer::conv_transposed("deconv2", Window::new(4, 2, 1), 3)
                .ending_in(Activation::Sigmoid),
        ],
        projector: &[
            Layer::hidden("proj1", 128),
            Layer::linear("proj2", Features::Fixed(64)),
        ],
    }),
};

/// The paper's network, layer by layer as its authors trained it: 145 M parameters as a VAE.
pub const PAPER: Architecture = Architecture {
    name: "paper",
    id: 2,
    encoder: PAPER_ENCODER,
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
    vae: Autoencoder {
        encoder: PAPER_ENCODER,
        bottleneck: &[Layer::hidden("fc1", 1024).with_bias()],
        mean: Layer::linear("fc21", Features::Fixed(1024)),
        log_variance: Layer::linear("fc22", Features::Fixed(1024)),
        decoder: &[
            Layer::hidden("fc2", 88 * 88 * 9).with_bias(),
            Layer::new("plane", Op::square(88)),
            Layer::conv_transposed("conv3", Window::new(5, 1, 0), 9).with_bias(),
            Layer::conv_transposed("conv4", Window::new(5, 1, 0), 3).ending_in(Activation::Relu),
        ],
        projector: &[],
    },
    deep_vae: None,
};

const PAPER_ENCODER: &[Layer] = &[
    Layer::conv("conv1", Window::new(5, 1, 0), 9).with_bias(),
    Layer::conv("conv2", Window::new(5, 1, 0), 9).with_bias(),
];

/// What a device runs of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Encoder and convolutional head: logits.
    ConvClassifier,
    /// Encoder and dense head: logits.
    DenseClassifier,
    /// Encoder, bottleneck and mean of the VAE: the latent μ.
    Encoder,
    /// The same of the deep VAE.
    DeepEncoder,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [
        Self::ConvClassifier,
        Self::DenseClassifier,
        Self::Encoder,
        Self::DeepEncoder,
    ];

    /// Its number in a model file.
    pub const fn id(self) -> u8 {
        match self {
            Self::ConvClassifier => 1,
            Self::DenseClassifier => 2,
            Self::Encoder => 3,
            Self::DeepEncoder => 4,
        }
    }

    /// The classifier with that head.
    pub const fn classifier(head: Head) -> Self {
        match head {
            Head::Conv => Self::ConvClassifier,
            Head::Dense => Self::DenseClassifier,
        }
    }

    /// Whether the answer is one logit a class.
    pub const fn is_classifier(self) -> bool {
        !matches!(self, Self::Encoder | Self::DeepEncoder)
    }

    /// The layers of `architecture` that make this kind, in up to three runs; none where the
    /// architecture has no such part.
    const fn parts(self, architecture: &'static Architecture) -> [&'static [Layer]; 3] {
        match self {
            Self::ConvClassifier => [architecture.encoder, architecture.conv_head, &[]],
            Self::DenseClassifier => [architecture.encoder, architecture.dense_head, &[]],
            Self::Encoder => architecture.vae.up_to_mean(),
            Self::DeepEncoder => match &architecture.deep_vae {
                Some(vae) => vae.up_to_mean(),
                None => [&[], &[], &[]],
            },
        }
    }
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ConvClassifier => "conv classifier",
            Self::DenseClassifier => "dense classifier",
            Self::Encoder => "encoder",
            Self::DeepEncoder => "deep encoder",
        })
    }
}

/// A network that a device can run, as known at run time.
#[derive(Debug)]
pub struct Description {
    /// What it is a part of.
    pub architecture: &'static Architecture,
    /// Which part.
    pub kind: Kind,
    /// Its layers, from the image to the answer.
    pub layers: &'static [Layer],
    /// Bytes that running it directly takes: see [`ram_bytes`](Self::ram_bytes).
    direct_ram_bytes: usize,
}

impl Description {
    /// The network of those numbers in a model file, if there is one.
    pub fn find(architecture: u8, kind: u8) -> Option<&'static Self> {
        (NETWORKS.iter()).find(|n| n.architecture.id == architecture && n.kind.id() == kind)
    }

    /// That part of that architecture.
    pub fn of(architecture: &Architecture, kind: Kind) -> Option<&'static Self> {
        Self::find(architecture.id, kind.id())
    }

    /// Words that an [`Interpreter`](crate::Interpreter) of it needs.
    pub const fn buffer_words(&self, classes: usize) -> usize {
        plan::buffer_words(self.layers, INPUT, classes, Method::Direct)
    }

    /// Bytes of memory that running it on a 32-bit machine takes, for any number of classes: the
    /// size of its [`Classifier`](crate::Classifier) or [`Encoder`](crate::Encoder) there, stack
    /// not counted.
    pub const fn ram_bytes(&self, method: Method) -> usize {
        let direct = plan::buffer_words(self.layers, INPUT, MAX_CLASSES, Method::Direct);
        let words = plan::buffer_words(self.layers, INPUT, MAX_CLASSES, method);
        self.direct_ram_bytes + 4 * (words - direct)
    }

    /// Bytes of line buffers, sums and counters of layer `index`, for [`MAX_CLASSES`] classes.
    pub const fn layer_ram_bytes(&self, index: usize, method: Method) -> usize {
        4 * plan::layer_words(self.layers, INPUT, MAX_CLASSES, method, index)
    }

    /// Multiply-accumulates for one image.
    pub const fn macs(&self, classes: usize) -> usize {
        let mut macs = 0;
        let mut shape = INPUT;
        let mut rest = self.layers;
        while let [layer, after @ ..] = rest {
            macs += layer.macs(shape, classes);
            shape = layer.output(shape, classes);
            rest = after;
        }
        macs
    }
}

/// A network as a type: its layers are constants to the compiler, and so are the sizes of all
/// its buffers.
pub trait Network: sealed::Sealed {
    /// What it is a part of.
    const ARCHITECTURE: &'static Architecture;
    /// Which part.
    const KIND: Kind;
    /// Its layers, from the image to the answer.
    const LAYERS: &'static [Layer];
    /// How its convolutions are computed.
    const METHOD: Method;
    /// Its line buffers, with room for [`MAX_CLASSES`] classes.
    type Buffer: AsRef<[i32]> + AsMut<[i32]>;
    /// Its line buffers before their first use.
    const EMPTY: Self::Buffer;
}

/// A network that gives logits.
pub trait Classifies: Network {}

/// A network that gives a latent vector.
pub trait Encodes: Network {}

mod sealed {
    pub trait Sealed {}
}

/// The runs of layers as one, of which there must be `N`.
#[expect(clippy::indexing_slicing, reason = "only the compiler runs this")]
const fn concatenate<const N: usize>(parts: [&[Layer]; 3]) -> [Layer; N] {
    let mut layers = [Layer::new("", Op::GlobalAveragePool); N];
    let mut at = 0;
    let mut part = 0;
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            layers[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    assert!(at == N);
    layers
}

/// The size on a 32-bit machine of what has `size` bytes here: a buffer that is the same on all
/// machines, and pointers and lengths.
const fn on_32_bits(size: usize, buffer: usize) -> usize {
    buffer + (size - buffer) / size_of::<usize>() * size_of::<u32>()
}

const fn length(parts: [&[Layer]; 3]) -> usize {
    parts[0].len() + parts[1].len() + parts[2].len()
}

/// Declares a network as a type. One whose shapes do not fit together does not compile.
macro_rules! network {
    ($(#[$doc:meta])* $network:ident: $architecture:ident, $kind:ident, $role:ident, $method:ident) => {
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $network {}

            impl sealed::Sealed for $network {}

            impl Network for $network {
                const ARCHITECTURE: &'static Architecture = &$architecture;
                const KIND: Kind = Kind::$kind;
                const LAYERS: &'static [Layer] = {
                    const PARTS: [&[Layer]; 3] = Kind::$kind.parts(&$architecture);
                    const LAYERS: [Layer; length(PARTS)] = concatenate(PARTS);
                    &LAYERS
                };
                const METHOD: Method = Method::$method;
                type Buffer = [i32; buffer_words::<$network>()];
                const EMPTY: Self::Buffer = [0; buffer_words::<$network>()];
            }

            impl $role for $network {}

            const _: () = assert!(
                plan::check(<$network>::LAYERS, INPUT, MAX_CLASSES).is_ok(),
                "the layers of this network do not fit together"
            );
    };
}

const fn buffer_words<N: Network>() -> usize {
    plan::buffer_words(N::LAYERS, INPUT, MAX_CLASSES, N::METHOD)
}

/// Declares the networks that take the least memory, and lists them.
macro_rules! networks {
    ($($(#[$doc:meta])* $network:ident: $architecture:ident, $kind:ident, $role:ident, $runner:ident;)*) => {
        $(network! {
            $(#[$doc])*
            $network: $architecture, $kind, $role, Direct
        })*

        /// Every network that a device can run.
        pub static NETWORKS: [Description; [$(Kind::$kind),*].len()] = [$(Description {
            architecture: &$architecture,
            kind: Kind::$kind,
            layers: <$network>::LAYERS,
            direct_ram_bytes: on_32_bits(
                size_of::<crate::$runner<'static, $network>>(),
                size_of::<<$network as Network>::Buffer>(),
            ),
        }),*];
    };
}

networks! {
    /// `edge` with its convolutional head.
    Edge: EDGE, ConvClassifier, Classifies, Classifier;
    /// `edge` with its dense head.
    EdgeDense: EDGE, DenseClassifier, Classifies, Classifier;
    /// The encoder of the `edge` VAE, up to μ.
    EdgeEncoder: EDGE, Encoder, Encodes, Encoder;
    /// The encoder of the deep `edge` VAE, up to μ.
    EdgeDeepEncoder: EDGE, DeepEncoder, Encodes, Encoder;
    /// `paper` with its convolutional head.
    Paper: PAPER, ConvClassifier, Classifies, Classifier;
    /// `paper` with its dense head.
    PaperDense: PAPER, DenseClassifier, Classifies, Classifier;
    /// The encoder of the `paper` VAE, up to μ.
    PaperEncoder: PAPER, Encoder, Encodes, Encoder;
}

network! {
    /// [`Edge`] by [Winograd's method](Method::Winograd): fewer cycles in more memory.
    EdgeWinograd: EDGE, ConvClassifier, Classifies, Winograd
}

network! {
    /// [`EdgeDeepEncoder`] by [Winograd's method](Method::Winograd).
    EdgeDeepEncoderWinograd: EDGE, DeepEncoder, Encodes, Winograd
}
