//! The f32 reference of the same networks, layer by layer.
//!
//! Calibration reads its activations, and the int8 engine is measured against it. Layouts are the
//! device's: activations NHWC, weights `output channel × kernel row × kernel column × input
//! channel` (OHWI), those of a linear layer `feature × height × width × channel`. BatchNorm is
//! folded into weights and bias.
//!
//! Sums have a fixed order, so results are the same on every machine that rounds as IEEE 754 asks
//! and does not contract `a * b + c`; Rust never does.

use core::iter;

use crate::layer::{Activation, Layer, Op, Shape, Window};

/// What a layer has learned, BatchNorm folded in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// [`Layer::weights`] values, output channels outermost; none for a layer that learns nothing.
    pub weight: &'a [f32],
    /// One value an output channel; none for a layer that learns nothing.
    pub bias: &'a [f32],
}

/// Why a layer could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatError {
    /// The layer makes nothing of this shape: its window does not fit, the shape is empty, or a
    /// size is beyond what this machine can address.
    Shape(Shape),
    /// The input has another length than its shape.
    Input {
        /// Values of the shape.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// There are more or fewer weights than the layer has.
    Weight {
        /// Weights of the layer.
        expected: usize,
        /// Weights given.
        found: usize,
    },
    /// There are more or fewer bias values than the layer has channels.
    Bias {
        /// Output channels of the layer.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The buffer is too short for the output.
    Output {
        /// Values of the output.
        needed: usize,
        /// Values the buffer holds.
        found: usize,
    },
    /// There are more or fewer [`Params`] than layers.
    Layers {
        /// Layers to run.
        expected: usize,
        /// Parameters given.
        found: usize,
    },
}

impl core::fmt::Display for FloatError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            // Not by `Shape`'s own Display, which multiplies: the sizes may be beyond measure.
            Self::Shape(Shape {
                height,
                width,
                channels,
            }) => write!(
                f,
                "the layer does not fit an input of {height}×{width}×{channels}"
            ),
            Self::Input { expected, found } => {
                write!(f, "{found} input values where the shape has {expected}")
            }
            Self::Weight { expected, found } => {
                write!(f, "{found} weights where the layer has {expected}")
            }
            Self::Bias { expected, found } => {
                write!(f, "{found} bias values where the layer has {expected}")
            }
            Self::Output { needed, found } => {
                write!(f, "room for {found} output values of {needed}")
            }
            Self::Layers { expected, found } => {
                write!(f, "parameters of {found} layers where there are {expected}")
            }
        }
    }
}

impl core::error::Error for FloatError {}

/// Values of the largest plane that a layer of `layers` writes: the length of each of the two
/// buffers of [`forward`]. Sizes whose products exceed `usize` overflow.
pub const fn scratch(mut layers: &[Layer], input: Shape, classes: usize) -> usize {
    let mut shape = input;
    let mut largest = 0;
    while let [first, rest @ ..] = layers {
        shape = first.output(shape, classes);
        if shape.len() > largest {
            largest = shape.len();
        }
        layers = rest;
    }
    largest
}

/// Runs `layers` one after another and returns the last one's output, which lies in `a` or `b`.
/// Without layers that is the input, copied to `a`.
///
/// # Errors
/// As [`layer`], and where `params` are not one a layer.
pub fn forward<'s>(
    layers: &[Layer],
    input_shape: Shape,
    input: &[f32],
    params: &[Params],
    a: &'s mut [f32],
    b: &'s mut [f32],
) -> Result<(Shape, &'s [f32]), FloatError> {
    if params.len() != layers.len() {
        return Err(FloatError::Layers {
            expected: layers.len(),
            found: params.len(),
        });
    }
    let mut steps = layers.iter().zip(params);
    let (mut current, mut next) = (a, b);
    let mut shape = match steps.next() {
        Some((first, &params)) => layer(first, input_shape, input, params, current)?,
        None => {
            let len = length(input_shape).ok_or(FloatError::Shape(input_shape))?;
            prefix(current, len)?.copy_from_slice(exactly(input, len)?);
            input_shape
        }
    };
    for (step, &params) in steps {
        let input = prefix(current, shape.len())?;
        shape = layer(step, shape, input, params, next)?;
        core::mem::swap(&mut current, &mut next);
    }
    Ok((shape, prefix(current, shape.len())?))
}

/// Computes one layer and its activation into the first values of `output`; returns the shape of
/// what it wrote. A layer of [`Features::Classes`](crate::Features::Classes) is as wide as `params.bias` is long.
///
/// # Errors
/// Where a slice has not the length that the layer and `input_shape` ask for, or the layer does
/// not fit the shape.
pub fn layer(
    layer: &Layer,
    input_shape: Shape,
    input: &[f32],
    params: Params,
    output: &mut [f32],
) -> Result<Shape, FloatError> {
    let sizes =
        Sizes::of(layer, input_shape, params.bias.len()).ok_or(FloatError::Shape(input_shape))?;
    let input = exactly(input, sizes.input)?;
    if params.weight.len() != sizes.weights {
        return Err(FloatError::Weight {
            expected: sizes.weights,
            found: params.weight.len(),
        });
    }
    if params.bias.len() != sizes.channels {
        return Err(FloatError::Bias {
            expected: sizes.channels,
            found: params.bias.len(),
        });
    }
    let output = prefix(output, sizes.output)?;

    let shape = sizes.shape;
    match layer.op {
        Op::Conv { window, .. } => weighted(input, params, shape, output, |y, x| {
            conv_runs(window, input_shape, y, x)
        }),
        Op::ConvTransposed { window, .. } => weighted(input, params, shape, output, |y, x| {
            transposed_runs(window, input_shape, y, x)
        }),
        Op::Linear { .. } => weighted(input, params, shape, output, |_, _| {
            iter::once(Run {
                input: 0,
                weight: 0,
                len: input.len(),
            })
        }),
        Op::MaxPool { size } => pool(input, input_shape, size, shape, output, |into, value| {
            if value > *into {
                *into = value;
            }
        }),
        Op::AveragePool { size } => {
            pool(input, input_shape, size, shape, output, |into, value| {
                *into += value;
            });
            divide(output, size * size);
        }
        Op::GlobalAveragePool => {
            output.fill(0.0);
            for pixel in input.chunks_exact(input_shape.channels) {
                for (sum, value) in output.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            divide(output, input_shape.height * input_shape.width);
        }
        Op::Unflatten { .. } => output.copy_from_slice(input),
    }
    activate(layer.activation, output);
    Ok(shape)
}

/// Lengths that a layer asks of its slices, none of them zero (but those of a layer that learns
/// nothing) and none beyond `usize`.
struct Sizes {
    input: usize,
    weights: usize,
    channels: usize,
    output: usize,
    shape: Shape,
}

impl Sizes {
    /// The longest edge: two of them multiply within `usize`, with room for a sum of a few.
    const LONGEST: usize = 1 << (usize::BITS / 2 - 2);

    fn of(layer: &Layer, input: Shape, classes: usize) -> Option<Self> {
        // No padding is as good as some: the 1 added keeps it among the edges above zero.
        let edges = match layer.op {
            Op::Conv { window, .. } | Op::ConvTransposed { window, .. } => [
                window.kernel,
                window.stride,
                1 + window.padding.min(Self::LONGEST),
            ],
            Op::MaxPool { size } | Op::AveragePool { size } => [size, size, 1],
            Op::Unflatten { height, width } => [height, width, 1],
            Op::GlobalAveragePool | Op::Linear { .. } => [1; 3],
        };
        let fits = |edge: &usize| (1..=Self::LONGEST).contains(edge);
        if !edges.iter().all(fits) || ![input.height, input.width].iter().all(fits) {
            return None;
        }
        let input_len = length(input)?;
        let shape = layer.output(input, classes);
        let taps = match layer.op {
            Op::Conv { window, .. } | Op::ConvTransposed { window, .. } => {
                (window.kernel * window.kernel).checked_mul(input.channels)?
            }
            Op::Linear { .. } => input_len,
            _ => 0,
        };
        let channels = layer.weighted_channels(classes);
        Some(Self {
            input: input_len,
            weights: taps.checked_mul(channels)?,
            channels,
            output: length(shape)?,
            shape,
        })
    }
}

/// Values of a shape; none where it is empty or beyond `usize`.
fn length(shape: Shape) -> Option<usize> {
    let len = shape
        .height
        .checked_mul(shape.width)?
        .checked_mul(shape.channels)?;
    (len > 0).then_some(len)
}

fn exactly(input: &[f32], len: usize) -> Result<&[f32], FloatError> {
    if input.len() == len {
        Ok(input)
    } else {
        Err(FloatError::Input {
            expected: len,
            found: input.len(),
        })
    }
}

fn prefix(buffer: &mut [f32], len: usize) -> Result<&mut [f32], FloatError> {
    let found = buffer.len();
    buffer
        .get_mut(..len)
        .ok_or(FloatError::Output { needed: len, found })
}

/// A run of input values that one output pixel reads, and where in each channel's weights those
/// begin that it meets.
struct Run {
    input: usize,
    weight: usize,
    len: usize,
}

/// What output pixel (`y`, `x`) of a convolution reads: one run a kernel row, cut off at the
/// edges of the plane, where zeros would add nothing.
fn conv_runs(window: Window, input: Shape, y: usize, x: usize) -> impl Iterator<Item = Run> {
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    let (top, left) = (y * stride, x * stride);
    let first = padding.saturating_sub(left);
    let end = (input.width + padding).saturating_sub(left).min(kernel);
    let len = end.saturating_sub(first) * input.channels;
    (0..kernel).filter_map(move |tap| {
        let row = (top + tap).checked_sub(padding)?;
        (row < input.height && len > 0).then(|| Run {
            input: (row * input.width + left + first - padding) * input.channels,
            weight: (tap * kernel + first) * input.channels,
            len,
        })
    })
}

/// What output pixel (`y`, `x`) of a transposed convolution reads: the input pixels whose window
/// covers it, one run each.
fn transposed_runs(window: Window, input: Shape, y: usize, x: usize) -> impl Iterator<Item = Run> {
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    // The input position that writes output position `at` with tap `tap`.
    let source = move |at: usize, tap: usize, len: usize| {
        let offset = (at + padding).checked_sub(tap)?;
        (offset.is_multiple_of(stride) && offset / stride < len).then_some(offset / stride)
    };
    (0..kernel)
        .filter_map(move |tap| Some((tap, source(y, tap, input.height)?)))
        .flat_map(move |(tap_y, row)| {
            (0..kernel).filter_map(move |tap_x| {
                let column = source(x, tap_x, input.width)?;
                Some(Run {
                    input: (row * input.width + column) * input.channels,
                    weight: (tap_y * kernel + tap_x) * input.channels,
                    len: input.channels,
                })
            })
        })
}

/// Output channels computed together: they share the loads of the input.
const BLOCK: usize = 4;

/// Partial sums of a dot product, added up at its end. With a fixed number of them the compiler
/// may keep them in a vector without changing the order of any sum.
const LANES: usize = 4;

/// Every output value as bias + Σ input × weight over the runs of its pixel. Channels outermost:
/// the weights of a block stay in the nearest cache.
fn weighted<R: Iterator<Item = Run>>(
    input: &[f32],
    params: Params,
    shape: Shape,
    output: &mut [f32],
    runs: impl Fn(usize, usize) -> R,
) {
    let fan_in = params.weight.len() / shape.channels;
    let mut rows = params.weight.chunks_exact(fan_in);
    let blocks = shape.channels / BLOCK;
    for block in 0..blocks {
        let weights: [&[f32]; BLOCK] = core::array::from_fn(|_| rows.next().unwrap_or_default());
        channels(
            input,
            weights,
            params.bias,
            block * BLOCK,
            shape,
            output,
            &runs,
        );
    }
    for channel in blocks * BLOCK..shape.channels {
        let weights = [rows.next().unwrap_or_default()];
        channels(input, weights, params.bias, channel, shape, output, &runs);
    }
}

/// `N` channels of [`weighted`] from channel `first` on, for every pixel.
fn channels<const N: usize, R: Iterator<Item = Run>>(
    input: &[f32],
    weights: [&[f32]; N],
    bias: &[f32],
    first: usize,
    shape: Shape,
    output: &mut [f32],
    runs: &impl Fn(usize, usize) -> R,
) {
    for (y, row) in output.chunks_exact_mut(shape.row()).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(shape.channels).enumerate() {
            let mut sums = [[0.0; LANES]; N];
            for Run {
                input: from,
                weight,
                len,
            } in runs(y, x)
            {
                let values = input.get(from..from + len).unwrap_or_default();
                let weights = weights.map(|w| w.get(weight..weight + len).unwrap_or_default());
                accumulate(&mut sums, values, weights);
            }
            let channels = pixel.iter_mut().zip(bias).skip(first);
            for ((value, bias), [a, b, c, d]) in channels.zip(sums) {
                *value = bias + ((a + b) + (c + d));
            }
        }
    }
}

/// Adds the products of `input` with the weights of each channel to the channel's lanes.
#[inline]
fn accumulate<const N: usize>(sums: &mut [[f32; LANES]; N], input: &[f32], weights: [&[f32]; N]) {
    let (chunks, rest) = input.as_chunks::<LANES>();
    let weights = weights.map(|w| w.as_chunks::<LANES>());
    for (i, input) in chunks.iter().enumerate() {
        for (sums, (chunks, _)) in sums.iter_mut().zip(&weights) {
            if let Some(weights) = chunks.get(i) {
                multiply_add(sums, input, weights);
            }
        }
    }
    for (sums, (_, weights)) in sums.iter_mut().zip(&weights) {
        multiply_add(sums, rest, weights);
    }
}

#[inline]
fn multiply_add(sums: &mut [f32; LANES], input: &[f32], weights: &[f32]) {
    for ((sum, x), w) in sums.iter_mut().zip(input).zip(weights) {
        *sum += x * w;
    }
}

/// Folds each window of `size × size` pixels with `fold`, row by row, from its first pixel on.
fn pool(
    input: &[f32],
    input_shape: Shape,
    size: usize,
    shape: Shape,
    output: &mut [f32],
    fold: impl Fn(&mut f32, f32),
) {
    let bands = input.chunks_exact(size * input_shape.row());
    for (band, output) in bands.zip(output.chunks_exact_mut(shape.row())) {
        for (y, row) in band.chunks_exact(input_shape.row()).enumerate() {
            let windows = row.chunks_exact(size * shape.channels);
            for (window, output) in windows.zip(output.chunks_exact_mut(shape.channels)) {
                for (x, pixel) in window.chunks_exact(shape.channels).enumerate() {
                    if (y, x) == (0, 0) {
                        output.copy_from_slice(pixel);
                    } else {
                        for (into, &value) in output.iter_mut().zip(pixel) {
                            fold(into, value);
                        }
                    }
                }
            }
        }
    }
}

fn divide(sums: &mut [f32], count: usize) {
    for sum in sums {
        *sum /= count as f32;
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::None => {}
        // Unlike `f32::max`, this lets a NaN through to whoever must see it.
        Activation::Relu => {
            for value in values {
                *value = if *value < 0.0 { 0.0 } else { *value };
            }
        }
        Activation::Sigmoid => {
            for value in values {
                *value = 1.0 / (1.0 + libm::expf(-*value));
            }
        }
    }
}
