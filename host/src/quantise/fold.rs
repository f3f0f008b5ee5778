//! BatchNorm folded into the layer before it, weights in the device's order.
//!
//! With running mean m and variance v, BatchNorm of y = w·x + b is γ (y − m) / √(v + ε) + β: the
//! same layer with weights w·s and bias (b − m)·s + β, where s = γ / √(v + ε).

use anyhow::{Context, Result, ensure};
use vae96::{Layer, Op, Shape};

use crate::backend::Weights;

/// What PyTorch, the authors and our backends add to the variance.
const EPSILON: f64 = 1e-5;

/// One layer as a device runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// What it does.
    pub layer: Layer,
    /// The shape it reads.
    pub input: Shape,
    /// The shape it writes.
    pub output: Shape,
    /// `output channels × kernel × kernel × input channels`, or `features × height × width ×
    /// channels`; empty for pooling.
    pub weight: Vec<f32>,
    /// One an output channel; empty for pooling.
    pub bias: Vec<f32>,
}

/// Folds the layers of a network whose input is `shape`.
///
/// # Errors
/// Where a tensor is missing or has another shape than the network's.
pub fn fold(
    layers: &[Layer],
    shape: Shape,
    classes: usize,
    weights: &Weights,
) -> Result<Vec<Folded>> {
    let mut input = shape;
    let fold = |layer: &Layer| {
        let output = layer.output(input, classes);
        let (weight, bias) = parameters(layer, input, classes, weights)
            .with_context(|| format!("folding the layer {}", layer.name))?;
        let folded = Folded {
            layer: *layer,
            input,
            output,
            weight,
            bias,
        };
        input = output;
        Ok(folded)
    };
    layers.iter().map(fold).collect()
}

/// The shape of what one output value of a layer with weights is made of: a convolution's window,
/// or all of a linear layer's input.
pub fn taps(layer: &Layer, input: Shape) -> Shape {
    match layer.op {
        Op::Conv { window, .. } => Shape::plane(window.kernel, window.kernel, input.channels),
        _ => input,
    }
}

fn parameters(
    layer: &Layer,
    input: Shape,
    classes: usize,
    weights: &Weights,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let channels = layer.weighted_channels(classes);
    let fan_in = layer.fan_in(input);
    if channels == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let values = |name: &str, what: &str, len: usize| {
        let name = format!("{name}.{what}");
        let tensor = weights.get(&name)?;
        ensure!(
            tensor.data.len() == len,
            "{name} has the shape {:?}; the network needs {len} values",
            tensor.shape
        );
        Ok(tensor.data.as_slice())
    };
    let weight = values(layer.name, "weight", channels * fan_in)?;
    // PyTorch has a channel's weights plane by plane; the device has them pixel by pixel.
    let planes = taps(layer, input);
    let bias = match layer.bias {
        true => values(layer.name, "bias", channels)?.to_vec(),
        false => vec![0.0; channels],
    };
    let (scale, shift) = if layer.batch_norm {
        let name = format!("{}_bn", layer.name);
        let gamma = values(&name, "weight", channels)?;
        let beta = values(&name, "bias", channels)?;
        let mean = values(&name, "running_mean", channels)?;
        let variance = values(&name, "running_var", channels)?;
        let scale: Vec<f64> = (0..channels)
            .map(|c| f64::from(gamma[c]) / (f64::from(variance[c]) + EPSILON).sqrt())
            .collect();
        let shift = (0..channels)
            .map(|c| f64::from(beta[c]) - f64::from(mean[c]) * scale[c])
            .collect();
        (scale, shift)
    } else {
        (vec![1.0; channels], vec![0.0; channels])
    };
    let mut folded = Vec::with_capacity(weight.len());
    for (channel, scale) in weight.chunks_exact(fan_in).zip(&scale) {
        for y in 0..planes.height {
            for x in 0..planes.width {
                for c in 0..planes.channels {
                    let value = channel[(c * planes.height + y) * planes.width + x];
                    folded.push((f64::from(value) * scale) as f32);
                }
            }
        }
    }
    let bias = (0..channels)
        .map(|c| (f64::from(bias[c]) * scale[c] + shift[c]) as f32)
        .collect();
    Ok((folded, bias))
}
