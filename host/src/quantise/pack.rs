//! Integers from floats, and the model file that holds them.
//!
//! TensorFlow Lite's scheme: weights symmetric in [−127, 127] with a scale an output channel,
//! activations with a scale and a zero point, the bias an integer of scale input × weight, and
//! input × weight / output scale as multiplier and shift. All scales are f32 and their quotient
//! is worked out in f64, as TensorFlow Lite does: the multiplier and shift of a channel give back
//! its weight scale exactly, and the same model in TensorFlow Lite's format computes the same.

use anyhow::{Result, anyhow, ensure};
use vae96::model::{Contents, INPUT_SCALE, INPUT_ZERO_POINT, Parameters, Record, WeightLayout};
use vae96::network::Description;
use vae96::requantise::quantise_multiplier;
use vae96::{Activation, MAX_CLASSES};

use super::calibrate::{Range, affine};
use super::fold::Folded;

/// The numbers of a model file, layer after layer.
#[derive(Default)]
struct Numbers {
    records: Vec<[u8; Record::BYTES]>,
    multipliers: Vec<i32>,
    shifts: Vec<i8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
}

/// How numbers are quantised: real = scale × (integer − zero point).
#[derive(Clone, Copy)]
struct Affine {
    scale: f64,
    zero_point: i8,
}

/// The model file of a network whose layers put out `ranges`. `names` are the classes', or none
/// for an encoder or to leave them out of the file.
///
/// # Errors
/// Where the classes are too many for a model file, or a name cannot stand in one.
pub fn pack(
    network: &'static Description,
    layers: &[Folded],
    ranges: &[Range],
    classes: usize,
    names: &[&str],
) -> Result<Vec<u8>> {
    ensure!(
        classes <= MAX_CLASSES,
        "{classes} classes; a model file has at most {MAX_CLASSES}"
    );
    let mut numbers = Numbers::default();
    let mut input = Affine {
        scale: f64::from(INPUT_SCALE),
        zero_point: INPUT_ZERO_POINT,
    };
    for (layer, range) in layers.iter().zip(ranges) {
        // Pooling keeps the scale and zero point of its input.
        if !layer.weight.is_empty() {
            input = numbers.layer(layer, *range, input);
        }
    }
    let contents = Contents {
        network,
        parameters: Parameters {
            classes,
            layout: WeightLayout::Portable,
            records: &numbers.records,
            multipliers: &numbers.multipliers,
            shifts: &numbers.shifts,
            weights: &numbers.weights,
            bias: &numbers.bias,
        },
        names,
    };
    let invalid = |error| anyhow!("cannot make a model file: {error}");
    let mut file = vec![0; contents.length().map_err(invalid)?];
    contents.write(&mut file).map_err(invalid)?;
    Ok(file)
}

impl Numbers {
    /// Adds a layer and gives back how its output is quantised.
    fn layer(&mut self, folded: &Folded, range: Range, input: Affine) -> Affine {
        let (scale, zero_point) = affine(expressible(folded, range, input));
        // The file holds the scale as f32: everything else must follow from that very number.
        let scale = f64::from(scale as f32);
        let output = Affine { scale, zero_point };
        let relu = folded.layer.activation == Activation::Relu;
        let record = Record {
            scale: scale as f32,
            zero_point,
            min: if relu { zero_point } else { i8::MIN },
            max: i8::MAX,
        };
        self.records.push(record.to_bytes());
        let fan_in = folded.weight.len() / folded.bias.len();
        for (weights, &bias) in folded.weight.chunks_exact(fan_in).zip(&folded.bias) {
            self.channel(weights, f64::from(bias), input, output.scale);
        }
        output
    }

    fn channel(&mut self, weights: &[f32], bias: f64, input: Affine, output_scale: f64) {
        let mut scale = weight_scale(weights, bias, input.scale);
        let (weights, bias) = loop {
            let (weights, bias) = integers(weights, bias, f64::from(scale), input);
            if stays_in_i32(&weights, bias) {
                break (weights, bias);
            }
            // Coarser weights make smaller sums.
            scale *= 2.0;
        };
        let (multiplier, shift) =
            quantise_multiplier(input.scale * f64::from(scale) / output_scale);
        self.multipliers.push(multiplier);
        self.shifts.push(shift);
        self.weights.extend(weights);
        self.bias.push(bias as i32);
    }
}

/// The range, or a multiple of it where its steps would be too fine: a step that is no normal f32
/// cannot stand in a file, and the device computes a sum in steps of the output in 32 bits, where
/// one that is far out of the range would wrap.
fn expressible(folded: &Folded, range: Range, input: Affine) -> Range {
    let fan_in = folded.weight.len() / folded.bias.len();
    let reach = |(weights, bias): (&[f32], &f32)| {
        // An input is at most 255 steps from its zero point.
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight).abs()).sum();
        f64::from(*bias).abs() + 256.0 * input.scale * sum
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

/// A channel's weights, and its bias with the input's zero point folded in.
fn integers(weights: &[f32], bias: f64, scale: f64, input: Affine) -> (Vec<i8>, i64) {
    let quantise = |weight: &f32| (f64::from(*weight) / scale).round().clamp(-127.0, 127.0) as i8;
    let weights: Vec<i8> = weights.iter().map(quantise).collect();
    let sum: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    let bias = (bias / (input.scale * scale)).round() as i64;
    (weights, bias - i64::from(input.zero_point) * sum)
}

/// Whether no input can take a channel's accumulator out of an i32.
fn stays_in_i32(weights: &[i8], bias: i64) -> bool {
    let reach: i64 = weights
        .iter()
        .map(|&weight| 128 * i64::from(weight).abs())
        .sum();
    bias.abs() + reach <= i64::from(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Affine = Affine {
        scale: 1.0 / 255.0,
        zero_point: -128,
    };

    #[test]
    fn the_largest_weight_is_127_and_the_zero_point_goes_into_the_bias() {
        let scale = weight_scale(&[0.5, -1.0, 0.25], 0.1, INPUT.scale);
        let (weights, bias) = integers(&[0.5, -1.0, 0.25], 0.1, f64::from(scale), INPUT);
        assert_eq!(weights, [64, -127, 32]);
        assert_eq!(
            bias,
            (0.1 * 255.0 * 127.0f64).round() as i64 + 128 * (64 - 127 + 32)
        );
    }

    /// Otherwise no file of TensorFlow Lite, which holds scales alone, computes the same.
    #[test]
    fn multipliers_are_those_of_f32_weight_scales() {
        let output_scale = f64::from(0.0173f32);
        let input = Affine {
            scale: f64::from(0.031f32),
            zero_point: 3,
        };
        let mut numbers = Numbers::default();
        for largest in 1..1000u16 {
            let weights = [f32::from(largest).sqrt() * 0.013, -0.01];
            numbers.channel(&weights, 0.5, input, output_scale);
        }
        for (&multiplier, &shift) in numbers.multipliers.iter().zip(&numbers.shifts) {
            let real = f64::from(multiplier) * 2f64.powi(i32::from(shift) - 31);
            let weight_scale = (real * output_scale / input.scale) as f32;
            let again = quantise_multiplier(input.scale * f64::from(weight_scale) / output_scale);
            assert_eq!(again, (multiplier, shift));
        }
    }

    #[test]
    fn a_dead_channel_keeps_its_bias() {
        let mut numbers = Numbers::default();
        numbers.channel(&[0.0; 9], 0.75, INPUT, 0.01);
        let [multiplier] = numbers.multipliers[..] else {
            panic!()
        };
        let sum = vae96::requantise::multiply(numbers.bias[0], multiplier, numbers.shifts[0]);
        assert_eq!(sum, 75);
    }

    #[test]
    fn a_range_far_below_what_the_weights_reach_is_widened() {
        let folded = Folded {
            layer: vae96::Layer::hidden("fc", 1),
            input: vae96::Shape::vector(2),
            output: vae96::Shape::vector(1),
            weight: vec![1.0, -1.0],
            bias: vec![0.5],
        };
        let range = |max| expressible(&folded, Range { min: 0.0, max }, INPUT).max;
        assert_eq!(range(1.0), 1.0);
        let reach = 0.5 + 2.0 * 256.0 / 255.0;
        let widened = range(1e-12) / 255.0 * f64::from(1 << 29) / reach;
        assert!((widened - 1.0).abs() < 1e-9, "{widened}");
    }

    #[test]
    fn sums_that_could_leave_an_i32_get_coarser_weights() {
        let mut numbers = Numbers::default();
        let weights = vec![1.0; 200_000];
        numbers.channel(&weights, 0.0, INPUT, 1.0);
        assert!(numbers.weights.iter().all(|&weight| weight == 32));
        assert!(stays_in_i32(&numbers.weights, i64::from(numbers.bias[0])));
    }
}
