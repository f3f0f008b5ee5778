//! Gradients of weights. Those of large matrices are kept as their factors, and multiplied where
//! they are used: a hundred million values need not go to memory and back.

use std::slice::ChunksMut;

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::buffers;
use super::gemm::{matrix, product};
use super::kernel::{Contraction, PANEL};
use super::parallel::CHUNK;
use super::tape::{Backwards, Gradients, Key};

/// Under what a tape files the gradient of a tensor of weights.
#[derive(Clone, Debug)]
pub struct GradientKey {
    values: Key,
    /// Of the factors' rows and columns.
    factors: [Key; 2],
}

impl GradientKey {
    /// A key like no other.
    pub fn new() -> Self {
        Self {
            values: Key::new(),
            factors: [Key::new(), Key::new()],
        }
    }

    /// Files the gradient; a step may do so once.
    pub fn file(&self, gradients: &mut Gradients, gradient: Gradient) -> Backwards {
        match gradient {
            Gradient::Values(values) => self.values.add(gradients, values),
            Gradient::Factors(Factors { rows, columns, .. }) => {
                let [row_key, column_key] = &self.factors;
                row_key.add(gradients, rows)?;
                column_key.add(gradients, columns)
            }
        }
    }

    /// Takes the gradient of a tensor whose first dimension is `rows` out of the store.
    pub fn take(
        &self,
        gradients: &mut Gradients,
        rows: usize,
    ) -> std::result::Result<Gradient, CpuError> {
        let factor = self.factors[0].take(gradients)?;
        if factor.is_empty() {
            return self.values.take(gradients).map(Gradient::Values);
        }
        Ok(Gradient::Factors(Factors {
            count: factor.len() / rows,
            rows: factor,
            columns: self.factors[1].take(gradients)?,
        }))
    }
}

/// The gradient of a tensor of weights.
pub enum Gradient {
    /// One value a weight; none where the loss does not depend on it.
    Values(Vec<f32>),
    /// Of a matrix, as its factors.
    Factors(Factors),
}

/// A matrix as the sum over a batch's images of `rows ⊗ columns`.
pub struct Factors {
    /// Images in the batch.
    pub count: usize,
    /// `count ×` the matrix's rows.
    pub rows: Vec<f32>,
    /// `count ×` the matrix's columns.
    pub columns: Vec<f32>,
}

impl Gradient {
    /// Whether the loss does not depend on the tensor.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Values(values) => values.is_empty(),
            Self::Factors(_) => false,
        }
    }

    /// One value a weight.
    pub fn into_values(self) -> Vec<f32> {
        match self {
            Self::Values(values) => values,
            Self::Factors(factors) => factors.into_values(),
        }
    }

    /// The sum of all squares, for which factors are multiplied once and for all.
    pub fn sum_of_squares(&mut self) -> f64 {
        let values = std::mem::replace(self, Self::Values(Vec::new())).into_values();
        let run = |run: &[f32]| f64::from(run.iter().map(|v| v * v).sum::<f32>());
        let parts: Vec<f64> = values
            .par_chunks(CHUNK)
            .map(|chunk| chunk.chunks(256).map(run).sum())
            .collect();
        *self = Self::Values(values);
        parts.iter().sum()
    }

    /// Gives `work` each piece of the arrays, which hold one value a weight, with its piece of the
    /// gradient, on all threads.
    pub fn zip<const N: usize>(
        self,
        arrays: [&mut [f32]; N],
        work: impl Fn([&mut [f32]; N], &[f32]) + Sync,
    ) {
        let values = match self {
            Self::Values(values) => values,
            Self::Factors(factors) => return factors.zip(arrays, work),
        };
        let mut pieces = arrays.map(|array| array.chunks_mut(CHUNK));
        let pieces: Vec<_> = values
            .chunks(CHUNK)
            .map(|values| (next(&mut pieces), values))
            .collect();
        pieces
            .into_par_iter()
            .for_each(|(arrays, values)| work(arrays, values));
        buffers::give(values);
    }
}

/// Rows and columns of a task.
const BLOCK: usize = 1024;

/// Rows that are multiplied before they are used: with [`BLOCK`] columns a share of a level-2
/// cache, and whole tiles on any instruction set.
const ROWS: usize = 56;

impl Factors {
    fn shape(&self) -> [usize; 2] {
        [&self.rows, &self.columns].map(|factor| factor.len() / self.count)
    }

    /// The matrix.
    pub fn into_values(self) -> Vec<f32> {
        let [rows, columns] = self.shape();
        let mut values = buffers::take(rows * columns);
        product(
            &mut values,
            matrix(&self.rows, self.count, rows).transpose(),
            matrix(&self.columns, self.count, columns),
        );
        self.give();
        values
    }

    fn zip<const N: usize>(
        self,
        arrays: [&mut [f32]; N],
        work: impl Fn([&mut [f32]; N], &[f32]) + Sync,
    ) {
        let [rows, columns] = self.shape();
        let across = columns.div_ceil(BLOCK);
        let mut blocks: Vec<_> = (0..rows.div_ceil(BLOCK) * across)
            .map(|_| Vec::with_capacity(BLOCK.min(rows)))
            .collect();
        let mut arrays = arrays.map(|array| array.chunks_mut(columns));
        for row in 0..rows {
            let mut pieces = next(&mut arrays).map(|row| row.chunks_mut(BLOCK));
            for block in &mut blocks[row / BLOCK * across..][..across] {
                block.push(next(&mut pieces));
            }
        }
        blocks
            .into_par_iter()
            .enumerate()
            .for_each(|(block, rows)| {
                let (top, left) = (block / across * BLOCK, block % across * BLOCK);
                self.zip_block(top, left, rows, &work);
            });
        self.give();
    }

    /// The same for the rows of one block of the matrix.
    fn zip_block<const N: usize>(
        &self,
        top: usize,
        left: usize,
        mut block: Vec<[&mut [f32]; N]>,
        work: impl Fn([&mut [f32]; N], &[f32]),
    ) {
        let [rows, columns] = self.shape();
        let width = BLOCK.min(columns - left);
        let right = self.panels(left, width);
        let mut factor = vec![0.0; self.count * ROWS];
        let mut gradient = vec![0.0; ROWS * width];
        for (strip, arrays) in block.chunks_mut(ROWS).enumerate() {
            let (first, count) = (top + strip * ROWS, arrays.len());
            for (image, to) in self.rows.chunks(rows).zip(factor.chunks_mut(ROWS)) {
                to[..count].copy_from_slice(&image[first..][..count]);
            }
            multiply(self.count, count, width, &mut gradient, &factor, &right);
            for (arrays, gradient) in arrays.iter_mut().zip(gradient.chunks(width)) {
                work(arrays.each_mut().map(|array| &mut **array), gradient);
            }
        }
    }

    /// Columns of the right factor in panels, the last padded with zeros.
    fn panels(&self, left: usize, width: usize) -> Vec<f32> {
        let columns = self.columns.len() / self.count;
        let mut panels = vec![0.0; width.div_ceil(PANEL) * self.count * PANEL];
        for (panel, to) in panels.chunks_mut(self.count * PANEL).enumerate() {
            let within = panel * PANEL;
            let size = PANEL.min(width - within);
            let images = self.columns.chunks(columns).zip(to.chunks_mut(PANEL));
            for (image, to) in images {
                to[..size].copy_from_slice(&image[left + within..][..size]);
            }
        }
        panels
    }

    fn give(self) {
        buffers::give(self.rows);
        buffers::give(self.columns);
    }
}

/// `out[r][c] = Σ t  left[t][r] · right[t][c]`, `left` of [`ROWS`] columns and `right` in panels.
fn multiply(
    terms: usize,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    left: &[f32],
    right: &[f32],
) {
    Contraction::matrices([rows, terms, columns], [1, ROWS], [PANEL, terms * PANEL])
        .set(out, left, right);
}

/// The next piece of each array.
fn next<'a, const N: usize>(pieces: &mut [ChunksMut<'a, f32>; N]) -> [&'a mut [f32]; N] {
    pieces
        .each_mut()
        .map(|pieces| pieces.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Factors of all sizes about those of blocks and strips.
    #[test]
    fn factors_are_multiplied_where_they_are_used() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (count, rows, columns) in [(1, 1, 1), (3, 57, 33), (5, 1100, 40), (2, 70, 2050)] {
            let mut random = |len| -> Vec<f32> { (0..len).map(|_| rng.random()).collect() };
            let factors = Factors {
                count,
                rows: random(count * rows),
                columns: random(count * columns),
            };
            let entry = |row: usize, column: usize| -> f64 {
                let image = |image| {
                    let factor = factors.rows[image * rows + row];
                    f64::from(factor) * f64::from(factors.columns[image * columns + column])
                };
                (0..count).map(image).sum()
            };
            let expected: Vec<f64> = (0..rows * columns)
                .map(|index| entry(index / columns, index % columns))
                .collect();
            let copy = Factors {
                count,
                rows: factors.rows.clone(),
                columns: factors.columns.clone(),
            };
            let mut sums = vec![0.0; rows * columns];
            let mut visits = vec![0.0; rows * columns];
            Gradient::Factors(factors).zip([&mut sums, &mut visits], |[sums, visits], gradient| {
                sums.iter_mut().zip(gradient).for_each(|(s, g)| *s += g);
                visits.iter_mut().zip(gradient).for_each(|(v, _)| *v += 1.0);
            });
            assert!(visits.iter().all(|visits| *visits == 1.0));
            for values in [sums, Gradient::Factors(copy).into_values()] {
                assert_eq!(values.len(), expected.len());
                for (found, expected) in values.iter().zip(&expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 1e-5,
                        "{count} {rows}×{columns}"
                    );
                }
            }
        }
    }

    #[test]
    fn squares_are_summed_of_values_and_of_factors() {
        let factors = Factors {
            count: 2,
            rows: vec![1.0, 0.0, 0.0, 2.0],
            columns: vec![1.0, 2.0, 3.0, 1.0, 1.0, 1.0],
        };
        let mut gradient = Gradient::Factors(factors);
        assert_eq!(gradient.sum_of_squares(), 14.0 + 12.0);
        assert_eq!(gradient.into_values(), [1.0, 2.0, 3.0, 2.0, 2.0, 2.0]);
    }
}
