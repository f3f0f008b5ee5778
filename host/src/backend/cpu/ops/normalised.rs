//! A map, BatchNorm by the batch's own statistics, an activation: one operation, so that only the
//! map's output and the result are kept.

use vae96::Activation;

use super::activation::with;
use super::batch_norm::{Affine, Backward, Forward, Moments};
use super::{Map, MapBackward};
use crate::backend::cpu::parameter::Parameter;
use crate::backend::cpu::tape::{Node, Tape};

/// `activation(γ · normalised(map(inputs, weights)) + β)`, and the moments of the map's outputs.
/// A bias of the map is left out: BatchNorm takes it away again, and its gradient is zero.
pub fn normalised<T: Tape>(
    tape: &mut T,
    map: Box<dyn Map>,
    inputs: &Node,
    weights: &Parameter,
    scale: &Parameter,
    shift: &Parameter,
    activation: Activation,
) -> (Node, Moments) {
    let values = map.forward(&inputs.values, &weights.variable.values);
    let gamma = &scale.variable.values;
    let moments = Moments::of(&values, gamma.len());
    let affine = Affine::new(
        &moments.mean,
        &moments.biased_variance(),
        gamma,
        &shift.variable.values,
    );
    let mut outputs = vec![0.0; values.len()];
    with(
        activation,
        Forward {
            values: &values,
            affine: &affine,
            outputs: &mut outputs,
        },
    );
    let output = Node::output::<T>(outputs);
    if let Some(key) = output.key.clone() {
        let backward = MapBackward::new(map, inputs, weights);
        let (scale, shift, moments) = (scale.key.clone(), shift.key.clone(), moments.clone());
        tape.add_backward_op(move |gradients| {
            let mut gradient = key.take(gradients)?;
            let sums = with(
                activation,
                Backward {
                    values: &values,
                    affine: &affine,
                    moments: &moments,
                    gradient: &mut gradient,
                },
            );
            drop(values);
            let single = |sums: Vec<f64>| sums.into_iter().map(|s| s as f32).collect();
            scale.add(gradients, single(sums.scale))?;
            shift.add(gradients, single(sums.shift))?;
            backward.run(gradients, &gradient)
        });
    }
    (output, moments)
}
