//! ONNX files: [`float`], and [`int8`] in QDQ form.
//!
//! ONNX has planes first (NCHW), so weights go back to PyTorch's order.

mod graph;
mod messages;

use anyhow::Result;
use vae96::{Layer, Op, Shape};

use super::Subject;
use crate::quantise::fold::{Folded, taps};
use crate::quantise::integers::{Affine, IMAGE, Integers};
use graph::{Builder, int};
use messages::DataType;

/// The float network, BatchNorm folded into its layers.
///
/// # Errors
/// Where a layer is none that a device runs.
pub fn float(subject: &Subject, layers: &[Folded]) -> Result<Vec<u8>> {
    let mut build = Builder::new();
    for folded in layers {
        let Folded { layer, input, .. } = folded;
        let mut parameters = Vec::new();
        if !folded.weight.is_empty() {
            let weight = planes_first(&folded.weight, taps(layer, *input));
            let channels = folded.bias.len();
            parameters = vec![
                build.constant(
                    format!("{}/weight", layer.name),
                    DataType::Float,
                    &dims(layer, *input, channels),
                    bytemuck::cast_slice(&weight),
                ),
                build.constant(
                    format!("{}/bias", layer.name),
                    DataType::Float,
                    &[channels],
                    bytemuck::cast_slice(&folded.bias),
                ),
            ];
        }
        build.layer(layer, &parameters)?;
        build.activation(layer)?;
    }
    Ok(build.finish(subject, output(layers.last().map(|layer| layer.output))))
}

/// The network in integers: between floats that each stand for one (QDQ form), with the integers
/// and scales of the model file. Weights are scaled channel by channel.
///
/// # Errors
/// Where a layer is none that a device runs.
pub fn int8(subject: &Subject, layers: &[Integers]) -> Result<Vec<u8>> {
    let mut build = Builder::new();
    quantised(&mut build, "image", IMAGE);
    for integers in layers {
        let layer = &integers.layer;
        let parameters = match integers.weight.is_empty() {
            true => Vec::new(),
            false => dequantised(&mut build, integers),
        };
        build.layer(layer, &parameters)?;
        build.activation(layer)?;
        quantised(&mut build, layer.name, integers.writes);
    }
    Ok(build.finish(subject, output(layers.last().map(|layer| layer.output))))
}

fn output(last: Option<Shape>) -> Shape {
    last.unwrap_or(vae96::INPUT)
}

/// Rounds the value before it to integers, and gives back the floats they stand for.
fn quantised(build: &mut Builder, name: &str, affine: Affine) {
    let scale = affine.scale.to_le_bytes();
    let zero_point = affine.zero_point.to_le_bytes();
    let parameters = [
        build.constant(format!("{name}/scale"), DataType::Float, &[], &scale),
        build.constant(format!("{name}/zero"), DataType::Int8, &[], &zero_point),
    ];
    build.then(
        format!("{name}/int8"),
        "QuantizeLinear",
        &parameters,
        Vec::new(),
    );
    build.then(
        format!("{name}/real"),
        "DequantizeLinear",
        &parameters,
        Vec::new(),
    );
}

/// The values of a layer's weights and bias, which its integers stand for.
fn dequantised(build: &mut Builder, integers: &Integers) -> Vec<String> {
    let Integers { layer, input, .. } = integers;
    let channels = integers.bias.len();
    let weight = planes_first(&integers.weight, taps(layer, *input));
    let mut one = |what: &str, kind, dims: &[usize], raw: &[u8], scales: &[f32], zeros: &[u8]| {
        let name = |part: &str| format!("{}/{what}/{part}", layer.name);
        let inputs = vec![
            build.constant(name("integers"), kind, dims, raw),
            build.constant(
                name("scale"),
                DataType::Float,
                &[channels],
                bytemuck::cast_slice(scales),
            ),
            build.constant(name("zero"), kind, &[channels], zeros),
        ];
        build.node(
            name("real"),
            "DequantizeLinear",
            inputs,
            vec![int("axis", 0)],
        )
    };
    vec![
        one(
            "weight",
            DataType::Int8,
            &dims(layer, *input, channels),
            bytemuck::cast_slice(&weight),
            &integers.scales,
            &vec![0; channels],
        ),
        one(
            "bias",
            DataType::Int32,
            &[channels],
            bytemuck::cast_slice(&integers.bias),
            &integers.bias_scales(),
            &vec![0; 4 * channels],
        ),
    ]
}

/// The shape of a layer's weights in ONNX.
fn dims(layer: &Layer, input: Shape, channels: usize) -> Vec<usize> {
    let taps = taps(layer, input);
    match layer.op {
        Op::Conv { .. } => vec![channels, taps.channels, taps.height, taps.width],
        _ => vec![channels, taps.len()],
    }
}

/// Weights of whole output channels, each of `taps` values pixel by pixel, plane by plane.
fn planes_first<T: Copy>(weight: &[T], taps: Shape) -> Vec<T> {
    let pixels = taps.height * taps.width;
    let mut planes = Vec::with_capacity(weight.len());
    for channel in weight.chunks_exact(taps.len()) {
        for plane in 0..taps.channels {
            planes.extend((0..pixels).map(|pixel| channel[pixel * taps.channels + plane]));
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_pixel_by_pixel_become_plane_by_plane() {
        // Two output channels of 1 × 2 pixels of 3 values.
        let weight: Vec<i8> = vec![0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15];
        let planes = planes_first(&weight, Shape::plane(1, 2, 3));
        assert_eq!(planes, [0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15]);
    }
}
