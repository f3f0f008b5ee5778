//! A map, a bias, an activation.

use rayon::prelude::*;
use vae96::Activation;

use super::activation::{Function, WithFunction, with};
use super::{Map, MapBackward};
use crate::backend::cpu::parallel::{CHUNK, sum};
use crate::backend::cpu::parameter::Parameter;
use crate::backend::cpu::tape::{Node, Tape};

/// `activation(map(inputs, weights) + bias)`, the bias one value a channel.
pub fn biased<T: Tape>(
    tape: &mut T,
    map: Box<dyn Map>,
    inputs: &Node,
    weights: &Parameter,
    bias: Option<&Parameter>,
    activation: Activation,
) -> Node {
    let mut values = map.forward(&inputs.values, &weights.variable.values);
    finish(
        &mut values,
        bias.map(|bias| bias.variable.values.as_slice()),
        activation,
    );
    let output = Node::output::<T>(values);
    if let Some(key) = output.key.clone() {
        let outputs = output.values.clone();
        let backward = MapBackward::new(map, inputs, weights);
        let bias = bias.map(|bias| (bias.key.clone(), bias.variable.values.len()));
        tape.add_backward_op(move |gradients| {
            let mut gradient = key.take(gradients)?;
            with(activation, Slope(&mut gradient, &outputs));
            if let Some((key, channels)) = bias {
                key.add(gradients, column_sums(&gradient, channels))?;
            }
            backward.run(gradients, &gradient)
        });
    }
    output
}

/// Adds a bias and applies an activation, in place.
pub fn finish(values: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    with(activation, Finish(values, bias));
}

struct Finish<'a>(&'a mut [f32], Option<&'a [f32]>);

impl WithFunction for Finish<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let Self(values, bias) = self;
        match bias {
            Some(bias) => values.par_chunks_mut(rows(bias.len())).for_each(|values| {
                for row in values.chunks_exact_mut(bias.len()) {
                    row.iter_mut()
                        .zip(bias)
                        .for_each(|(value, bias)| *value = F::apply(*value + bias));
                }
            }),
            None => values
                .par_chunks_mut(CHUNK)
                .for_each(|values| values.iter_mut().for_each(|v| *v = F::apply(*v))),
        }
    }
}

/// A gradient times the slope where the outputs are.
struct Slope<'a>(&'a mut [f32], &'a [f32]);

impl WithFunction for Slope<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let Self(gradient, outputs) = self;
        gradient
            .par_chunks_mut(CHUNK)
            .zip(outputs.par_chunks(CHUNK))
            .for_each(|(gradient, outputs)| {
                gradient
                    .iter_mut()
                    .zip(outputs)
                    .for_each(|(g, y)| *g *= F::slope(*y));
            });
    }
}

/// The sum of each channel.
fn column_sums(values: &[f32], channels: usize) -> Vec<f32> {
    let parts = values
        .par_chunks(rows(channels))
        .map(|values| {
            let mut total = vec![0.0; channels];
            for row in values.chunks_exact(channels) {
                total.iter_mut().zip(row).for_each(|(a, b)| *a += b);
            }
            total
        })
        .collect();
    sum(parts)
}

/// Values of the whole rows of `channels` that make up a task.
fn rows(channels: usize) -> usize {
    CHUNK.div_ceil(channels) * channels
}
