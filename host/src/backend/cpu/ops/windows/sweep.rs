//! Kernels that slide over an image.

use vae96::{Shape, Window};

use super::fill;
use crate::backend::cpu::kernel::{Contraction, Left, Out, PANEL, Right};
use crate::backend::cpu::ops::method::{Pass, Scratch};
use crate::backend::cpu::parallel::vectorised;

/// Kernels in the order in which they are read, and where they slide.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The image within its zeros, and the pixels of it from one window to the next.
    from: (Shape, usize),
    /// What the windows make, and the pixels of it from one to the next.
    to: (Shape, usize),
    lanes: Lanes,
    phases: Vec<Phase>,
}

/// What the lanes of a vector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lanes {
    /// Channels of a pixel.
    Channels,
    /// Pixels of a row, for which the image is turned to `rows × channels × columns` and what is
    /// made of it turned back.
    Columns,
}

/// The pixels of `to` that the same taps of windows reach.
#[derive(Clone, Debug)]
struct Phase {
    rows: Axis,
    columns: Axis,
    kernels: Vec<f32>,
}

/// The pixels of a phase along one axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The first of them.
    first: usize,
    /// How many.
    count: usize,
    /// The pixel of the image within its zeros that the first one's window begins at.
    from: usize,
    /// The kernels' taps for the pixels of a window.
    taps: Vec<usize>,
}

impl Axis {
    /// `count` windows of all taps, from the first pixel on.
    pub fn all(count: usize, kernel: usize) -> Self {
        Self {
            first: 0,
            count,
            from: 0,
            taps: (0..kernel).collect(),
        }
    }

    /// The pixels, `stride` apart from `first` on, of an axis of `size` that windows slide over, as the
    /// grid within its zeros reaches them: last tap first.
    pub fn phase(window: Window, size: usize, first: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
        } = window;
        let reaching = ((first + padding) % stride..kernel).step_by(stride);
        let taps: Vec<usize> = reaching.rev().collect();
        let before = (kernel - 1) / stride;
        Self {
            first,
            count: size.saturating_sub(first).div_ceil(stride),
            from: before + (first + padding) / stride + 1 - taps.len(),
            taps,
        }
    }
}

impl Sweep {
    /// From an image within its zeros to a whole image: their shapes, the pixels from one window to
    /// the next in both, and the rows and columns of the latter's phases. `weight` is that of a tap
    /// from one channel to another.
    pub fn new(
        from: (Shape, usize),
        to: (Shape, usize),
        phases: impl IntoIterator<Item = [Axis; 2]>,
        weight: impl Fn([usize; 2], usize, usize) -> f32,
    ) -> Self {
        // Turning an image costs about a quarter of what lanes save.
        let columns = fill(to.0.width.div_ceil(to.1));
        let lanes = match from.1 == 1 && fill(to.0.channels) < 0.8 * columns {
            true => Lanes::Columns,
            false => Lanes::Channels,
        };
        let phases = phases.into_iter().map(|[rows, columns]| {
            let kernels = lanes.kernels(&rows.taps, &columns.taps, [from.0, to.0], &weight);
            Phase {
                rows,
                columns,
                kernels,
            }
        });
        Self {
            from,
            to,
            lanes,
            phases: phases.collect(),
        }
    }
}

impl Lanes {
    /// Kernels by taps and channels: for lanes of channels a matrix of panels, for lanes of columns
    /// one of `channels × (rows of taps × channels × columns of taps)`.
    fn kernels(
        self,
        rows: &[usize],
        columns: &[usize],
        [from, to]: [Shape; 2],
        weight: impl Fn([usize; 2], usize, usize) -> f32,
    ) -> Vec<f32> {
        let terms = rows.len() * columns.len() * from.channels;
        match self {
            Self::Channels => pack(terms, to.channels, |term, channel| {
                let (tap, term) = (term / from.channels, term % from.channels);
                let tap = [rows[tap / columns.len()], columns[tap % columns.len()]];
                weight(tap, term, channel)
            }),
            Self::Columns => (0..to.channels * terms)
                .map(|index| {
                    let (channel, term) = (index / terms, index % terms);
                    let (line, column) = (term / columns.len(), term % columns.len());
                    let tap = [rows[line / from.channels], columns[column]];
                    weight(tap, line % from.channels, channel)
                })
                .collect(),
        }
    }
}

impl Pass for Sweep {
    fn run(&self, padded: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let phases =
            (self.phases.iter()).filter(|phase| phase.rows.count > 0 && phase.columns.count > 0);
        match self.lanes {
            Lanes::Channels => phases.for_each(|phase| self.along_channels(phase, padded, out)),
            Lanes::Columns => {
                let (from, to) = (self.from.0, self.to.0);
                let [image, made] = scratch.of([from.len(), to.len()]);
                turn(padded, from, image);
                phases.for_each(|phase| {
                    self.along_columns(phase, image, made);
                    self.turn_back(phase, made, out);
                });
            }
        }
    }
}

impl Sweep {
    fn along_channels(&self, phase: &Phase, padded: &[f32], out: &mut [f32]) {
        let ((from, step), (to, apart)) = (self.from, self.to);
        let Phase {
            rows,
            columns,
            kernels,
        } = phase;
        let terms = columns.taps.len() * from.channels;
        let contraction = Contraction {
            groups: rows.count,
            rows: columns.count,
            columns: to.channels,
            segments: rows.taps.len(),
            terms,
            a: Left {
                group: step * from.row(),
                row: step * from.channels,
                segment: from.row(),
                term: 1,
            },
            b: Right {
                group: 0,
                segment: terms * PANEL,
                term: PANEL,
                panel: rows.taps.len() * terms * PANEL,
            },
            out: Out {
                group: apart * to.row(),
                row: apart * to.channels,
            },
        };
        let first = rows.from * from.row() + columns.from * from.channels;
        let out = &mut out[rows.first * to.row() + columns.first * to.channels..];
        contraction.set(out, &padded[first..], kernels);
    }

    /// Makes `rows × channels × columns` of a turned image.
    fn along_columns(&self, phase: &Phase, image: &[f32], made: &mut [f32]) {
        let (from, to) = (self.from.0, self.to.0);
        let Phase {
            rows,
            columns,
            kernels,
        } = phase;
        let lines = rows.taps.len() * from.channels;
        let contraction = Contraction {
            groups: rows.count,
            rows: to.channels,
            columns: columns.count,
            segments: lines,
            terms: columns.taps.len(),
            a: Left {
                group: 0,
                row: lines * columns.taps.len(),
                segment: columns.taps.len(),
                term: 1,
            },
            b: Right {
                group: from.row(),
                segment: from.width,
                term: 1,
                panel: PANEL,
            },
            out: Out {
                group: to.channels * columns.count,
                row: columns.count,
            },
        };
        let first = rows.from * from.row() + columns.from;
        contraction.set(made, kernels, &image[first..]);
    }

    /// Puts what was made of a turned image where it belongs.
    fn turn_back(&self, phase: &Phase, made: &[f32], out: &mut [f32]) {
        let (to, apart) = self.to;
        let Phase { rows, columns, .. } = phase;
        let first = rows.first * to.row() + columns.first * to.channels;
        let lines = made.chunks(to.channels * columns.count).take(rows.count);
        vectorised!(
            for (made, out) in lines.zip(out[first..].chunks_mut(apart * to.row())) {
                for (channel, made) in made.chunks(columns.count).enumerate() {
                    let out = out[channel..].iter_mut().step_by(apart * to.channels);
                    out.zip(made).for_each(|(out, made)| *out = *made);
                }
            }
        );
    }
}

/// Turns an image's `rows × columns × channels` to `rows × channels × columns`.
fn turn(image: &[f32], shape: Shape, turned: &mut [f32]) {
    let lines = image.chunks(shape.row());
    vectorised!(
        for (line, turned) in lines.zip(turned.chunks_mut(shape.row())) {
            for (channel, turned) in turned.chunks_mut(shape.width).enumerate() {
                let line = line[channel..].iter().step_by(shape.channels);
                turned
                    .iter_mut()
                    .zip(line)
                    .for_each(|(turned, value)| *turned = *value);
            }
        }
    );
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
