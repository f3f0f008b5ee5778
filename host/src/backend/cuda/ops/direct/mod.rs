//! Convolutions of few channels in bf16: `kernels/direct.cu`, `direct_outputs.cu` and
//! `direct_weights.cu`.

mod kernel;
mod sides;

use anyhow::Result;

use self::kernel::Kernel;
use self::sides::{EXACT, PAIRS, Sides};
use super::maps::{Map, Operands, Product};
use super::{Gpu, MULTIPROCESSORS, check_several, int};
use crate::backend::Precision;
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Kind;

/// Outputs of a row of a warp, as the kernels have it.
const STRIP: usize = 16;

/// Rows of a tile of the grid.
const GRID_ROWS: usize = 8;

/// Words of shared memory for the patch, and for weights or the grid's values, where kernels have
/// most.
const ROOM: usize = 12_256;

/// The most channels on either side.
const MOST_CHANNELS: usize = 32;

/// The most rows of taps of a window.
const MOST_ROWS: usize = 5;

/// The most walks of a launch.
const MOST_WALKS: usize = 4;

/// One product of a map, by tiles of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Direct {
    kernel: &'static str,
    /// The kernels' `Direct`.
    words: Vec<i32>,
    /// How many walk over tiles, and leave moments of each output, or a part of the weights.
    pub(super) blocks: usize,
    threads: usize,
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
        let sides = Sides::new(map, product);
        if sides.walks.iter().any(|walk| walk.taps[0] > MOST_ROWS) {
            return None;
        }
        let kernels: Vec<_> = match product {
            Product::Gather | Product::Scatter => Kernel::of_outputs(&sides).collect(),
            Product::Weigh => Kernel::of_weights(&sides).into_iter().collect(),
        };
        let laid = kernels.iter().filter_map(|kernel| {
            let tile = kernel.tile(&sides)?;
            Some((kernel, tile))
        });
        let (kernel, tile) = laid.min_by_key(|(_, tile)| tile.cost)?;
        let (words, tiles) = sides.words(map.count, kernel, &tile).ok()?;
        Some(Self {
            kernel: kernel.name,
            words,
            blocks: tiles.clamp(1, MULTIPROCESSORS * kernel.blocks),
            threads: kernel.threads,
        })
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
        check_several(&factors);
        let [first, second] = factors.map(Argument::from);
        let mut words = self.words.clone();
        words[PAIRS] = i32::from(pairs);
        words[EXACT] = i32::from(out.kind() == Kind::F32);
        let words = Argument::words(&words);
        let grid = [self.blocks, 1, 1];
        let block = [self.threads, 1, 1];
        match product {
            Product::Gather | Product::Scatter => {
                let arguments = [words, first, second, out.into(), moments.into()];
                gpu.launch(self.kernel, grid, block, &arguments)
            }
            Product::Weigh => {
                assert!(self.blocks * out.len() <= scratch.len());
                int(self.blocks * out.len())?;
                let arguments = [words, first, second, scratch.into()];
                gpu.launch(self.kernel, grid, block, &arguments)?;
                gpu.sum_parts(scratch, self.blocks, out, add)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vae96::{Op, Shape, Window};

    use super::sides::{WALK, WALKS, Way};
    use super::*;

    fn conv(plane: Shape, window: Window, channels: usize) -> Map {
        let [height, width] = [plane.height, plane.width].map(|pixels| window.output(pixels));
        let grid = Shape::plane(height, width, channels);
        Map::new(Op::Conv { window, channels }, plane, grid, 128).unwrap()
    }

    fn direct(map: &Map, product: Product) -> Option<(&'static str, usize)> {
        let direct = Direct::new(map, product, Precision::Bf16)?;
        assert_eq!(direct.words.len(), WALKS + WALK * MOST_WALKS);
        Some((direct.kernel, direct.blocks))
    }

    #[test]
    fn convolutions_of_few_channels_are_walked() {
        let first = conv(Shape::plane(96, 96, 3), Window::new(5, 2, 2), 16);
        let walked = ("direct_outputs_1_16_2", 396);
        assert_eq!(direct(&first, Product::Gather), Some(walked));
        let summed = ("direct_weights_1_1", 528);
        assert_eq!(direct(&first, Product::Weigh), Some(summed));
        // Four phases share a patch.
        let second = conv(Shape::plane(48, 48, 16), Window::new(3, 2, 1), 32);
        let walked = ("direct_outputs_2_16_2", 384);
        assert_eq!(direct(&second, Product::Scatter), Some(walked));
        let papers = conv(Shape::plane(92, 92, 9), Window::new(5, 1, 0), 9);
        let walked = Some(("direct_outputs_1_16_4", 396));
        assert_eq!(direct(&papers, Product::Gather), walked);
        assert_eq!(direct(&papers, Product::Scatter), walked);
    }

    /// Rows of pixels are read by quads where these never reach over an edge.
    #[test]
    fn pixels_are_read_by_quads_where_they_can_be() {
        let sides = |plane, window, channels, product| {
            let sides = Sides::new(&conv(plane, window, channels), product);
            (sides.ways(), sides.way_of_rows())
        };
        let five = Window::new(5, 1, 0);
        let rows = |width, channels| Shape::plane(92, width, channels);
        let fours = ([Way::Fours; 2], Way::Runs);
        assert_eq!(sides(rows(92, 9), five, 9, Product::Weigh), fours);
        assert_eq!(sides(rows(92, 9), five, 9, Product::Scatter), fours);
        let runs = ([Way::Runs; 2], Way::Runs);
        assert_eq!(sides(rows(92, 12), five, 12, Product::Weigh), runs);
        let singles = ([Way::Singles; 2], Way::Singles);
        assert_eq!(sides(rows(91, 9), five, 9, Product::Weigh), singles);
        // Two pixels of padding are six values.
        let first = Shape::plane(96, 96, 3);
        let found = sides(first, Window::new(5, 2, 2), 16, Product::Weigh);
        assert_eq!(found, ([Way::Singles, Way::Eights], Way::Singles));
    }

    /// Few planes fill tiles whole, and a patch is never larger than there is room for.
    #[test]
    fn tiles_follow_the_plane() {
        let tile = |plane: Shape, window: Window, channels: usize| {
            let sides = Sides::new(&conv(plane, window, channels), Product::Gather);
            let kernels = Kernel::of_outputs(&sides);
            let tiles = kernels.filter_map(|kernel| kernel.tile(&sides));
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
        let sides = Sides::new(&map, Product::Scatter);
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
