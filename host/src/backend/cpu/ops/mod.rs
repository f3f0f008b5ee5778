//! Differentiable operations on dfdx's tape, one a file.
//!
//! An operation takes nodes, computes, and leaves on the tape the closure that will turn the
//! gradient of its output into those of its inputs. [`conv`] and [`linear`] have [`Map`]s; [`biased`]
//! and [`normalised`] put them on the tape with what follows them.

pub mod activation;
pub mod average_pool;
pub mod batch_norm;
pub mod biased;
pub mod columns;
pub mod contrast;
pub mod conv;
pub mod cross_entropy;
pub mod latent;
pub mod linear;
pub mod max_pool;
pub mod method;
pub mod normalised;
pub mod padded;
pub mod reconstruction;
pub mod windows;
pub mod winograd;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::batch_norm::Moments;
use super::buffers;
use super::gradient::{Gradient, GradientKey};
use super::parameter::Parameter;
use super::source::{Source, Values};
use super::tape::{Backwards, Gradients, Node};

/// A map that is linear in its input and in its weights.
pub trait Map: Send + Sync {
    /// The outputs of a batch.
    fn forward(&self, inputs: &Values, weights: &[f32]) -> Vec<f32>;

    /// The outputs of a batch, and the moments of each of `channels` over their rows.
    fn forward_moments(
        &self,
        inputs: &Values,
        weights: &[f32],
        channels: usize,
    ) -> (Vec<f32>, Moments) {
        let outputs = self.forward(inputs, weights);
        let moments = Moments::of(&outputs, channels);
        (outputs, moments)
    }

    /// The gradient of the weights from that of the outputs. Writes that of the inputs to all of
    /// `input_gradient`, where it is wanted.
    fn backward(
        &self,
        inputs: &Values,
        weights: &[f32],
        gradient: &dyn Source,
        input_gradient: Option<&mut [f32]>,
    ) -> Gradient;
}

/// What a map's backward pass needs: its inputs, its weights, and where their gradients go.
struct MapBackward {
    map: Box<dyn Map>,
    inputs: Node,
    weights: Arc<Vec<f32>>,
    weight_key: GradientKey,
}

impl MapBackward {
    fn new(map: Box<dyn Map>, inputs: &Node, weights: &Parameter) -> Self {
        Self {
            map,
            inputs: inputs.clone(),
            weights: weights.variable.values.clone(),
            weight_key: weights.key.clone(),
        }
    }

    /// Files the gradients of weights and inputs; the latter only where somebody wants it.
    fn run(self, gradients: &mut Gradients, gradient: &dyn Source) -> Backwards {
        let inputs = &self.inputs.values;
        let key = self.inputs.key.as_ref();
        let mut input_gradient = key.map(|_| buffers::take(Source::len(inputs.as_ref())));
        let out = input_gradient.as_deref_mut();
        let weights = self.map.backward(inputs, &self.weights, gradient, out);
        self.weight_key.file(gradients, weights)?;
        match (key, input_gradient) {
            (Some(key), Some(gradient)) => key.add(gradients, gradient),
            _ => Ok(()),
        }
    }
}
