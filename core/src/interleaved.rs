//! The weights of convolutions once more, in the order that a computer's dot-product instructions
//! take them. Boards run model files in place; a computer that looks at thousands of images
//! interleaves a model's weights once and has the same answers many times as fast.
//!
//! Sixteen output channels are computed together, in a *block* of [`Line`]s: first their sums of
//! weights, times 128; then, window row after window row, four taps of every channel a line. Where
//! a row's taps are no multiple of four, its last line holds the last four of them, and zeros for
//! those that the line before has. Channels beyond the last are zero.

use crate::kernels::dot::Kernel;
use crate::kernels::{Channels, Rows};
use crate::layer::{Layer, Op, Shape, Window};
use crate::model::{Model, ModelError, WeightLayout, weights};
use crate::network::INPUT;
use crate::plan::MAX_LAYERS;

/// Output channels of a block.
pub(crate) const CHANNELS: usize = 16;

/// Taps of a channel in a line.
pub(crate) const TAPS: usize = 4;

/// The most bytes of the rows that a window looks at.
pub(crate) const MOST_ROWS: usize = 1 << 14;

/// As many weights as a cache line holds.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub(crate) [i8; CHANNELS * TAPS]);

impl Line {
    /// A line before weights are interleaved.
    pub const ZERO: Self = Self([0; CHANNELS * TAPS]);
}

/// What follows from a convolution's shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub window: Window,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
}

impl Geometry {
    /// That of a layer, if it is a convolution whose weights can be interleaved.
    pub fn of(layer: &Layer, input: Shape) -> Option<Self> {
        let Op::Conv { window, channels } = layer.op else {
            return None;
        };
        let geometry = Self {
            window,
            inputs: input.channels,
            outputs: channels,
        };
        let pitch = (input.width + 2 * window.padding) * input.channels;
        (geometry.run() >= TAPS && window.kernel * pitch <= MOST_ROWS).then_some(geometry)
    }

    /// Taps of a window's row.
    pub fn run(&self) -> usize {
        self.window.kernel * self.inputs
    }

    /// Lines of a window's row.
    pub fn steps(&self) -> usize {
        self.run().div_ceil(TAPS)
    }

    /// The first tap of each line of a row.
    pub fn tap(&self, step: usize) -> usize {
        (TAPS * step).min(self.run() - TAPS)
    }

    /// Lines of a block.
    pub fn block(&self) -> usize {
        1 + self.window.kernel * self.steps()
    }

    /// Lines of the layer.
    pub fn lines(&self) -> usize {
        self.outputs.div_ceil(CHANNELS) * self.block()
    }

    /// Interleaves weights `output channels × kernel × kernel × input channels`.
    pub fn interleave(&self, weights: &[i8], lines: &mut [Line]) {
        let taps = self.window.kernel * self.run();
        let blocks = weights.chunks(CHANNELS * taps);
        for (weights, lines) in blocks.zip(lines.chunks_exact_mut(self.block())) {
            let Some((sums, lines)) = lines.split_first_mut() else {
                return;
            };
            for (channel, weights) in weights.chunks_exact(taps).enumerate() {
                let sum = weights.iter().fold(0i32, |sum, &w| sum + i32::from(w));
                put(
                    sums,
                    channel,
                    (128 * sum).to_ne_bytes().map(u8::cast_signed),
                );
                let rows = weights.chunks_exact(self.run());
                for (row, lines) in rows.zip(lines.chunks_exact_mut(self.steps())) {
                    for (step, line) in lines.iter_mut().enumerate() {
                        let (first, fresh) = (self.tap(step), TAPS * step);
                        let tap = |tap: usize| match row.get(first + tap) {
                            Some(&weight) if first + tap >= fresh => weight,
                            _ => 0,
                        };
                        put(line, channel, core::array::from_fn(tap));
                    }
                }
            }
        }
    }
}

/// Writes a channel's four bytes.
fn put(line: &mut Line, channel: usize, bytes: [i8; TAPS]) {
    let (quads, _) = line.0.as_chunks_mut::<TAPS>();
    if let Some(quad) = quads.get_mut(channel) {
        *quad = bytes;
    }
}

/// A convolution with interleaved weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution<'a> {
    kernel: Kernel,
    geometry: Geometry,
    lines: &'a [Line],
}

impl Convolution<'_> {
    /// One row of its output.
    pub fn row(&self, rows: &Rows<'_>, channels: &Channels<'_>, output: &mut [i8]) {
        let Self {
            kernel,
            geometry,
            lines,
        } = self;
        kernel.conv_row(geometry, rows, lines, channels, output);
    }
}

/// A network's convolutions with interleaved weights.
#[derive(Clone, Copy, Debug)]
pub struct Interleaved<'a>([Option<Convolution<'a>>; MAX_LAYERS]);

impl<'a> Interleaved<'a> {
    /// Lines that the weights of a network take.
    pub fn lines(model: &Model<'_>) -> usize {
        let (mut shape, mut lines) = (INPUT, 0);
        for layer in model.layers() {
            lines += Geometry::of(layer, shape).map_or(0, |geometry| geometry.lines());
            shape = layer.output(shape, model.classes());
        }
        lines
    }

    /// Interleaves a model's weights for this processor: none where it has no instructions that
    /// would be faster, or the model's weights are in another order than the portable one.
    ///
    /// # Errors
    /// [`ModelError::Incomplete`] where `lines` are fewer than [`lines`](Self::lines).
    pub fn of(model: &Model<'_>, mut lines: &'a mut [Line]) -> Result<Self, ModelError> {
        let mut interleaved = Self([None; MAX_LAYERS]);
        let parameters = model.parameters();
        let (Some(kernel), WeightLayout::Portable) = (Kernel::best(), parameters.layout) else {
            return Ok(interleaved);
        };
        let (mut shape, mut at, mut channel) = (INPUT, 0, 0);
        for (layer, place) in model.layers().iter().zip(&mut interleaved.0) {
            let own = weights(layer, shape, parameters.classes);
            if let Some(geometry) = Geometry::of(layer, shape)
                && parameters.check_narrow(&own, channel).is_ok()
            {
                let (here, rest) =
                    (lines.split_at_mut_checked(geometry.lines())).ok_or(ModelError::Incomplete)?;
                let weights = parameters.weights.get(at..).unwrap_or_default();
                let weights = weights.get(..own.count()).unwrap_or_default();
                here.fill(Line::ZERO);
                geometry.interleave(weights, here);
                *place = Some(Convolution {
                    kernel,
                    geometry,
                    lines: here,
                });
                lines = rest;
            }
            (at, channel) = (at + own.count(), channel + own.channels);
            shape = layer.output(shape, parameters.classes);
        }
        Ok(interleaved)
    }

    /// Whether no layer has interleaved weights.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The interleaved weights of layer `index`, if it has any.
    pub(crate) fn layer(&self, index: usize) -> Option<&Convolution<'a>> {
        self.0.get(index).and_then(Option::as_ref)
    }
}
