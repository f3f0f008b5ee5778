//! Convolutions, transposed convolutions and linear layers: `kernels/maps.cu`.

use anyhow::{Result, ensure};
use vae96::{Op, Shape, Window};

use super::direct::Direct;
use super::divisor::Divisor;
use super::optimiser::AdamMove;
use super::{FEWER_BLOCKS, Gpu, MOMENTS, QUAD, int};
use crate::backend::Precision;
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::{Arena, Span};

/// What a map's launch computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Gather,
    Scatter,
    Weigh,
}

/// A map that is linear in its input and in its weights, over a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    pub(super) count: usize,
    pub(super) plane: Shape,
    pub(super) grid: Shape,
    pub(super) window: Window,
    /// Whether it goes from the grid to the plane.
    transposed: bool,
    /// Whether it is f32 on every machine.
    pub(super) exact: bool,
}

/// The pixels along one axis of a plane that windows reach with the same taps.
pub(super) struct Phase {
    /// What pixel + padding leaves by the stride.
    pub(super) phase: usize,
    /// The first of them.
    pub(super) first: usize,
    /// How many there are.
    pub(super) count: usize,
    /// The taps that reach them.
    pub(super) taps: usize,
    /// The place in the grid of the window that sees the first with the first tap.
    pub(super) window: usize,
}

/// How a product is cut into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tiling {
    shape: TileShape,
    grid: [usize; 3],
    parts: usize,
}

impl Tiling {
    /// The tiles of a column; none where their sums are parts.
    fn tiles(self) -> Option<usize> {
        (self.parts == 1).then_some(self.grid[0] * self.grid[2])
    }
}

/// Depth that a block goes through at a time at least.
const DEPTH: usize = 16;

/// Blocks that keep a large GPU busy.
const ENOUGH_BLOCKS: usize = 256;

/// Weights of which it is worth a kernel of its own to keep the gradient from memory.
const LARGE: usize = 1 << 20;

/// The greatest stride, as the kernels have it.
const MOST_PHASES: usize = 4;

/// The tiles there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TileShape {
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

/// The kernel of a product, in f32 or on matrix cores.
fn kernel(product: Product, shape: TileShape, matrix: bool) -> &'static str {
    use {Product::*, TileShape::*};
    match (product, shape, matrix) {
        (Gather, Large, _) => "gather_mma_large",
        (Scatter, Large, _) => "scatter_mma_large",
        (Weigh, Large, _) => "weigh_mma_large",
        (Gather, Square, false) => "gather_square",
        (Gather, Tall, false) => "gather_tall",
        (Gather, Flat, false) => "gather_flat",
        (Scatter, Square, false) => "scatter_square",
        (Scatter, Tall, false) => "scatter_tall",
        (Scatter, Flat, false) => "scatter_flat",
        (Weigh, Square, false) => "weigh_square",
        (Weigh, Tall, false) => "weigh_tall",
        (Weigh, Flat, false) => "weigh_flat",
        (Gather, Square, true) => "gather_mma_square",
        (Gather, Tall, true) => "gather_mma_tall",
        (Gather, Flat, true) => "gather_mma_flat",
        (Scatter, Square, true) => "scatter_mma_square",
        (Scatter, Tall, true) => "scatter_mma_tall",
        (Scatter, Flat, true) => "scatter_mma_flat",
        (Weigh, Square, true) => "weigh_mma_square",
        (Weigh, Tall, true) => "weigh_mma_tall",
        (Weigh, Flat, true) => "weigh_mma_flat",
    }
}

/// Where a map's operands are, and scratch memory for sums in parts.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The two factors; of the weights' gradient, what the map's input and output are.
    pub factors: [Span<'a>; 2],
    /// The result.
    pub out: Span<'a>,
    /// Whether the result is added to what is there.
    pub add: bool,
    /// Scratch memory.
    pub scratch: Span<'a>,
    /// Where the moments of the result's channels go, those of a tile after the other; they can
    /// where [`tiles`](Map::tiles) tells their number.
    pub moments: Option<Span<'a>>,
}

impl Map {
    /// The map of a layer that has weights.
    pub fn new(op: Op, input: Shape, output: Shape, count: usize) -> Option<Self> {
        let point = Window::new(1, 1, 0);
        let (plane, grid, window, transposed) = match op {
            Op::Conv { window, .. } => (input, output, window, false),
            Op::ConvTransposed { window, .. } => (output, input, window, true),
            Op::Linear { .. } => {
                let vector = |shape: Shape| Shape::vector(shape.len());
                (vector(input), vector(output), point, false)
            }
            Op::MaxPool { .. }
            | Op::AveragePool { .. }
            | Op::GlobalAveragePool
            | Op::Unflatten { .. } => return None,
        };
        Some(Self {
            count,
            plane,
            grid,
            window,
            transposed,
            exact: false,
        })
    }

    /// A linear map of `inputs` values to `outputs` that is no layer: f32 on every machine.
    pub fn exact(inputs: usize, outputs: usize, count: usize) -> Self {
        Self {
            count,
            plane: Shape::vector(inputs),
            grid: Shape::vector(outputs),
            window: Window::new(1, 1, 0),
            transposed: false,
            exact: true,
        }
    }

    /// Values of a result, and those of its sum for one place.
    fn sizes(&self, product: Product) -> (usize, usize) {
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

    fn tiling(&self, product: Product, matrix: bool) -> Tiling {
        let Self {
            count,
            plane,
            grid,
            window,
            ..
        } = *self;
        let (rows, columns, phases) = match product {
            Product::Gather => (count * grid.height * grid.width, grid.channels, 1),
            // The largest phase; the blocks that smaller ones do not need end at once.
            Product::Scatter => {
                let [height, width] =
                    [plane.height, plane.width].map(|pixels| pixels.div_ceil(window.stride));
                let phases = window.stride * window.stride;
                (count * height * width, plane.channels, phases)
            }
            Product::Weigh => (grid.channels, window.kernel * self.run(), 1),
        };
        let (len, depth) = self.sizes(product);
        // A part that is too short costs more than it gains; and so do many long results.
        let most = (depth / (8 * DEPTH)).min((1 << 24) / len.max(1)).max(1);
        let tiles = |shape: TileShape| {
            let [height, width] = shape.size();
            [rows.div_ceil(height), columns.div_ceil(width)]
        };
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

    /// What a window sees of a row of the plane, filled up to whole quads.
    fn run(&self) -> usize {
        filled(self.window.kernel * self.plane.channels)
    }

    fn outputs(&self) -> Product {
        match self.transposed {
            false => Product::Gather,
            true => Product::Scatter,
        }
    }

    fn output_channels(&self) -> usize {
        match self.transposed {
            false => self.grid.channels,
            true => self.plane.channels,
        }
    }

    /// How many blocks give moments of each channel of the outputs; none where a block's sums are
    /// parts.
    pub fn tiles(&self, precision: Precision) -> Option<usize> {
        if let Some(direct) = Direct::new(self, self.outputs(), precision) {
            return Some(direct.blocks());
        }
        self.tiling(self.outputs(), self.on_matrix_cores(precision))
            .tiles()
    }

    /// Asks for the scratch memory of all three products, and of moments, in any precision.
    pub fn need(&self, arena: &mut Arena) {
        for precision in [Precision::F32, Precision::Bf16] {
            let tiles = self.tiles(precision).unwrap_or(0);
            arena.need(tiles * self.output_channels() * MOMENTS);
        }
        for product in [Product::Gather, Product::Scatter, Product::Weigh] {
            for matrix in [false, true] {
                let parts = self.tiling(product, matrix).parts;
                if parts > 1 {
                    arena.need(parts * self.sizes(product).0);
                }
            }
        }
        if let Some(direct) = Direct::new(self, Product::Weigh, Precision::Bf16) {
            arena.need(direct.blocks() * self.sizes(Product::Weigh).0);
        }
    }

    /// The outputs from inputs and weights.
    pub fn forward(&self, gpu: &Gpu, operands: Operands) -> Result<()> {
        self.launch(gpu, self.outputs(), operands)
    }

    /// The gradient of the inputs from that of the outputs and weights.
    pub fn input_gradient(&self, gpu: &Gpu, operands: Operands) -> Result<()> {
        match self.transposed {
            false => self.launch(gpu, Product::Scatter, operands),
            true => self.launch(gpu, Product::Gather, operands),
        }
    }

    /// The gradient of the weights from inputs and the gradient of the outputs.
    pub fn weight_gradient(&self, gpu: &Gpu, mut operands: Operands) -> Result<()> {
        if self.transposed {
            operands.factors.reverse();
        }
        self.launch(gpu, Product::Weigh, operands)
    }

    fn launch(&self, gpu: &Gpu, product: Product, operands: Operands) -> Result<()> {
        let Operands {
            factors,
            out,
            add,
            scratch,
            moments,
        } = operands;
        let matrix = self.on_matrix_cores(gpu.precision());
        let tiling = self.tiling(product, matrix);
        let Tiling { shape, grid, parts } = tiling;
        let planes = self.count * self.plane.len();
        let grids = self.count * self.grid.len();
        let (weights, _) = self.sizes(Product::Weigh);
        let lengths = match product {
            Product::Gather => [planes, weights, grids],
            Product::Scatter => [grids, weights, planes],
            Product::Weigh => [planes, grids, weights],
        };
        for (span, len) in [factors[0], factors[1], out].into_iter().zip(lengths) {
            super::check(span, len);
        }
        let direct = Direct::new(self, product, gpu.precision());
        if let Some(moments) = moments {
            assert_eq!(product, self.outputs(), "only outputs have moments");
            let tiles = match &direct {
                Some(direct) => direct.blocks(),
                None => tiling.tiles().expect("parts of sums have no moments"),
            };
            super::check(moments, tiles * self.output_channels() * MOMENTS);
        }
        if let Some(direct) = direct {
            let pairs = self.whole(product, factors, out) >> 2 & 1 == 1;
            return direct.run(gpu, product, pairs, operands);
        }
        let sums = parts * out.len();
        assert!(
            parts == 1 || sums <= scratch.len(),
            "{sums} values of scratch memory"
        );
        let to = if parts == 1 { out } else { scratch };
        let [first, second] = factors.map(Argument::from);
        let windows = self.windows()?;
        let (grid, whole) = self.placed(product, grid, factors, to);
        let added = (add && parts == 1).into();
        gpu.launch(
            kernel(product, shape, matrix),
            grid,
            [super::THREADS, 1, 1],
            &[
                Argument::words(&windows),
                first,
                second,
                to.into(),
                whole.into(),
                int(parts)?,
                added,
                moments.into(),
            ],
        )?;
        if parts > 1 {
            gpu.sum_parts(scratch, parts, out, add)?;
        }
        Ok(())
    }

    /// Whether [`move_weights`](Self::move_weights) can be asked for in place of the weights'
    /// gradient, and gains by it.
    pub fn moves_weights(&self, precision: Precision) -> bool {
        let (weights, _) = self.sizes(Product::Weigh);
        if weights < LARGE {
            return false;
        }
        let Tiling { shape, parts, .. } = self.moving();
        let tiled = Direct::new(self, Product::Weigh, precision).is_none();
        shape == TileShape::Square && parts == 1 && tiled
    }

    /// Moves the weights by their gradient, from inputs and the gradient of the outputs: it never
    /// goes to memory.
    pub fn move_weights(&self, gpu: &Gpu, mut factors: [Span; 2], step: AdamMove) -> Result<()> {
        assert!(self.moves_weights(gpu.precision()));
        if self.transposed {
            factors.reverse();
        }
        let (weights, _) = self.sizes(Product::Weigh);
        super::check(factors[0], self.count * self.plane.len());
        super::check(factors[1], self.count * self.grid.len());
        let moved = step.spans();
        moved.iter().for_each(|&span| super::check(span, weights));
        let windows = self.windows()?;
        let Tiling { grid, .. } = self.moving();
        let (grid, whole) = self.placed(Product::Weigh, grid, factors, moved[0]);
        let kernel = match self.on_matrix_cores(gpu.precision()) {
            true => "move_mma_square",
            false => "move_square",
        };
        let [first, second] = factors.map(Argument::from);
        let [values, mean, square] = moved.map(Argument::from);
        gpu.launch(
            kernel,
            grid,
            [super::THREADS, 1, 1],
            &[
                Argument::words(&windows),
                first,
                second,
                values,
                mean,
                square,
                Argument::value(step.numbers()),
                whole.into(),
            ],
        )
    }

    /// The tiles of a gradient that moves weights: large ones would have no registers for these.
    fn moving(&self) -> Tiling {
        self.tiling(Product::Weigh, false)
    }

    fn on_matrix_cores(&self, precision: Precision) -> bool {
        !self.exact && precision != Precision::F32
    }

    /// The blocks of a product, and how its values are read and written.
    fn placed(
        &self,
        product: Product,
        grid: [usize; 3],
        factors: [Span; 2],
        out: Span,
    ) -> ([usize; 3], i32) {
        // Along the axis of more tiles last: what blocks at the same time share stays in the cache.
        let [down, across, deep] = grid;
        let columns_first = across > 1 && down > across && down < FEWER_BLOCKS;
        let grid = match columns_first {
            true => [across, down, deep],
            false => grid,
        };
        let whole = self.whole(product, factors, out) | i32::from(columns_first) << 3;
        (grid, whole)
    }

    /// Which of a product's factors lie so that quads of them can be read at once, and whether pairs
    /// of results can be written so, a bit each.
    fn whole(&self, product: Product, factors: [Span; 2], out: Span) -> i32 {
        let (plane, grid) = (self.plane.channels, self.grid.channels);
        let run = self.window.kernel * plane;
        let [first, second, results] = match product {
            Product::Gather => [plane, run, grid],
            Product::Scatter => [grid, plane, plane],
            Product::Weigh => [plane, grid, run],
        };
        let whole = |values: usize, together: usize, span: Span| {
            let bytes = (together * size_of::<f32>()) as u64;
            values.is_multiple_of(together) && span.address().is_multiple_of(bytes)
        };
        let bits = [
            whole(first, QUAD, factors[0]),
            whole(second, QUAD, factors[1]),
            whole(results, 2, out),
        ];
        (bits.into_iter().rev()).fold(0, |bits, bit| bits << 1 | i32::from(bit))
    }

    /// The kernels' `Windows`.
    fn windows(&self) -> Result<Vec<i32>> {
        let Self {
            count,
            plane,
            grid,
            window,
            ..
        } = *self;
        for values in [count * plane.len(), count * grid.len()] {
            super::count(values)?;
        }
        ensure!(
            window.stride <= MOST_PHASES,
            "a stride of {} is more than the {MOST_PHASES} that the GPU's kernels take",
            window.stride
        );
        let fields = [
            count,
            plane.height,
            plane.width,
            plane.channels,
            grid.height,
            grid.width,
            grid.channels,
            window.kernel,
            window.stride,
            window.padding,
        ];
        let fields = fields.into_iter().map(super::count);
        let mut words = fields.collect::<Result<Vec<_>>>()?;
        for divisor in [
            grid.height * grid.width,
            grid.width,
            self.run(),
            grid.channels,
        ] {
            words.extend(Divisor::new(divisor)?.words());
        }
        for pixels in [plane.height, plane.width] {
            for phase in 0..MOST_PHASES {
                words.extend(self.phase_words(phase, pixels)?);
            }
        }
        Ok(words)
    }

    /// The pixels of a phase, of so many along an axis.
    pub(super) fn phase(&self, phase: usize, pixels: usize) -> Phase {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let first = (phase + stride * padding - padding) % stride;
        Phase {
            phase,
            first,
            count: pixels.saturating_sub(first).div_ceil(stride),
            taps: kernel.saturating_sub(phase).div_ceil(stride),
            // A phase beyond the stride is none, and no one asks for its window.
            window: (first + padding).saturating_sub(phase) / stride,
        }
    }

    /// The kernels' `Phase`.
    fn phase_words(&self, phase: usize, pixels: usize) -> Result<Vec<i32>> {
        let Phase {
            phase,
            first,
            count,
            taps,
            window,
        } = self.phase(phase, pixels);
        let mut words = [phase, first, taps, window]
            .into_iter()
            .map(super::count)
            .collect::<Result<Vec<_>>>()?;
        words.extend(Divisor::new(count)?.words());
        words.extend(Divisor::new(filled(taps * self.grid.channels))?.words());
        Ok(words)
    }
}

/// So many values filled up to whole quads.
fn filled(values: usize) -> usize {
    values.next_multiple_of(QUAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::memory::Slot;

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

    #[test]
    fn many_results_take_large_tiles() {
        let linear = |inputs: usize, outputs: usize| {
            let [input, output] = [inputs, outputs].map(Shape::vector);
            let features = vae96::Features::Fixed(outputs);
            Map::new(Op::Linear { features }, input, output, 128).unwrap()
        };
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
