//! Transposed convolution: each input pixel times the kernels, added up where the windows overlap.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::batch_norm::Moments;
use super::method::Method;
use super::windows::Windows;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{each_image, images_per_task, sum, tasks};
use crate::backend::cpu::source::{Source, Values};

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

    /// The outputs, and what `seen` makes of each image's while they are still in the cache.
    fn run<T: Send>(
        &self,
        inputs: &Values,
        weights: &[f32],
        seen: impl Fn(&[f32]) -> T + Sync,
    ) -> (Vec<f32>, Vec<T>) {
        let windows = self.0;
        let kernels = windows.adjoint(weights);
        let padded = windows.padded_grid();
        let images = Source::len(inputs) / windows.grid.len();
        each_image(
            images,
            windows.plane.len(),
            || padded.buffer(),
            |image, buffer, output| {
                padded.read(inputs, image, buffer);
                windows.spread(buffer, &kernels, output, &mut ());
                seen(output)
            },
        )
    }
}

impl Map for ConvTransposed {
    fn forward(&self, inputs: &Values, weights: &[f32]) -> Vec<f32> {
        self.run(inputs, weights, |_| ()).0
    }

    fn forward_moments(
        &self,
        inputs: &Values,
        weights: &[f32],
        channels: usize,
    ) -> (Vec<f32>, Moments) {
        let (outputs, parts) = self.run(inputs, weights, |rows| Moments::of_rows(rows, channels));
        (outputs, Moments::merged(parts, channels))
    }

    fn backward(
        &self,
        inputs: &Values,
        weights: &[f32],
        gradient: &dyn Source,
        input_gradient: Option<&mut [f32]>,
    ) -> Gradient {
        let windows = self.0;
        let grid = windows.grid.len();
        let images = images_per_task(Source::len(inputs) / grid);
        let kernels = windows.pack(weights);
        let (padded, padded_grid) = (windows.padded(), windows.padded_grid());
        let parts = tasks(input_gradient, images * grid, Source::len(inputs))
            .enumerate()
            .map(|(task, (len, mut input_gradient))| {
                let mut weights = buffers::zeros(weights.len());
                let (mut plane, mut input) = (padded.buffer(), padded_grid.buffer());
                for index in 0..len / grid {
                    let image = task * images + index;
                    padded.read(gradient, image, &mut plane);
                    padded_grid.read(inputs, image, &mut input);
                    windows.correlate(&plane, &input, &mut weights, &mut ());
                    if let Some(grids) = &mut input_gradient {
                        let grid = &mut grids[index * grid..][..grid];
                        windows.gather(&plane, &kernels, grid, &mut ());
                    }
                }
                weights
            })
            .collect();
        let total = sum(parts);
        let weights = windows.unpack(&total);
        buffers::give(total);
        Gradient::Values(weights)
    }
}
