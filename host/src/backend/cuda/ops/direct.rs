//! Convolutions of few channels in bf16: `kernels/direct.cu`, `direct_outputs.cu` and
//! `direct_weights.cu`.

use std::iter;

use anyhow::Result;

use super::divisor::Divisor;
use super::maps::{Map, Operands, Product};
use super::{Gpu, QUAD, count, int};
use crate::backend::Precision;
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Span;

/// Warps of a block, and outputs of a row of theirs, as the kernels have it.
const WARPS: usize = super::THREADS / 32;
const STRIP: usize = 16;

/// Rows of a tile of the grid.
const GRID_ROWS: usize = 8;

/// Threads of a warp.
const LANES: usize = 32;

/// Words of shared memory for the patch, and for weights or the grid's values, where kernels have
/// most.
const ROOM: usize = 12_256;

/// The most channels on either side.
const MOST_CHANNELS: usize = 32;

/// The most rows of taps of a window, and the most taps of a row whose weights' gradient is taken so.
const MOST_TAPS: usize = 5;

/// The most channels of which four taps are read in a step.
const FEW_CHANNELS: usize = 4;

/// The most walks of a launch.
const MOST_WALKS: usize = 4;

/// Multiprocessors of a large GPU. Blocks that walk over tiles are as many as it has room for, so
/// that none begins when the others end; how many a multiprocessor takes, the kernels say.
const MULTIPROCESSORS: usize = 132;

/// One product of a map, by tiles of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Direct {
    kernel: &'static str,
    /// The kernels' `Direct`.
    words: Vec<i32>,
    /// Walkers of a walk, and walks.
    grid: [usize; 2],
    threads: usize,
    /// How the pixels of input and output can be read, where these lie on a multiple of a quad.
    ways: [Way; 2],
}

/// How pixels are read, as the kernels have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Value by value.
    Singles,
    /// By quads of a pixel.
    Quads,
    /// By quads of a row of pixels.
    Runs,
}

impl Way {
    /// That of pixels of so many channels, `width` in a row, read from those pixels on.
    fn new(channels: usize, width: usize, mut from: impl Iterator<Item = isize>) -> Self {
        let whole = |values: isize| values % QUAD as isize == 0;
        if channels.is_multiple_of(QUAD) {
            return Self::Quads;
        }
        let channels = channels as isize;
        match whole(width as isize * channels) && from.all(|pixel| whole(pixel * channels)) {
            true => Self::Runs,
            false => Self::Singles,
        }
    }

    fn word(self, span: Span) -> i32 {
        let bytes = (QUAD * size_of::<f32>()) as u64;
        match self {
            _ if !span.address().is_multiple_of(bytes) => 0,
            Self::Singles => 0,
            Self::Quads => 1,
            Self::Runs => 2,
        }
    }
}

/// The kernels' `Walk`, but for what follows from its outputs.
struct Walk {
    height: usize,
    width: usize,
    taps: [usize; 2],
    top: isize,
    left: isize,
    weights: usize,
    out: usize,
}

/// A kernel for a product.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    name: &'static str,
    /// Strips of a warp, one below the other.
    rows: usize,
    threads: usize,
    /// Blocks of a multiprocessor.
    blocks: usize,
    /// Words of a block's shared memory.
    room: usize,
    /// Sixteens of channels of a tap, and eights of outputs.
    chunks: usize,
    across: usize,
    /// Words of a patch's pixel.
    pitch: usize,
    /// Words of shared memory for the grid's values.
    aside: usize,
    /// Whether four taps are read in a step.
    several: bool,
    /// The most strips beside one another.
    most_beside: usize,
}

/// The tile of a walk.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// Its outputs.
    rows: usize,
    columns: usize,
    /// Pixels of its patch.
    patch: [usize; 2],
    /// What all of the walk's tiles of an image cost.
    cost: usize,
}

impl Kernel {
    /// Those that make a convolution's outputs.
    fn of_outputs(sides: &Sides) -> impl Iterator<Item = Self> {
        let Sides {
            channels,
            outputs,
            stride,
            ..
        } = *sides;
        let chunks = channels.div_ceil(16);
        let most = outputs.next_power_of_two().max(8);
        // Eight pixels of a row, four words of each, in 32 banks.
        let pitch = match (channels, stride) {
            (..=FEW_CHANNELS, _) => 2,
            (_, 1) => 8 * chunks + 4,
            (_, _) => 8 * chunks + 2,
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
            rows,
            threads: super::THREADS,
            blocks,
            room: ROOM,
            chunks,
            across: most / 8,
            pitch,
            aside: 0,
            several: channels <= FEW_CHANNELS,
            most_beside: WARPS,
        });
        // For four strips the kernels are of stride 1.
        kernels.filter(move |kernel| kernel.rows < 4 || stride == 1)
    }

    /// The one that makes the gradient of a convolution's weights.
    fn of_weights(map: &Map, sides: &Sides) -> Option<Self> {
        let Sides {
            channels, outputs, ..
        } = *sides;
        let kernel = map.window.kernel;
        if kernel > MOST_TAPS || channels > 16 {
            return None;
        }
        let (sixteens, eights) = (outputs.div_ceil(16), channels.div_ceil(8));
        let (name, blocks, room) = match (sixteens, eights) {
            (1, 1) => ("direct_weights_1_1", 4, ROOM / 2),
            (1, _) => ("direct_weights_1_2", 4, ROOM / 2),
            (_, 1) => ("direct_weights_2_1", 3, ROOM),
            (_, _) => ("direct_weights_2_2", 2, ROOM),
        };
        Some(Self {
            name,
            rows: 1,
            threads: LANES * kernel,
            blocks,
            room,
            chunks: 0,
            across: 0,
            // Whole matrices of eight channels, neighbours an odd number of 16 bytes apart.
            pitch: if eights == 1 { 4 } else { 12 },
            aside: GRID_ROWS * STRIP * (8 * sixteens + 4),
            several: false,
            most_beside: 1,
        })
    }

    /// Steps in which a row of taps is read.
    fn steps(&self, walk: &Walk) -> usize {
        match self.several {
            true => walk.taps[1].div_ceil(4),
            false => walk.taps[1],
        }
    }

    /// The tile of a walk that costs least, of those whose patch has room.
    fn tile(&self, sides: &Sides, walk: &Walk) -> Option<Tile> {
        let beside = (0..).map(|power| 1 << power);
        let beside = beside.take_while(|&beside| beside <= self.most_beside);
        let tiles = beside.filter_map(|beside| self.tile_of(sides, walk, beside));
        tiles.min_by_key(|tile| tile.cost)
    }

    /// The tile with so many strips beside one another.
    fn tile_of(&self, sides: &Sides, walk: &Walk, beside: usize) -> Option<Tile> {
        let (rows, columns) = match self.chunks {
            0 => (GRID_ROWS, STRIP),
            _ => (WARPS / beside * self.rows, beside * STRIP),
        };
        let steps = self.steps(walk);
        let reach = match self.several {
            true => 4 * steps,
            false => walk.taps[1],
        };
        let patch = [
            (rows - 1) * sides.stride + walk.taps[0],
            (columns - 1) * sides.stride + reach,
        ];
        let pixels = patch[0] * patch[1];
        let products = walk.taps[0] * steps * self.chunks * self.across;
        if pixels * self.pitch + products * 64 + self.aside > self.room {
            return None;
        }
        // Turns of the units that bring quads of pixels, read shared memory, and multiply.
        let seen = (self.rows - 1) * sides.stride + walk.taps[0];
        let read = 4 * steps * self.chunks * seen + 2 * products;
        let turns =
            pixels * sides.channels.div_ceil(QUAD) + WARPS * (read + 2 * self.rows * products);
        let tiles = walk.height.div_ceil(rows) * walk.width.div_ceil(columns);
        Some(Tile {
            rows,
            columns,
            patch,
            cost: tiles * turns,
        })
    }
}

/// What a product's windows see, and what it makes of it.
struct Sides {
    height: usize,
    width: usize,
    channels: usize,
    outputs: usize,
    stride: usize,
    /// From one weight to the next: of outputs, rows, columns and channels.
    weights: [isize; 4],
    /// From one output to the next: of images, rows and columns.
    out: [usize; 3],
    walks: Vec<Walk>,
}

impl Direct {
    /// That product of the map, where it is one for these kernels.
    pub(super) fn new(map: &Map, product: Product, precision: Precision) -> Option<Self> {
        let one_pixel = map.window.kernel == 1;
        let few = map.plane.channels.max(map.grid.channels) <= MOST_CHANNELS;
        let phases = map.window.stride * map.window.stride <= MOST_WALKS;
        if precision != Precision::Bf16 || map.exact || one_pixel || !few || !phases {
            return None;
        }
        let sides = sides(map, product);
        let tall = |walk: &Walk| walk.taps[0] > MOST_TAPS;
        if sides.walks.iter().any(tall) {
            return None;
        }
        let kernels: Vec<_> = match product {
            Product::Gather | Product::Scatter => Kernel::of_outputs(&sides).collect(),
            Product::Weigh => Kernel::of_weights(map, &sides).into_iter().collect(),
        };
        let laid = kernels.iter().filter_map(|kernel| {
            let walks = sides.walks.iter();
            let tiles: Option<Vec<_>> = walks.map(|walk| kernel.tile(&sides, walk)).collect();
            let tiles = tiles?;
            Some((
                tiles.iter().map(|tile| tile.cost).sum::<usize>(),
                kernel,
                tiles,
            ))
        });
        let (_, kernel, tiles) = laid.min_by_key(|&(cost, ..)| cost)?;
        let (words, most) = sides.words(map.count, kernel, &tiles).ok()?;
        let walks = sides.walks.len();
        let walkers = (MULTIPROCESSORS * kernel.blocks).div_ceil(walks);
        Some(Self {
            kernel: kernel.name,
            words,
            grid: [most.clamp(1, walkers), walks],
            threads: kernel.threads,
            ways: sides.ways(),
        })
    }

    /// How many blocks leave moments of each output, or a part of the weights.
    pub(super) fn blocks(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// The product; the operands' lengths have been checked, and whether `pairs` of outputs lie on a
    /// multiple of their size.
    pub(super) fn run(
        &self,
        gpu: &Gpu,
        product: Product,
        pairs: bool,
        operands: Operands,
    ) -> Result<()> {
        let Operands {
            factors,
            out,
            add,
            scratch,
            moments,
        } = operands;
        let [first, second] = factors.map(Argument::from);
        let mut words = self.words.clone();
        let [input, output] = self.ways;
        words[INPUT_WAY] = input.word(factors[0]);
        if product == Product::Weigh {
            words[OUTPUT_WAY] = output.word(factors[1]);
        }
        words[PAIRS] = i32::from(pairs);
        let words = Argument::words(&words);
        let grid = [self.grid[0], self.grid[1], 1];
        let block = [self.threads, 1, 1];
        match product {
            Product::Gather | Product::Scatter => {
                let arguments = [words, first, second, out.into(), add.into(), moments.into()];
                gpu.launch(self.kernel, grid, block, &arguments)
            }
            Product::Weigh => {
                assert!(self.grid[0] * out.len() <= scratch.len());
                int(self.grid[0] * out.len())?;
                let arguments = [words, first, second, scratch.into()];
                gpu.launch(self.kernel, grid, block, &arguments)?;
                gpu.sum_parts(scratch, self.grid[0], out, add)
            }
        }
    }
}

/// Places in the kernels' `Direct`: of how pixels of the input and of the output are read, and whether
/// pairs of outputs are written at once.
const INPUT_WAY: usize = 12;
const OUTPUT_WAY: usize = 19;
const PAIRS: usize = 27;

/// Where its walks begin.
const WALKS: usize = 34;

/// What the product's windows see, and what it makes of it.
fn sides(map: &Map, product: Product) -> Sides {
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

impl Sides {
    /// How the pixels of input and output can be read.
    fn ways(&self) -> [Way; 2] {
        let from = self.walks.iter().map(|walk| walk.left);
        let width = self.out[1] / self.out[2];
        [
            Way::new(self.channels, self.width, from),
            Way::new(self.outputs, width, iter::empty()),
        ]
    }

    /// The kernels' `Direct`, and the most tiles of a walk.
    fn words(&self, images: usize, kernel: &Kernel, tiles: &[Tile]) -> Result<(Vec<i32>, usize)> {
        let pitch = kernel.pitch;
        let step = if kernel.several { 4 * pitch } else { pitch };
        let signed = |value: isize| Ok::<_, anyhow::Error>(i32::try_from(value)?);
        let numbers = [images, self.height, self.width, self.stride, pitch, step];
        let mut words = (numbers.map(count).into_iter()).collect::<Result<Vec<_>>>()?;
        for channels in [self.channels, self.outputs] {
            words.extend(Divisor::new(channels)?.words());
            words.extend(Divisor::new(channels.div_ceil(QUAD))?.words());
            words.push(0);
        }
        for step in self.weights {
            words.push(signed(step)?);
        }
        for step in self.out {
            words.push(count(step)?);
        }
        words.push(0);
        for divisor in [STRIP, (STRIP * self.outputs).div_ceil(QUAD)] {
            words.extend(Divisor::new(divisor)?.words());
        }
        assert_eq!(words.len(), WALKS);
        let mut most = 0;
        for (walk, tile) in self.walks.iter().zip(tiles) {
            let across = walk.width.div_ceil(tile.columns);
            let tiles = walk.height.div_ceil(tile.rows) * across;
            most = most.max(images * tiles);
            count(images * tiles)?;
            let steps = kernel.steps(walk);
            let numbers = [walk.height, walk.width, walk.taps[0], walk.taps[1], steps];
            for number in numbers {
                words.push(count(number)?);
            }
            words.extend([signed(walk.top)?, signed(walk.left)?]);
            for number in [walk.weights, walk.out, tile.rows, tile.columns] {
                words.push(count(number)?);
            }
            for divisor in [across, tiles] {
                words.extend(Divisor::new(divisor)?.words());
            }
            let [rows, columns] = tile.patch;
            words.push(count(rows)?);
            for divisor in [columns, (columns * self.channels).div_ceil(QUAD)] {
                words.extend(Divisor::new(divisor)?.words());
            }
        }
        words.resize(WALKS + WALK * MOST_WALKS, 0);
        Ok((words, most))
    }
}

/// Words of the kernels' `Walk`.
const WALK: usize = 24;

#[cfg(test)]
mod tests {
    use vae96::{Op, Shape, Window};

    use super::*;

    fn conv(plane: Shape, window: Window, channels: usize) -> Map {
        let [height, width] = [plane.height, plane.width].map(|pixels| window.output(pixels));
        let grid = Shape::plane(height, width, channels);
        Map::new(Op::Conv { window, channels }, plane, grid, 128).unwrap()
    }

    fn direct(map: &Map, product: Product) -> Option<(&'static str, [usize; 2])> {
        let direct = Direct::new(map, product, Precision::Bf16)?;
        assert_eq!(direct.words.len(), WALKS + WALK * MOST_WALKS);
        Some((direct.kernel, direct.grid))
    }

    #[test]
    fn convolutions_of_few_channels_are_walked() {
        let first = conv(Shape::plane(96, 96, 3), Window::new(5, 2, 2), 16);
        let walked = ("direct_outputs_1_16_2", [396, 1]);
        assert_eq!(direct(&first, Product::Gather), Some(walked));
        let summed = ("direct_weights_1_1", [528, 1]);
        assert_eq!(direct(&first, Product::Weigh), Some(summed));
        // Four phases share what a GPU has room for.
        let second = conv(Shape::plane(48, 48, 16), Window::new(3, 2, 1), 32);
        let walked = ("direct_outputs_2_16_2", [99, 4]);
        assert_eq!(direct(&second, Product::Scatter), Some(walked));
        let papers = conv(Shape::plane(92, 92, 9), Window::new(5, 1, 0), 9);
        let walked = Some(("direct_outputs_1_16_4", [396, 1]));
        assert_eq!(direct(&papers, Product::Gather), walked);
        assert_eq!(direct(&papers, Product::Scatter), walked);
    }

    /// Rows of pixels are read by quads where these never reach over an edge.
    #[test]
    fn pixels_are_read_by_quads_where_they_can_be() {
        let ways = |plane, window, channels, product| {
            sides(&conv(plane, window, channels), product).ways()
        };
        let five = Window::new(5, 1, 0);
        let nine = |width| Shape::plane(92, width, 9);
        let runs = [Way::Runs, Way::Runs];
        assert_eq!(ways(nine(92), five, 9, Product::Weigh), runs);
        assert_eq!(ways(nine(92), five, 9, Product::Scatter)[0], Way::Runs);
        assert_eq!(ways(nine(91), five, 9, Product::Weigh), [Way::Singles; 2]);
        // Two pixels of padding are six values.
        let first = Shape::plane(96, 96, 3);
        let ways = ways(first, Window::new(5, 2, 2), 16, Product::Weigh);
        assert_eq!(ways, [Way::Singles, Way::Quads]);
    }

    /// Few planes fill tiles whole, and a patch is never larger than there is room for.
    #[test]
    fn tiles_follow_the_plane() {
        let tile = |plane: Shape, window: Window, channels: usize| {
            let sides = sides(&conv(plane, window, channels), Product::Gather);
            let tiles = Kernel::of_outputs(&sides)
                .filter_map(|kernel| kernel.tile(&sides, &sides.walks[0]));
            let best = tiles.min_by_key(|tile| tile.cost).unwrap();
            (best.rows, best.columns)
        };
        let five = Window::new(5, 1, 0);
        assert_eq!(tile(Shape::plane(92, 92, 9), five, 9), (32, 16));
        // Fewer rows than four warps have.
        assert_eq!(tile(Shape::plane(12, 92, 9), five, 9), (8, 32));
        // More strips of a warp would have patches without room.
        let second = (Shape::plane(48, 48, 16), Window::new(3, 2, 1), 32);
        assert_eq!(tile(second.0, second.1, second.2), (8, 16));
    }

    #[test]
    fn what_has_no_room_is_not() {
        let many = conv(Shape::plane(24, 24, 32), Window::new(3, 1, 1), 64);
        let point = conv(Shape::plane(24, 24, 3), Window::new(1, 1, 0), 16);
        let large = conv(Shape::plane(96, 96, 32), Window::new(9, 2, 4), 32);
        for map in [&many, &point, &large] {
            for product in [Product::Gather, Product::Scatter, Product::Weigh] {
                assert_eq!(direct(map, product), None);
            }
        }
        let few = conv(Shape::plane(96, 96, 3), Window::new(5, 2, 2), 16);
        for precision in [Precision::F32, Precision::Tf32] {
            assert_eq!(Direct::new(&few, Product::Gather, precision), None);
        }
    }

    /// A walk over the pixels of one phase begins where its windows and weights do.
    #[test]
    fn phases_begin_with_the_last_tap() {
        let map = conv(Shape::plane(96, 96, 3), Window::new(5, 2, 2), 16);
        let sides = sides(&map, Product::Scatter);
        // Pixel 0 is seen by taps 2, 4 and 0 of the windows around it: from the last on.
        let even = &sides.walks[0];
        assert_eq!((even.taps, even.top, even.left), ([3, 3], -1, -1));
        assert_eq!(even.weights, (4 * 5 + 4) * 3);
        assert_eq!((even.height, even.width, even.out), (48, 48, 0));
        let odd = &sides.walks[3];
        assert_eq!((odd.taps, odd.top, odd.left), ([2, 2], 0, 0));
        assert_eq!(odd.weights, (3 * 5 + 3) * 3);
        assert_eq!(odd.out, (96 + 1) * 3);
    }
}
