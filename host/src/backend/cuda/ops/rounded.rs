//! Factors of large linear layers that are rounded to bf16 before their product, where its tiles read
//! them so often that it pays: `kernels/rounded.cu`.

use anyhow::Result;

use super::maps::{Map, Product};
use super::tiles::{Extent, TileShape, Tiling, Unit};
use super::{Gpu, QUAD, check, int};
use crate::backend::Precision;
use crate::backend::cuda::memory::{ALIGNMENT, Span};

/// Bytes of a value, and of one that has been rounded.
const BYTES: usize = size_of::<f32>();
const ROUNDED_BYTES: usize = BYTES / 2;

/// Values of f32 in whose place so many lie when they have been rounded.
fn room(len: usize) -> usize {
    len.div_ceil(BYTES / ROUNDED_BYTES)
        .next_multiple_of(ALIGNMENT)
}

impl Map {
    /// What multiplies, and its factors: those that it pays to round lie rounded in `scratch`, which
    /// holds [`rounding`](Self::rounding) values.
    pub(super) fn rounded<'a>(
        &self,
        gpu: &Gpu,
        product: Product,
        tiling: Tiling,
        mut factors: [Span<'a>; 2],
        scratch: Span<'a>,
    ) -> Result<(Unit, [Span<'a>; 2])> {
        if !self.on_matrix_cores(gpu.precision()) {
            return Ok((Unit::Fma, factors));
        }
        let pays = gpu.precision() == Precision::Bf16
            && factors.iter().all(|factor| factor.begins_on(QUAD))
            && self.rounds(product, tiling, gpu.start);
        if !pays {
            return Ok((Unit::Mma, factors));
        }
        let mut left = scratch;
        for factor in &mut factors[..self.roundable(product).len()] {
            let room = room(factor.len());
            let out = left.part(0, room);
            left = left.part(room, left.len() - room);
            gpu.round(*factor, out)?;
            *factor = out;
        }
        Ok((Unit::Rounded, factors))
    }

    /// Values of scratch memory that rounded factors take at most.
    pub(super) fn rounding(&self, product: Product, tiling: Tiling) -> usize {
        match self.rounds(product, tiling, 0) {
            true => self.roundable(product).into_iter().map(room).sum(),
            false => 0,
        }
    }

    /// The lengths of a product's factors that can be rounded: those that are no weights, which come
    /// first.
    fn roundable(&self, product: Product) -> Vec<usize> {
        let [plane, grid] = [self.plane, self.grid].map(|shape| self.count * shape.len());
        match product {
            Product::Gather => vec![plane],
            Product::Scatter => vec![grid],
            Product::Weigh => vec![plane, grid],
        }
    }

    /// Whether it pays to round them, where a kernel's start takes as long as so many bytes take from
    /// the cache to the cores.
    fn rounds(&self, product: Product, tiling: Tiling, start: usize) -> bool {
        let points = [self.plane, self.grid].map(|shape| shape.len() == shape.channels);
        let linear = self.window.kernel == 1 && points == [true; 2];
        let [first, second, _] = self.strides(product);
        let whole = [first, second].map(|stride| stride.is_multiple_of(QUAD));
        let known = matches!(tiling.shape, TileShape::Square | TileShape::Large);
        if self.exact || !linear || whole.contains(&false) || !known {
            return false;
        }
        let lens = self.roundable(product);
        let Extent {
            rows,
            columns,
            phases,
            depth,
        } = self.extent(product);
        let [down, across, _] = tiling.grid;
        let brought = match product {
            Product::Gather | Product::Scatter => phases * rows * depth * across,
            Product::Weigh => (rows * across + columns * down) * depth,
        };
        let rounding = lens.iter().sum::<usize>() * (BYTES + ROUNDED_BYTES);
        brought * (BYTES - ROUNDED_BYTES) > rounding + lens.len() * start
    }
}

impl Gpu {
    /// Rounds values, which are whole quads.
    fn round(&self, values: Span, out: Span) -> Result<()> {
        check(out, room(values.len()));
        self.each_quad(
            "round_values",
            &[values, out],
            values.len(),
            &[values.into(), int(values.len())?, out.into()],
        )
    }
}

#[cfg(test)]
mod tests {
    use vae96::{Features, Op, Shape, Window};

    use super::*;

    #[test]
    fn what_tiles_read_often_is_rounded() {
        let rounds = |inputs: usize, outputs: usize, product| {
            let [input, output] = [inputs, outputs].map(Shape::vector);
            let features = Features::Fixed(outputs);
            let map = Map::new(Op::Linear { features }, input, output, 128).unwrap();
            map.rounds(product, map.tiling(product, true), 16 << 20)
        };
        for product in [Product::Gather, Product::Scatter, Product::Weigh] {
            assert!(rounds(69_696, 1024, product));
            assert!(rounds(1024, 69_696, product));
            // They would be read faster than another kernel starts.
            assert!(!rounds(1024, 128, product));
        }
        // Values that are read at once lie in different rows.
        for product in [Product::Gather, Product::Scatter, Product::Weigh] {
            assert!(!rounds(69_694, 1024, product));
        }
        // Windows of more than the pixel there is.
        let (window, channels) = (Window::new(3, 1, 1), 4096);
        let pixel = Shape::plane(1, 1, channels);
        let map = Map::new(Op::Conv { window, channels }, pixel, pixel, 128).unwrap();
        let tiling = map.tiling(Product::Gather, true);
        assert!(!map.rounds(Product::Gather, tiling, 0));
        // Two tiles read each value.
        assert!(!rounds(69_696, 256, Product::Gather));
    }

    #[test]
    fn rounded_factors_lie_apart() {
        assert_eq!([4, 132].map(room), [ALIGNMENT, 2 * ALIGNMENT]);
    }
}
