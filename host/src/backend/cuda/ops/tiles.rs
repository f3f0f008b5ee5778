//! How a product is cut into tiles, a block each.

use super::maps::{Map, Product};

/// How a product is cut into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    pub(super) shape: TileShape,
    /// Tiles down, tiles across, and what there is of both: phases and parts.
    pub(super) grid: [usize; 3],
    /// The depth's.
    pub(super) parts: usize,
}

impl Tiling {
    /// The tiles of a column; none where their sums are parts.
    pub(super) fn tiles(self) -> Option<usize> {
        (self.parts == 1).then_some(self.grid[0] * self.grid[2])
    }
}

/// Depth that a block goes through at a time at least.
const DEPTH: usize = 16;

/// Blocks that keep a large GPU busy.
const ENOUGH_BLOCKS: usize = 256;

/// Rows and columns of the tiles of plain matrices whose product moves weights.
pub(super) const SMALL: [usize; 2] = [64, 64];

/// The tiles there are for all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TileShape {
    Square,
    Tall,
    Flat,
    /// On matrix cores only.
    Large,
}

impl TileShape {
    /// Those for results of any size.
    const ALL: [Self; 3] = [Self::Square, Self::Tall, Self::Flat];

    /// Rows and columns.
    fn size(self) -> [usize; 2] {
        match self {
            Self::Square => [128, 64],
            Self::Tall => [256, 16],
            Self::Flat => [16, 256],
            Self::Large => [128, 128],
        }
    }

    /// What a tile costs for each value of the depth: bringing one to shared memory takes about as
    /// many instructions as 128 multiplications of a matrix core.
    fn cost(self) -> usize {
        let [rows, columns] = self.size();
        128 * (rows + columns) + rows * columns
    }
}

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The cores that do all else, in f32.
    Fma,
    /// Matrix cores.
    Mma,
    /// The same, of plain matrices.
    Plain,
}

/// The kernel of a product, where there is one.
pub(super) fn kernel(product: Product, shape: TileShape, unit: Unit) -> Option<&'static str> {
    use {Product::*, TileShape::*, Unit::*};
    Some(match (product, shape, unit) {
        (Gather, Square, Fma) => "gather_square",
        (Gather, Tall, Fma) => "gather_tall",
        (Gather, Flat, Fma) => "gather_flat",
        (Scatter, Square, Fma) => "scatter_square",
        (Scatter, Tall, Fma) => "scatter_tall",
        (Scatter, Flat, Fma) => "scatter_flat",
        (Weigh, Square, Fma) => "weigh_square",
        (Weigh, Tall, Fma) => "weigh_tall",
        (Weigh, Flat, Fma) => "weigh_flat",
        (Gather, Square, Mma) => "gather_mma_square",
        (Gather, Tall, Mma) => "gather_mma_tall",
        (Gather, Flat, Mma) => "gather_mma_flat",
        (Gather, Large, Mma) => "gather_mma_large",
        (Scatter, Square, Mma) => "scatter_mma_square",
        (Scatter, Tall, Mma) => "scatter_mma_tall",
        (Scatter, Flat, Mma) => "scatter_mma_flat",
        (Scatter, Large, Mma) => "scatter_mma_large",
        (Weigh, Square, Mma) => "weigh_mma_square",
        (Weigh, Tall, Mma) => "weigh_mma_tall",
        (Weigh, Flat, Mma) => "weigh_mma_flat",
        (Weigh, Large, Mma) => "weigh_mma_large",
        (Gather, Square, Plain) => "gather_mma_square_plain",
        (Gather, Large, Plain) => "gather_mma_large_plain",
        (Scatter, Square, Plain) => "scatter_mma_square_plain",
        (Scatter, Large, Plain) => "scatter_mma_large_plain",
        (Weigh, Square, Plain) => "weigh_mma_square_plain",
        (Weigh, Large, Plain) => "weigh_mma_large_plain",
        (_, Large, Fma) | (_, Tall | Flat, Plain) => return None,
    })
}

/// A product's results: its rows and columns in each of the phases, and the values of its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) phases: usize,
    pub(super) depth: usize,
}

impl Extent {
    /// Tiles of that many rows and columns: how many there are down and across.
    pub(super) fn tiles(self, [height, width]: [usize; 2]) -> [usize; 2] {
        [self.rows.div_ceil(height), self.columns.div_ceil(width)]
    }
}

impl Map {
    /// Values of a result, and those of its sum for one place.
    pub(super) fn sizes(&self, product: Product) -> (usize, usize) {
        let Self {
            count, plane, grid, ..
        } = *self;
        let taps = self.window.kernel * self.window.kernel;
        let reach = self.window.kernel.div_ceil(self.window.stride);
        match product {
            Product::Gather => (count * grid.len(), taps * plane.channels),
            Product::Scatter => (count * plane.len(), reach * reach * grid.channels),
            Product::Weigh => (
                grid.channels * taps * plane.channels,
                count * grid.height * grid.width,
            ),
        }
    }

    /// How many rows, columns and phases there are; phases as large as the largest.
    pub(super) fn extent(&self, product: Product) -> Extent {
        let Self {
            count,
            plane,
            grid,
            window,
            ..
        } = *self;
        let (rows, columns, phases) = match product {
            Product::Gather => (count * grid.height * grid.width, grid.channels, 1),
            // The blocks that smaller phases do not need end at once.
            Product::Scatter => {
                let [height, width] =
                    [plane.height, plane.width].map(|pixels| pixels.div_ceil(window.stride));
                let phases = window.stride * window.stride;
                (count * height * width, plane.channels, phases)
            }
            Product::Weigh => (grid.channels, window.kernel * self.run(), 1),
        };
        let (_, depth) = self.sizes(product);
        Extent {
            rows,
            columns,
            phases,
            depth,
        }
    }

    /// The tiles that cost least.
    pub(super) fn tiling(&self, product: Product, matrix: bool) -> Tiling {
        let extent = self.extent(product);
        let Extent { phases, depth, .. } = extent;
        let (len, _) = self.sizes(product);
        // A part that is too short costs more than it gains; and so do many long results.
        let most = (depth / (8 * DEPTH)).min((1 << 24) / len.max(1)).max(1);
        let tiles = |shape: TileShape| extent.tiles(shape.size());
        let count = |shape: TileShape| tiles(shape).iter().product::<usize>();
        let parts = |shape: TileShape| {
            let parts = ENOUGH_BLOCKS / (count(shape) * phases).max(1);
            parts.clamp(1, most)
        };
        // Large tiles bring less, but are few.
        let blocks = |shape: TileShape| count(shape) * phases * parts(shape);
        let large = matrix && blocks(TileShape::Large) > ENOUGH_BLOCKS * 3 / 4;
        let shapes = TileShape::ALL.into_iter();
        let shapes = shapes.chain(large.then_some(TileShape::Large));
        let best = shapes.min_by_key(|&shape| count(shape) * shape.cost());
        let shape = best.unwrap_or(TileShape::Square);
        let ([down, across], parts) = (tiles(shape), parts(shape));
        Tiling {
            shape,
            grid: [down, across, phases * parts],
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use vae96::{Op, Shape, Window};

    use super::*;
    use crate::backend::Precision;
    use crate::backend::cuda::memory::{Arena, Slot};

    fn conv(count: usize, plane: Shape, window: Window, channels: usize) -> Map {
        let op = Op::Conv { window, channels };
        let grid = Shape::plane(
            window.output(plane.height),
            window.output(plane.width),
            channels,
        );
        Map::new(op, plane, grid, count).unwrap()
    }

    #[test]
    fn tiles_fit_the_result() {
        let first = conv(128, Shape::plane(96, 96, 3), Window::new(5, 2, 2), 16);
        let gather = first.tiling(Product::Gather, true);
        assert_eq!(gather.shape, TileShape::Tall);
        assert_eq!(gather.grid, [128 * 48 * 48 / 256, 1, 1]);
        // 48 × 48 pixels in each of four phases; three channels take one tile.
        let scatter = first.tiling(Product::Scatter, true);
        assert_eq!(scatter.shape, TileShape::Tall);
        assert_eq!(scatter.grid, [128 * 48 * 48 / 256, 1, 4]);
        // One tile of 16 × 75, and a depth of all pixels: in parts.
        let weigh = first.tiling(Product::Weigh, true);
        assert_eq!(
            (weigh.shape, weigh.grid, weigh.parts),
            (TileShape::Flat, [1, 1, 256], 256)
        );
    }

    fn linear(inputs: usize, outputs: usize) -> Map {
        let [input, output] = [inputs, outputs].map(Shape::vector);
        let features = vae96::Features::Fixed(outputs);
        Map::new(Op::Linear { features }, input, output, 128).unwrap()
    }

    #[test]
    fn many_results_take_large_tiles() {
        let wide = linear(1024, 69_696);
        let tiling = wide.tiling(Product::Gather, true);
        assert_eq!((tiling.shape, tiling.parts), (TileShape::Large, 1));
        assert_eq!(tiling.grid, [1, 69_696_usize.div_ceil(128), 1]);
        assert_eq!(wide.tiling(Product::Gather, false).shape, TileShape::Square);
        assert!(wide.moves_weights(Precision::Bf16));
        // Few outputs of a long depth, in parts.
        let tiling = linear(69_696, 1024).tiling(Product::Gather, true);
        assert_eq!((tiling.shape, tiling.grid), (TileShape::Large, [1, 8, 32]));
        // One tile, in as many parts as its depth has, is too few blocks.
        let tiling = linear(18_432, 128).tiling(Product::Gather, true);
        assert_eq!(
            (tiling.shape, tiling.grid),
            (TileShape::Square, [1, 2, 128])
        );
    }

    #[test]
    fn few_tiles_are_cut_along_their_depth() {
        let fc1 = Map::exact(18_432, 128, 4);
        let tiling = fc1.tiling(Product::Gather, false);
        assert_eq!(tiling.shape, TileShape::Flat);
        assert_eq!((tiling.grid[..2].to_vec(), tiling.parts), (vec![1, 1], 144));
        let mut arena = Arena::default();
        fc1.need(&mut arena);
        let (_, Slot { len, .. }) = arena.finish();
        assert_eq!(len, 144 * 4 * 128);
        // A depth of one image has nothing to cut.
        assert_eq!(fc1.tiling(Product::Weigh, false).parts, 1);
    }
}
