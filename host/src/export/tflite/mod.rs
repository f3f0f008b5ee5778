//! A TensorFlow Lite file of the integers that a model file holds: its reference kernels give the
//! same bytes.
//!
//! What differs: TensorFlow Lite subtracts the input's zero point itself, works multipliers out of
//! the scales, and knows no padding on all sides with a stride of 2: a PAD with the zero point
//! goes before such a convolution, as TensorFlow's converter has it.

mod file;
mod schema;

use anyhow::{Result, bail};
use vae96::{Activation, INPUT, Op, Shape, Window};

use super::{IMAGE, Subject};
use crate::quantise::fold::taps;
use crate::quantise::integers::{self, Affine, Integers};
use file::{Builder, Index, Scales, Table};
use schema::{Builtin, Padding, TensorType, conv, fully_connected, pool};

/// The file of a network.
///
/// # Errors
/// Where a layer is none that a device runs.
pub fn file(subject: &Subject, layers: &[Integers]) -> Result<Vec<u8>> {
    let mut build = Builder::new();
    let image = value(&mut build, IMAGE, INPUT, integers::IMAGE);
    let mut at = image;
    for (index, layer) in layers.iter().enumerate() {
        let name = match index + 1 == layers.len() {
            true => subject.answer(),
            false => layer.layer.name,
        };
        at = add(&mut build, layer, name, at)?;
    }
    Ok(build.finish(subject, image, at))
}

/// Adds a layer that reads `at`, and gives back what it puts out.
fn add(build: &mut Builder, integers: &Integers, name: &str, at: Index) -> Result<Index> {
    let Integers { layer, input, .. } = integers;
    let activation = match layer.activation {
        Activation::None => schema::Activation::None,
        Activation::Relu => schema::Activation::Relu,
        Activation::Sigmoid => bail!("the layer {name} ends in a sigmoid, which is not exported"),
    };
    let (builtin, inputs, options) = match layer.op {
        Op::Conv { window, .. } => {
            let (at, padding) = padded(build, integers, window, at);
            let [weight, bias] = parameters(build, integers);
            let options = build.table(|fields| {
                fields.set(conv::PADDING, padding as i8);
                fields.set(conv::STRIDE_W, window.stride as i32);
                fields.set(conv::STRIDE_H, window.stride as i32);
                fields.set(conv::ACTIVATION, activation as i8);
            });
            (Builtin::Conv2d, vec![at, weight, bias], options)
        }
        Op::Linear { .. } => {
            let [weight, bias] = parameters(build, integers);
            let options =
                build.table(|fields| fields.set(fully_connected::ACTIVATION, activation as i8));
            (Builtin::FullyConnected, vec![at, weight, bias], options)
        }
        Op::MaxPool { size } => {
            let options = pooling(build, size, size);
            (Builtin::MaxPool2d, vec![at], options)
        }
        Op::AveragePool { size } => {
            let options = pooling(build, size, size);
            (Builtin::AveragePool2d, vec![at], options)
        }
        Op::GlobalAveragePool => {
            let options = pooling(build, input.height, input.width);
            (Builtin::AveragePool2d, vec![at], options)
        }
        Op::ConvTransposed { .. } | Op::Unflatten { .. } => {
            bail!("the layer {name} is not one that is exported")
        }
    };
    let output = match layer.op {
        Op::Linear { .. } => build.tensor(
            name,
            TensorType::Int8,
            &[1, integers.output.channels],
            Some(scales(&integers.writes)),
            None,
        ),
        _ => value(build, name, integers.output, integers.writes),
    };
    build.operator(builtin, &inputs, output, options);
    Ok(output)
}

/// A plane that an operator makes.
fn value(build: &mut Builder, name: &str, shape: Shape, affine: Affine) -> Index {
    let shape = [1, shape.height, shape.width, shape.channels];
    build.tensor(name, TensorType::Int8, &shape, Some(scales(&affine)), None)
}

fn scales(affine: &Affine) -> Scales<'_> {
    Scales {
        scales: std::slice::from_ref(&affine.scale),
        zero_point: affine.zero_point,
    }
}

/// What a convolution reads, padded where its own padding cannot say how.
fn padded(build: &mut Builder, integers: &Integers, window: Window, at: Index) -> (Index, Padding) {
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    if padding == 0 {
        return (at, Padding::Valid);
    }
    if stride == 1 && 2 * padding + 1 == kernel {
        return (at, Padding::Same);
    }
    let name = integers.layer.name;
    let Shape {
        height,
        width,
        channels,
    } = integers.input;
    let shape = Shape::plane(height + 2 * padding, width + 2 * padding, channels);
    let output = value(build, &format!("{name}/padded"), shape, integers.reads);
    let edge = padding as i32;
    let pads: [i32; 8] = [0, 0, edge, edge, edge, edge, 0, 0];
    let pads = build.tensor(
        &format!("{name}/pads"),
        TensorType::Int32,
        &[4, 2],
        None,
        Some(bytemuck::cast_slice(&pads)),
    );
    let options = build.table(|_| {});
    build.operator(Builtin::Pad, &[at, pads], output, options);
    (output, Padding::Valid)
}

/// A layer's weights and bias.
fn parameters(build: &mut Builder, integers: &Integers) -> [Index; 2] {
    let Integers { layer, input, .. } = integers;
    let taps = taps(layer, *input);
    let channels = integers.bias.len();
    let shape = match layer.op {
        Op::Conv { .. } => vec![channels, taps.height, taps.width, taps.channels],
        _ => vec![channels, taps.len()],
    };
    let symmetric = |scales| Scales {
        scales,
        zero_point: 0,
    };
    let weight = build.tensor(
        &format!("{}/weight", layer.name),
        TensorType::Int8,
        &shape,
        Some(symmetric(&integers.scales)),
        Some(bytemuck::cast_slice(&integers.weight)),
    );
    let bias = build.tensor(
        &format!("{}/bias", layer.name),
        TensorType::Int32,
        &[channels],
        Some(symmetric(&integers.bias_scales())),
        Some(bytemuck::cast_slice(&integers.bias)),
    );
    [weight, bias]
}

fn pooling(build: &mut Builder, height: usize, width: usize) -> Table {
    build.table(|fields| {
        fields.set(pool::PADDING, Padding::Valid as i8);
        fields.set(pool::STRIDE_W, width as i32);
        fields.set(pool::STRIDE_H, height as i32);
        fields.set(pool::FILTER_W, width as i32);
        fields.set(pool::FILTER_H, height as i32);
    })
}
