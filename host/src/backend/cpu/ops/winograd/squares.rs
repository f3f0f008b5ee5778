//! The small matrices of Winograd's method on both sides of many squares of points, each point a
//! vector of channels.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

/// Channels come in whole multiples of this, the longest vector there is.
pub const LANES: usize = 16;

/// A matrix of so many rows and columns.
pub trait Matrix<const ROWS: usize, const COLUMNS: usize> {
    /// Its product with a vector.
    fn times<S: Simd>(simd: S, vector: [S::f32s; COLUMNS]) -> [S::f32s; ROWS];
}

/// Bᵀ, of a tile.
pub struct Tile;
/// Aᵀ, which makes outputs of products.
pub struct Outputs;
/// A, its transpose.
pub struct OutputsTransposed;
/// G, of a kernel.
pub struct Kernel;
/// Gᵀ, its transpose.
pub struct KernelTransposed;

impl Matrix<4, 4> for Tile {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }
}

impl Matrix<2, 4> for Outputs {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        [simd.add_f32s(a, sum), simd.sub_f32s(difference, d)]
    }
}

impl Matrix<4, 2> for OutputsTransposed {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        [
            a,
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            simd.neg_f32s(b),
        ]
    }
}

impl Matrix<4, 3> for Kernel {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = simd.splat_f32s(0.5);
        let ends = simd.mul_f32s(half, simd.add_f32s(a, c));
        let middle = simd.mul_f32s(half, b);
        [
            a,
            simd.add_f32s(ends, middle),
            simd.sub_f32s(ends, middle),
            c,
        ]
    }
}

impl Matrix<3, 4> for KernelTransposed {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
        let half = simd.splat_f32s(0.5);
        let sum = simd.mul_f32s(half, simd.add_f32s(b, c));
        let difference = simd.mul_f32s(half, simd.sub_f32s(b, c));
        [simd.add_f32s(a, sum), difference, simd.add_f32s(sum, d)]
    }
}

/// Where squares lie, `[down, across]` each.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// From one square to the next.
    pub squares: [usize; 2],
    /// From one point of a square to the next.
    pub points: [usize; 2],
}

/// `M x Mᵀ` of each of `squares`, down and across, of points of so many `channels`.
pub fn transform<M, const ROWS: usize, const COLUMNS: usize>(
    squares: [usize; 2],
    channels: usize,
    (from, from_layout): (&[f32], Layout),
    (to, to_layout): (&mut [f32], Layout),
) where
    M: Matrix<ROWS, COLUMNS>,
{
    debug_assert!(channels.is_multiple_of(LANES));
    Arch::new().dispatch(Transform::<M, ROWS, COLUMNS> {
        squares,
        channels,
        from,
        from_layout,
        to,
        to_layout,
        matrix: PhantomData,
    });
}

struct Transform<'a, M, const ROWS: usize, const COLUMNS: usize> {
    squares: [usize; 2],
    channels: usize,
    from: &'a [f32],
    from_layout: Layout,
    to: &'a mut [f32],
    to_layout: Layout,
    matrix: PhantomData<M>,
}

impl<M, const ROWS: usize, const COLUMNS: usize> WithSimd for Transform<'_, M, ROWS, COLUMNS>
where
    M: Matrix<ROWS, COLUMNS>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            squares: [down, across],
            from_layout,
            to_layout,
            ..
        } = self;
        for row in 0..down {
            for column in 0..across {
                for lane in (0..self.channels).step_by(S::F32_LANES) {
                    let at = |[down, across]: [usize; 2]| row * down + column * across + lane;
                    let from = &self.from[at(from_layout.squares)..];
                    let to = &mut self.to[at(to_layout.squares)..];
                    square::<S, M, ROWS, COLUMNS>(
                        simd,
                        (from, from_layout.points),
                        (to, to_layout.points),
                    );
                }
            }
        }
    }
}

#[inline(always)]
fn square<S: Simd, M, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    (from, from_points): (&[f32], [usize; 2]),
    (to, to_points): (&mut [f32], [usize; 2]),
) where
    M: Matrix<ROWS, COLUMNS>,
{
    let zero = simd.splat_f32s(0.0);
    // A row of `rows` is M times a row of the square.
    let mut rows = [[zero; ROWS]; COLUMNS];
    for (i, row) in rows.iter_mut().enumerate() {
        let mut points = [zero; COLUMNS];
        for (j, point) in points.iter_mut().enumerate() {
            let at = i * from_points[0] + j * from_points[1];
            *point = S::as_simd_f32s(&from[at..at + S::F32_LANES]).0[0];
        }
        *row = M::times(simd, points);
    }
    for j in 0..ROWS {
        let mut column = [zero; COLUMNS];
        for (point, row) in column.iter_mut().zip(&rows) {
            *point = row[j];
        }
        for (i, value) in M::times(simd, column).into_iter().enumerate() {
            let at = i * to_points[0] + j * to_points[1];
            S::as_mut_simd_f32s(&mut to[at..at + S::F32_LANES]).0[0] = value;
        }
    }
}
