//! What windows over few channels see, where it lies, and how the kernels are told.

use anyhow::Result;

use super::kernel::{Kernel, Tile};
use super::{MOST_WALKS, STRIP};
use crate::backend::cuda::ops::divisor::Divisor;
use crate::backend::cuda::ops::maps::{Map, Product};
use crate::backend::cuda::ops::{QUAD, count};

/// Places in the kernels' `Direct`: of whether pairs of outputs are written at once, and whether they are
/// f32.
pub(super) const PAIRS: usize = 28;
pub(super) const EXACT: usize = 29;

/// Where its walks begin.
pub(super) const WALKS: usize = 56;

/// Words of the kernels' `Walk`.
pub(super) const WALK: usize = 10;

/// What a product's windows see, and what it makes of it.
#[derive(Debug)]
pub(super) struct Sides {
    /// The input's rows, and pixels of one.
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) outputs: usize,
    pub(super) stride: usize,
    /// From one weight to the next: of outputs, rows, columns and channels.
    pub(super) weights: [isize; 4],
    /// From one output to the next: of images, rows and columns.
    pub(super) out: [usize; 3],
    pub(super) walks: Vec<Walk>,
}

/// The kernels' `Walk`, but for what follows from its outputs.
#[derive(Debug)]
pub(super) struct Walk {
    /// Outputs of an image.
    pub(super) height: usize,
    pub(super) width: usize,
    /// Rows of taps, and taps of a row.
    pub(super) taps: [usize; 2],
    /// The input's pixel that the first output's window begins with.
    pub(super) top: isize,
    pub(super) left: isize,
    /// The first weight and the first output.
    pub(super) weights: usize,
    pub(super) out: usize,
}

/// How pixels are read, as the kernels have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Value by value.
    Singles = 0,
    /// By eights of a pixel.
    Eights = 1,
    /// By quads of a row of pixels.
    Runs = 2,
    /// By four pixels of a row, of so many quads.
    Fours = 3,
}

/// The channels of which kernels know how four pixels lie.
const FOURS: [usize; 2] = [3, 9];

/// Values that are read at once of pixels that have so many.
const EIGHT: usize = 8;

impl Way {
    /// That of pixels of so many channels, `width` in a row, read from pixel `from` on.
    pub(super) fn new(channels: usize, width: usize, from: isize) -> Self {
        if channels.is_multiple_of(EIGHT) {
            return Self::Eights;
        }
        match Self::of_rows(channels, width, from) {
            Self::Runs if FOURS.contains(&channels) => Self::Fours,
            way => way,
        }
    }

    /// The same of whole rows of pixels.
    fn of_rows(channels: usize, width: usize, from: isize) -> Self {
        let whole = |values: isize| values % QUAD as isize == 0;
        let channels = channels as isize;
        match whole(width as isize * channels) && whole(from * channels) {
            true => Self::Runs,
            false => Self::Singles,
        }
    }

    /// Pieces in which a pixel of so many channels is read.
    pub(super) fn pieces(self, channels: usize) -> usize {
        channels.div_ceil(match self {
            Self::Singles | Self::Runs | Self::Fours => QUAD,
            Self::Eights => EIGHT,
        })
    }

    /// Pieces that begin in a row of so many pixels, where rows are read.
    fn run(self, pixels: usize, channels: usize) -> usize {
        match self {
            Self::Fours => pixels.div_ceil(QUAD),
            _ => (pixels * channels).div_ceil(QUAD),
        }
    }
}

impl Sides {
    /// Those of a product.
    pub(super) fn new(map: &Map, product: Product) -> Self {
        let Map {
            plane,
            grid,
            window,
            ..
        } = *map;
        let (kernel, stride) = (window.kernel, window.stride);
        match product {
            Product::Gather | Product::Weigh => {
                let row = kernel * plane.channels;
                Sides {
                    height: plane.height,
                    width: plane.width,
                    channels: plane.channels,
                    outputs: grid.channels,
                    stride,
                    weights: [kernel * row, row, plane.channels, 1].map(|step| step as isize),
                    out: [grid.len(), grid.width * grid.channels, grid.channels],
                    walks: vec![Walk {
                        height: grid.height,
                        width: grid.width,
                        taps: [kernel; 2],
                        top: -(window.padding as isize),
                        left: -(window.padding as isize),
                        weights: 0,
                        out: 0,
                    }],
                }
            }
            Product::Scatter => {
                let (row, pixel) = (plane.width * plane.channels, plane.channels);
                let step = (stride * pixel) as isize;
                let phases = (0..stride * stride).map(|phase| [phase / stride, phase % stride]);
                let walk = |[down, across]: [usize; 2]| {
                    let [down, across] = [(down, plane.height), (across, plane.width)]
                        .map(|(phase, pixels)| map.phase(phase, pixels));
                    // Windows follow one another from the last tap to the first.
                    let last = |taps: usize, phase: usize| (taps.max(1) - 1) * stride + phase;
                    Walk {
                        height: down.count,
                        width: across.count,
                        taps: [down.taps, across.taps],
                        top: down.window as isize + 1 - down.taps as isize,
                        left: across.window as isize + 1 - across.taps as isize,
                        weights: (last(down.taps, down.phase) * kernel
                            + last(across.taps, across.phase))
                            * pixel,
                        out: down.first * row + across.first * pixel,
                    }
                };
                Sides {
                    height: grid.height,
                    width: grid.width,
                    channels: grid.channels,
                    outputs: plane.channels,
                    stride: 1,
                    weights: [
                        1,
                        -step * kernel as isize,
                        -step,
                        (kernel * kernel * pixel) as isize,
                    ],
                    out: [plane.len(), stride * row, stride * pixel],
                    walks: phases.map(walk).collect(),
                }
            }
        }
    }

    /// How the pixels of input and output can be read.
    pub(super) fn ways(&self) -> [Way; 2] {
        let ([_, left], _) = self.sight();
        let width = self.out[1] / self.out[2];
        [
            Way::new(self.channels, self.width, left),
            Way::new(self.outputs, width, 0),
        ]
    }

    /// How the input's rows can be.
    pub(super) fn way_of_rows(&self) -> Way {
        let ([_, left], _) = self.sight();
        Way::of_rows(self.channels, self.width, left)
    }

    /// Where all windows of the first outputs are: from which pixel of the input on, and how many.
    fn sight(&self) -> ([isize; 2], [usize; 2]) {
        // Phases that no window sees look at nothing.
        let seen = self.walks.iter().filter(|walk| !walk.taps.contains(&0));
        let along = |axis: usize| {
            let first = |walk: &Walk| [walk.top, walk.left][axis];
            let begin = seen.clone().map(first).min().unwrap_or(0);
            let ends = seen
                .clone()
                .map(|walk| first(walk) + walk.taps[axis] as isize);
            (begin, (ends.max().unwrap_or(0) - begin) as usize)
        };
        let [down, across] = [0, 1].map(along);
        ([down.0, across.0], [down.1, across.1])
    }

    /// Pixels that all windows of the first outputs see together.
    pub(super) fn taps(&self) -> [usize; 2] {
        self.sight().1
    }

    /// The pixel of a patch that a walk begins with.
    pub(super) fn offset(&self, walk: &Walk) -> [usize; 2] {
        let ([top, left], _) = self.sight();
        match walk.taps.contains(&0) {
            true => [0; 2],
            false => [walk.top - top, walk.left - left].map(|pixels| pixels as usize),
        }
    }

    /// Outputs of the largest walk.
    pub(super) fn most(&self) -> [usize; 2] {
        let most = |of: fn(&Walk) -> usize| self.walks.iter().map(of).max().unwrap_or(0);
        [most(|walk| walk.height), most(|walk| walk.width)]
    }

    /// The kernels' `Direct`, and how many tiles there are.
    pub(super) fn words(
        &self,
        images: usize,
        kernel: &Kernel,
        tile: &Tile,
    ) -> Result<(Vec<i32>, usize)> {
        let [pitch, step, copies] = kernel.patch.words(self);
        let signed = |value: isize| Ok::<_, anyhow::Error>(i32::try_from(value)?);
        let numbers = [
            images,
            self.height,
            self.width,
            self.stride,
            pitch,
            step,
            copies,
        ];
        let mut words = (numbers.map(count).into_iter()).collect::<Result<Vec<_>>>()?;
        let mut ways = self.ways();
        if copies > 0 {
            ways[0] = self.way_of_rows();
        }
        for (channels, way) in [self.channels, self.outputs].into_iter().zip(ways) {
            words.extend(Divisor::new(channels)?.words());
            words.extend(Divisor::new(way.pieces(channels))?.words());
            words.push(way as i32);
        }
        for step in self.weights {
            words.push(signed(step)?);
        }
        for step in self.out {
            words.push(count(step)?);
        }
        words.extend([0; 2]);
        for divisor in [STRIP, ways[1].run(STRIP, self.outputs)] {
            words.extend(Divisor::new(divisor)?.words());
        }
        words.extend([count(tile.rows)?, count(tile.columns)?]);
        let [height, width] = self.most();
        let across = width.div_ceil(tile.columns);
        let tiles = height.div_ceil(tile.rows) * across;
        count(images * tiles)?;
        for divisor in [across, tiles] {
            words.extend(Divisor::new(divisor)?.words());
        }
        let ([top, left], _) = self.sight();
        let [rows, columns] = tile.patch;
        words.extend([signed(top)?, signed(left)?]);
        words.extend([count(rows)?, count(tile.row)?]);
        for divisor in [columns, ways[0].run(columns, self.channels)] {
            words.extend(Divisor::new(divisor)?.words());
        }
        let packed = self.walks.iter().map(|walk| kernel.packed(self, walk));
        words.extend([count(packed.clone().sum())?, count(self.walks.len())?]);
        assert_eq!(words.len(), WALKS);
        let mut before = 0;
        for (walk, packed) in self.walks.iter().zip(packed) {
            let [down, across] = self.offset(walk);
            let steps = kernel.steps(self, walk);
            for number in [
                walk.height,
                walk.width,
                walk.taps[0],
                walk.taps[1],
                steps,
                down,
                across,
                walk.weights,
                walk.out,
                before,
            ] {
                words.push(count(number)?);
            }
            before += packed;
        }
        words.resize(WALKS + WALK * MOST_WALKS, 0);
        Ok((words, images * tiles))
    }
}
