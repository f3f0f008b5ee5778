//! What a layer is: its operation, the shape it makes of its input, its weights and its multiplies.
//!
//! Every size is a `const fn` of the description, so buffers are sized, and wrong shapes refused,
//! by the compiler.

/// The shape of one image or activation: `height × width × channels`, channels innermost (NHWC).
/// A vector is `1 × 1 × features`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values a pixel.
    pub channels: usize,
}

impl Shape {
    /// A plane of `height × width` pixels with `channels` values each.
    pub const fn plane(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
        }
    }

    /// A vector of `features` values.
    pub const fn vector(features: usize) -> Self {
        Self::plane(1, 1, features)
    }

    /// Values in all.
    pub const fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the shape holds no value at all.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Values in one row.
    pub const fn row(self) -> usize {
        self.width * self.channels
    }

    /// Whether this is a vector rather than a plane.
    pub const fn is_vector(self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_vector() {
            write!(f, "{}", self.channels)
        } else {
            write!(f, "{}×{}×{}", self.height, self.width, self.channels)
        }
    }
}

/// The width of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// Known to the network.
    Fixed(usize),
    /// One a class: known to the data set, and to the model file.
    Classes,
}

/// A square window that slides over a plane: the geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Edge of the window, in pixels.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels of zero around the plane.
    pub padding: usize,
}

/// What a layer does to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Convolution to `channels` channels. Weights `channels × kernel × kernel × input channels`.
    Conv {
        /// Where it looks.
        window: Window,
        /// Channels of the output.
        channels: usize,
    },
    /// Transposed convolution to `channels` channels; found in decoders, which no device runs.
    ConvTransposed {
        /// Where it writes.
        window: Window,
        /// Channels of the output.
        channels: usize,
    },
    /// Maximum over `size × size` windows that do not overlap; a remainder at the edge is dropped.
    MaxPool {
        /// Edge of the window, in pixels.
        size: usize,
    },
    /// Mean over `size × size` windows that do not overlap; a remainder at the edge is dropped.
    AveragePool {
        /// Edge of the window, in pixels.
        size: usize,
    },
    /// Mean over the whole plane.
    GlobalAveragePool,
    /// Linear map of all input values. Weights `features × input values`.
    Linear {
        /// Values of the output.
        features: Features,
    },
    /// A vector read as a plane of `height × width`.
    Unflatten {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// The function after the operation (and after BatchNorm, where there is one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// `max(0, x)`.
    Relu,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
}

/// One layer of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name in a weights file: `conv1` has `conv1.weight`, its BatchNorm is `conv1_bn`.
    pub name: &'static str,
    /// What it does.
    pub op: Op,
    /// Whether the operation adds a learned bias.
    pub bias: bool,
    /// Whether BatchNorm follows the operation.
    pub batch_norm: bool,
    /// What follows last.
    pub activation: Activation,
}

impl Op {
    /// A vector read as a plane of `side × side`.
    pub const fn square(side: usize) -> Self {
        Self::Unflatten {
            height: side,
            width: side,
        }
    }
}

impl Layer {
    /// A convolution with BatchNorm and ReLU.
    pub const fn conv(name: &'static str, window: Window, channels: usize) -> Self {
        Self::new(name, Op::Conv { window, channels }).normalised()
    }

    /// A transposed convolution with BatchNorm and ReLU.
    pub const fn conv_transposed(name: &'static str, window: Window, channels: usize) -> Self {
        Self::new(name, Op::ConvTransposed { window, channels }).normalised()
    }

    /// A linear layer with BatchNorm and ReLU.
    pub const fn hidden(name: &'static str, features: usize) -> Self {
        Self::linear(name, Features::Fixed(features)).normalised()
    }

    /// A linear layer with a bias and nothing after it.
    pub const fn linear(name: &'static str, features: Features) -> Self {
        let mut layer = Self::new(name, Op::Linear { features });
        layer.bias = true;
        layer
    }

    /// A layer that learns nothing: pooling and reshaping.
    pub const fn new(name: &'static str, op: Op) -> Self {
        Self {
            name,
            op,
            bias: false,
            batch_norm: false,
            activation: Activation::None,
        }
    }

    const fn normalised(mut self) -> Self {
        self.batch_norm = true;
        self.activation = Activation::Relu;
        self.bias = false;
        self
    }

    /// The same layer with a learned bias.
    pub const fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// The same layer without BatchNorm, with a bias, ending in `activation`.
    pub const fn ending_in(mut self, activation: Activation) -> Self {
        self.batch_norm = false;
        self.bias = true;
        self.activation = activation;
        self
    }

    /// The shape it makes of `input`; `classes` is the width of [`Features::Classes`].
    /// A window larger than its padded input gives a shape of zero rows, which
    /// [`Shape::is_empty`] tells.
    pub const fn output(&self, input: Shape, classes: usize) -> Shape {
        match self.op {
            Op::Conv { window, channels } => Shape::plane(
                window.output(input.height),
                window.output(input.width),
                channels,
            ),
            Op::ConvTransposed { window, channels } => Shape::plane(
                window.transposed_output(input.height),
                window.transposed_output(input.width),
                channels,
            ),
            Op::MaxPool { size } | Op::AveragePool { size } => {
                let windows = Window {
                    kernel: size,
                    stride: size,
                    padding: 0,
                };
                Shape::plane(
                    windows.output(input.height),
                    windows.output(input.width),
                    input.channels,
                )
            }
            Op::GlobalAveragePool => Shape::vector(input.channels),
            Op::Linear { features } => Shape::vector(match features {
                Features::Fixed(features) => features,
                Features::Classes => classes,
            }),
            Op::Unflatten { height, width } => {
                let pixels = height * width;
                if pixels == 0 || !input.len().is_multiple_of(pixels) {
                    Shape::vector(0)
                } else {
                    Shape::plane(height, width, input.len() / pixels)
                }
            }
        }
    }

    /// Output channels that have weights, a bias and a requantisation each; 0 for pooling.
    pub const fn weighted_channels(&self, classes: usize) -> usize {
        match self.op {
            Op::Conv { channels, .. } | Op::ConvTransposed { channels, .. } => channels,
            Op::Linear {
                features: Features::Fixed(features),
            } => features,
            Op::Linear {
                features: Features::Classes,
            } => classes,
            _ => 0,
        }
    }

    /// Weights that one output channel reads (for a transposed convolution: that feed it).
    pub const fn fan_in(&self, input: Shape) -> usize {
        match self.op {
            Op::Conv { window, .. } | Op::ConvTransposed { window, .. } => {
                window.kernel * window.kernel * input.channels
            }
            Op::Linear { .. } => input.len(),
            _ => 0,
        }
    }

    /// Weights in all, without bias and BatchNorm.
    pub const fn weights(&self, input: Shape, classes: usize) -> usize {
        self.weighted_channels(classes) * self.fan_in(input)
    }

    /// Multiply-accumulates for one image, padded taps counted as the others.
    pub const fn macs(&self, input: Shape, classes: usize) -> usize {
        let output = self.output(input, classes);
        match self.op {
            // Every input pixel is multiplied with every tap.
            Op::ConvTransposed { .. } => input.height * input.width * self.weights(input, classes),
            _ => output.height * output.width * self.weights(input, classes),
        }
    }
}

impl Window {
    /// A window of `kernel × kernel`.
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride,
            padding,
        }
    }

    /// Places the window finds along `input` pixels; 0 where it does not fit.
    pub const fn output(self, input: usize) -> usize {
        let padded = input + 2 * self.padding;
        if self.kernel == 0 || self.stride == 0 || padded < self.kernel {
            0
        } else {
            (padded - self.kernel) / self.stride + 1
        }
    }

    /// The length of which [`output`](Self::output) gives `input`: the smallest one.
    pub const fn transposed_output(self, input: usize) -> usize {
        if input == 0 {
            return 0;
        }
        let covered = (input - 1) * self.stride + self.kernel;
        covered.saturating_sub(2 * self.padding)
    }
}
