//! Convolution: each window times the kernels.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::batch_norm::Moments;
use super::windows::{Padded, Phase, Windows};
use super::winograd::Winograd;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{each_image, images_per_task, sum, tasks};
use crate::backend::cpu::source::{Source, Values};

/// A convolution by a method. Weights `channels × kernel × kernel × input channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv<M> {
    method: M,
    input: Shape,
    output: Shape,
}

/// The convolution of `input` to `channels` channels, by Winograd's method where that serves.
pub fn conv(input: Shape, window: Window, channels: usize) -> Box<dyn Map> {
    let direct = Conv::direct(input, window, channels);
    match Winograd::new(direct.method) {
        Some(method) => Box::new(direct.by(method)),
        None => Box::new(direct),
    }
}

impl Conv<Windows> {
    /// By its definition.
    pub fn direct(input: Shape, window: Window, channels: usize) -> Self {
        let method = Windows::new(input, window, channels);
        Self {
            method,
            input,
            output: method.grid,
        }
    }

    /// The same by another method.
    pub fn by<M>(self, method: M) -> Conv<M> {
        Conv {
            method,
            input: self.input,
            output: self.output,
        }
    }
}

/// How a convolution is computed: image by image, with a scratch of the task.
pub trait Method: Copy + Send + Sync {
    /// Kernels for the gradient of the inputs.
    type Adjoint: Sync;
    /// What it takes beside images and kernels.
    type Scratch: Default;

    /// The plane within its zeros.
    fn padded(&self) -> Padded;
    /// The grid within its zeros.
    fn padded_grid(&self) -> Padded;
    /// The kernels as `gather` reads them.
    fn pack(&self, weights: &[f32]) -> Vec<f32>;
    /// The kernels as `spread` reads them.
    fn adjoint(&self, weights: &[f32]) -> Self::Adjoint;
    /// The outputs of an image.
    fn gather(
        &self,
        padded: &[f32],
        kernels: &[f32],
        grid: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// The gradient of an image, from that of its outputs.
    fn spread(
        &self,
        padded_grid: &[f32],
        kernels: &Self::Adjoint,
        plane: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// How many values `correlate` adds to.
    fn sums(&self) -> usize;
    /// Adds an image's part to what the gradient of the kernels is made of.
    fn correlate(
        &self,
        padded: &[f32],
        padded_grid: &[f32],
        sums: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// The gradient of the weights from those sums.
    fn unpack(&self, sums: &[f32]) -> Vec<f32>;
}

impl Method for Windows {
    type Adjoint = Vec<Phase>;
    type Scratch = ();

    fn padded(&self) -> Padded {
        self.padded()
    }

    fn padded_grid(&self) -> Padded {
        self.padded_grid()
    }

    fn pack(&self, weights: &[f32]) -> Vec<f32> {
        self.pack(weights)
    }

    fn adjoint(&self, weights: &[f32]) -> Vec<Phase> {
        self.phases(weights)
    }

    fn gather(&self, padded: &[f32], kernels: &[f32], grid: &mut [f32], (): &mut ()) {
        self.gather(padded, kernels, grid);
    }

    fn spread(&self, padded_grid: &[f32], kernels: &Vec<Phase>, plane: &mut [f32], (): &mut ()) {
        self.spread(padded_grid, kernels, plane);
    }

    fn sums(&self) -> usize {
        self.depth() * self.grid.channels
    }

    fn correlate(&self, padded: &[f32], padded_grid: &[f32], sums: &mut [f32], (): &mut ()) {
        self.correlate(padded, padded_grid, sums);
    }

    fn unpack(&self, sums: &[f32]) -> Vec<f32> {
        self.unpack(sums)
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
        let Self { method, .. } = self;
        let kernels = method.pack(weights);
        let padded = method.padded();
        each_image(
            Source::len(inputs) / self.input.len(),
            self.output.len(),
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
        let Self { method, .. } = self;
        let plane = self.input.len();
        let images = images_per_task(Source::len(inputs) / plane);
        let (padded, padded_grid) = (method.padded(), method.padded_grid());
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
