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
        self.each_run(row, rows, |run| {
            let Run {
                at,
                skip,
                start,
                len,
            } = run;
            let values = &mut tile[at..at + self.run()];
            if len == self.run() {
                copy(values, &plane[start..start + len]);
            } else {
                values.fill(0.0);
                values[skip..skip + len].copy_from_slice(&plane[start..start + len]);
            }
        });
    }

    /// Adds `rows` rows of windows from `row` on to the plane they came from.
    pub fn fold(&self, tile: &[f32], row: usize, rows: usize, plane: &mut [f32]) {
        self.each_run(row, rows, |run| {
            let from = run.at + run.skip;
            add(
                &mut plane[run.start..run.start + run.len],
                &tile[from..from + run.len],
            );
        });
    }

    /// Values of a window's row.
    fn run(&self) -> usize {
        self.window.kernel * self.plane.channels
    }

    /// Visits every row of every window.
    #[inline(always)]
    fn each_run(&self, row: usize, rows: usize, mut visit: impl FnMut(Run)) {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let Shape {
            height,
            width,
            channels,
        } = self.plane;
        for y in 0..rows {
            for tap in 0..kernel {
                let source = ((row + y) * stride + tap).checked_sub(padding);
                let source = source.filter(|source| *source < height);
                let mut at = (y * self.width * kernel + tap) * self.run();
                for x in 0..self.width {
                    // The window covers columns left..right of the padded plane.
                    let left = x * stride;
                    let first = left.max(padding);
                    let last = (left + kernel).min(width + padding).max(first);
                    let run = match source {
                        Some(source) => Run {
                            at,
                            skip: (first - left) * channels,
                            start: (source * width + first - padding) * channels,
                            len: (last - first) * channels,
                        },
                        None => Run {
                            at,
                            ..Run::default()
                        },
                    };
                    visit(run);
                    at += self.depth();
                }
            }
        }
    }
}

/// A row of a window.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Where it lies in the tile.
    at: usize,
    /// Values of padding before the plane begins.
    skip: usize,
    /// Where the rest lies in the plane.
    start: usize,
    /// The values that do; after them comes padding.
    len: usize,
}

/// Copies a run. Short ones are two pieces of fixed size that may overlap, which is faster than a
/// call of the library's copy.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    match to.len() {
        8..=16 => copy_ends::<8>(to, from),
        17..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [f32], from: &[f32]) {
    let end = to.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[end..].copy_from_slice(&from[end..]);
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    let (to, to_rest) = to.as_chunks_mut::<4>();
    let (from, from_rest) = from.as_chunks::<4>();
    for (to, from) in to.iter_mut().zip(from) {
        for lane in 0..4 {
            to[lane] += from[lane];
        }
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to += from;
    }
}
