//! Differentiable operations on dfdx's tape, one a file.
//!
//! An operation takes nodes, computes, and leaves on the tape the closure that will turn the
//! gradient of its output into those of its inputs. [`conv`], [`conv_transposed`] and [`linear`]
//! are [`Map`]s; [`biased`] and [`normalised`] put them on the tape with what follows them.

pub mod activation;
pub mod average_pool;
pub mod batch_norm;
pub mod biased;
pub mod conv;
pub mod conv_transposed;
pub mod cross_entropy;
pub mod latent;
pub mod linear;
pub mod max_pool;
pub mod normalised;
pub mod reconstruction;
pub mod unfold;

use std::sync::Arc;

use super::parameter::Parameter;
use super::tape::{Backwards, Gradients, Key, Node};

/// A map that is linear in its input and in its weights.
pub trait Map: Send + Sync {
    /// The outputs of a batch.
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32>;

    /// The gradient of the inputs from that of the outputs.
    fn input_gradient(&self, gradient: &[f32], weights: &[f32]) -> Vec<f32>;

    /// The gradient of the weights, from the inputs and the gradient of the outputs.
    fn weight_gradient(&self, inputs: &[f32], gradient: &[f32]) -> Vec<f32>;
}

/// What a map's backward pass needs: its inputs, its weights, and where their gradients go.
struct MapBackward {
    map: Box<dyn Map>,
    inputs: Node,
    weights: Arc<Vec<f32>>,
    weight_key: Key,
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
    fn run(self, gradients: &mut Gradients, gradient: &[f32]) -> Backwards {
        let weights = self.map.weight_gradient(&self.inputs.values, gradient);
        self.weight_key.add(gradients, weights)?;
        if let Some(key) = &self.inputs.key {
            let inputs = self.map.input_gradient(gradient, &self.weights);
            key.add(gradients, inputs)?;
        }
        Ok(())
    }
}
