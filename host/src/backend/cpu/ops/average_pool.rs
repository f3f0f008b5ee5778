//! Mean over windows that do not overlap.

use rayon::prelude::*;
use vae96::Shape;

use crate::backend::cpu::buffers;
use crate::backend::cpu::parallel::{each_image, vectorised};
use crate::backend::cpu::source::{Source, Values};
use crate::backend::cpu::tape::{Node, Tape};

/// The mean of each channel over `height × width` windows of planes of shape `input`. A remainder
/// at the edge is dropped.
pub fn average_pool<T: Tape>(
    tape: &mut T,
    inputs: &Node,
    input: Shape,
    (height, width): (usize, usize),
) -> Node {
    let pool = Pool {
        input,
        height,
        width,
    };
    let output = Node::output::<T>(pool.forward(&inputs.values));
    if let (Some(key), Some(inputs)) = (output.key.clone(), inputs.key.clone()) {
        tape.add_backward_op(move |gradients| {
            let gradient = key.take(gradients)?;
            inputs.add(gradients, pool.backward(&gradient))?;
            buffers::give(gradient);
            Ok(())
        });
    }
    output
}

#[derive(Clone, Copy)]
struct Pool {
    input: Shape,
    height: usize,
    width: usize,
}

impl Pool {
    fn output(&self) -> Shape {
        Shape::plane(
            self.input.height / self.height,
            self.input.width / self.width,
            self.input.channels,
        )
    }

    fn weight(&self) -> f32 {
        1.0 / (self.height * self.width) as f32
    }

    /// The input pixels that belong to output pixel `pixel`.
    fn window(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let Self {
            input,
            height,
            width,
        } = *self;
        let columns = self.output().width;
        let (top, left) = (pixel / columns * height, pixel % columns * width);
        (0..height * width).map(move |tap| {
            let (row, column) = (top + tap / width, left + tap % width);
            (row * input.width + column) * input.channels
        })
    }

    fn forward(&self, inputs: &Values) -> Vec<f32> {
        let images = Source::len(inputs) / self.input.len();
        let (values, _) = each_image(
            images,
            self.output().len(),
            || vec![0.0; self.input.len()],
            |image, buffer, values| {
                inputs.read(image * buffer.len(), buffer);
                vectorised!(self.forward_image(buffer, values));
            },
        );
        values
    }

    #[inline(always)]
    fn forward_image(&self, inputs: &[f32], values: &mut [f32]) {
        let channels = self.input.channels;
        for (pixel, values) in values.chunks_exact_mut(channels).enumerate() {
            values.fill(0.0);
            for start in self.window(pixel) {
                let inputs = &inputs[start..start + channels];
                values.iter_mut().zip(inputs).for_each(|(a, b)| *a += b);
            }
            values.iter_mut().for_each(|v| *v *= self.weight());
        }
    }

    fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        let (input, output) = (self.input.len(), self.output().len());
        let mut inputs = buffers::take(gradient.len() / output * input);
        inputs
            .par_chunks_mut(input)
            .zip(gradient.par_chunks(output))
            .for_each(|(inputs, gradient)| {
                if !self.covers() {
                    inputs.fill(0.0);
                }
                vectorised!(self.backward_image(gradient, inputs));
            });
        inputs
    }

    /// Whether the windows leave no remainder.
    fn covers(&self) -> bool {
        let Shape { height, width, .. } = self.input;
        height.is_multiple_of(self.height) && width.is_multiple_of(self.width)
    }

    #[inline(always)]
    fn backward_image(&self, gradient: &[f32], inputs: &mut [f32]) {
        let channels = self.input.channels;
        for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
            for start in self.window(pixel) {
                let inputs = &mut inputs[start..start + channels];
                for (x, g) in inputs.iter_mut().zip(gradient) {
                    *x = g * self.weight();
                }
            }
        }
    }
}
