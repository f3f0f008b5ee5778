//! Maximum over windows that do not overlap.

use rayon::prelude::*;
use vae96::Shape;

use crate::backend::cpu::tape::{Node, Tape};

/// The maximum of each channel over `size × size` windows of planes of shape `input`; the first of
/// equals is the one that gets the gradient. A remainder at the edge is dropped.
pub fn max_pool<T: Tape>(tape: &mut T, inputs: &Node, input: Shape, size: usize) -> Node {
    let pool = Pool { input, size };
    let (values, winners) = pool.forward(&inputs.values);
    let output = Node::output::<T>(values);
    if let (Some(key), Some(inputs)) = (output.key.clone(), inputs.key.clone()) {
        tape.add_backward_op(move |gradients| {
            let gradient = key.take(gradients)?;
            inputs.add(gradients, pool.backward(&gradient, &winners))
        });
    }
    output
}

#[derive(Clone, Copy)]
struct Pool {
    input: Shape,
    size: usize,
}

impl Pool {
    fn output(&self) -> Shape {
        let Shape {
            height,
            width,
            channels,
        } = self.input;
        Shape::plane(height / self.size, width / self.size, channels)
    }

    /// Where the window of output pixel `pixel` begins, and the offset of each of its taps.
    fn window(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let (row, channels, size) = (self.input.row(), self.input.channels, self.size);
        let width = self.output().width;
        let start = (pixel / width) * size * row + (pixel % width) * size * channels;
        (0..size * size).map(move |tap| start + (tap / size) * row + (tap % size) * channels)
    }

    /// The maxima, and which tap each came from.
    fn forward(&self, inputs: &[f32]) -> (Vec<f32>, Vec<u16>) {
        let (input, output) = (self.input.len(), self.output().len());
        let channels = self.input.channels;
        let images = inputs.len() / input;
        let mut values = vec![f32::NEG_INFINITY; images * output];
        let mut winners = vec![0u16; images * output];
        values
            .par_chunks_mut(output)
            .zip(winners.par_chunks_mut(output))
            .zip(inputs.par_chunks(input))
            .for_each(|((values, winners), inputs)| {
                let pixels = values
                    .chunks_exact_mut(channels)
                    .zip(winners.chunks_exact_mut(channels));
                for (pixel, (values, winners)) in pixels.enumerate() {
                    for (tap, start) in self.window(pixel).enumerate() {
                        let inputs = &inputs[start..start + channels];
                        for ((value, winner), x) in values.iter_mut().zip(&mut *winners).zip(inputs)
                        {
                            let larger = *x > *value;
                            *value = if larger { *x } else { *value };
                            *winner = if larger { tap as u16 } else { *winner };
                        }
                    }
                }
            });
        (values, winners)
    }

    fn backward(&self, gradient: &[f32], winners: &[u16]) -> Vec<f32> {
        let (input, output) = (self.input.len(), self.output().len());
        let channels = self.input.channels;
        let mut inputs = vec![0.0; gradient.len() / output * input];
        inputs
            .par_chunks_mut(input)
            .zip(gradient.par_chunks(output))
            .zip(winners.par_chunks(output))
            .for_each(|((inputs, gradient), winners)| {
                let pixels = gradient
                    .chunks_exact(channels)
                    .zip(winners.chunks_exact(channels));
                for (pixel, (gradient, winners)) in pixels.enumerate() {
                    for (tap, start) in self.window(pixel).enumerate() {
                        let inputs = &mut inputs[start..start + channels];
                        for ((x, g), winner) in inputs.iter_mut().zip(gradient).zip(winners) {
                            *x = if usize::from(*winner) == tap { *g } else { 0.0 };
                        }
                    }
                }
            });
        inputs
    }
}
