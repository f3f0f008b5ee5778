//! From PyTorch's layouts to ours and back.
//!
//! PyTorch keeps channels outside of pixels, we keep them inside. Every difference is a swap of two
//! neighbouring axes.

use vae96::Shape;

/// Where each value of a tensor lies in PyTorch and here.
#[derive(Clone, Debug, Default)]
pub struct Layout(Vec<Swap>);

/// An array `outer × channels × pixels × inner` in PyTorch that is
/// `outer × pixels × channels × inner` here.
#[derive(Clone, Copy, Debug)]
struct Swap {
    channels: usize,
    pixels: usize,
    inner: usize,
}

impl Layout {
    /// The kernels of a convolution, `out × in × taps` in PyTorch (of a transposed one,
    /// `in × out × taps`): the taps go before the last channel axis.
    pub fn kernels(channels: usize, taps: usize) -> Self {
        Self(vec![Swap {
            channels,
            pixels: taps,
            inner: 1,
        }])
    }

    /// A matrix `rows × columns` whose rows, columns or both are the values of a plane.
    pub fn matrix(rows: Shape, columns: Shape) -> Self {
        Self(vec![
            Swap::plane(rows, columns.len()),
            Swap::plane(columns, 1),
        ])
    }

    /// A value for each value of a plane.
    pub fn vector(values: Shape) -> Self {
        Self(vec![Swap::plane(values, 1)])
    }

    /// PyTorch's order to ours.
    pub fn import(&self, values: &[f32]) -> Vec<f32> {
        let forth = |values: Vec<f32>, swap: &Swap| {
            transpose(&values, swap.channels, swap.pixels, swap.inner)
        };
        self.0.iter().fold(values.to_vec(), forth)
    }

    /// Our order to PyTorch's.
    pub fn export(&self, values: &[f32]) -> Vec<f32> {
        let back = |values: Vec<f32>, swap: &Swap| {
            transpose(&values, swap.pixels, swap.channels, swap.inner)
        };
        self.0.iter().rev().fold(values.to_vec(), back)
    }
}

impl Swap {
    fn plane(shape: Shape, inner: usize) -> Self {
        Self {
            channels: shape.channels,
            pixels: shape.height * shape.width,
            inner,
        }
    }
}

/// `… × first × second × inner` to `… × second × first × inner`.
fn transpose(values: &[f32], first: usize, second: usize, inner: usize) -> Vec<f32> {
    if first == 1 || second == 1 {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for block in values.chunks_exact(first * second * inner) {
        for s in 0..second {
            for f in 0..first {
                out.extend_from_slice(&block[(f * second + s) * inner..][..inner]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_put_taps_before_input_channels() {
        // Two kernels of three channels and two taps, numbered in PyTorch's order.
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let layout = Layout::kernels(3, 2);
        let ours = layout.import(&values);
        assert_eq!(
            ours,
            [0., 2., 4., 1., 3., 5., 6., 8., 10., 7., 9., 11.],
            "out × taps × in"
        );
        assert_eq!(layout.export(&ours), values);
    }

    #[test]
    fn matrices_permute_rows_and_columns_of_planes() {
        let (rows, columns) = (Shape::plane(2, 3, 4), Shape::plane(3, 1, 2));
        let values: Vec<f32> = (0..rows.len() * columns.len()).map(|v| v as f32).collect();
        let layout = Layout::matrix(rows, columns);
        let ours = layout.import(&values);
        for (row, channel) in [(0, 0), (4, 1), (5, 3)] {
            for (pixel, inner) in [(0, 0), (2, 1), (1, 1)] {
                let torch = (channel * 6 + row) * 6 + inner * 3 + pixel;
                let here = (row * 4 + channel) * 6 + pixel * 2 + inner;
                assert_eq!(ours[here], values[torch]);
            }
        }
        assert_eq!(layout.export(&ours), values);
    }
}
