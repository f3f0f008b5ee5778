//! Convolutions of 3×3 windows that lie side by side, by Winograd's method F(2×2, 3×3) (Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", 2016):
//!
//! ```text
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//! ```
//!
//! for four outputs `y` of a 4×4 tile `d`: 16 products of a tile and a kernel in place of 36. The
//! gradient of the inputs is such a convolution of the outputs' gradient with the kernels turned
//! round; that of the kernels is `Gᵀ [Σ (Bᵀ d B) ⊙ (A ẏ Aᵀ)] G` over all tiles.

mod squares;

use std::ops::Range;

use vae96::Shape;

use self::squares::{
    Kernel, KernelTransposed, LANES, Layout, Outputs, OutputsTransposed, Tile, transform,
};
use super::method::{Method, Pass, Scratch};
use super::padded::Padded;
use super::windows::{Windows, pack};
use crate::backend::cpu::buffers;
use crate::backend::cpu::kernel::{Contraction, PANEL};

/// Products of a tile and a kernel.
const PRODUCTS: usize = 16;

/// Tiles of a product of matrices, about: factors of fewer would be used too seldom, and more would
/// not stay in the cache.
const TILES: usize = 36;

/// Such a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Winograd(Windows);

/// Transformed kernels, 16 matrices of panels, from images of one shape to those of another.
#[derive(Clone, Debug)]
pub struct Kernels {
    from: Shape,
    to: Shape,
    matrices: Vec<f32>,
}

impl Winograd {
    /// The method for these windows, where it serves: their outputs have the plane's even sides,
    /// and all channels come in whole vectors.
    pub fn new(windows: Windows) -> Option<Self> {
        let Windows {
            plane,
            window,
            grid,
        } = windows;
        let fits = (window.kernel, window.stride, window.padding) == (3, 1, 1)
            && [plane.height, plane.width]
                .iter()
                .all(|side| side.is_multiple_of(2))
            && [plane, grid]
                .iter()
                .all(|shape| shape.channels.is_multiple_of(LANES));
        fits.then_some(Self(windows))
    }

    /// `G g Gᵀ` of the kernels, 9 rows of plane channels each: 16 matrices of `channels × plane
    /// channels`.
    fn transformed(&self, kernels: &[f32]) -> Vec<f32> {
        let Windows { plane, grid, .. } = self.0;
        let channels = plane.channels;
        let matrix = grid.channels * channels;
        let mut all = vec![0.0; PRODUCTS * matrix];
        let from = Layout {
            squares: [9 * channels, 0],
            points: [3 * channels, channels],
        };
        let squares = [grid.channels, 1];
        let to = matrices(squares, channels);
        transform::<Kernel, 4, 3>(squares, channels, (kernels, from), (&mut all, to));
        all
    }
}

impl Method for Winograd {
    type Kernels = Kernels;

    fn padded(&self) -> Padded {
        bordered(self.0.plane)
    }

    fn padded_grid(&self) -> Padded {
        bordered(self.0.grid)
    }

    fn gather(&self, weights: &[f32]) -> Kernels {
        let Windows { plane, grid, .. } = self.0;
        let (from, to) = (plane.channels, grid.channels);
        let matrices = (self.transformed(weights).chunks(from * to))
            .flat_map(|kernels| pack(from, to, |term, channel| kernels[channel * from + term]))
            .collect();
        Kernels {
            from: plane,
            to: grid,
            matrices,
        }
    }

    fn spread(&self, weights: &[f32]) -> Kernels {
        let Windows { plane, grid, .. } = self.0;
        let (from, to) = (grid.channels, plane.channels);
        let turned: Vec<f32> = (weights.chunks(9 * to))
            .flat_map(|kernel| kernel.chunks(to).rev().flatten().copied())
            .collect();
        let matrices = (self.transformed(&turned).chunks(from * to))
            .flat_map(|kernels| pack(from, to, |term, channel| kernels[term * to + channel]))
            .collect();
        Kernels {
            from: grid,
            to: plane,
            matrices,
        }
    }

    fn sums(&self) -> usize {
        PRODUCTS * self.0.plane.channels * self.0.grid.channels
    }

    // 16 matrices of `plane channels × channels`.
    fn correlate(
        &self,
        padded: &[f32],
        padded_grid: &[f32],
        sums: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Windows { plane, grid, .. } = self.0;
        let (from, to) = (plane.channels, grid.channels);
        for rows in tile_rows(plane) {
            let squares = [rows.len(), plane.width / 2];
            let tiles = squares[0] * squares[1];
            let [inputs, outputs] = scratch.of(lens(tiles, [from, to]));
            transform_tiles(plane, &rows, padded, inputs);
            let row = self.padded_grid().shape.row();
            let inner = (2 * rows.start + 1) * row + to;
            transform::<OutputsTransposed, 4, 2>(
                squares,
                to,
                (&padded_grid[inner..], tiled(row, to)),
                (outputs, matrices(squares, to)),
            );
            let product = Contraction::matrices([from, tiles, to], [1, from], [to, PANEL]);
            let factors = (inputs.chunks(tiles * from)).zip(outputs.chunks(tiles * to));
            for (sums, (tiles, outputs)) in sums.chunks_mut(from * to).zip(factors) {
                product.add(sums, tiles, outputs);
            }
        }
    }

    fn unpack(&self, sums: &[f32]) -> Vec<f32> {
        let (from, to) = (self.0.plane.channels, self.0.grid.channels);
        let matrix = from * to;
        let mut taps = buffers::take(9 * matrix);
        let layout = Layout {
            squares: [to, 0],
            points: [3 * matrix, matrix],
        };
        let squares = [from, 1];
        let sums = (sums, matrices(squares, to));
        transform::<KernelTransposed, 3, 4>(squares, to, sums, (&mut taps, layout));
        let weights = self.0.turned(&taps);
        buffers::give(taps);
        weights
    }
}

/// The lengths of so many tiles and of their outputs, transformed: 16 matrices of `tiles × channels`
/// each.
fn lens(tiles: usize, channels: [usize; 2]) -> [usize; 2] {
    channels.map(|channels| PRODUCTS * tiles * channels)
}

/// A plane within one pixel of zeros.
fn bordered(plane: Shape) -> Padded {
    Padded::new(plane, [1; 2], [1; 2])
}

/// Squares that cover a plane of such rows, two pixels from one to the next.
fn tiled(row: usize, channels: usize) -> Layout {
    Layout {
        squares: [2 * row, 2 * channels],
        points: [row, channels],
    }
}

/// Squares whose points lie in 16 matrices of `squares × channels`.
fn matrices([down, across]: [usize; 2], channels: usize) -> Layout {
    let matrix = down * across * channels;
    Layout {
        squares: [across * channels, channels],
        points: [4 * matrix, matrix],
    }
}

/// The rows of tiles of a plane, as many together as make up about [`TILES`].
fn tile_rows(plane: Shape) -> impl Iterator<Item = Range<usize>> {
    let (rows, columns) = (plane.height / 2, plane.width / 2);
    let together = (TILES / columns).max(1);
    (0..rows)
        .step_by(together)
        .map(move |first| first..rows.min(first + together))
}

/// `Bᵀ d B` of the tiles in those rows of a plane within its border.
fn transform_tiles(plane: Shape, rows: &Range<usize>, padded: &[f32], tiles: &mut [f32]) {
    let (row, channels) = (bordered(plane).shape.row(), plane.channels);
    let squares = [rows.len(), plane.width / 2];
    transform::<Tile, 4, 4>(
        squares,
        channels,
        (&padded[2 * rows.start * row..], tiled(row, channels)),
        (tiles, matrices(squares, channels)),
    );
}

impl Pass for Kernels {
    fn run(&self, padded: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let Self { from, to, .. } = *self;
        let panel = from.channels * PANEL;
        for rows in tile_rows(from) {
            let squares = [rows.len(), from.width / 2];
            let tiles = squares[0] * squares[1];
            let [inputs, outputs] = scratch.of(lens(tiles, [from.channels, to.channels]));
            transform_tiles(from, &rows, padded, inputs);
            let sizes = [tiles, from.channels, to.channels];
            let product = Contraction::matrices(sizes, [from.channels, 1], [PANEL, panel]);
            let factors = (inputs.chunks(tiles * from.channels))
                .zip(self.matrices.chunks(to.channels.div_ceil(PANEL) * panel));
            let products = outputs.chunks_mut(tiles * to.channels);
            for (products, (tiles, kernels)) in products.zip(factors) {
                product.set(products, tiles, kernels);
            }
            let (row, channels) = (to.row(), to.channels);
            transform::<Outputs, 2, 4>(
                squares,
                channels,
                (outputs, matrices(squares, channels)),
                (&mut out[2 * rows.start * row..], tiled(row, channels)),
            );
        }
    }
}
