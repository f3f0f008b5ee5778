//! k-means (Lloyd, 1982) from the seeds of k-means++ (Arthur and Vassilvitskii, 2007).

use rand::RngExt;
use rayon::prelude::*;

use super::{Rows, squared_distance};
use crate::data::random::{Purpose, rng};

/// Seedings, of which the one that ends best counts: Lloyd's steps only reach a local minimum.
const RESTARTS: u64 = 4;
/// The most steps of each; most end earlier, where no row changes its cluster.
const STEPS: usize = 50;

/// Rows, each with the nearest centre.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// The clusters' centres; those of clusters without rows stand where they stood last.
    pub centres: Rows,
    /// The cluster of each row.
    pub of: Vec<usize>,
    /// Σ of the rows' squared distances from their centres.
    pub inertia: f64,
}

impl Clusters {
    /// The rows of each cluster, ascending.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.centres.len()];
        for (row, &cluster) in self.of.iter().enumerate() {
            members[cluster].push(row);
        }
        members
    }
}

/// Finds `count` clusters, by `seed`. A cluster may be empty only where fewer rows differ.
///
/// # Panics
/// If there are no rows, or no clusters are asked for.
pub fn clusters(rows: &Rows, count: usize, seed: u64) -> Clusters {
    assert!(!rows.is_empty() && count > 0, "nothing to cluster");
    let tries = (0..RESTARTS).map(|restart| lloyd(rows, seeds(rows, count, seed, restart)));
    tries
        .min_by(|a, b| a.inertia.total_cmp(&b.inertia))
        .expect("at least one try")
}

/// The nearest of `centres` to each row, of equally near ones the first, and its squared distance.
pub fn nearest(rows: &Rows, centres: &Rows) -> Vec<(usize, f32)> {
    let one = |row| {
        let distances = centres.iter().map(|centre| squared_distance(row, centre));
        distances
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("at least one centre")
    };
    (0..rows.len())
        .into_par_iter()
        .map(|index| one(rows.row(index)))
        .collect()
}

/// Rows drawn to start from, each with a chance in proportion to its squared distance from those
/// drawn before.
fn seeds(rows: &Rows, count: usize, seed: u64, restart: u64) -> Rows {
    let mut rng = rng(seed, Purpose::Clusters, 0, restart);
    let mut drawn = rng.random_range(0..rows.len());
    let mut distances = vec![f32::INFINITY; rows.len()];
    let mut values = Vec::with_capacity(count * rows.dims());
    loop {
        values.extend_from_slice(rows.row(drawn));
        if values.len() == count * rows.dims() {
            return Rows::new(rows.dims(), values);
        }
        approach(&mut distances, rows, drawn);
        let total: f64 = distances.iter().copied().map(f64::from).sum();
        let mut left = rng.random::<f64>() * total;
        let reached = distances.iter().position(|&distance| {
            left -= f64::from(distance);
            left < 0.0
        });
        // None where every row has been drawn: then any one will do.
        drawn = reached.unwrap_or(rows.len() - 1);
    }
}

/// Lowers the squared distances of all rows from the nearest of some rows, to which `added` comes.
pub(super) fn approach(distances: &mut [f32], rows: &Rows, added: usize) {
    let added = rows.row(added);
    distances
        .par_iter_mut()
        .enumerate()
        .for_each(|(row, distance)| {
            *distance = distance.min(squared_distance(rows.row(row), added));
        });
}

fn lloyd(rows: &Rows, mut centres: Rows) -> Clusters {
    let mut found = nearest(rows, &centres);
    for _ in 0..STEPS {
        centres = means(rows, &found, centres);
        let next = nearest(rows, &centres);
        let settled = next.iter().zip(&found).all(|(a, b)| a.0 == b.0);
        found = next;
        if settled {
            break;
        }
    }
    Clusters {
        centres,
        of: found.iter().map(|&(cluster, _)| cluster).collect(),
        inertia: found.iter().map(|&(_, distance)| f64::from(distance)).sum(),
    }
}

/// The mean of each cluster. An empty one moves to the row that lies farthest from its centre.
fn means(rows: &Rows, found: &[(usize, f32)], mut centres: Rows) -> Rows {
    let dims = rows.dims();
    let mut sums = vec![0.0_f64; centres.values.len()];
    let mut counts = vec![0_usize; centres.len()];
    for (row, &(cluster, _)) in rows.iter().zip(found) {
        counts[cluster] += 1;
        let sums = &mut sums[cluster * dims..][..dims];
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let mut farthest: Vec<usize> = Vec::new();
    if counts.contains(&0) {
        farthest.extend(0..rows.len());
        // Stable: of equally far rows the first comes last, where it is taken from.
        farthest.reverse();
        farthest.sort_by(|&a, &b| found[a].1.total_cmp(&found[b].1));
    }
    for (cluster, centre) in centres.values.chunks_exact_mut(dims).enumerate() {
        if counts[cluster] > 0 {
            let sums = &sums[cluster * dims..][..dims];
            for (value, sum) in centre.iter_mut().zip(sums) {
                *value = (sum / counts[cluster] as f64) as f32;
            }
        } else if let Some(row) = farthest.pop() {
            centre.copy_from_slice(rows.row(row));
        }
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Three rows around each of `count` far corners.
    fn corners(count: usize) -> Rows {
        let near = [-0.1_f32, 0.0, 0.1];
        let values = (0..3 * count).flat_map(|i| [10.0 * (i % count) as f32, near[i / count]]);
        Rows::new(2, values.collect())
    }

    #[test]
    fn clusters_that_lie_apart_are_found() {
        for seed in 0..20 {
            let found = clusters(&corners(6), 6, seed);
            assert!(
                (found.inertia - 6.0 * 0.02).abs() < 1e-5,
                "{}",
                found.inertia
            );
            for members in found.members() {
                assert_eq!(members.len(), 3);
                assert!(members.iter().all(|row| row % 6 == members[0] % 6));
            }
        }
    }

    proptest! {
        #[test]
        fn every_row_belongs_to_its_nearest_centre(rows in any_rows(30), count in 1_usize..8, seed: u64) {
            let found = clusters(&rows, count, seed);
            prop_assert_eq!((found.centres.len(), found.of.len()), (count, rows.len()));
            let mut inertia = 0.0;
            for (row, &cluster) in rows.iter().zip(&found.of) {
                let distance = |centre| squared_distance(row, centre);
                let least = found.centres.iter().map(distance).fold(f32::INFINITY, f32::min);
                prop_assert_eq!(distance(found.centres.row(cluster)), least);
                inertia += f64::from(least);
            }
            prop_assert!((inertia - found.inertia).abs() < 1e-6);
        }

        #[test]
        fn more_clusters_than_rows_that_differ_hold_each(rows in any_rows(12), more in 0_usize..4, seed: u64) {
            let differ: HashSet<Vec<u32>> = rows.iter()
                .map(|row| row.iter().map(|value| (value + 0.0).to_bits()).collect())
                .collect();
            let found = clusters(&rows, differ.len() + more, seed);
            let filled = found.members().iter().filter(|members| !members.is_empty()).count();
            prop_assert_eq!((filled, found.inertia), (differ.len(), 0.0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_seed_gives_the_same_on_any_number_of_threads(rows in any_rows(30), seed: u64) {
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| clusters(&rows, 4, seed))
            };
            let (one, three) = (on(1), on(3));
            prop_assert_eq!(one.centres, three.centres);
            prop_assert_eq!(one.of, three.of);
        }
    }
}
