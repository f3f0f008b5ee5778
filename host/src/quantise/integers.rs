//! Integers from floats.
//!
//! TensorFlow Lite's scheme: weights symmetric in [−127, 127] with a scale an output channel,
//! activations with a scale and a zero point, the bias an integer of scale input × weight. All
//! scales are f32 and everything follows from those very numbers, so that a file of any format
//! that holds them computes the same.

use vae96::model::{INPUT_SCALE, INPUT_ZERO_POINT};
use vae96::{Layer, Shape};

use super::calibrate::{Range, affine};
use super::fold::Folded;

/// How numbers are quantised: real = scale × (integer − zero point).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Real difference of neighbouring integers.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

/// The image: byte x is the integer x − 128.
pub const IMAGE: Affine = Affine {
    scale: INPUT_SCALE,
    zero_point: INPUT_ZERO_POINT,
};

/// One layer in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Integers {
    /// What it does.
    pub layer: Layer,
    /// The shape it reads.
    pub input: Shape,
    /// The shape it writes.
    pub output: Shape,
    /// How its input is quantised.
    pub reads: Affine,
    /// How its output is quantised; pooling keeps the scale and zero point of its input.
    pub writes: Affine,
    /// In the order of [`Folded::weight`]; empty for pooling.
    pub weight: Vec<i8>,
    /// The scale of each output channel's weights.
    pub scales: Vec<f32>,
    /// One an output channel, of [`bias_scales`](Self::bias_scales).
    pub bias: Vec<i32>,
}

/// The integers of layers that put out `ranges`.
pub fn integers(layers: &[Folded], ranges: &[Range]) -> Vec<Integers> {
    let mut reads = IMAGE;
    let layer = |(folded, range): (&Folded, &Range)| {
        let layer = Integers::of(folded, *range, reads);
        reads = layer.writes;
        layer
    };
    layers.iter().zip(ranges).map(layer).collect()
}

impl Integers {
    fn of(folded: &Folded, range: Range, reads: Affine) -> Self {
        let mut layer = Self {
            layer: folded.layer,
            input: folded.input,
            output: folded.output,
            reads,
            writes: reads,
            weight: Vec::with_capacity(folded.weight.len()),
            scales: Vec::with_capacity(folded.bias.len()),
            bias: Vec::with_capacity(folded.bias.len()),
        };
        if folded.weight.is_empty() {
            return layer;
        }
        let (scale, zero_point) = affine(expressible(folded, range, reads));
        layer.writes = Affine {
            scale: scale as f32,
            zero_point,
        };
        let fan_in = folded.weight.len() / folded.bias.len();
        for (weights, &bias) in folded.weight.chunks_exact(fan_in).zip(&folded.bias) {
            let channel = Channel::of(weights, f64::from(bias), reads);
            layer.weight.extend(channel.weights);
            layer.scales.push(channel.scale);
            layer.bias.push(channel.bias);
        }
        layer
    }

    /// Weights of one output channel.
    pub fn fan_in(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// The scale of each output channel's bias: input × weight.
    pub fn bias_scales(&self) -> Vec<f32> {
        let scale = |scale: &f32| self.reads.scale * scale;
        self.scales.iter().map(scale).collect()
    }

    /// Each output channel's bias with the input's zero point folded in: what an accumulator
    /// begins with that adds up input integers as they are.
    pub fn folded_bias(&self) -> impl Iterator<Item = i32> {
        let channels = self.weight.chunks_exact(self.fan_in().max(1));
        channels
            .zip(&self.bias)
            .map(|(weights, &bias)| folded_in(weights, bias, self.reads) as i32)
    }
}

/// One output channel.
struct Channel {
    weights: Vec<i8>,
    scale: f32,
    bias: i32,
}

impl Channel {
    fn of(weights: &[f32], bias: f64, reads: Affine) -> Self {
        let mut scale = weight_scale(weights, bias, f64::from(reads.scale));
        loop {
            let channel = Self::with_scale(weights, bias, scale, reads);
            if channel.stays_in_i32(reads) {
                return channel;
            }
            // Coarser weights make smaller sums.
            scale *= 2.0;
        }
    }

    fn with_scale(weights: &[f32], bias: f64, scale: f32, reads: Affine) -> Self {
        let wide = f64::from(scale);
        let quantise =
            |weight: &f32| (f64::from(*weight) / wide).round().clamp(-127.0, 127.0) as i8;
        Self {
            weights: weights.iter().map(quantise).collect(),
            scale,
            bias: (bias / (f64::from(reads.scale) * wide)).round() as i32,
        }
    }

    /// Whether no input can take the accumulator out of an i32.
    fn stays_in_i32(&self, reads: Affine) -> bool {
        let reach: i64 = (self.weights.iter())
            .map(|&weight| 128 * i64::from(weight).abs())
            .sum();
        folded_in(&self.weights, self.bias, reads).abs() + reach <= i64::from(i32::MAX)
    }
}

fn folded_in(weights: &[i8], bias: i32, reads: Affine) -> i64 {
    let sum: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    i64::from(bias) - i64::from(reads.zero_point) * sum
}

/// The range, or a multiple of it where its steps would be too fine: a step that is no normal f32
/// cannot stand in a file, and the device computes a sum in steps of the output in 32 bits, where
/// one that is far out of the range would wrap.
fn expressible(folded: &Folded, range: Range, reads: Affine) -> Range {
    let fan_in = folded.weight.len() / folded.bias.len();
    let reach = |(weights, bias): (&[f32], &f32)| {
        // An input is at most 255 steps from its zero point.
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight).abs()).sum();
        f64::from(*bias).abs() + 256.0 * f64::from(reads.scale) * sum
    };
    let channels = folded.weight.chunks_exact(fan_in).zip(&folded.bias);
    let reach = channels.map(reach).fold(0.0, f64::max);
    let least = (reach / f64::from(1 << 29)).max(f64::from(f32::MIN_POSITIVE));
    let (scale, _) = affine(range);
    let factor = (least / scale).max(1.0);
    Range {
        min: range.min * factor,
        max: range.max * factor,
    }
}

/// The scale at which the largest weight is 127, or larger where the bias would not fit an i32
/// (a channel that BatchNorm all but switched off).
fn weight_scale(weights: &[f32], bias: f64, input_scale: f64) -> f32 {
    let largest = weights
        .iter()
        .fold(0f32, |max, weight| max.max(weight.abs()));
    let for_bias = bias.abs() / (input_scale * f64::from(1 << 29));
    let scale = (f64::from(largest) / 127.0).max(for_bias) as f32;
    scale.max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_weight_is_127_and_the_zero_point_goes_into_the_bias() {
        let channel = Channel::of(&[0.5, -1.0, 0.25], 0.11, IMAGE);
        assert_eq!(channel.weights, [64, -127, 32]);
        assert_eq!(channel.bias, (0.11 * 255.0 * 127.0f64).round() as i32);
        assert_eq!(
            folded_in(&channel.weights, channel.bias, IMAGE),
            i64::from(channel.bias) + 128 * (64 - 127 + 32)
        );
    }

    #[test]
    fn a_range_far_below_what_the_weights_reach_is_widened() {
        let folded = Folded {
            layer: Layer::hidden("fc", 1),
            input: Shape::vector(2),
            output: Shape::vector(1),
            weight: vec![1.0, -1.0],
            bias: vec![0.5],
        };
        let range = |max| expressible(&folded, Range { min: 0.0, max }, IMAGE).max;
        assert_eq!(range(1.0), 1.0);
        let reach = 0.5 + 2.0 * 256.0 * f64::from(INPUT_SCALE);
        let widened = range(1e-12) / 255.0 * f64::from(1 << 29) / reach;
        assert!((widened - 1.0).abs() < 1e-9, "{widened}");
    }

    #[test]
    fn sums_that_could_leave_an_i32_get_coarser_weights() {
        let channel = Channel::of(&vec![1.0; 200_000], 0.0, IMAGE);
        assert!(channel.weights.iter().all(|&weight| weight == 32));
        assert!(channel.stays_in_i32(IMAGE));
    }
}
