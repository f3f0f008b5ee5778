//! Windows that slide over a plane, times kernels: the sums under convolutions and transposed
//! convolutions, taken from the plane itself rather than from a copy of every window.

use vae96::{Shape, Window};

use super::method::Method;
use crate::backend::cpu::buffers;
use crate::backend::cpu::kernel::{Contraction, Left, Out, PANEL, Right};
use crate::backend::cpu::source::Source;

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
    pub fn depth(&self) -> usize {
        self.window.kernel * self.run()
    }

    /// Values in a row of a window.
    fn run(&self) -> usize {
        self.window.kernel * self.plane.channels
    }
}

impl Method for Windows {
    type Adjoint = Vec<Phase>;
    type Scratch = ();

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

    fn pack(&self, weights: &[f32]) -> Vec<f32> {
        let depth = self.depth();
        pack(depth, self.grid.channels, |term, channel| {
            weights[channel * depth + term]
        })
    }

    fn gather(&self, padded: &[f32], kernels: &[f32], grid: &mut [f32], (): &mut ()) {
        let (pitch, stride) = (self.padded().shape.row(), self.window.stride);
        let contraction = Contraction {
            groups: self.grid.height,
            rows: self.grid.width,
            columns: self.grid.channels,
            segments: self.window.kernel,
            terms: self.run(),
            a: Left {
                group: stride * pitch,
                row: stride * self.plane.channels,
                segment: pitch,
                term: 1,
            },
            b: Right {
                segment: self.run() * PANEL,
                term: PANEL,
                panel: self.depth() * PANEL,
            },
            out: Out {
                group: self.grid.row(),
                row: self.grid.channels,
            },
        };
        contraction.set(grid, padded, kernels);
    }

    fn sums(&self) -> usize {
        self.depth() * self.grid.channels
    }

    // `kernel × kernel × plane channels × channels`.
    fn correlate(&self, padded: &[f32], padded_grid: &[f32], sums: &mut [f32], (): &mut ()) {
        let (pitch, stride) = (self.padded().shape.row(), self.window.stride);
        let (channels, grid) = (self.grid.channels, self.padded_grid());
        let contraction = Contraction {
            groups: self.window.kernel,
            rows: self.run(),
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
                segment: grid.shape.row(),
                term: channels,
                panel: PANEL,
            },
            out: Out {
                group: self.run() * channels,
                row: channels,
            },
        };
        contraction.add(sums, padded, &padded_grid[grid.start()..]);
    }

    fn unpack(&self, sums: &[f32]) -> Vec<f32> {
        let (channels, depth) = (self.grid.channels, self.depth());
        let mut weights = buffers::take(sums.len());
        for (channel, weights) in weights.chunks_mut(depth).enumerate() {
            for (term, weight) in weights.iter_mut().enumerate() {
                *weight = sums[term * channels + channel];
            }
        }
        weights
    }

    // The phases of the plane's pixels, each with its kernels.
    fn adjoint(&self, weights: &[f32]) -> Vec<Phase> {
        let stride = self.window.stride;
        (0..stride * stride)
            .map(|phase| Phase::new(self, weights, phase / stride, phase % stride))
            .collect()
    }

    fn spread(&self, padded_grid: &[f32], kernels: &Vec<Phase>, plane: &mut [f32], (): &mut ()) {
        for phase in kernels {
            phase.spread(self, padded_grid, plane);
        }
    }
}

/// The pixels of a plane at one offset from the windows' first ones. They lie `stride` apart, and
/// the same taps of windows reach all of them.
#[derive(Clone, Debug)]
pub struct Phase {
    rows: Axis,
    columns: Axis,
    /// The taps' kernels, last tap first.
    kernels: Vec<f32>,
}

/// A phase along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Its first pixel.
    first: usize,
    /// Its pixels.
    count: usize,
    /// The first tap that reaches them.
    tap: usize,
    /// The taps that do, `stride` apart.
    taps: usize,
    /// The pixel of the padded grid that its first pixel is reached from by the last tap.
    from: usize,
}

impl Axis {
    fn new(window: Window, size: usize, first: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let tap = (first + padding) % stride;
        let taps = kernel.saturating_sub(tap).div_ceil(stride);
        let before = (kernel - 1) / stride;
        Self {
            first,
            count: size.saturating_sub(first).div_ceil(stride),
            tap,
            taps,
            from: before + (first + padding) / stride + 1 - taps,
        }
    }
}

impl Phase {
    fn new(windows: &Windows, weights: &[f32], row: usize, column: usize) -> Self {
        let Windows {
            plane,
            window,
            grid,
        } = *windows;
        let rows = Axis::new(window, plane.height, row);
        let columns = Axis::new(window, plane.width, column);
        let terms = columns.taps * grid.channels;
        let kernels = pack(rows.taps * terms, plane.channels, |term, to| {
            let (y, term) = (term / terms, term % terms);
            let (x, channel) = (term / grid.channels, term % grid.channels);
            let y = rows.tap + (rows.taps - 1 - y) * window.stride;
            let x = columns.tap + (columns.taps - 1 - x) * window.stride;
            let tap = (channel * window.kernel + y) * window.kernel + x;
            weights[tap * plane.channels + to]
        });
        Self {
            rows,
            columns,
            kernels,
        }
    }

    fn spread(&self, windows: &Windows, padded_grid: &[f32], plane: &mut [f32]) {
        let Self {
            rows,
            columns,
            kernels,
        } = self;
        if rows.count == 0 || columns.count == 0 {
            return;
        }
        let Shape { channels, .. } = windows.plane;
        let (pitch, stride) = (windows.padded_grid().shape.row(), windows.window.stride);
        let terms = columns.taps * windows.grid.channels;
        let contraction = Contraction {
            groups: rows.count,
            rows: columns.count,
            columns: channels,
            segments: rows.taps,
            terms,
            a: Left {
                group: pitch,
                row: windows.grid.channels,
                segment: pitch,
                term: 1,
            },
            b: Right {
                segment: terms * PANEL,
                term: PANEL,
                panel: rows.taps * terms * PANEL,
            },
            out: Out {
                group: stride * windows.plane.row(),
                row: stride * channels,
            },
        };
        let from = rows.from * pitch + columns.from * windows.grid.channels;
        let to = rows.first * windows.plane.row() + columns.first * channels;
        contraction.set(&mut plane[to..], &padded_grid[from..], kernels);
    }
}

/// A `terms × columns` matrix in panels, each padded with zeros.
pub fn pack(terms: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut packed = vec![0.0; columns.div_ceil(PANEL) * terms * PANEL];
    if packed.is_empty() {
        return packed;
    }
    for (panel, packed) in packed.chunks_mut(terms * PANEL).enumerate() {
        let width = PANEL.min(columns - panel * PANEL);
        for (term, packed) in packed.chunks_mut(PANEL).enumerate() {
            for (column, packed) in packed[..width].iter_mut().enumerate() {
                *packed = value(term, panel * PANEL + column);
            }
        }
    }
    packed
}

/// A plane within a border of zeros.
#[derive(Clone, Copy, Debug)]
pub struct Padded {
    /// Without its border.
    pub inner: Shape,
    top: usize,
    left: usize,
    /// With its border.
    pub shape: Shape,
}

impl Padded {
    /// With so many rows and columns of zeros before and after.
    pub fn new(inner: Shape, rows: [usize; 2], columns: [usize; 2]) -> Self {
        Self {
            inner,
            top: rows[0],
            left: columns[0],
            shape: Shape::plane(
                inner.height + rows[0] + rows[1],
                inner.width + columns[0] + columns[1],
                inner.channels,
            ),
        }
    }

    /// Where the image begins.
    fn start(&self) -> usize {
        (self.top * self.shape.width + self.left) * self.inner.channels
    }

    /// A buffer for an image, its border zero.
    pub fn buffer(&self) -> Vec<f32> {
        vec![0.0; self.shape.len()]
    }

    /// Reads image number `image` into its border.
    pub fn read(&self, images: &dyn Source, image: usize, buffer: &mut [f32]) {
        let first = image * self.inner.len();
        if self.shape == self.inner {
            images.read(first, buffer);
            return;
        }
        let row = self.inner.row();
        let rows = buffer[self.start()..].chunks_mut(self.shape.row());
        for (index, to) in rows.take(self.inner.height).enumerate() {
            images.read(first + index * row, &mut to[..row]);
        }
    }
}
