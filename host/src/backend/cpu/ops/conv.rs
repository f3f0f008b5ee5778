//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::batch_norm::Moments;
use super::method::Method;
use super::windows::Windows;
use super::winograd::Winograd;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{each_image, images_per_task, sum, tasks};
use crate::backend::cpu::source::{Source, Values};

/// A convolution by a method. Weights `channels × kernel × kernel × input channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv<M>(pub M);

/// The convolution of `input` to `channels` channels, by Winograd's method where that serves.
pub fn conv(input: Shape, window: Window, channels: usize) -> Box<dyn Map> {
    let windows = Windows::new(input, window, channels);
    match Winograd::new(windows) {
        Some(winograd) => Box::new(Conv(winograd)),
        None => Box::new(Conv(windows)),
    }
}

impl<M: Method> Conv<M> {
    /// The outputs, and what `seen` makes of each image's while they are still in the cache.
    fn run<T: Send>(
        &self,
        inputs: &Values,
        weights: &[f32],
        seen: impl Fn(&[f32]) -> T + Sync,
    ) -> (Vec<f32>, Vec<T>) {
        let Self(method) = self;
        let kernels = method.pack(weights);
        let padded = method.padded();
        each_image(
            Source::len(inputs) / padded.inner.len(),
            method.padded_grid().inner.len(),
            || (padded.buffer(), M::Scratch::default()),
            |image, (buffer, scratch), output| {
                padded.read(inputs, image, buffer);
                method.gather(buffer, &kernels, output, scratch);
                seen(output)
            },
        )
    }
}

impl<M: Method> Map for Conv<M> {
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
        let Self(method) = self;
        let (padded, padded_grid) = (method.padded(), method.padded_grid());
        let plane = padded.inner.len();
        let images = images_per_task(Source::len(inputs) / plane);
        let adjoint = input_gradient.is_some().then(|| method.adjoint(weights));
        let parts = tasks(input_gradient, images * plane, Source::len(inputs))
            .enumerate()
            .map(|(task, (len, mut input_gradient))| {
                let mut sums = buffers::zeros(method.sums());
                let (mut input, mut grid) = (padded.buffer(), padded_grid.buffer());
                let mut scratch = M::Scratch::default();
                for index in 0..len / plane {
                    let image = task * images + index;
                    padded.read(inputs, image, &mut input);
                    padded_grid.read(gradient, image, &mut grid);
                    method.correlate(&input, &grid, &mut sums, &mut scratch);
                    if let (Some(planes), Some(kernels)) = (&mut input_gradient, &adjoint) {
                        let plane = &mut planes[index * plane..][..plane];
                        method.spread(&grid, kernels, plane, &mut scratch);
                    }
                }
                sums
            })
            .collect();
        let total = sum(parts);
        let weights = method.unpack(&total);
        buffers::give(total);
        Gradient::Values(weights)
    }
}
