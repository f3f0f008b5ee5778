//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::windows::Windows;
use crate::backend::cpu::parallel::{images_per_task, sum, tasks};

/// A convolution. Weights `channels × kernel × kernel × input channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv(Windows);

impl Conv {
    /// A convolution of `input` to `channels` channels.
    pub fn new(input: Shape, window: Window, channels: usize) -> Self {
        Self(Windows::new(input, window, channels))
    }
}

impl Map for Conv {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        let windows = self.0;
        let (plane, grid) = (windows.plane.len(), windows.grid.len());
        let kernels = windows.pack(weights);
        let padded = windows.padded();
        let mut outputs = vec![0.0; inputs.len() / plane * grid];
        outputs
            .par_chunks_mut(grid)
            .zip(inputs.par_chunks(plane))
            .for_each_init(
                || padded.buffer(),
                |buffer, (output, input)| {
                    windows.gather(padded.place(input, buffer), &kernels, output);
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
        let windows = self.0;
        let (plane, grid) = (windows.plane.len(), windows.grid.len());
        let images = images_per_task(inputs.len() / plane);
        let (padded, padded_grid) = (windows.padded(), windows.padded_grid());
        let phases = match input_gradient {
            Some(_) => windows.phases(weights),
            None => Vec::new(),
        };
        let parts = inputs
            .par_chunks(images * plane)
            .zip(gradient.par_chunks(images * grid))
            .zip(tasks(input_gradient, images * plane, inputs.len()))
            .map(|((inputs, gradient), mut input_gradient)| {
                let mut weights = vec![0.0; weights.len()];
                let (mut buffer, mut grid_buffer) = (padded.buffer(), padded_grid.buffer());
                let pairs = inputs.chunks(plane).zip(gradient.chunks(grid));
                for (image, (input, gradient)) in pairs.enumerate() {
                    windows.correlate(padded.place(input, &mut buffer), gradient, &mut weights);
                    if let Some(planes) = &mut input_gradient {
                        let gradient = padded_grid.place(gradient, &mut grid_buffer);
                        let input = &mut planes[image * plane..][..plane];
                        windows.spread(gradient, &phases, input);
                    }
                }
                weights
            })
            .collect();
        windows.unpack(&sum(parts))
    }
}
