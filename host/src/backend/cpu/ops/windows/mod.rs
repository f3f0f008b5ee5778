//! Windows that slide over a plane, times kernels: the sums under convolutions and transposed
//! convolutions, taken from the plane itself rather than from a copy of every window.

mod sweep;

use vae96::{Shape, Window};

pub use self::sweep::pack;
use self::sweep::{Axis, Sweep};
use super::method::{Method, Scratch};
use super::padded::Padded;
use crate::backend::cpu::buffers;
use crate::backend::cpu::kernel::{Contraction, Left, Out, PANEL, Right};

/// Kernels over the windows of a plane: `weights` are `channels × kernel × kernel × plane
/// channels`, and there is a grid of windows.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// The plane they slide over.
    pub plane: Shape,
    /// Their geometry.
    pub window: Window,
    /// One pixel a window: their results, `channels` values each.
    pub grid: Shape,
}

impl Windows {
    /// The windows that fit over `plane`.
    pub fn new(plane: Shape, window: Window, channels: usize) -> Self {
        let (height, width) = (window.output(plane.height), window.output(plane.width));
        Self {
            plane,
            window,
            grid: Shape::plane(height, width, channels),
        }
    }

    /// Values in a window.
    fn depth(&self) -> usize {
        self.window.kernel * self.run()
    }

    /// Values in a row of a window, which lie beside each other.
    fn run(&self) -> usize {
        self.window.kernel * self.plane.channels
    }

    /// The weights, `channels × depth`, of an array `depth × channels`.
    pub fn turned(&self, sums: &[f32]) -> Vec<f32> {
        let (channels, depth) = (self.grid.channels, self.depth());
        let mut weights = buffers::take(sums.len());
        for (channel, weights) in weights.chunks_mut(depth).enumerate() {
            for (term, weight) in weights.iter_mut().enumerate() {
                *weight = sums[term * channels + channel];
            }
        }
        weights
    }

    /// Whether the rows of windows fill vectors better than the channels of the grid.
    fn runs_fill_vectors(&self) -> bool {
        fill(self.run()) > fill(self.grid.channels)
    }
}

impl Method for Windows {
    type Kernels = Sweep;

    fn padded(&self) -> Padded {
        let padding = self.window.padding;
        Padded::new(self.plane, [padding; 2], [padding; 2])
    }

    fn padded_grid(&self) -> Padded {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let before = (kernel - 1) / stride;
        let after =
            |plane: usize, grid: usize| ((plane - 1 + padding) / stride + 1).max(grid) - grid;
        Padded::new(
            self.grid,
            [before, after(self.plane.height, self.grid.height)],
            [before, after(self.plane.width, self.grid.width)],
        )
    }

    fn gather(&self, weights: &[f32]) -> Sweep {
        let Self {
            plane,
            window: Window { kernel, stride, .. },
            grid,
        } = *self;
        let axes = [grid.height, grid.width].map(|count| Axis::all(count, kernel));
        Sweep::new(
            (self.padded().shape, stride),
            (grid, 1),
            [axes],
            |[y, x], from, to| weights[((to * kernel + y) * kernel + x) * plane.channels + from],
        )
    }

    fn spread(&self, weights: &[f32]) -> Sweep {
        let Self { plane, window, .. } = *self;
        let Window { kernel, stride, .. } = window;
        let phases = (0..stride * stride).map(|phase| {
            let rows = Axis::phase(window, plane.height, phase / stride);
            let columns = Axis::phase(window, plane.width, phase % stride);
            [rows, columns]
        });
        Sweep::new(
            (self.padded_grid().shape, 1),
            (plane, stride),
            phases,
            |[y, x], from, to| weights[((from * kernel + y) * kernel + x) * plane.channels + to],
        )
    }

    fn sums(&self) -> usize {
        self.depth() * self.grid.channels
    }

    // `kernel × run × channels`, or `kernel × channels × run`: what fills vectors better lies
    // beside each other.
    fn correlate(&self, padded: &[f32], padded_grid: &[f32], sums: &mut [f32], _: &mut Scratch) {
        let (pitch, stride) = (self.padded().shape.row(), self.window.stride);
        let (run, channels, grid) = (self.run(), self.grid.channels, self.padded_grid());
        let grids = &padded_grid[grid.start()..];
        let contraction = Contraction {
            groups: self.window.kernel,
            rows: run,
            columns: channels,
            segments: self.grid.height,
            terms: self.grid.width,
            a: Left {
                group: pitch,
                row: 1,
                segment: stride * pitch,
                term: stride * self.plane.channels,
            },
            b: Right {
                group: 0,
                segment: grid.shape.row(),
                term: channels,
                panel: PANEL,
            },
            out: Out {
                group: run * channels,
                row: channels,
            },
        };
        if self.runs_fill_vectors() {
            contraction.exchanged().add(sums, grids, padded);
        } else {
            contraction.add(sums, padded, grids);
        }
    }

    fn unpack(&self, sums: &[f32]) -> Vec<f32> {
        if !self.runs_fill_vectors() {
            return self.turned(sums);
        }
        let (kernel, channels, run) = (self.window.kernel, self.grid.channels, self.run());
        let mut weights = buffers::take(sums.len());
        for (index, weights) in weights.chunks_mut(run).enumerate() {
            let (channel, row) = (index / kernel, index % kernel);
            weights.copy_from_slice(&sums[(row * channels + channel) * run..][..run]);
        }
        weights
    }
}

/// The share of a vector's lanes, of the longest vectors there are, that so many values beside each
/// other fill.
fn fill(values: usize) -> f64 {
    const LANES: usize = 16;
    values as f64 / values.next_multiple_of(LANES).max(1) as f64
}
