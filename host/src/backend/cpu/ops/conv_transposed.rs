//! Transposed convolution: each input pixel times the kernels, added up where the windows overlap.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::windows::Windows;
use crate::backend::cpu::parallel::{images_per_task, sum, tasks};

/// A transposed convolution. Weights `input channels × kernel × kernel × channels`.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposed(
    /// The windows of the outputs, one an input pixel.
    Windows,
);

impl ConvTransposed {
    /// A transposed convolution of `input` to the plane `output`.
    pub fn new(input: Shape, window: Window, output: Shape) -> Self {
        Self(Windows::new(output, window, input.channels))
    }
}

impl Map for ConvTransposed {
    fn forward(&self, inputs: &[f32], weights: &[f32]) -> Vec<f32> {
        let windows = self.0;
        let (plane, grid) = (windows.plane.len(), windows.grid.len());
        let phases = windows.phases(weights);
        let padded = windows.padded_grid();
        let mut outputs = vec![0.0; inputs.len() / grid * plane];
        outputs
            .par_chunks_mut(plane)
            .zip(inputs.par_chunks(grid))
            .for_each_init(
                || padded.buffer(),
                |buffer, (output, input)| {
                    windows.spread(padded.place(input, buffer), &phases, output);
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
        let images = images_per_task(inputs.len() / grid);
        let kernels = windows.pack(weights);
        let padded = windows.padded();
        let parts = inputs
            .par_chunks(images * grid)
            .zip(gradient.par_chunks(images * plane))
            .zip(tasks(input_gradient, images * grid, inputs.len()))
            .map(|((inputs, gradient), mut input_gradient)| {
                let mut weights = vec![0.0; weights.len()];
                let mut buffer = padded.buffer();
                let pairs = inputs.chunks(grid).zip(gradient.chunks(plane));
                for (image, (input, gradient)) in pairs.enumerate() {
                    let gradient = padded.place(gradient, &mut buffer);
                    windows.correlate(gradient, input, &mut weights);
                    if let Some(planes) = &mut input_gradient {
                        let input = &mut planes[image * grid..][..grid];
                        windows.gather(gradient, &kernels, input);
                    }
                }
                weights
            })
            .collect();
        windows.unpack(&sum(parts))
    }
}
