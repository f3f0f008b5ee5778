//! How many bytes a layer's weights take in each layout, and how they get from one to another.

use super::{ModelError, Parameters, WeightLayout};
use crate::layer::{Layer, Op, Shape};
use crate::packing::Packing;
use crate::pairing;
use crate::requantise;

/// The order of a layer's weights.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// `output channel, row, column, input channel`.
    Plain,
    /// [Packed](crate::packing) words.
    Packed(Packing),
    /// [Pairs](crate::pairing) of output channels.
    Paired,
}

/// A layer's weights, whatever their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub channels: usize,
    fan_in: usize,
    packing: Option<Packing>,
    pairs: bool,
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
        pairs: pairing::fits(layer.op, input),
    }
}

impl Weights {
    /// Those of a layer without any.
    pub const NONE: Self = Self {
        channels: 0,
        fan_in: 0,
        packing: None,
        pairs: false,
    };

    /// Their order in that layout.
    #[inline(always)]
    pub const fn order(&self, layout: WeightLayout) -> Order {
        match (layout, self.packing) {
            (WeightLayout::Portable, _) => Order::Plain,
            (WeightLayout::Winograd, Some(packing)) if packing.is_unit() => Order::Plain,
            (_, Some(packing)) => Order::Packed(packing),
            (_, None) if self.pairs => Order::Paired,
            (_, None) => Order::Plain,
        }
    }

    /// Those of as many channels.
    #[inline(always)]
    pub const fn with(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// How many they are.
    pub const fn count(&self) -> usize {
        self.channels.saturating_mul(self.fan_in)
    }

    /// Bytes of a section that they take in that layout.
    #[inline(always)]
    pub const fn bytes(&self, layout: WeightLayout) -> Option<usize> {
        let plain = self.channels.checked_mul(self.fan_in);
        match (self.order(layout), layout) {
            (Order::Packed(packing), _) => self.channels.checked_mul(4 * packing.channel_words()),
            (Order::Paired, _) => self.channels.div_ceil(2).checked_mul(2 * self.fan_in),
            (Order::Plain, WeightLayout::Portable) => plain,
            (Order::Plain, _) => match plain {
                Some(bytes) => bytes.checked_next_multiple_of(4),
                None => None,
            },
        }
    }

    /// Checks that the bytes of that layout are such as ordering makes of weights in [−127, 127].
    pub fn check(&self, layout: WeightLayout, bytes: &[i8]) -> Result<(), ModelError> {
        let misaligned = |_| ModelError::Misaligned;
        match self.order(layout) {
            Order::Packed(packing) => {
                let words: &[i32] = bytemuck::try_cast_slice(bytes).map_err(misaligned)?;
                let mut words = words.chunks_exact(packing.channel_words().max(1));
                if !words.all(|words| packing.is_packed(words)) {
                    return Err(ModelError::Packing);
                }
            }
            Order::Paired => {
                let pairs: &[i16] = bytemuck::try_cast_slice(bytes).map_err(misaligned)?;
                let mut pairs = pairs.chunks_exact(self.fan_in.max(1)).enumerate();
                if !pairs.all(|(at, pairs)| pairing::are_paired(pairs, 2 * at + 1 == self.channels))
                {
                    return Err(ModelError::Packing);
                }
            }
            Order::Plain => {
                let (bytes, padding) =
                    (bytes.split_at_checked(self.count())).ok_or(ModelError::Incomplete)?;
                if bytes.contains(&-128) {
                    return Err(ModelError::Weight);
                }
                if padding.iter().any(|&byte| byte != 0) {
                    return Err(ModelError::Padding);
                }
            }
        }
        Ok(())
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
            let misaligned = |_| ModelError::Misaligned;
            let mut channels = source.0.chunks_exact(own.fan_in.max(1));
            match own.order(self) {
                Order::Packed(packing) => {
                    let words: &mut [i32] =
                        bytemuck::try_cast_slice_mut(target.0).map_err(misaligned)?;
                    let words = words.chunks_exact_mut(packing.channel_words());
                    for (weights, words) in channels.zip(words) {
                        packing.pack(weights, words);
                    }
                }
                Order::Paired => {
                    let pairs: &mut [i16] =
                        bytemuck::try_cast_slice_mut(target.0).map_err(misaligned)?;
                    for pairs in pairs.chunks_exact_mut(own.fan_in.max(1)) {
                        let [a, b] = [(); 2].map(|()| channels.next().unwrap_or_default());
                        pairing::pair_channels(a, b, pairs);
                    }
                }
                Order::Plain => {
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
