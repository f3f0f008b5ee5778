//! A plane unfolded into the windows that slide over it ("im2col"), and folded back.

use vae96::{Shape, Window};

/// The windows of a plane: a grid of `height × width` windows, `depth` values each.
#[derive(Clone, Copy, Debug)]
pub struct Unfold {
    /// The plane they slide over.
    pub plane: Shape,
    /// Their geometry.
    pub window: Window,
    /// Rows of the grid.
    pub height: usize,
    /// Columns of the grid.
    pub width: usize,
}

/// Values in a tile of unfolded windows: 256 KB, well inside a level-2 cache.
const TILE: usize = 1 << 16;

impl Unfold {
    /// The windows that fit over `plane`.
    pub fn new(plane: Shape, window: Window) -> Self {
        Self {
            plane,
            window,
            height: window.output(plane.height),
            width: window.output(plane.width),
        }
    }

    /// Windows in the grid.
    pub fn windows(&self) -> usize {
        self.height * self.width
    }

    /// Values in a window.
    pub fn depth(&self) -> usize {
        self.window.kernel * self.window.kernel * self.plane.channels
    }

    /// Rows of the grid that are unfolded at a time.
    pub fn tile_rows(&self) -> usize {
        (TILE / (self.width * self.depth())).clamp(1, self.height)
    }

    /// The tiles of the grid, as first row and number of rows.
    pub fn tiles(&self) -> impl Iterator<Item = (usize, usize)> {
        let (height, rows) = (self.height, self.tile_rows());
        (0..height)
            .step_by(rows)
            .map(move |row| (row, rows.min(height - row)))
    }

    /// A buffer for one tile.
    pub fn tile(&self) -> Vec<f32> {
        vec![0.0; self.tile_rows() * self.width * self.depth()]
    }

    /// Writes `rows` rows of windows from `row` on: `rows × width × depth` values.
    pub fn unfold(&self, plane: &[f32], row: usize, rows: usize, tile: &mut [f32]) {
        let run = self.window.kernel * self.plane.channels;
        let windows = tile.chunks_exact_mut(self.depth()).take(rows * self.width);
        for (index, values) in windows.enumerate() {
            let (y, x) = (row + index / self.width, index % self.width);
            for (tap, values) in values.chunks_exact_mut(run).enumerate() {
                match self.overlap(y, x, tap) {
                    Some(Overlap { skip, start, len }) => {
                        values[..skip].fill(0.0);
                        values[skip..skip + len].copy_from_slice(&plane[start..start + len]);
                        values[skip + len..].fill(0.0);
                    }
                    None => values.fill(0.0),
                }
            }
        }
    }

    /// Adds `rows` rows of windows from `row` on to the plane they came from.
    pub fn fold(&self, tile: &[f32], row: usize, rows: usize, plane: &mut [f32]) {
        let run = self.window.kernel * self.plane.channels;
        let windows = tile.chunks_exact(self.depth()).take(rows * self.width);
        for (index, values) in windows.enumerate() {
            let (y, x) = (row + index / self.width, index % self.width);
            for (tap, values) in values.chunks_exact(run).enumerate() {
                if let Some(Overlap { skip, start, len }) = self.overlap(y, x, tap) {
                    plane[start..start + len]
                        .iter_mut()
                        .zip(&values[skip..skip + len])
                        .for_each(|(a, b)| *a += b);
                }
            }
        }
    }

    /// Where row `tap` of the window at (`y`, `x`) meets the plane.
    fn overlap(&self, y: usize, x: usize, tap: usize) -> Option<Overlap> {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let row = (y * stride + tap).checked_sub(padding)?;
        let left = padding.saturating_sub(x * stride);
        let first = (x * stride + left).checked_sub(padding)?;
        if row >= self.plane.height || left >= kernel || first >= self.plane.width {
            return None;
        }
        let pixels = (kernel - left).min(self.plane.width - first);
        Some(Overlap {
            skip: left * self.plane.channels,
            start: (row * self.plane.width + first) * self.plane.channels,
            len: pixels * self.plane.channels,
        })
    }
}

/// The part of a window's row that is not padding.
struct Overlap {
    /// Values of padding before it.
    skip: usize,
    /// Where it lies in the plane.
    start: usize,
    /// Its values.
    len: usize,
}
