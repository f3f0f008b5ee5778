//! Which rows lie near a row.

use rayon::prelude::*;

use super::{Rows, squared_distance};

/// The `count` of `among` that lie nearest to `query`, nearest first; of equally near ones the one
/// that comes first. Fewer if there are no more.
pub fn nearest(rows: &Rows, among: &[usize], query: &[f32], count: usize) -> Vec<usize> {
    let distances = among
        .iter()
        .map(|&row| squared_distance(rows.row(row), query));
    let mut near: Vec<_> = distances.zip(among.iter().copied()).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.truncate(count);
    near.into_iter().map(|(_, row)| row).collect()
}

/// The `count` fellow members nearest to each of `members`, nearest first, with the squared
/// distance of each; of equally near ones those that come first. Fewer if there are no more.
pub fn nearest_fellows(rows: &Rows, members: &[usize], count: usize) -> Vec<Vec<(f32, usize)>> {
    let count = count.min(members.len().saturating_sub(1));
    let order = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let of = |distances: &mut Vec<(f32, usize)>, place: usize| {
        let row = rows.row(members[place]);
        let fellows = (0..members.len()).filter(|&other| other != place);
        let distance = |other| (squared_distance(row, rows.row(members[other])), other);
        distances.clear();
        distances.extend(fellows.map(distance));
        if count < distances.len() {
            distances.select_nth_unstable_by(count, order);
        }
        let near = &mut distances[..count];
        near.sort_by(order);
        near.iter()
            .map(|&(squared, other)| (squared, members[other]))
            .collect()
    };
    (0..members.len())
        .into_par_iter()
        .map_init(Vec::new, of)
        .collect()
}

/// The mean distance of each of `members` from its `count` nearest fellow members: the smaller,
/// the more typical of them it is (Hacohen, Dekel and Weinshall, 2022). 0 without fellows.
pub fn mean_distances(rows: &Rows, members: &[usize], count: usize) -> Vec<f64> {
    let mean = |near: &Vec<(f32, usize)>| {
        let distances = near.iter().map(|&(squared, _)| f64::from(squared).sqrt());
        distances.sum::<f64>() / near.len().max(1) as f64
    };
    nearest_fellows(rows, members, count)
        .iter()
        .map(mean)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_row_left_out_is_nearer(rows in any_rows(20), count in 0_usize..25) {
            let among: Vec<_> = (1..rows.len()).collect();
            let near = nearest(&rows, &among, rows.row(0), count);
            prop_assert_eq!(near.len(), count.min(among.len()));
            let distance = |row: usize| squared_distance(rows.row(row), rows.row(0));
            prop_assert!(near.is_sorted_by_key(|&row| distance(row)));
            let last = near.last().map_or(0.0, |&row| distance(row));
            for row in among {
                prop_assert!(near.contains(&row) || near.is_empty() || distance(row) >= last);
            }
        }

        #[test]
        fn the_nearest_of_each_row_are_those_of_it_alone(rows in any_rows(20), count in 0_usize..25) {
            let all: Vec<_> = (0..rows.len()).collect();
            for (row, near) in nearest_fellows(&rows, &all, count).into_iter().enumerate() {
                let others: Vec<_> = (0..rows.len()).filter(|&other| other != row).collect();
                let near: Vec<_> = near.into_iter().map(|(_, other)| other).collect();
                prop_assert_eq!(near, nearest(&rows, &others, rows.row(row), count));
            }
        }

        #[test]
        fn mean_distances_are_those_of_the_nearest(rows in any_rows(12), count in 1_usize..5) {
            let members: Vec<_> = (0..rows.len()).step_by(2).collect();
            let means = mean_distances(&rows, &members, count);
            for (place, mean) in means.into_iter().enumerate() {
                let row = members[place];
                let others: Vec<_> = members.iter().copied().filter(|&other| other != row).collect();
                let near = nearest(&rows, &others, rows.row(row), count);
                let distance = |&other: &usize| {
                    f64::from(squared_distance(rows.row(row), rows.row(other))).sqrt()
                };
                let expected = near.iter().map(distance).sum::<f64>() / near.len().max(1) as f64;
                prop_assert!((mean - expected).abs() < 1e-9, "{mean} {expected}");
            }
        }
    }
}
