//! Transposed convolution: a convolution's way back, so its passes change places.

use vae96::{Shape, Window};

use super::Map;
use super::conv::Conv;

/// A transposed convolution. Weights `input channels × kernel × kernel × channels`.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposed {
    /// The convolution that takes this one's outputs to its inputs.
    conv: Conv,
}

impl ConvTransposed {
    /// A transposed convolution of `input` to the plane `output`.
    pub fn new(input: Shape, window: Window, output: Shape) -> Self {
        Self {
            conv: Conv::new(output, window, input.channels),
        }
    }
}

impl Map for ConvTransposed {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        self.conv.input_gradient(inputs, weights)
    }

    fn input_gradient(&self, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
        self.conv.forward(gradient, weights)
    }

    fn weight_gradient(&self, inputs: &[f32], gradient: &[f32]) -> Vec<f32> {
        self.conv.weight_gradient(gradient, inputs)
    }
}
