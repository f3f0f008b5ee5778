//! Rows on a plane.

use anyhow::{Result, anyhow};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};

use super::Rows;

/// Rows on the plane along which they vary most: their first two principal components (Pearson,
/// 1901). An axis points to where its largest weight is positive, so that the same rows never come
/// out mirrored.
///
/// # Errors
/// If the components cannot be computed.
pub fn principal_plane(rows: &Rows) -> Result<Vec<[f64; 2]>> {
    let dims = rows.dims();
    let count = rows.len().max(1) as f64;
    let mut mean = vec![0.0; dims];
    for row in rows.iter() {
        for (mean, &value) in mean.iter_mut().zip(row) {
            *mean += f64::from(value) / count;
        }
    }
    let centred = |row: &[f32]| -> Vec<f64> {
        let pairs = row.iter().zip(&mean);
        pairs
            .map(|(&value, mean)| f64::from(value) - mean)
            .collect()
    };
    let mut covariance = Mat::<f64>::zeros(dims, dims);
    for row in rows.iter().map(centred) {
        for (column, &b) in row.iter().enumerate() {
            for (line, &a) in row.iter().enumerate().skip(column) {
                covariance[(line, column)] += a * b / count;
            }
        }
    }
    let vectors = eigenvectors(&covariance)?;
    let axes = [1, 2].map(|rank| match dims.checked_sub(rank) {
        Some(column) => upright((0..dims).map(|line| vectors[(line, column)]).collect()),
        None => vec![0.0; dims],
    });
    let along = |row: &[f64], axis: &[f64]| row.iter().zip(axis).map(|(a, b)| a * b).sum();
    let points = rows.iter().map(centred);
    Ok(points
        .map(|row| [0, 1].map(|axis| along(&row, &axes[axis])))
        .collect())
}

/// The axis, or its opposite if its largest weight is negative.
fn upright(mut axis: Vec<f64>) -> Vec<f64> {
    let largest = axis
        .iter()
        .copied()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if largest.is_some_and(|largest| largest < 0.0) {
        axis.iter_mut().for_each(|weight| *weight = -*weight);
    }
    axis
}

/// Eigenvectors of a symmetric matrix given by its lower half, those of the largest eigenvalues
/// last; on this thread alone, so that the number of threads does not matter.
fn eigenvectors(matrix: &Mat<f64>) -> Result<Mat<f64>> {
    let dims = matrix.nrows();
    let mut vectors = Mat::zeros(dims, dims);
    let scratch = self_adjoint_evd_scratch::<f64>(
        dims,
        ComputeEigenvectors::Yes,
        Par::Seq,
        Default::default(),
    );
    self_adjoint_evd(
        matrix.as_ref(),
        Diag::zeros(dims).as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|error| anyhow!("the latent space has no principal components: {error:?}"))?;
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_axes_are_those_of_the_largest_variances() {
        // Along (3, 4) / 5 up to 10, across it up to 1, nothing along the third.
        let along = [-10.0, 10.0, 0.0, 0.0];
        let across = [0.0, 0.0, -1.0, 1.0];
        let pairs = along.iter().zip(&across);
        let values = pairs.flat_map(|(a, b)| [0.6 * a - 0.8 * b + 7.0, 0.8 * a + 0.6 * b, 2.0]);
        let points = principal_plane(&Rows::new(3, values.collect())).unwrap();
        for ((point, along), across) in points.iter().zip(along).zip(across) {
            assert!((point[0] - f64::from(along)).abs() < 1e-5, "{point:?}");
            // The second axis is (−4, 3) / 5: its largest weight is turned positive.
            assert!((point[1] + f64::from(across)).abs() < 1e-5, "{point:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_rows_move_apart(rows in any_rows(20)) {
            let points = principal_plane(&rows).unwrap();
            for (a, p) in rows.iter().zip(&points) {
                for (b, q) in rows.iter().zip(&points) {
                    let before = super::super::squared_distance(a, b);
                    let after = (p[0] - q[0]).hypot(p[1] - q[1]);
                    prop_assert!(after <= f64::from(before).sqrt() + 1e-6);
                }
            }
        }
    }

    #[test]
    fn one_dimension_and_no_variance_are_no_failure() {
        let line = principal_plane(&Rows::new(1, vec![1.0, 3.0])).unwrap();
        assert_eq!(line, [[-1.0, 0.0], [1.0, 0.0]]);
        let point = principal_plane(&Rows::new(2, vec![1.0, 1.0])).unwrap();
        assert_eq!(point, [[0.0, 0.0]]);
    }
}
