//! The kernels for convolutions of few channels, and the tiles that they walk over.

use super::sides::{Sides, Walk};
use super::{GRID_ROWS, ROOM, STRIP};
use crate::backend::cuda::ops::{QUAD, THREADS};

/// Threads of a warp, and warps of a block that makes outputs.
const LANES: usize = 32;
const WARPS: usize = THREADS / LANES;

/// Registers of a multiprocessor.
const REGISTERS: usize = 1 << 16;

/// The most blocks of a multiprocessor: more of those that make the weights' gradient gain nothing.
const MOST_BLOCKS: usize = 4;

/// The most taps of a row whose weights' gradient is taken so.
const MOST_TAPS: usize = 5;

/// Values of a step, which a matrix core multiplies at once.
const STEP: usize = 16;

/// A kernel for a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) name: &'static str,
    pub(super) threads: usize,
    /// Blocks of a multiprocessor.
    pub(super) blocks: usize,
    /// How a patch lies.
    pub(super) patch: Patch,
    /// Words of a block's shared memory.
    room: usize,
    work: Work,
}

/// How the pixels of a patch lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patch {
    /// Each in so many words of its own.
    Pixels(usize),
    /// Side by side.
    Rows,
}

impl Patch {
    /// Words from pixel to pixel and from step to step, and how often rows lie there.
    pub(super) fn words(self, sides: &Sides) -> [usize; 3] {
        match self {
            Self::Pixels(pitch) => [pitch, pitch, 0],
            Self::Rows => [0, STEP / 2, self.copies(sides)],
        }
    }

    fn copies(self, sides: &Sides) -> usize {
        match self {
            Self::Pixels(_) => 0,
            Self::Rows => {
                let odd = |pixels: usize| pixels * sides.channels % 2 == 1;
                let apart = |walk| odd(sides.offset(walk)[1]);
                1 + usize::from(odd(sides.stride) || sides.walks.iter().any(apart))
            }
        }
    }
}

/// What a warp makes of a tile.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Outputs.
    Strips {
        /// One below the other.
        rows: usize,
        /// Sixteens of channels of a tap, and eights of outputs.
        chunks: usize,
        across: usize,
    },
    /// What a tile of the grid adds to the weights' gradient; its values take so many words.
    Weights { grid: usize },
}

/// The tile of all walks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Its outputs, in each of them.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Pixels of its patch, and words of a row of it.
    pub(super) patch: [usize; 2],
    pub(super) row: usize,
    /// What all tiles of an image cost.
    pub(super) cost: usize,
}

impl Kernel {
    /// Those that make a convolution's outputs.
    pub(super) fn of_outputs(sides: &Sides) -> impl Iterator<Item = Self> {
        let Sides {
            channels,
            outputs,
            stride,
            ..
        } = *sides;
        let chunks = channels.div_ceil(16);
        let most = outputs.next_power_of_two().max(8);
        // Of pixels, eight of a row, four words of each, in 32 banks.
        let patch = match (channels, stride) {
            (..STEP, _) => Patch::Rows,
            (_, 1) => Patch::Pixels(8 * chunks + 4),
            (_, _) => Patch::Pixels(8 * chunks + 2),
        };
        let kernels: &[_] = match (chunks, most) {
            (1, 8) => &[
                ("direct_outputs_1_8_1", 1, 4),
                ("direct_outputs_1_8_2", 2, 4),
                ("direct_outputs_1_8_4", 4, 4),
            ],
            (1, 16) => &[
                ("direct_outputs_1_16_1", 1, 4),
                ("direct_outputs_1_16_2", 2, 3),
                ("direct_outputs_1_16_4", 4, 3),
            ],
            (1, _) => &[
                ("direct_outputs_1_32_1", 1, 3),
                ("direct_outputs_1_32_2", 2, 2),
            ],
            (_, 8) => &[
                ("direct_outputs_2_8_1", 1, 4),
                ("direct_outputs_2_8_2", 2, 4),
            ],
            (_, 16) => &[
                ("direct_outputs_2_16_1", 1, 4),
                ("direct_outputs_2_16_2", 2, 3),
            ],
            (_, _) => &[
                ("direct_outputs_2_32_1", 1, 3),
                ("direct_outputs_2_32_2", 2, 2),
            ],
        };
        let kernels = kernels.iter().map(move |&(name, rows, blocks)| Self {
            name,
            threads: THREADS,
            blocks,
            patch,
            room: ROOM,
            work: Work::Strips {
                rows,
                chunks,
                across: most / 8,
            },
        });
        // For four strips the kernels are of stride 1.
        let knows = move |work| match work {
            Work::Strips { rows: 4, .. } => stride == 1,
            _ => true,
        };
        kernels.filter(move |kernel| knows(kernel.work))
    }

    /// The one that makes the gradient of a convolution's weights.
    pub(super) fn of_weights(sides: &Sides) -> Option<Self> {
        let Sides {
            channels, outputs, ..
        } = *sides;
        let [.., across] = sides.walks.first()?.taps;
        if across > MOST_TAPS || channels > 16 {
            return None;
        }
        let (sixteens, eights) = (outputs.div_ceil(16), channels.div_ceil(8));
        // Registers of a thread, in whole eights, as NVRTC 13 gives them for sm_90. Where there are more,
        // some blocks wait for others to end.
        let (name, registers, room) = match (sixteens, eights) {
            (1, 1) => ("direct_weights_1_1", 72, ROOM / 2),
            (1, _) => ("direct_weights_1_2", 96, ROOM / 2),
            (_, 1) => ("direct_weights_2_1", 96, ROOM),
            (_, _) => ("direct_weights_2_2", 144, ROOM),
        };
        let threads = LANES * across;
        Some(Self {
            name,
            threads,
            blocks: (REGISTERS / (registers * threads)).min(MOST_BLOCKS),
            // Whole matrices of eight channels, neighbours an odd number of 16 bytes apart.
            patch: Patch::Pixels(if eights == 1 { 4 } else { 12 }),
            room,
            work: Work::Weights {
                grid: GRID_ROWS * STRIP * (8 * sixteens + 4),
            },
        })
    }

    /// Steps in which a row of taps is read.
    pub(super) fn steps(&self, sides: &Sides, walk: &Walk) -> usize {
        match self.patch {
            Patch::Pixels(_) => walk.taps[1],
            Patch::Rows => (walk.taps[1] * sides.channels).div_ceil(STEP),
        }
    }

    /// Words of shared memory that a walk's weights take.
    pub(super) fn packed(&self, sides: &Sides, walk: &Walk) -> usize {
        match self.work {
            Work::Strips { chunks, across, .. } => {
                64 * walk.taps[0] * self.steps(sides, walk) * chunks * across
            }
            Work::Weights { .. } => 0,
        }
    }

    /// The tile that costs least, of those whose patch has room.
    pub(super) fn tile(&self, sides: &Sides) -> Option<Tile> {
        let sizes: &[_] = match self.work {
            // So many strips beside one another.
            Work::Strips { rows, .. } => {
                &[1, 2, 4, 8].map(|beside| (WARPS / beside * rows, beside * STRIP))
            }
            Work::Weights { .. } => &[(GRID_ROWS, STRIP)],
        };
        let tiles = sizes.iter().filter_map(|&size| self.tile_of(sides, size));
        tiles.min_by_key(|tile| tile.cost)
    }

    /// The tile of so many rows and columns.
    fn tile_of(&self, sides: &Sides, (rows, columns): (usize, usize)) -> Option<Tile> {
        let walks = || sides.walks.iter();
        let last = (columns - 1) * sides.stride;
        let [down, across] = sides.taps();
        let patch = [(rows - 1) * sides.stride + down, last + across];
        let run = (patch[1] * sides.channels).div_ceil(QUAD);
        let (row, brought) = match self.patch {
            Patch::Pixels(pitch) => {
                let [input, _] = sides.ways();
                (patch[1] * pitch, patch[1] * input.pieces(sides.channels))
            }
            // Up to the end of the last windows' steps, and of the last quad; where rows lie there
            // again, that is a value further on.
            Patch::Rows => {
                let ends = walks().map(|walk| {
                    let [_, across] = sides.offset(walk);
                    (last + across) * sides.channels + self.steps(sides, walk) * STEP
                });
                let values = ends.max().unwrap_or(0).max(run * QUAD) + 1;
                (values.div_ceil(QUAD) * QUAD / 2, run)
            }
        };
        // Words beside the patch, and turns of the units that read shared memory and multiply.
        let (aside, turns) = match self.work {
            Work::Strips {
                rows,
                chunks,
                across,
            } => {
                let turns = walks().map(|walk| {
                    let steps = self.steps(sides, walk);
                    let products = walk.taps[0] * steps * chunks * across;
                    let seen = (rows - 1) * sides.stride + walk.taps[0];
                    let read = 4 * steps * chunks * seen + 2 * products;
                    WARPS * (read + 2 * rows * products)
                });
                let packed = walks().map(|walk| self.packed(sides, walk));
                (packed.sum(), turns.sum())
            }
            // There is nothing to choose.
            Work::Weights { grid } => (grid, 0),
        };
        if self.patch.copies(sides).max(1) * patch[0] * row + aside > self.room {
            return None;
        }
        let [height, width] = sides.most();
        let tiles = height.div_ceil(rows) * width.div_ceil(columns);
        Some(Tile {
            rows,
            columns,
            patch,
            row,
            cost: tiles * (patch[0] * brought + turns),
        })
    }
}
