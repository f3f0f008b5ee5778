//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::batch_norm::Moments;
use super::windows::Windows;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{each_image, images_per_task, sum, tasks};
use crate::backend::cpu::source::{Source, Values};

/// A convolution. Weights `channels × kernel × kernel × input channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv(Windows);

impl Conv {
    /// A convolution of `input` to `channels` channels.
    pub fn new(input: Shape, window: Window, channels: usize) -> Self {
        Self(Windows::new(input, window, channels))
    }

    /// The outputs, and what `seen` makes of each image's while they are still in the cache.
    fn run<T: Send>(
        &self,
        inputs: &Values,
        weights: &[f32],
        seen: impl Fn(&[f32]) -> T + Sync,
    ) -> (Vec<f32>, Vec<T>) {
        let windows = self.0;
        let kernels = windows.pack(weights);
        let padded = windows.padded();
        let images = Source::len(inputs) / windows.plane.len();
        each_image(
            images,
            windows.grid.len(),
            || padded.buffer(),
            |image, buffer, output| {
                padded.read(inputs, image, buffer);
                windows.gather(buffer, &kernels, output);
                seen(output)
            },
        )
    }
}

impl Map for Conv {
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
        let plane = windows.plane.len();
        let images = images_per_task(Source::len(inputs) / plane);
        let (padded, padded_grid) = (windows.padded(), windows.padded_grid());
        let phases = match input_gradient {
            Some(_) => windows.phases(weights),
            None => Vec::new(),
        };
        let parts = tasks(input_gradient, images * plane, Source::len(inputs))
            .enumerate()
            .map(|(task, (len, mut input_gradient))| {
                let mut weights = buffers::zeros(weights.len());
                let (mut input, mut grid) = (padded.buffer(), padded_grid.buffer());
                for index in 0..len / plane {
                    let image = task * images + index;
                    padded.read(inputs, image, &mut input);
                    padded_grid.read(gradient, image, &mut grid);
                    windows.correlate(&input, &grid, &mut weights);
                    if let Some(planes) = &mut input_gradient {
                        let plane = &mut planes[index * plane..][..plane];
                        windows.spread(&grid, &phases, plane);
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
