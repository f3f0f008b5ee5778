//! Convolution, each window times the kernels; and transposed convolution, its adjoint: each input
//! pixel times the kernels, added up where the windows overlap.

use rayon::prelude::*;
use vae96::{Shape, Window};

use super::Map;
use super::batch_norm::Moments;
use super::method::{Method, Pass, Scratch};
use super::padded::Padded;
use super::windows::Windows;
use super::winograd::Winograd;
use crate::backend::cpu::buffers;
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::parallel::{each_image, images_per_task, sum, tasks};
use crate::backend::cpu::source::{Source, Values};

/// A convolution by a method: weights `channels × kernel × kernel × input channels`, of a transposed
/// one `input channels × kernel × kernel × channels`.
#[derive(Clone, Copy, Debug)]
pub struct Conv<M> {
    /// Windows over the plane.
    pub method: M,
    /// Which way it goes.
    pub way: Way,
}

/// The way of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A plane to its grid of windows.
    Forth,
    /// A grid of windows to their plane.
    Transposed,
}

/// The convolution of `input` to `channels` channels, by Winograd's method where that serves.
pub fn conv(input: Shape, window: Window, channels: usize) -> Box<dyn Map> {
    let windows = Windows::new(input, window, channels);
    let way = Way::Forth;
    match Winograd::new(windows) {
        Some(method) => Box::new(Conv { method, way }),
        None => Box::new(Conv {
            method: windows,
            way,
        }),
    }
}

/// The transposed convolution of `input` to the plane `output`.
pub fn conv_transposed(input: Shape, window: Window, output: Shape) -> Conv<Windows> {
    Conv {
        method: Windows::new(output, window, input.channels),
        way: Way::Transposed,
    }
}

impl Way {
    fn adjoint(self) -> Self {
        match self {
            Self::Forth => Self::Transposed,
            Self::Transposed => Self::Forth,
        }
    }
}

impl<M: Method> Conv<M> {
    /// Inputs and outputs within their zeros.
    fn sides(&self) -> [Padded; 2] {
        let (plane, grid) = (self.method.padded(), self.method.padded_grid());
        match self.way {
            Way::Forth => [plane, grid],
            Way::Transposed => [grid, plane],
        }
    }

    fn kernels(&self, way: Way, weights: &[f32]) -> M::Kernels {
        match way {
            Way::Forth => self.method.gather(weights),
            Way::Transposed => self.method.spread(weights),
        }
    }

    /// The outputs, and what `seen` makes of each image's while they are still in the cache.
    fn run<T: Send>(
        &self,
        inputs: &Values,
        weights: &[f32],
        seen: impl Fn(&[f32]) -> T + Sync,
    ) -> (Vec<f32>, Vec<T>) {
        let kernels = self.kernels(self.way, weights);
        let [input, output] = self.sides();
        each_image(
            Source::len(inputs) / input.inner.len(),
            output.inner.len(),
            || (input.buffer(), Scratch::default()),
            |image, (buffer, scratch), output| {
                input.read(inputs, image, buffer);
                kernels.run(buffer, output, scratch);
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
        let method = self.method;
        let [input_side, output_side] = self.sides();
        let len = input_side.inner.len();
        let images = images_per_task(Source::len(inputs) / len);
        let adjoint = (input_gradient.is_some()).then(|| self.kernels(self.way.adjoint(), weights));
        let parts = tasks(input_gradient, images * len, Source::len(inputs))
            .enumerate()
            .map(|(task, (share, mut input_gradient))| {
                let mut sums = buffers::zeros(method.sums());
                let (mut input, mut output) = (input_side.buffer(), output_side.buffer());
                let mut scratch = Scratch::default();
                for index in 0..share / len {
                    let image = task * images + index;
                    input_side.read(inputs, image, &mut input);
                    output_side.read(gradient, image, &mut output);
                    let (plane, grid) = match self.way {
                        Way::Forth => (&input, &output),
                        Way::Transposed => (&output, &input),
                    };
                    method.correlate(plane, grid, &mut sums, &mut scratch);
                    if let (Some(gradients), Some(kernels)) = (&mut input_gradient, &adjoint) {
                        let gradient = &mut gradients[index * len..][..len];
                        kernels.run(&output, gradient, &mut scratch);
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
