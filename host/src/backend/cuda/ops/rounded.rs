//! Factors that are rounded to bf16 before their product, where its tiles read them so often that it
//! pays: `kernels/rounded.cu`.

use anyhow::Result;

use super::maps::{Map, Product};
use super::tiles::{Extent, TileShape, Tiling};
use super::{Gpu, QUAD, int};
use crate::backend::cuda::memory::{ALIGNMENT, Span};

/// Bytes of a value, and of one that has been rounded.
const BYTES: usize = size_of::<f32>();
const ROUNDED_BYTES: usize = BYTES / 2;

/// Values of f32 in whose place the factors of these lengths lie when they have been rounded.
pub(super) fn room(lens: &[usize]) -> usize {
    lens.iter().map(|&len| place_of(len)).sum()
}

fn place_of(len: usize) -> usize {
    len.div_ceil(BYTES / ROUNDED_BYTES)
        .next_multiple_of(ALIGNMENT)
}

impl Map {
    /// The lengths of a product's factors that can be rounded: those that are no weights.
    pub(super) fn roundable(&self, product: Product) -> Vec<usize> {
        let [plane, grid] = [self.plane, self.grid].map(|shape| self.count * shape.len());
        match product {
            Product::Gather => vec![plane],
            Product::Scatter => vec![grid],
            Product::Weigh => vec![plane, grid],
        }
    }

    /// Whether it pays to round them, where a kernel's start takes as long as so many bytes take from
    /// the cache to the cores.
    pub(super) fn rounds(&self, product: Product, tiling: Tiling, start: usize) -> bool {
        let quads = |channels: usize| channels.is_multiple_of(QUAD);
        let (plane, grid) = (quads(self.plane.channels), quads(self.grid.channels));
        let whole = match product {
            Product::Gather => plane,
            Product::Scatter => grid,
            Product::Weigh => plane && grid,
        };
        let known = matches!(tiling.shape, TileShape::Square | TileShape::Large);
        if self.exact || !whole || !known {
            return false;
        }
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
        let lens = self.roundable(product);
        let rounding = lens.iter().sum::<usize>() * (BYTES + ROUNDED_BYTES);
        brought * (BYTES - ROUNDED_BYTES) > rounding + lens.len() * start
    }
}

impl Gpu {
    /// Rounds values into memory from a value of `to` on, and tells where they lie and what they leave.
    pub(super) fn round<'a>(&self, values: Span, to: Span<'a>) -> Result<[Span<'a>; 2]> {
        let place = place_of(values.len());
        let [out, rest] = [to.part(0, place), to.part(place, to.len() - place)];
        let len = int(values.len())?;
        self.each_quad(
            "round_values",
            &[values, out],
            values.len(),
            &[values.into(), len, out.into()],
        )?;
        Ok([out, rest])
    }
}

#[cfg(test)]
mod tests {
    use vae96::{Features, Op, Shape};

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
        assert!(!rounds(69_694, 1024, Product::Gather));
        assert!(rounds(69_694, 1024, Product::Scatter));
        assert!(!rounds(69_694, 1024, Product::Weigh));
        // Two tiles read each value.
        assert!(!rounds(69_696, 256, Product::Gather));
    }

    #[test]
    fn rounded_factors_lie_apart() {
        assert_eq!(room(&[4, 132]), ALIGNMENT + 2 * ALIGNMENT);
    }
}
