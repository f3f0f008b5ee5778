//! Which images to label first.

use clap::ValueEnum;

use super::kmeans::{Clusters, clusters, nearest};
use super::neighbours::mean_distances;
use super::{Rows, coreset, squared_distance};

/// How images are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The image nearest to the centre of each cluster.
    KMeans,
    /// The image of each cluster that lies among the most like it.
    Typical,
    /// Each image the one farthest from all before it.
    CoreSet,
}

/// The most clusters that labelled images raise the number to, as in TypiClust: more would be
/// small and chosen by chance.
const MOST_CLUSTERS: usize = 500;
/// Neighbours by which an image is typical, as in TypiClust.
const NEIGHBOURS: usize = 20;

/// Chooses `count` of the `pool`, the most wanted first. What lies near the `labelled` rows counts
/// as covered. The same `seed` chooses the same.
///
/// Clusters are found as in TypiClust (Hacohen, Dekel and Weinshall, 2022): as many as there will
/// be labels, over pool and labelled rows together; the largest of those with the fewest labels
/// give an image each.
///
/// # Panics
/// If the pool is smaller.
pub fn choose(pool: &Rows, labelled: &Rows, count: usize, method: Method, seed: u64) -> Vec<usize> {
    let rows = pool.followed_by(labelled);
    let mut covered: Vec<usize> = (pool.len()..rows.len()).collect();
    let mut chosen = match method {
        Method::CoreSet => Vec::new(),
        Method::KMeans | Method::Typical => {
            let most = (count + labelled.len()).min(MOST_CLUSTERS).max(count);
            let found = clusters(&rows, most, seed);
            let members = wanted(&found, pool.len()).into_iter().take(count);
            members
                .map(|members| representative(&rows, &found, &members, pool.len(), method))
                .collect()
        }
    };
    // Where images coincide, there may be fewer clusters than labels.
    covered.extend(&chosen);
    chosen.extend(coreset::farthest_first(
        &rows,
        &covered,
        count - chosen.len(),
    ));
    chosen
}

/// How many of the pool each of the chosen stands for: those that lie nearer to it than to any
/// other chosen one.
pub fn shares(pool: &Rows, chosen: &[usize]) -> Vec<usize> {
    let values = chosen.iter().flat_map(|&row| pool.row(row)).copied();
    let centres = Rows::new(pool.dims(), values.collect());
    let mut shares = vec![0; chosen.len()];
    for (centre, _) in nearest(pool, &centres) {
        shares[centre] += 1;
    }
    shares
}

/// The members of the clusters that hold any of the pool, its first rows: those with the fewest
/// labelled rows first, among these the largest first.
fn wanted(found: &Clusters, pool: usize) -> Vec<Vec<usize>> {
    let mut members = found.members();
    // Ascending, so the first member is of the pool if any is.
    members.retain(|members| members.first().is_some_and(|&first| first < pool));
    members.sort_by_key(|members| {
        let of_pool = members.partition_point(|&row| row < pool);
        (members.len() - of_pool, usize::MAX - of_pool)
    });
    members
}

/// The one of a cluster's rows of the pool that is to be labelled.
fn representative(
    rows: &Rows,
    found: &Clusters,
    members: &[usize],
    pool: usize,
    method: Method,
) -> usize {
    let centre = found.centres.row(found.of[members[0]]);
    let from = match method {
        Method::Typical => mean_distances(rows, members, NEIGHBOURS),
        _ => {
            let distance = |&row: &usize| f64::from(squared_distance(rows.row(row), centre));
            members.iter().map(distance).collect()
        }
    };
    let of_pool = members.iter().zip(from).filter(|&(&row, _)| row < pool);
    let best = of_pool.min_by(|a, b| a.1.total_cmp(&b.1));
    *best.expect("a row of the pool").0
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const METHODS: [Method; 3] = [Method::KMeans, Method::Typical, Method::CoreSet];

    fn none(dims: usize) -> Rows {
        Rows::new(dims, Vec::new())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_pool_gives_as_many_as_asked_for_each_once(
            pool in any_rows(25),
            count in 1_usize..25,
            labelled in 0_usize..4,
            seed: u64,
        ) {
            let count = count.min(pool.len());
            // Labelled rows that coincide with some of the pool.
            let labelled = Rows::new(pool.dims(), pool.row(0).repeat(labelled));
            for method in METHODS {
                let chosen = choose(&pool, &labelled, count, method, seed);
                prop_assert_eq!(chosen.len(), count);
                prop_assert!(chosen.iter().all(|&row| row < pool.len()));
                prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), count);
                prop_assert_eq!(&choose(&pool, &labelled, count, method, seed), &chosen);
                prop_assert_eq!(shares(&pool, &chosen).iter().sum::<usize>(), pool.len());
            }
        }
    }

    /// Clusters at 0, 100 and 200 of 3, 5 and 4 rows; the middle one of each is the densest.
    fn three() -> Rows {
        let values = [
            &[-1.0, 0.0, 1.0][..],
            &[98.0, 99.5, 100.0, 100.5, 102.0],
            &[199.0, 200.0, 200.5, 202.0],
        ];
        Rows::new(1, values.concat())
    }

    #[test]
    fn each_cluster_gives_one_image_the_largest_first() {
        let middle = |method| choose(&three(), &none(1), 3, method, 0);
        assert_eq!(middle(Method::KMeans), [5, 10, 1]);
        assert_eq!(shares(&three(), &[5, 10, 1]), [5, 4, 3]);
        let typical: BTreeSet<_> = middle(Method::Typical).into_iter().collect();
        assert_eq!(typical.len(), 3);
        assert!(typical.contains(&5), "{typical:?}");
        let far: BTreeSet<_> = middle(Method::CoreSet)
            .iter()
            .map(|row| three().row(*row)[0] as i32 / 90)
            .collect();
        assert_eq!(far.len(), 3);
    }

    #[test]
    fn what_lies_near_a_label_is_not_chosen() {
        let labelled = Rows::new(1, vec![100.2]);
        for method in METHODS {
            let chosen = choose(&three(), &labelled, 2, method, 3);
            let at = chosen.iter().map(|&row| three().row(row)[0]);
            let apart: BTreeSet<_> = at.map(|at| (at / 90.0).round() as i32).collect();
            assert_eq!(apart, BTreeSet::from([0, 2]), "{method:?}");
        }
    }
}
