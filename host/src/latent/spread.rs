//! Labels that spread from the rows that have one to their neighbours, and on to theirs (label
//! propagation, Zhou et al., 2004; for images by what a network sees in them, Iscen et al., 2019).

use rayon::prelude::*;

use super::Rows;
use super::neighbours::nearest_fellows;

/// Neighbours by which a row is joined to others.
const NEIGHBOURS: usize = 10;
/// α: the share of a row's label that its neighbours say, each time.
const SPREAD: f64 = 0.9;
/// How often rows ask their neighbours: what is left of the start is α to this power.
const ROUNDS: i32 = 50;
/// Temperature of the affinity exp((cos − 1) / temperature) of two neighbours.
const TEMPERATURE: f64 = 0.1;
/// How often classes and rows are scaled in turn to be equally frequent (Sinkhorn and Knopp, 1967).
const BALANCINGS: usize = 10;

/// A label that a row got from others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// The class.
    pub class: usize,
    /// 1 for one class alone, 0 for all classes alike: 1 − entropy / ln classes.
    pub certainty: f64,
}

/// The labels of the rows after the first `labels.len()`, which have those labels, below `classes`.
/// With `align`, all classes are taken to be equally frequent.
///
/// # Panics
/// If there are fewer rows than labels, or a label is not below `classes`.
pub fn spread(rows: &Rows, labels: &[usize], classes: usize, align: bool) -> Vec<Guess> {
    let graph = Graph::new(&unit(rows));
    let start: Vec<f64> = (0..rows.len() * classes)
        .map(|i| labels.get(i / classes) == Some(&(i % classes)))
        .map(|labelled| f64::from(u8::from(labelled)))
        .collect();
    let mut values = start.clone();
    for _ in 0..ROUNDS {
        values = graph.mixed(&values, &start, classes);
    }
    let mut shares = values.split_off(labels.len() * classes);
    normalise(&mut shares, classes);
    if align {
        for _ in 0..BALANCINGS {
            balance(&mut shares, classes);
            normalise(&mut shares, classes);
        }
    }
    shares.chunks_exact(classes).map(guess).collect()
}

/// Rows of length 1: the signed root of each value, less its mean over all rows and by its
/// deviation. Roots keep the few largest of a network's sums of activations from deciding alone.
fn unit(rows: &Rows) -> Rows {
    let (dims, count) = (rows.dims(), rows.len() as f64);
    let mut values: Vec<f32> = rows
        .iter()
        .flatten()
        .map(|x| x.signum() * x.abs().sqrt())
        .collect();
    for column in 0..dims {
        let of_column = || (column..rows.len() * dims).step_by(dims);
        let sum =
            |f: &dyn Fn(f64) -> f64| -> f64 { of_column().map(|i| f(f64::from(values[i]))).sum() };
        let mean = sum(&|x| x) / count;
        let deviation = (sum(&|x| (x - mean).powi(2)) / count).sqrt();
        for i in of_column() {
            values[i] = ((f64::from(values[i]) - mean) / deviation.max(1e-6)) as f32;
        }
    }
    for row in values.chunks_exact_mut(dims) {
        let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        let length = squares.sqrt().max(1e-12);
        row.iter_mut()
            .for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    Rows::new(dims, values)
}

/// Rows joined to their neighbours: D^(−1/2) W D^(−1/2) of the symmetric affinities W, whose sums by
/// row are D.
struct Graph(Vec<Vec<(usize, f64)>>);

impl Graph {
    fn new(rows: &Rows) -> Self {
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut edges = vec![Vec::new(); rows.len()];
        for (row, near) in nearest_fellows(rows, &all, NEIGHBOURS)
            .into_iter()
            .enumerate()
        {
            for (squared, other) in near {
                // Of rows of length 1: |a − b|² = 2 (1 − cos).
                let affinity = (-f64::from(squared) / (2.0 * TEMPERATURE)).exp();
                edges[row].push((other, affinity));
                edges[other].push((row, affinity));
            }
        }
        let degrees: Vec<f64> = edges
            .iter()
            .map(|edges| edges.iter().map(|(_, affinity)| affinity).sum())
            .collect();
        for (row, edges) in edges.iter_mut().enumerate() {
            for (other, affinity) in edges {
                *affinity /= (degrees[row] * degrees[*other]).sqrt();
            }
        }
        Self(edges)
    }

    /// α S Z + (1 − α) Y.
    fn mixed(&self, values: &[f64], start: &[f64], classes: usize) -> Vec<f64> {
        let mut mixed: Vec<f64> = start.iter().map(|y| (1.0 - SPREAD) * y).collect();
        let rows = mixed.par_chunks_exact_mut(classes).zip(&self.0);
        rows.for_each(|(row, edges)| {
            for &(other, weight) in edges {
                let said = &values[other * classes..][..classes];
                let pairs = row.iter_mut().zip(said);
                pairs.for_each(|(value, said)| *value += SPREAD * weight * said);
            }
        });
        mixed
    }
}

/// Makes each row a distribution: the even one where no label came.
fn normalise(shares: &mut [f64], classes: usize) {
    for row in shares.chunks_exact_mut(classes) {
        let sum: f64 = row.iter().sum();
        match sum > 0.0 {
            true => row.iter_mut().for_each(|share| *share /= sum),
            false => row.fill(1.0 / classes as f64),
        }
    }
}

/// Makes all classes equally frequent.
fn balance(shares: &mut [f64], classes: usize) {
    let mut sums = vec![0.0; classes];
    for row in shares.chunks_exact(classes) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, share)| *sum += share);
    }
    for row in shares.chunks_exact_mut(classes) {
        let pairs = row.iter_mut().zip(&sums).filter(|(_, sum)| **sum > 0.0);
        pairs.for_each(|(share, sum)| *share /= sum);
    }
}

fn guess(shares: &[f64]) -> Guess {
    // Of equal ones the first.
    let best = (0..shares.len())
        .rev()
        .max_by(|&a, &b| shares[a].total_cmp(&shares[b]));
    let entropy: f64 = shares
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    Guess {
        class: best.unwrap_or(0),
        certainty: match shares.len() {
            0 | 1 => 1.0,
            classes => (1.0 - entropy / (classes as f64).ln()).clamp(0.0, 1.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;

    /// Three bundles of directions, 30 rows each; the first of each bundle come first.
    fn bundles() -> (Rows, Vec<usize>) {
        let row = |bundle: usize, i: usize| {
            (0..6).map(move |dim| {
                let along = if dim / 2 == bundle { 4.0 } else { 1.0 };
                along + ((i * 7 + dim * 5) % 11) as f32 / 11.0
            })
        };
        let order: Vec<_> = (0..30)
            .flat_map(|i| [0, 1, 2].map(|bundle| (bundle, i)))
            .collect();
        let values = order.iter().flat_map(|&(bundle, i)| row(bundle, i));
        (
            Rows::new(6, values.collect()),
            order.iter().map(|of| of.0).collect(),
        )
    }

    #[test]
    fn a_label_each_tells_bundles_apart() {
        let (rows, truth) = bundles();
        let guesses = spread(&rows, &truth[..3], 3, true);
        assert_eq!(guesses.len(), 87);
        for (guess, class) in guesses.iter().zip(&truth[3..]) {
            assert_eq!(guess.class, *class);
            assert!(guess.certainty > 0.5, "{guess:?}");
        }
    }

    #[test]
    fn where_no_label_comes_nothing_is_certain() {
        let (rows, truth) = bundles();
        // One bundle has a label: what others hear is little, but all they hear.
        let guesses = spread(&rows, &truth[..1], 3, false);
        assert_eq!(
            guesses[2],
            Guess {
                class: 0,
                certainty: 1.0
            }
        );
        let none = spread(&rows, &[], 3, true);
        assert!(none.iter().all(|guess| guess.certainty < 1e-9), "{none:?}");
    }

    #[test]
    fn balanced_classes_are_equally_frequent() {
        let mut shares = [0.9, 0.1, 0.8, 0.2, 0.6, 0.4];
        for _ in 0..BALANCINGS {
            balance(&mut shares, 2);
            normalise(&mut shares, 2);
        }
        let first: f64 = shares.iter().step_by(2).sum();
        assert!((first - 1.5).abs() < 1e-3, "{shares:?}");
        // What says least for the frequent class is of the other.
        let classes: Vec<_> = shares.chunks(2).map(|row| guess(row).class).collect();
        assert_eq!(classes, [0, 0, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_rows_get_a_class_and_a_certainty_on_any_number_of_threads(
            rows in any_rows(40),
            labels in prop::collection::vec(0_usize..4, 0..10),
            align: bool,
        ) {
            let labels = &labels[..labels.len().min(rows.len())];
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| spread(&rows, labels, 4, align))
            };
            let guesses = on(1);
            prop_assert_eq!(&on(3), &guesses);
            prop_assert_eq!(guesses.len(), rows.len() - labels.len());
            for guess in guesses {
                prop_assert!(guess.class < 4 && (0.0..=1.0).contains(&guess.certainty));
            }
        }

        /// The limit of the rounds solves (1 − α S) Z = (1 − α) Y.
        #[test]
        fn rounds_end_near_the_closed_form(rows in any_rows(12), labelled in 1_usize..4) {
            let rows = unit(&rows);
            let graph = Graph::new(&rows);
            let start: Vec<f64> = (0..rows.len()).map(|i| f64::from(u8::from(i < labelled))).collect();
            let mut values = start.clone();
            for _ in 0..ROUNDS {
                values = graph.mixed(&values, &start, 1);
            }
            for (row, edges) in graph.0.iter().enumerate() {
                let near: f64 = edges.iter().map(|(other, weight)| weight * values[*other]).sum();
                let rest = values[row] - SPREAD * near - (1.0 - SPREAD) * start[row];
                // What is left of the start; the spectral radius of S is 1.
                prop_assert!(rest.abs() <= 4.0 * SPREAD.powi(ROUNDS), "{rest}");
            }
        }
    }
}
