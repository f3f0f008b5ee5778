//! t-SNE (van der Maaten and Hinton, 2008), exact: a plane on which rows keep their neighbours.
//!
//! It starts from the principal components, so that it needs no random numbers and the groups'
//! places say something (Kobak and Berens, 2019).

use anyhow::Result;
use rayon::prelude::*;

use super::projection::principal_plane;
use super::{Rows, squared_distance};

/// A place on the plane.
pub type Point = [f64; 2];

/// Neighbours that a row has, softly counted.
const PERPLEXITY: f64 = 30.0;
/// Steps in all, and first ones in which attraction is exaggerated to let groups form.
const STEPS: usize = 500;
const EARLY: usize = 125;
const EXAGGERATION: f64 = 12.0;
/// Share of a step's velocity that stays, early and late.
const MOMENTUM: [f64; 2] = [0.5, 0.8];
/// Spread of the start along its first axis.
const SPREAD: f64 = 1e-4;

/// The place of each row.
///
/// # Errors
/// If the principal components cannot be computed.
pub fn tsne(rows: &Rows) -> Result<Vec<Point>> {
    let mut places = start(&principal_plane(rows)?);
    if rows.len() < 3 {
        return Ok(places);
    }
    let affinities = affinities(rows);
    // Belkina et al. (2019).
    let rate = (rows.len() as f64 / EXAGGERATION).max(50.0);
    let mut velocities = vec![[0.0; 2]; rows.len()];
    let mut gains = vec![[1.0_f64; 2]; rows.len()];
    for step in 0..STEPS {
        let early = step < EARLY;
        let exaggeration = if early { EXAGGERATION } else { 1.0 };
        let momentum = MOMENTUM[usize::from(!early)];
        let gradient = gradient(&affinities, &places, exaggeration);
        for (i, gradient) in gradient.iter().enumerate() {
            for axis in 0..2 {
                let (velocity, gain) = (&mut velocities[i][axis], &mut gains[i][axis]);
                // Jacobs (1988): faster where the direction stays.
                *gain = match gradient[axis] * *velocity < 0.0 {
                    true => *gain + 0.2,
                    false => (*gain * 0.8).max(0.01),
                };
                *velocity = momentum * *velocity - rate * *gain * gradient[axis];
                places[i][axis] += *velocity;
            }
        }
    }
    Ok(places)
}

/// The plane, scaled down so that the first steps see all rows as neighbours.
fn start(plane: &[Point]) -> Vec<Point> {
    let squares: f64 = plane.iter().map(|point| point[0] * point[0]).sum();
    let deviation = (squares / plane.len().max(1) as f64).sqrt();
    let scale = if deviation > 0.0 {
        SPREAD / deviation
    } else {
        0.0
    };
    plane
        .iter()
        .map(|point| point.map(|value| value * scale))
        .collect()
}

/// How much rows i and j are neighbours, `count × count`, symmetric, Σ = 1.
fn affinities(rows: &Rows) -> Vec<f64> {
    let count = rows.len();
    let perplexity = PERPLEXITY.min((count - 1) as f64 / 3.0).max(1.0);
    let conditional: Vec<Vec<f64>> = (0..count)
        .into_par_iter()
        .map(|i| conditional(rows, i, perplexity))
        .collect();
    let pair = |i: usize, j: usize| (conditional[i][j] + conditional[j][i]) / (2 * count) as f64;
    (0..count * count)
        .map(|at| pair(at / count, at % count))
        .collect()
}

/// A Gaussian around row `i`, as wide as gives that perplexity.
fn conditional(rows: &Rows, i: usize, perplexity: f64) -> Vec<f64> {
    const TRIES: usize = 100;
    let distances: Vec<f64> = rows
        .iter()
        .map(|row| f64::from(squared_distance(row, rows.row(i))))
        .collect();
    let others = || distances.iter().enumerate().filter(|&(j, _)| j != i);
    let nearest = others()
        .map(|(_, &distance)| distance)
        .fold(f64::INFINITY, f64::min);
    let mean = others().map(|(_, distance)| distance).sum::<f64>() / (distances.len() - 1) as f64;
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut precision = 1.0 / mean.max(f64::MIN_POSITIVE);
    let mut weights = vec![0.0; distances.len()];
    for _ in 0..TRIES {
        let mut sum = 0.0;
        let mut weighted = 0.0;
        for (j, distance) in others() {
            // From the nearest on, so that they do not all vanish.
            let further = distance - nearest;
            weights[j] = (-further * precision).exp();
            sum += weights[j];
            weighted += weights[j] * further;
        }
        let entropy = sum.ln() + precision * weighted / sum;
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let excess = entropy - perplexity.ln();
        if excess.abs() < 1e-6 {
            break;
        }
        if excess > 0.0 {
            low = precision;
        } else {
            high = precision;
        }
        precision = if high.is_finite() {
            (low + high) / 2.0
        } else {
            precision * 2.0
        };
    }
    weights
}

/// The gradient of KL(affinities ‖ similarities on the plane), attraction exaggerated.
fn gradient(affinities: &[f64], places: &[Point], exaggeration: f64) -> Vec<Point> {
    let count = places.len();
    let forces: Vec<([f64; 4], f64)> = (0..count)
        .into_par_iter()
        .map(|i| {
            let mut force = [0.0; 4];
            let mut total = 0.0;
            let affinities = &affinities[i * count..][..count];
            for (place, affinity) in places.iter().zip(affinities) {
                let apart = [places[i][0] - place[0], places[i][1] - place[1]];
                let similarity = similarity(apart);
                total += similarity;
                for axis in 0..2 {
                    force[axis] += affinity * similarity * apart[axis];
                    force[2 + axis] += similarity * similarity * apart[axis];
                }
            }
            // Itself, at a distance of 0, is no other.
            (force, total - 1.0)
        })
        .collect();
    let total: f64 = forces.iter().map(|(_, total)| total).sum();
    let along = |force: &[f64; 4], axis: usize| {
        4.0 * (exaggeration * force[axis] - force[2 + axis] / total)
    };
    forces
        .iter()
        .map(|(force, _)| [along(force, 0), along(force, 1)])
        .collect()
}

/// Student's t with one degree of freedom, not normalised.
fn similarity(apart: Point) -> f64 {
    1.0 / (1.0 + apart[0] * apart[0] + apart[1] * apart[1])
}

#[cfg(test)]
mod tests {
    use super::super::tests::any_rows;
    use super::*;
    use proptest::prelude::*;

    /// Ten rows around each of three corners of a cube.
    fn groups() -> Rows {
        let values = (0..30 * 8).map(|i| {
            let (row, dim) = (i / 8, i % 8);
            let corner = if dim == row % 3 { 5.0 } else { 0.0 };
            corner + ((i * 7919) % 101) as f32 / 101.0
        });
        Rows::new(8, values.collect())
    }

    fn divergence(affinities: &[f64], places: &[Point]) -> f64 {
        let count = places.len();
        let pairs = || (0..count * count).filter(|at| at / count != at % count);
        let similar = |at: usize| {
            let (a, b) = (places[at / count], places[at % count]);
            similarity([a[0] - b[0], a[1] - b[1]])
        };
        let total: f64 = pairs().map(similar).sum();
        pairs()
            .filter(|&at| affinities[at] > 0.0)
            .map(|at| affinities[at] * (affinities[at] / (similar(at) / total)).ln())
            .sum()
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let affinities = affinities(&groups());
        let mut places: Vec<Point> = (0..30)
            .map(|i| [f64::from(i % 7), f64::from(i * i % 11)])
            .collect();
        let gradient = gradient(&affinities, &places, 1.0);
        for i in [0, 4, 29] {
            for axis in 0..2 {
                let mut at = |offset: f64| {
                    let before = places[i][axis];
                    places[i][axis] += offset;
                    let divergence = divergence(&affinities, &places);
                    places[i][axis] = before;
                    divergence
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (slope - gradient[i][axis]).abs() < 1e-8,
                    "{slope} {gradient:?}"
                );
            }
        }
    }

    #[test]
    fn groups_stay_groups() {
        let rows = groups();
        let places = tsne(&rows).unwrap();
        let start = start(&principal_plane(&rows).unwrap());
        let affinities = affinities(&rows);
        assert!(divergence(&affinities, &places) < divergence(&affinities, &start));
        let distance =
            |a: usize, b: usize| (places[a][0] - places[b][0]).hypot(places[a][1] - places[b][1]);
        for a in 0..30 {
            let others = (0..30).filter(|&b| b != a);
            let nearest = others.min_by(|&b, &c| distance(a, b).total_cmp(&distance(a, c)));
            assert_eq!(nearest.unwrap() % 3, a % 3);
        }
    }

    #[test]
    fn every_row_has_the_perplexity_asked_for() {
        let rows = groups();
        for i in 0..rows.len() {
            let weights = conditional(&rows, i, 7.0);
            let entropy: f64 = weights
                .iter()
                .filter(|&&p| p > 0.0)
                .map(|p| -p * p.ln())
                .sum();
            assert!((entropy - 7_f64.ln()).abs() < 1e-5);
            assert_eq!(weights[i], 0.0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_rows_have_places_the_same_on_any_number_of_threads(rows in any_rows(12)) {
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| tsne(&rows).unwrap())
            };
            let places = on(1);
            prop_assert!(places.iter().flatten().all(|value| value.is_finite()));
            prop_assert_eq!(on(3), places);
        }
    }
}
