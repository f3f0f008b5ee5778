//! Which products are of plain matrices, of which nothing is to be asked: `kernels/plain.cu`.

use super::QUAD;
use super::maps::{Map, Product};
use super::tiles::{TileShape, Tiling, Unit};
use crate::backend::Precision;
use crate::backend::cuda::memory::Span;

impl Map {
    /// What multiplies.
    pub(super) fn unit(
        &self,
        precision: Precision,
        product: Product,
        tiling: Tiling,
        factors: [Span; 2],
    ) -> Unit {
        if !self.on_matrix_cores(precision) {
            return Unit::Fma;
        }
        let whole = factors.iter().all(|factor| factor.begins_on(QUAD));
        match precision == Precision::Bf16 && whole && self.is_plain(product, tiling) {
            true => Unit::Plain,
            false => Unit::Mma,
        }
    }

    /// Whether the product is of matrices of whole quads, by tiles for which there are kernels.
    fn is_plain(&self, product: Product, tiling: Tiling) -> bool {
        let points = [self.plane, self.grid].map(|shape| shape.len() == shape.channels);
        let linear = self.window.kernel == 1 && points == [true; 2];
        let [first, second, _] = self.strides(product);
        let whole = [first, second].map(|stride| stride.is_multiple_of(QUAD));
        let known = matches!(tiling.shape, TileShape::Square | TileShape::Large);
        linear && whole == [true; 2] && known
    }
}

#[cfg(test)]
mod tests {
    use vae96::{Features, Op, Shape, Window};

    use super::*;

    #[test]
    fn linear_layers_are_plain_where_rows_are_whole_quads() {
        let products = [Product::Gather, Product::Scatter, Product::Weigh];
        let plain = |inputs: usize, outputs: usize, product| {
            let [input, output] = [inputs, outputs].map(Shape::vector);
            let features = Features::Fixed(outputs);
            let map = Map::new(Op::Linear { features }, input, output, 128).unwrap();
            map.is_plain(product, map.tiling(product, true))
        };
        for product in products {
            assert!(plain(69_696, 1024, product));
            assert!(plain(1024, 69_696, product));
            assert!(!plain(69_694, 1024, product));
        }
        // Windows of more than the pixel there is.
        let (window, channels) = (Window::new(3, 1, 1), 4096);
        let pixel = Shape::plane(1, 1, channels);
        let map = Map::new(Op::Conv { window, channels }, pixel, pixel, 128).unwrap();
        for product in products {
            assert!(!map.is_plain(product, map.tiling(product, true)));
        }
    }
}
