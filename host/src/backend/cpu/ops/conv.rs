//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::unfold::Unfold;
use crate::backend::cpu::gemm::{add_product, matrix, matrix_mut, set_product};
use crate::backend::cpu::parallel::{images_per_task, sum, tasks};

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

    fn backward(
        &self,
        inputs: &[f32],
        weights: &[f32],
        gradient: &[f32],
        input_gradient: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let Self { windows, channels } = *self;
        let (plane, outputs) = (windows.plane.len(), self.outputs());
        let images = images_per_task(inputs.len() / plane);
        let kernels = matrix(weights, channels, windows.depth());
        let parts = inputs
            .par_chunks(images * plane)
            .zip(gradient.par_chunks(images * outputs))
            .zip(tasks(input_gradient, images * plane, inputs.len()))
            .map(|((inputs, gradient), mut input_gradient)| {
                let mut weights = vec![0.0; channels * windows.depth()];
                let mut tile = windows.tile();
                let pairs = inputs.chunks(plane).zip(gradient.chunks(outputs));
                for (image, (input, gradient)) in pairs.enumerate() {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        let gradient = &gradient[row * windows.width * channels..];
                        let gradient = matrix(&gradient[..count * channels], count, channels);
                        let values = &mut tile[..count * windows.depth()];
                        windows.unfold(input, row, rows, values);
                        add_product(
                            matrix_mut(&mut weights, channels, windows.depth()),
                            gradient.transpose(),
                            matrix(values, count, windows.depth()),
                        );
                        if let Some(planes) = &mut input_gradient {
                            set_product(
                                matrix_mut(values, count, windows.depth()),
                                gradient,
                                kernels,
                            );
                            let input = &mut planes[image * plane..][..plane];
                            windows.fold(values, row, rows, input);
                        }
                    }
                }
                weights
            })
            .collect();
        sum(parts)
    }
}
