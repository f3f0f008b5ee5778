//! A map, a bias, an activation.

use rayon::prelude::*;
use vae96::Activation;

use super::activation::{Function, WithFunction, with};
use super::columns::{Columns, repeat, task};
use super::{Map, MapBackward};
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{CHUNK, vectorised};
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
                let sums = Gradient::Values(column_sums(&gradient, channels));
                key.file(gradients, sums)?;
            }
            backward.run(gradients, &gradient)?;
            buffers::give(gradient);
            Ok(())
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
            Some(bias) => {
                let bias = bias.repeat(repeat(bias.len()));
                values.par_chunks_mut(task(bias.len())).for_each(|values| {
                    vectorised!({
                        for row in values.chunks_mut(bias.len()) {
                            row.iter_mut()
                                .zip(&bias)
                                .for_each(|(value, bias)| *value = F::apply(*value + bias));
                        }
                    });
                });
            }
            None => values
                .par_chunks_mut(CHUNK)
                .for_each(|values| vectorised!(values.iter_mut().for_each(|v| *v = F::apply(*v)))),
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
                let values = gradient.iter_mut().zip(outputs);
                vectorised!(values.for_each(|(g, y)| *g *= F::slope(*y)));
            });
    }
}

/// The sum of each channel.
fn column_sums(values: &[f32], channels: usize) -> Vec<f32> {
    let columns = Columns::new(channels, 0, channels);
    let parts: Vec<Vec<f64>> = values
        .par_chunks(columns.task_rows() * channels)
        .map(|values| {
            vectorised!({
                let mut total = vec![0.0; channels];
                for block in values.chunks(columns.block()) {
                    let mut sums = columns.zeros();
                    for row in columns.rows(block) {
                        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
                    }
                    let sums = columns.fold(&sums);
                    total.iter_mut().zip(sums).for_each(|(a, b)| *a += b);
                }
                total
            })
        })
        .collect();
    let channel = |c: usize| parts.iter().map(|part| part[c]).sum::<f64>() as f32;
    (0..channels).map(channel).collect()
}
