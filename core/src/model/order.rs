//! How many bytes a layer's weights take in each layout, and how they get from one to another.

use super::{ModelError, Parameters, WeightLayout};
use crate::layer::{Layer, Op, Shape};
use crate::packing::{PackedWindow, Packing};
use crate::requantise;

/// A layer's weights, whatever their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub channels: usize,
    fan_in: usize,
    packing: Option<Packing>,
}

/// The weights of `layer` on an input of that shape.
pub(crate) const fn weights(layer: &Layer, input: Shape, classes: usize) -> Weights {
    let output = layer.output(input, classes);
    Weights {
        channels: layer.weighted_channels(classes),
        fan_in: layer.fan_in(input),
        packing: match layer.op {
            Op::Conv { window, .. } => Packing::of(window, input, output),
            _ => None,
        },
    }
}

impl Weights {
    /// How they are packed in that layout, if they are.
    pub const fn packing(&self, layout: WeightLayout) -> Option<Packing> {
        layout.packing(self.packing)
    }

    /// How many they are.
    pub const fn count(&self) -> usize {
        self.channels.saturating_mul(self.fan_in)
    }

    /// Bytes of a section that they take in that layout.
    pub const fn bytes(&self, layout: WeightLayout) -> Option<usize> {
        match (layout, self.packing(layout)) {
            (WeightLayout::Portable, _) => self.channels.checked_mul(self.fan_in),
            (_, Some(packing)) => self.channels.checked_mul(4 * packing.channel_words()),
            (_, None) => match self.channels.checked_mul(self.fan_in) {
                Some(bytes) => bytes.checked_next_multiple_of(4),
                None => None,
            },
        }
    }

    /// Whether the kernels of packed weights compute what all others do: no sum that begins with
    /// one of those biases leaves (−2³⁰, 2³⁰), whatever the weights and the input, and none is
    /// made greater by requantisation.
    pub fn are_narrow(&self, bias: &[i32], multipliers: &[i32], shifts: &[i8]) -> bool {
        let reach = (self.fan_in as u64).saturating_mul(127 * 128);
        let small = |bias: &i32| u64::from(bias.unsigned_abs()).saturating_add(reach) < 1 << 30;
        bias.iter().all(small)
            && (multipliers.iter().zip(shifts))
                .all(|(&multiplier, &shift)| requantise::is_narrow(multiplier, shift))
    }
}

impl WeightLayout {
    /// How a layer that can be packed so is packed in this layout, if it is.
    #[inline(always)]
    pub(crate) const fn packing(self, packing: Option<Packing>) -> Option<Packing> {
        match (self, packing) {
            (Self::Portable, _) | (_, None) => None,
            (Self::Winograd, Some(packing)) if matches!(packing.window, PackedWindow::Unit3) => {
                None
            }
            (_, packing) => packing,
        }
    }

    /// Whether files of this layout hold only what kernels for narrow sums compute.
    #[inline(always)]
    pub(crate) const fn is_narrow(self) -> bool {
        !matches!(self, Self::Portable)
    }

    /// Bytes of the weights of all layers.
    pub fn bytes(self, layers: &[Layer], input: Shape, classes: usize) -> Option<usize> {
        let mut shape = input;
        layers.iter().try_fold(0usize, |bytes, layer| {
            let own = weights(layer, shape, classes).bytes(self)?;
            shape = layer.output(shape, classes);
            bytes.checked_add(own)
        })
    }

    /// Writes the weights of `parameters`, which are in the portable order, in this one.
    ///
    /// # Errors
    /// Those of [`Parameters::check`]; [`ModelError::Incomplete`] where `ordered` is not of
    /// [`bytes`](Self::bytes); [`ModelError::Wide`] where the kernels for packed weights might compute
    /// something else.
    pub fn order(
        self,
        layers: &[Layer],
        input: Shape,
        parameters: &Parameters<'_>,
        ordered: &mut [i8],
    ) -> Result<(), ModelError> {
        parameters.check(layers, input)?;
        let classes = parameters.classes;
        if parameters.layout != Self::Portable
            || self.bytes(layers, input, classes) != Some(ordered.len())
        {
            return Err(ModelError::Incomplete);
        }
        ordered.fill(0);
        let mut shape = input;
        let (mut from, mut to, mut channel) = (parameters.weights, ordered, 0);
        for layer in layers {
            let own = weights(layer, shape, classes);
            let source = own
                .bytes(Self::Portable)
                .and_then(|n| from.split_at_checked(n));
            let target = own.bytes(self).and_then(|n| to.split_at_mut_checked(n));
            let (source, target) = source.zip(target).ok_or(ModelError::Incomplete)?;
            if self.is_narrow() {
                parameters.check_narrow(&own, channel)?;
            }
            match own.packing(self) {
                Some(packing) => {
                    let words: &mut [i32] = bytemuck::try_cast_slice_mut(target.0)
                        .map_err(|_| ModelError::Misaligned)?;
                    let channels = source.0.chunks_exact(own.fan_in.max(1));
                    let words = words.chunks_exact_mut(packing.channel_words());
                    for (weights, words) in channels.zip(words) {
                        packing.pack(weights, words);
                    }
                }
                None => {
                    for (to, &from) in target.0.iter_mut().zip(source.0) {
                        *to = from;
                    }
                }
            }
            (from, to, channel) = (source.1, target.1, channel + own.channels);
            shape = layer.output(shape, classes);
        }
        Ok(())
    }
}
