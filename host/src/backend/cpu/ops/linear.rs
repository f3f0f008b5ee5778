//! Linear map of all input values.

use super::Map;
use crate::backend::cpu::gemm::{matrix, product};

/// A linear map. Weights `outputs × inputs`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Values of an input.
    pub inputs: usize,
    /// Values of an output.
    pub outputs: usize,
}

impl Map for Linear {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        let count = inputs.len() / self.inputs;
        product(
            matrix(inputs, count, self.inputs),
            matrix(weights, self.outputs, self.inputs).transpose(),
        )
    }

    fn input_gradient(&self, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
        let count = gradient.len() / self.outputs;
        product(
            matrix(gradient, count, self.outputs),
            matrix(weights, self.outputs, self.inputs),
        )
    }

    fn weight_gradient(&self, inputs: &[f32], gradient: &[f32]) -> Vec<f32> {
        let count = inputs.len() / self.inputs;
        product(
            matrix(gradient, count, self.outputs).transpose(),
            matrix(inputs, count, self.inputs),
        )
    }
}
