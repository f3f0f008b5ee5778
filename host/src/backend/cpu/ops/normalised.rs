//! A map, BatchNorm by the batch's own statistics, an activation: one operation, so that only the
//! map's output is kept: the result is computed from it where it is read.

use vae96::Activation;

use super::batch_norm::{Affine, Backward, Moments, Normalise};
use super::{Map, MapBackward};
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parameter::Parameter;
use crate::backend::cpu::source::Values;
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
    let gamma = &scale.variable.values;
    let weights_now = &weights.variable.values;
    let (values, moments) = map.forward_moments(&inputs.values, weights_now, gamma.len());
    let affine = Affine::new(
        &moments.mean,
        &moments.biased_variance(),
        gamma,
        &shift.variable.values,
    );
    let normalise = Normalise::new(&affine, activation);
    let output = Node::output::<T>(Values::computed(values, Box::new(normalise)));
    if let Some(key) = output.key.clone() {
        let backward = MapBackward::new(map, inputs, weights);
        let (scale, shift, moments) = (scale.key.clone(), shift.key.clone(), moments.clone());
        let values = output.values.clone();
        tape.add_backward_op(move |gradients| {
            let gradient = key.take(gradients)?;
            let stored = values.stored();
            let (inner, sums) = Backward::new(stored, &moments, &affine, activation, &gradient);
            let single =
                |sums: Vec<f64>| Gradient::Values(sums.into_iter().map(|s| s as f32).collect());
            scale.file(gradients, single(sums.scale))?;
            shift.file(gradients, single(sums.shift))?;
            backward.run(gradients, &inner)?;
            buffers::give(gradient);
            Ok(())
        });
    }
    (output, moments)
}
