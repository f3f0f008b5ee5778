//! Transposed convolution: each input pixel times the kernels, added up where the windows overlap.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::unfold::Unfold;
use crate::backend::cpu::gemm::{add_product, matrix, matrix_mut, set_product};
use crate::backend::cpu::parallel::{images_per_task, sum, tasks};

/// A transposed convolution. Weights `input channels × kernel × kernel × channels`.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposed {
    /// The windows of the outputs, one an input pixel.
    windows: Unfold,
    channels: usize,
}

impl ConvTransposed {
    /// A transposed convolution of `input` to the plane `output`.
    pub fn new(input: Shape, window: Window, output: Shape) -> Self {
        Self {
            windows: Unfold::new(output, window),
            channels: input.channels,
        }
    }

    fn inputs(&self) -> usize {
        self.windows.windows() * self.channels
    }
}

impl Map for ConvTransposed {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        let Self { windows, channels } = *self;
        let (plane, inputs_len) = (windows.plane.len(), self.inputs());
        let mut outputs = vec![0.0; inputs.len() / inputs_len * plane];
        let kernels = matrix(weights, channels, windows.depth());
        outputs
            .par_chunks_mut(plane)
            .zip(inputs.par_chunks(inputs_len))
            .for_each_init(
                || windows.tile(),
                |tile, (output, input)| {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        let input = &input[row * windows.width * channels..];
                        let values = &mut tile[..count * windows.depth()];
                        set_product(
                            matrix_mut(values, count, windows.depth()),
                            matrix(&input[..count * channels], count, channels),
                            kernels,
                        );
                        windows.fold(values, row, rows, output);
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
        let (plane, inputs_len) = (windows.plane.len(), self.inputs());
        let images = images_per_task(inputs.len() / inputs_len);
        let kernels = matrix(weights, channels, windows.depth()).transpose();
        let parts = inputs
            .par_chunks(images * inputs_len)
            .zip(gradient.par_chunks(images * plane))
            .zip(tasks(input_gradient, images * inputs_len, inputs.len()))
            .map(|((inputs, gradient), mut input_gradient)| {
                let mut weights = vec![0.0; channels * windows.depth()];
                let mut tile = windows.tile();
                let pairs = inputs.chunks(inputs_len).zip(gradient.chunks(plane));
                for (image, (input, gradient)) in pairs.enumerate() {
                    for (row, rows) in windows.tiles() {
                        let count = rows * windows.width;
                        let pixels = row * windows.width * channels..;
                        let input = &input[pixels.clone()][..count * channels];
                        let values = &mut tile[..count * windows.depth()];
                        windows.unfold(gradient, row, rows, values);
                        let values = matrix(values, count, windows.depth());
                        add_product(
                            matrix_mut(&mut weights, channels, windows.depth()),
                            matrix(input, count, channels).transpose(),
                            values,
                        );
                        if let Some(planes) = &mut input_gradient {
                            let input = &mut planes[image * inputs_len..][..inputs_len];
                            let input = &mut input[pixels][..count * channels];
                            set_product(matrix_mut(input, count, channels), values, kernels);
                        }
                    }
                }
                weights
            })
            .collect();
        sum(parts)
    }
}
