//! What can be told from where images lie in a VAE's latent space.
//!
//! ```text
//!                      ┌─▶ kmeans, coreset, neighbours ─▶ choice: which images to label first
//! images ─▶ features ──┤
//!                      └─▶ neighbours, tsne: what a report shows
//!
//! labelled and unlabelled images, as a classifier sees them ─▶ spread: labels for all
//! ```
//! All but [`features`] are pure functions of [`Rows`], and give the same on any number of threads.

pub mod choice;
pub mod coreset;
pub mod features;
pub mod kmeans;
pub mod neighbours;
mod projection;
pub mod spread;
pub mod tsne;

/// `count × dims` values, row by row: one row an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    dims: usize,
    values: Vec<f32>,
}

impl Rows {
    /// Rows that lie one after the other.
    ///
    /// # Panics
    /// If `dims` is 0, or `values` is no whole number of rows.
    pub fn new(dims: usize, values: Vec<f32>) -> Self {
        assert!(
            dims > 0 && values.len().is_multiple_of(dims),
            "not whole rows"
        );
        Self { dims, values }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether every value is finite: a VAE whose training diverged gives others.
    pub fn are_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// Values of a row.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// A row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dims..][..self.dims]
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dims)
    }

    /// These rows, and `others` after them.
    ///
    /// # Panics
    /// If the others have another number of values.
    pub fn followed_by(&self, others: &Self) -> Self {
        assert_eq!(self.dims, others.dims, "values of a row");
        Self::new(self.dims, [&*self.values, &*others.values].concat())
    }
}

/// Σ (a − b)² of two rows, summed in an order that depends on their length alone.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    // Independent sums, which the compiler keeps in the lanes of a register.
    const LANES: usize = 16;
    let squared = |(a, b): (&f32, &f32)| (a - b) * (a - b);
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, pair) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += squared(pair);
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(squared).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any rows: few values, so that rows often coincide.
    pub fn any_rows(most: usize) -> impl Strategy<Value = Rows> {
        (1_usize..20, 1..=most).prop_flat_map(|(dims, count)| {
            prop::collection::vec((-3_i8..3).prop_map(f32::from), dims * count)
                .prop_map(move |values| Rows::new(dims, values))
        })
    }

    proptest! {
        #[test]
        fn a_distance_is_the_sum_of_squares(rows in any_rows(2)) {
            let (a, b) = (rows.row(0), rows.row(rows.len() - 1));
            let expected: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
            // Sums of small whole numbers are exact in any order.
            prop_assert_eq!(squared_distance(a, b), expected);
        }
    }

    #[test]
    fn rows_follow_one_another() {
        let rows = Rows::new(2, vec![1.0, 2.0, 3.0, 4.0]);
        let three = rows.followed_by(&Rows::new(2, vec![5.0, 6.0]));
        assert_eq!((rows.len(), three.len(), three.dims()), (2, 3, 2));
        assert_eq!(three.row(2), [5.0, 6.0]);
        assert!(three.iter().eq([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
        assert!(Rows::new(3, Vec::new()).is_empty());
    }
}
