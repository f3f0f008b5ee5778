//! What makes a frame one of no class, fitted on labelled images.

use anyhow::{Result, ensure};
use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};
use rand::RngExt;
use rayon::prelude::*;
use vae96::model::Model;
use vae96::prototypes::ONE;
use vae96::{Calibration, Match};

use super::Taught;
use super::episodes::{self, Episode, OfClass};
use super::features::Features;
use crate::data::random::{Purpose, rng};

/// Episodes that are fitted on.
const DRAWS: u64 = 300;

/// The most classes, and the most images a class, that are taught in one of them.
const WAYS: usize = 10;
const SHOTS: usize = 5;

/// A frame's nearest class, and whether it is of none of those taught.
#[derive(Clone, Copy)]
struct Asked {
    /// The cosine, in [−1, 1].
    similarity: f64,
    /// Of 1 and the frames that the class was taught.
    inverse: f64,
    none: bool,
}

impl Asked {
    fn new(nearest: Match<'_>, none: bool) -> Self {
        Self {
            similarity: f64::from(nearest.similarity) / f64::from(ONE),
            inverse: 1.0 / f64::from(nearest.frames),
            none,
        }
    }

    fn inputs(&self) -> [f64; 3] {
        [1.0, self.similarity, self.inverse]
    }
}

/// The calibration for the features of `model`, from episodes of 2 to 10 classes of 1 to 5 images
/// each, drawn by `seed`.
///
/// # Errors
/// If there are too few classes or images to draw episodes from.
pub fn fit(
    model: &Model<'_>,
    features: &Features,
    images: &OfClass,
    seed: u64,
) -> Result<Calibration> {
    episodes::check(images, 2, 1)?;
    let fewest = images.iter().map(Vec::len).min().unwrap_or(0);
    let (ways, shots) = (WAYS.min(images.len() - 1), SHOTS.min(fewest - 1));
    let asked = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut rng = rng(seed, Purpose::Episodes, 2, draw);
            let (ways, shots) = (rng.random_range(2..=ways), rng.random_range(1..=shots));
            let episode = episodes::draw(images, ways, shots, seed, draw);
            let taught = episode.teach(model, features)?;
            ask(&taught, features, &episode)
        })
        .collect::<Result<Vec<_>>>()?
        .concat();
    let weights = logistic_regression(&asked)?;
    let [bias, similarity, frames] =
        weights.map(|weight| (weight * f64::from(Calibration::NAT)).round() as i32);
    Ok(Calibration {
        bias,
        similarity,
        frames,
    })
}

fn ask(taught: &Taught, features: &Features, episode: &Episode) -> Result<Vec<Asked>> {
    let known = episode.known.iter().map(|&(image, _)| (image, false));
    let unknown = episode.unknown.iter().map(|&image| (image, true));
    let mut asked = Vec::new();
    for (image, none) in known.chain(unknown) {
        let nearest = taught.compare(&features.row(image))?.best();
        asked.extend(nearest.map(|nearest| Asked::new(nearest, none)));
    }
    Ok(asked)
}

/// The weights of greatest likelihood, by Newton's method; known and unknown count the same,
/// however many there are of each.
fn logistic_regression(asked: &[Asked]) -> Result<[f64; 3]> {
    const STEPS: usize = 50;
    // Of a standard deviation of 100 a weight: where one line parts them, the likelihood has no
    // greatest value.
    const PRECISION: f64 = 1e-4;
    let unknown = asked.iter().filter(|asked| asked.none).count();
    ensure!(
        unknown > 0 && unknown < asked.len(),
        "a calibration needs images of classes that are taught and of others"
    );
    let half = 0.5 * asked.len() as f64;
    let (of_known, of_unknown) = (half / (asked.len() - unknown) as f64, half / unknown as f64);
    let mut weights = [0.0; 3];
    for _ in 0..STEPS {
        let mut gradient = Mat::from_fn(3, 1, |i, _| -PRECISION * weights[i]);
        let mut curvature = Mat::from_fn(3, 3, |i, j| if i == j { PRECISION } else { 0.0 });
        for one in asked {
            let inputs = one.inputs();
            let log_odds: f64 = inputs.iter().zip(weights).map(|(x, w)| x * w).sum();
            let probability = 1.0 / (1.0 + (-log_odds).exp());
            let (weight, answer) = if one.none {
                (of_unknown, 1.0)
            } else {
                (of_known, 0.0)
            };
            let error = weight * (answer - probability);
            let slope = weight * probability * (1.0 - probability);
            for (i, a) in inputs.iter().enumerate() {
                gradient[(i, 0)] += error * a;
                for (j, b) in inputs.iter().enumerate() {
                    curvature[(i, j)] += slope * a * b;
                }
            }
        }
        let step = Llt::new(curvature.as_ref(), Side::Lower)
            .map_err(|error| anyhow::anyhow!("the calibration has no solution: {error:?}"))?
            .solve(&gradient);
        for (i, weight) in weights.iter_mut().enumerate() {
            *weight += step[(i, 0)];
        }
    }
    ensure!(
        weights.iter().all(|weight| weight.is_finite()),
        "the calibration has no solution"
    );
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames on a grid of similarities and frames, with both answers in the proportion that those
    /// weights give.
    fn grid(weights: [f64; 3]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for step in 0..200 {
            for frames in 1..=5 {
                let one = |none| Asked {
                    similarity: f64::from(step) / 200.0,
                    inverse: 1.0 / f64::from(frames),
                    none,
                };
                let inputs = one(false).inputs();
                let log_odds: f64 = inputs.iter().zip(weights).map(|(x, w)| x * w).sum();
                let unknown = (100.0 / (1.0 + (-log_odds).exp())).round() as usize;
                asked.extend((0..100).map(|i| one(i < unknown)));
            }
        }
        asked
    }

    #[test]
    fn the_weights_that_made_the_answers_are_found() {
        let weights = [1.5, -4.0, 0.5];
        let asked = grid(weights);
        let unknown = asked.iter().filter(|asked| asked.none).count() as f64;
        let known = asked.len() as f64 - unknown;
        let found = logistic_regression(&asked).unwrap();
        // At even odds: the ratio of their numbers is taken off.
        let expected = [weights[0] - (unknown / known).ln(), weights[1], weights[2]];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.1, "{found}, not {expected}");
        }
    }

    #[test]
    fn answers_that_a_line_parts_have_weights_too() {
        let asked: Vec<_> = grid([0.0; 3])
            .into_iter()
            .map(|asked| Asked {
                none: asked.similarity < 0.5,
                ..asked
            })
            .collect();
        let [_, similarity, _] = logistic_regression(&asked).unwrap();
        assert!(similarity < -20.0, "{similarity}");
        assert!(
            logistic_regression(&asked[..100]).is_err(),
            "of one sort alone"
        );
    }
}
