//! Convolutions, transposed convolutions and linear layers: `kernels/maps.cu`.

use anyhow::{Result, ensure};
use vae96::{Op, Shape, Window};

use super::direct::Direct;
use super::divisor::Divisor;
use super::optimiser::AdamMove;
use super::tiles::{SMALL, TileShape, Tiling, Unit, kernel};
use super::{FEWER_BLOCKS, Gpu, MOMENTS, QUAD, int};
use crate::backend::Precision;
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::{Arena, Kind, Span};

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

/// Weights of which it is worth a kernel of its own to keep the gradient from memory.
const LARGE: usize = 1 << 20;

/// The greatest stride, as the kernels have it.
const MOST_PHASES: usize = 4;

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

    /// What a window sees of a row of the plane, filled up to whole quads.
    pub(super) fn run(&self) -> usize {
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
            return Some(direct.blocks);
        }
        self.tiling(self.outputs(), self.on_matrix_cores(precision))
            .tiles()
    }

    /// Asks for the scratch memory of all three products, and of moments, in any precision.
    pub fn need(&self, arena: &mut Arena) {
        for product in [Product::Gather, Product::Scatter, Product::Weigh] {
            for matrix in [false, true] {
                let tiling = self.tiling(product, matrix);
                arena.need(self.sums(product, tiling));
            }
            if let Some(direct) = Direct::new(self, product, Precision::Bf16) {
                let values = match product {
                    Product::Weigh => self.sizes(product).0,
                    _ => self.output_channels() * MOMENTS,
                };
                arena.need(direct.blocks * values);
            }
        }
    }

    /// Values of scratch memory that parts of sums take, or else moments.
    fn sums(&self, product: Product, tiling: Tiling) -> usize {
        match tiling.tiles() {
            None => tiling.parts * self.sizes(product).0,
            Some(tiles) if product == self.outputs() => tiles * self.output_channels() * MOMENTS,
            Some(_) => 0,
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
        match product {
            Product::Gather | Product::Scatter => self.check_kinds(gpu, &factors[..1]),
            Product::Weigh => self.check_kinds(gpu, &factors),
        }
        let check_moments = |tiles: Option<usize>| {
            let Some(moments) = moments else { return };
            assert_eq!(product, self.outputs(), "only outputs have moments");
            let tiles = tiles.expect("parts of sums have no moments");
            super::check(moments, tiles * self.output_channels() * MOMENTS);
        };
        // Outputs that are added are few and far between.
        let direct = Direct::new(self, product, gpu.precision());
        if let Some(direct) = direct.filter(|_| !add || product == Product::Weigh) {
            check_moments(Some(direct.blocks));
            let pairs = self.whole(product, factors, out) >> 2 & 1 == 1;
            return direct.run(gpu, product, pairs, operands);
        }
        let tiling = self.tiling(product, self.on_matrix_cores(gpu.precision()));
        check_moments(tiling.tiles());
        let parts = tiling.parts;
        let to = match parts {
            1 => out,
            _ => scratch.part(0, self.sums(product, tiling)),
        };
        let unit = self.unit(gpu.precision(), product, tiling, factors);
        let [first, second] = factors.map(Argument::from);
        let windows = self.windows()?;
        let (grid, whole) = self.placed(product, tiling.grid, factors, to);
        let added = (add && parts == 1).into();
        gpu.launch(
            kernel(product, tiling.shape, unit).expect("tiles are chosen by what multiplies"),
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
        let (product, tiling) = (Product::Weigh, self.moving());
        self.check_kinds(gpu, &factors);
        let unit = self.unit(gpu.precision(), product, tiling, factors);
        let (kernel, grid) = match unit {
            Unit::Fma => ("move_square", tiling.grid),
            Unit::Mma => ("move_mma_square", tiling.grid),
            Unit::Plain => {
                let [down, across] = self.extent(product).tiles(SMALL);
                ("move_mma_small_plain", [down, across, 1])
            }
        };
        let windows = self.windows()?;
        let (grid, whole) = self.placed(product, grid, factors, moved[0]);
        let [.., row] = self.strides(product);
        let quads = row.is_multiple_of(QUAD) && moved.iter().all(|span| span.begins_on(QUAD));
        let whole = whole | i32::from(quads) << 4;
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

    /// The tiles of a gradient that moves weights, but of plain matrices: shared memory has no room for
    /// large ones.
    fn moving(&self) -> Tiling {
        self.tiling(Product::Weigh, false)
    }

    /// Factors that are no weights are a layer's values, or f32 where the map is.
    fn check_kinds(&self, gpu: &Gpu, factors: &[Span]) {
        let kind = if self.exact { Kind::F32 } else { gpu.kind() };
        super::check_kind(factors, kind);
    }

    pub(super) fn on_matrix_cores(&self, precision: Precision) -> bool {
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
        let exact = out.kind() == Kind::F32;
        let whole = self.whole(product, factors, out)
            | i32::from(columns_first) << 3
            | i32::from(exact) << 5;
        (grid, whole)
    }

    /// Of a product's factors and results: all that is read or written together begins a multiple of so
    /// many values from the first one.
    pub(super) fn strides(&self, product: Product) -> [usize; 3] {
        let (plane, grid) = (self.plane.channels, self.grid.channels);
        let run = self.window.kernel * plane;
        match product {
            Product::Gather => [plane, run, grid],
            Product::Scatter => [grid, plane, plane],
            Product::Weigh => [plane, grid, run],
        }
    }

    /// Which of a product's factors lie so that quads of them can be read at once, and whether pairs
    /// of results can be written so, a bit each.
    fn whole(&self, product: Product, factors: [Span; 2], out: Span) -> i32 {
        let [first, second, results] = self.strides(product);
        let whole = |stride: usize, together: usize, span: Span| {
            stride.is_multiple_of(together) && span.begins_on(together)
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
