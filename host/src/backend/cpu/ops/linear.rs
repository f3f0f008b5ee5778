//! Linear map of all input values.

use super::Map;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gemm::{matrix, product};
use crate::backend::cpu::gradient::{Factors, Gradient};
use crate::backend::cpu::source::{Source, Values, read_all};

/// Weights from which on their gradient stays in factors: more than caches hold.
const LARGE: usize = 1 << 20;

/// A linear map. Weights `outputs × inputs`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Values of an input.
    pub inputs: usize,
    /// Values of an output.
    pub outputs: usize,
}

impl Map for Linear {
    fn forward(&self, inputs: &Values, weights: &[f32]) -> Vec<f32> {
        let count = inputs.len() / self.inputs;
        let mut out = buffers::take(count * self.outputs);
        let weights = matrix(weights, self.outputs, self.inputs).transpose();
        product(&mut out, matrix(inputs, count, self.inputs), weights);
        out
    }

    fn backward(
        &self,
        inputs: &Values,
        weights: &[f32],
        gradient: &dyn Source,
        input_gradient: Option<&mut [f32]>,
    ) -> Gradient {
        let count = inputs.len() / self.inputs;
        let gradient = gradient.whole();
        if let Some(out) = input_gradient {
            let gradient = matrix(&gradient, count, self.outputs);
            let weights = matrix(weights, self.outputs, self.inputs);
            product(out, gradient, weights);
        }
        let factors = Factors {
            count,
            rows: gradient.into_owned(),
            columns: read_all(inputs, self.inputs),
        };
        if weights.len() < LARGE {
            Gradient::Values(factors.into_values())
        } else {
            Gradient::Factors(factors)
        }
    }
}
