//! Maximum over windows that do not overlap.

use rayon::prelude::*;
use vae96::Shape;

use crate::backend::cpu::buffers;
use crate::backend::cpu::parallel::{each_image, vectorised};
use crate::backend::cpu::source::{Source, Values};
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
            inputs.add(gradients, pool.backward(&gradient, &winners))?;
            buffers::give(gradient);
            Ok(())
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
    fn forward(&self, inputs: &Values) -> (Vec<f32>, Vec<Vec<u32>>) {
        let images = Source::len(inputs) / self.input.len();
        each_image(
            images,
            self.output().len(),
            || vec![0.0; self.input.len()],
            |image, buffer, values| {
                inputs.read(image * buffer.len(), buffer);
                vectorised!(self.forward_image(buffer, values))
            },
        )
    }

    #[inline(always)]
    fn forward_image(&self, inputs: &[f32], values: &mut [f32]) -> Vec<u32> {
        let channels = self.input.channels;
        let mut winners = vec![0u32; values.len()];
        let pixels = values
            .chunks_exact_mut(channels)
            .zip(winners.chunks_exact_mut(channels));
        for (pixel, (values, winners)) in pixels.enumerate() {
            for (tap, start) in self.window(pixel).enumerate() {
                let inputs = &inputs[start..start + channels];
                if tap == 0 {
                    values.copy_from_slice(inputs);
                    continue;
                }
                for ((value, winner), x) in values.iter_mut().zip(&mut *winners).zip(inputs) {
                    let larger = *x > *value;
                    *value = if larger { *x } else { *value };
                    *winner = if larger { tap as u32 } else { *winner };
                }
            }
        }
        winners
    }

    fn backward(&self, gradient: &[f32], winners: &[Vec<u32>]) -> Vec<f32> {
        let output = self.output();
        let mut inputs = buffers::take(winners.len() * self.input.len());
        inputs
            .par_chunks_mut(self.input.len())
            .zip(gradient.par_chunks(output.len()))
            .zip(winners)
            .for_each(|((inputs, gradient), winners)| {
                if !self.covers() {
                    inputs.fill(0.0);
                }
                vectorised!(self.backward_image(gradient, winners, inputs));
            });
        inputs
    }

    /// Whether the windows leave no remainder.
    fn covers(&self) -> bool {
        let Shape { height, width, .. } = self.input;
        height.is_multiple_of(self.size) && width.is_multiple_of(self.size)
    }

    #[inline(always)]
    fn backward_image(&self, gradient: &[f32], winners: &[u32], inputs: &mut [f32]) {
        let channels = self.input.channels;
        let pixels = gradient
            .chunks_exact(channels)
            .zip(winners.chunks_exact(channels));
        for (pixel, (gradient, winners)) in pixels.enumerate() {
            for (tap, start) in self.window(pixel).enumerate() {
                let inputs = &mut inputs[start..start + channels];
                for ((x, g), winner) in inputs.iter_mut().zip(gradient).zip(winners) {
                    *x = if *winner == tap as u32 { *g } else { 0.0 };
                }
            }
        }
    }
}
