//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::unfold::Unfold;
use crate::backend::cpu::gemm::{add_product, matrix, matrix_mut, set_product};
use crate::backend::cpu::parallel::{images_per_task, sum};

/// A convolution. Weights `channels × kernel × kernel × input channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    windows: Unfold,
    channels: usize,
}

impl Conv {
    /// A convolution of `input` to `channels` channels.
    pub fn new(input: Shape, window: Window, channels: usize) -> Self {
        Self {
            windows: Unfold::new(input, window),
            channels,
        }
    }

    fn outputs(&self) -> usize {
        self.windows.windows() * self.channels
    }
}

impl Map for Conv {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        let Self { windows, channels } = *self;
        let images = inputs.len() / windows.plane.len();
        let mut outputs = vec![0.0; images * self.outputs()];
        let kernels = matrix(weights, channels, windows.depth()).transpose();
        outputs
            .par_chunks_mut(self.outputs())
            .zip(inputs.par_chunks(windows.plane.len()))
            .for_each_init(
                || windows.tile(),
                |tile, (output, input)| {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        windows.unfold(input, row, rows, tile);
                        let output = &mut output[row * windows.width * channels..];
                        set_product(
                            matrix_mut(&mut output[..count * channels], count, channels),
                            matrix(&tile[..count * windows.depth()], count, windows.depth()),
                            kernels,
                        );
                    }
                },
            );
        outputs
    }

    fn input_gradient(&self, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
        let Self { windows, channels } = *self;
        let images = gradient.len() / self.outputs();
        let mut inputs = vec![0.0; images * windows.plane.len()];
        let kernels = matrix(weights, channels, windows.depth());
        inputs
            .par_chunks_mut(windows.plane.len())
            .zip(gradient.par_chunks(self.outputs()))
            .for_each_init(
                || windows.tile(),
                |tile, (input, gradient)| {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        let gradient = &gradient[row * windows.width * channels..];
                        set_product(
                            matrix_mut(
                                &mut tile[..count * windows.depth()],
                                count,
                                windows.depth(),
                            ),
                            matrix(&gradient[..count * channels], count, channels),
                            kernels,
                        );
                        windows.fold(tile, row, rows, input);
                    }
                },
            );
        inputs
    }

    fn weight_gradient(&self, inputs: &[f32], gradient: &[f32]) -> Vec<f32> {
        let Self { windows, channels } = *self;
        let (plane, outputs) = (windows.plane.len(), self.outputs());
        let images = images_per_task(inputs.len() / plane);
        let parts = inputs
            .par_chunks(images * plane)
            .zip(gradient.par_chunks(images * outputs))
            .map(|(inputs, gradient)| {
                let mut weights = vec![0.0; channels * windows.depth()];
                let mut tile = windows.tile();
                for (input, gradient) in inputs.chunks(plane).zip(gradient.chunks(outputs)) {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        windows.unfold(input, row, rows, &mut tile);
                        let gradient = &gradient[row * windows.width * channels..];
                        add_product(
                            matrix_mut(&mut weights, channels, windows.depth()),
                            matrix(&gradient[..count * channels], count, channels).transpose(),
                            matrix(&tile[..count * windows.depth()], count, windows.depth()),
                        );
                    }
                }
                weights
            })
            .collect();
        sum(parts)
    }
}
