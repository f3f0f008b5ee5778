//! The model file of a network in integers.
//!
//! A channel's input × weight / output scale is kept as multiplier and shift, worked out in f64
//! as TensorFlow Lite does, and the input's zero point is folded into its bias.

use anyhow::{Result, anyhow, ensure};
use vae96::model::{Contents, Parameters, Record, WeightLayout};
use vae96::network::Description;
use vae96::requantise::quantise_multiplier;
use vae96::{Activation, MAX_CLASSES};

use super::integers::Integers;

/// The model file of a network. `names` are the classes', or none for an encoder or to leave them
/// out of the file.
///
/// # Errors
/// Where the classes are too many for a model file, or a name cannot stand in one.
pub fn pack(
    network: &'static Description,
    layers: &[Integers],
    classes: usize,
    names: &[&str],
) -> Result<Vec<u8>> {
    ensure!(
        classes <= MAX_CLASSES,
        "{classes} classes; a model file has at most {MAX_CLASSES}"
    );
    let weighted = || layers.iter().filter(|layer| !layer.weight.is_empty());
    let records: Vec<_> = weighted().map(|layer| record(layer).to_bytes()).collect();
    let (multipliers, shifts): (Vec<_>, Vec<_>) = weighted().flat_map(multipliers).unzip();
    let weights: Vec<_> = weighted()
        .flat_map(|layer| &layer.weight)
        .copied()
        .collect();
    let bias: Vec<_> = weighted().flat_map(Integers::folded_bias).collect();
    let contents = Contents {
        network,
        parameters: Parameters {
            classes,
            layout: WeightLayout::Portable,
            records: &records,
            multipliers: &multipliers,
            shifts: &shifts,
            weights: &weights,
            bias: &bias,
        },
        names,
    };
    let invalid = |error| anyhow!("cannot make a model file: {error}");
    let mut file = vec![0; contents.length().map_err(invalid)?];
    contents.write(&mut file).map_err(invalid)?;
    Ok(file)
}

fn record(layer: &Integers) -> Record {
    let relu = layer.layer.activation == Activation::Relu;
    let zero_point = layer.writes.zero_point;
    Record {
        scale: layer.writes.scale,
        zero_point,
        min: if relu { zero_point } else { i8::MIN },
        max: i8::MAX,
    }
}

/// A multiplier and a shift an output channel.
fn multipliers(layer: &Integers) -> impl Iterator<Item = (i32, i8)> {
    let (reads, writes) = (f64::from(layer.reads.scale), f64::from(layer.writes.scale));
    let real = move |&scale: &f32| reads * f64::from(scale) / writes;
    layer.scales.iter().map(real).map(quantise_multiplier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantise::calibrate::Range;
    use crate::quantise::fold::Folded;
    use crate::quantise::integers::integers;
    use vae96::{Layer, Shape};

    /// A layer whose channels have these weights and biases, and put out up to `max`.
    fn layer(channels: &[([f32; 2], f32)], max: f64) -> Integers {
        let folded = Folded {
            layer: Layer::hidden("fc", channels.len()),
            input: Shape::vector(2),
            output: Shape::vector(channels.len()),
            weight: channels.iter().flat_map(|(weights, _)| *weights).collect(),
            bias: channels.iter().map(|(_, bias)| *bias).collect(),
        };
        integers(&[folded], &[Range { min: 0.0, max }]).remove(0)
    }

    /// Otherwise no file of another format, which holds scales alone, computes the same.
    #[test]
    fn multipliers_are_those_of_f32_weight_scales() {
        let channel = |largest: u16| ([f32::from(largest).sqrt() * 0.013, -0.01], 0.5);
        let channels: Vec<_> = (1..1000).map(channel).collect();
        let layer = layer(&channels, 4.4);
        let (reads, writes) = (f64::from(layer.reads.scale), f64::from(layer.writes.scale));
        for (multiplier, shift) in multipliers(&layer) {
            let real = f64::from(multiplier) * 2f64.powi(i32::from(shift) - 31);
            let scale = (real * writes / reads) as f32;
            let again = quantise_multiplier(reads * f64::from(scale) / writes);
            assert_eq!(again, (multiplier, shift));
        }
    }

    #[test]
    fn a_dead_channel_keeps_its_bias() {
        let layer = layer(&[([0.0; 2], 0.75)], 2.55);
        let (multiplier, shift) = multipliers(&layer).next().unwrap();
        let bias = layer.folded_bias().next().unwrap();
        assert_eq!(vae96::requantise::multiply(bias, multiplier, shift), 75);
    }
}
