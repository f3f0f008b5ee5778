//! Greedy k-centre: each row chosen is the one farthest from all before it (Gonzalez, 1985; as
//! "core-set" for choosing labels: Sener and Savarese, 2018).

use super::kmeans::approach;
use super::{Rows, squared_distance};

/// `count` rows that are not `covered`, in the order of their choice; of equally far ones the
/// first. Where nothing is covered, the row nearest to the mean begins.
///
/// # Panics
/// If there are fewer such rows.
pub fn farthest_first(rows: &Rows, covered: &[usize], count: usize) -> Vec<usize> {
    let mut free = vec![true; rows.len()];
    let mut distances = vec![f32::INFINITY; rows.len()];
    for &row in covered {
        free[row] = false;
        approach(&mut distances, rows, row);
    }
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let next = if covered.is_empty() && chosen.is_empty() {
            central(rows)
        } else {
            let left = (0..rows.len()).rev().filter(|&row| free[row]);
            left.max_by(|&a, &b| distances[a].total_cmp(&distances[b]))
        };
        let next = next.expect("as many rows as are asked for");
        free[next] = false;
        approach(&mut distances, rows, next);
        chosen.push(next);
    }
    chosen
}

/// The row nearest to the mean of all.
fn central(rows: &Rows) -> Option<usize> {
    let mut mean = vec![0.0_f64; rows.dims()];
    for row in rows.iter() {
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let mean: Vec<f32> = mean
        .iter()
        .map(|sum| (sum / rows.len() as f64) as f32)
        .collect();
    let distances = rows.iter().map(|row| squared_distance(row, &mean));
    let nearest = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
    nearest.map(|(row, _)| row)
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;

    /// The largest distance of a row from the nearest of `centres`, squared.
    fn radius(rows: &Rows, centres: &[usize]) -> f32 {
        let nearest = rows.iter().map(|row| {
            let distances = centres
                .iter()
                .map(|&centre| squared_distance(row, rows.row(centre)));
            distances.fold(f32::INFINITY, f32::min)
        });
        nearest.fold(0.0, f32::max)
    }

    /// The least radius of any `count` centres.
    fn best(rows: &Rows, count: usize, chosen: &mut Vec<usize>) -> f32 {
        if chosen.len() == count {
            return radius(rows, chosen);
        }
        let first = chosen.last().map_or(0, |last| last + 1);
        let mut least = f32::INFINITY;
        for row in first..rows.len() {
            chosen.push(row);
            least = least.min(best(rows, count, chosen));
            chosen.pop();
        }
        least
    }

    proptest! {
        /// Gonzalez's bound: at most twice the best radius, whichever row comes first.
        #[test]
        fn the_radius_is_at_most_twice_the_best(rows in any_rows(9), count in 1_usize..4) {
            let count = count.min(rows.len());
            let found = radius(&rows, &farthest_first(&rows, &[], count));
            let best = best(&rows, count, &mut Vec::new());
            prop_assert!(found.sqrt() <= 2.0 * best.sqrt() + 1e-4, "{found} {best}");
        }

        #[test]
        fn every_row_is_chosen_once_and_covered_ones_never(rows in any_rows(12), covered in 0_usize..12) {
            let covered: Vec<_> = (0..covered.min(rows.len() - 1)).collect();
            let mut all = farthest_first(&rows, &covered, rows.len() - covered.len());
            all.extend(covered);
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..rows.len()));
        }
    }

    #[test]
    fn the_farthest_comes_next() {
        let line = Rows::new(1, vec![0.0, 1.0, 2.0, 3.5, 10.0]);
        assert_eq!(farthest_first(&line, &[], 3), [3, 4, 0]);
        assert_eq!(farthest_first(&line, &[4], 2), [0, 3]);
    }
}
