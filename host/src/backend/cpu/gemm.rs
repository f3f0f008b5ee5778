//! Matrix products on faer's kernels, cut into fixed tasks.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::parallel;

/// A view of row-major values.
pub fn matrix(values: &[f32], rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, rows, columns)
}

/// A view of row-major values, to be written.
pub fn matrix_mut(values: &mut [f32], rows: usize, columns: usize) -> MatMut<'_, f32> {
    MatMut::from_row_major_slice_mut(values, rows, columns)
}

/// `out = a · b` on this thread.
pub fn set_product(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
}

/// Rows or columns of a task; a multiple of every kernel's tile.
const BLOCK: usize = 192;

/// Terms of a task that sums a share of a long product.
const DEPTH: usize = 1152;

/// `out = a · b`, row-major, on all threads.
pub fn product(out: &mut [f32], a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let (rows, depth, columns) = (a.nrows(), a.ncols(), b.ncols());
    if depth > 2 * DEPTH && rows * columns <= (2 * BLOCK) * (2 * BLOCK) {
        out.copy_from_slice(&product_by_depth(a, b));
        return;
    }
    if columns >= rows {
        matrix_mut(out, rows, columns)
            .par_col_chunks_mut(BLOCK)
            .enumerate()
            .for_each(|(block, out)| {
                let columns = out.ncols();
                set_product(out, a, b.subcols(block * BLOCK, columns));
            });
    } else {
        out.par_chunks_mut(BLOCK * columns)
            .enumerate()
            .for_each(|(block, out)| {
                let rows = out.len() / columns;
                let a = a.subrows(block * BLOCK, rows);
                set_product(matrix_mut(out, rows, columns), a, b);
            });
    }
}

/// A product of few values but many terms each: partial sums over fixed shares of the terms.
fn product_by_depth(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Vec<f32> {
    let (rows, depth, columns) = (a.nrows(), a.ncols(), b.ncols());
    let parts = (0..depth.div_ceil(DEPTH))
        .into_par_iter()
        .map(|part| {
            let start = part * DEPTH;
            let terms = DEPTH.min(depth - start);
            let mut out = vec![0.0; rows * columns];
            set_product(
                matrix_mut(&mut out, rows, columns),
                a.subcols(start, terms),
                b.subrows(start, terms),
            );
            out
        })
        .collect();
    parallel::sum(parts)
}
