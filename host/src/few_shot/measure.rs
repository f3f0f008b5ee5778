//! How right the prototypes are on classes that nobody trained on.

use anyhow::{Result, ensure};
use rayon::prelude::*;
use vae96::Calibration;
use vae96::model::Model;
use vae96::prototypes::ONE;

use super::episodes::{self, Episode, OfClass};
use super::features::Features;
use super::floats::Float;

/// Of the frames of taught classes, how many are accepted where false accepts are counted.
pub const TRUE_ACCEPTS: f64 = 0.9;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Classes taught at a time.
    pub ways: usize,
    /// Images that teach each of them.
    pub shots: usize,
    /// Episodes.
    pub draws: u64,
    /// What they are drawn by.
    pub seed: u64,
}

/// Shares of 1 over several draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation; 0 of a single draw.
    pub deviation: f64,
}

/// How well frames of none of the classes are told from others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rejection {
    /// How often a frame of none has a greater probability of it than a frame of a class, of all
    /// pairs of them: the area under the receiver operating characteristic.
    pub auroc: f64,
    /// The share of frames of none that are accepted where [`TRUE_ACCEPTS`] of the others are.
    pub false_accepts: f64,
    /// The expected calibration error of that probability, in 15 bins of equal width.
    pub calibration_error: f64,
}

/// What was found with one number of images a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// That number.
    pub shots: usize,
    /// Accuracy of the prototypes, in integers.
    pub prototypes: Spread,
    /// Accuracy of the same formula in floats.
    pub float: Spread,
    /// Accuracy of the nearest mean of the plain features, in floats.
    pub mean: Spread,
    /// Accuracy of ridge regression, in floats.
    pub linear: Spread,
    /// Whether the frame is of any of the classes.
    pub none: Rejection,
}

/// Measures on episodes of those images.
///
/// # Errors
/// If there are too few classes or images to draw them from.
pub fn measure(
    model: &Model<'_>,
    calibration: Calibration,
    features: &Features,
    images: &OfClass,
    options: Options,
) -> Result<Found> {
    let Options {
        ways,
        shots,
        draws,
        seed,
    } = options;
    ensure!(draws > 0, "--draws is 0; it must be at least 1");
    episodes::check(images, ways, shots)?;
    let outcomes = (0..draws)
        .into_par_iter()
        .map(|draw| {
            let episode = episodes::draw(images, ways, shots, seed, draw);
            Outcome::of(&episode, model, calibration, features)
        })
        .collect::<Result<Vec<_>>>()?;
    let spread = |share: fn(&Outcome) -> f64| spread(outcomes.iter().map(share).collect());
    let none = outcomes.iter().flat_map(|outcome| &outcome.none);
    Ok(Found {
        shots,
        prototypes: spread(|outcome| outcome.prototypes),
        float: spread(|outcome| outcome.floats[0]),
        mean: spread(|outcome| outcome.floats[1]),
        linear: spread(|outcome| outcome.floats[2]),
        none: rejection(none.copied().collect()),
    })
}

/// What came of an episode.
struct Outcome {
    /// Share of the images of taught classes whose class the prototypes tell.
    prototypes: f64,
    /// The same of each float classifier.
    floats: [f64; 3],
    /// Of each image the probability × [`ONE`] that it is of none of the classes, and whether it is.
    none: Vec<(i32, bool)>,
}

impl Outcome {
    fn of(
        episode: &Episode,
        model: &Model<'_>,
        calibration: Calibration,
        features: &Features,
    ) -> Result<Self> {
        let mut taught = episode.teach(model, features)?;
        taught.calibrate(Some(calibration));
        let mut none = Vec::new();
        let mut right = 0usize;
        for &(image, class) in &episode.known {
            let compared = taught.compare(&features.row(image))?;
            right += usize::from(compared.best().is_some_and(|best| best.class == class));
            none.extend(
                compared
                    .none_of_these()
                    .map(|probability| (probability, false)),
            );
        }
        for &image in &episode.unknown {
            let compared = taught.compare(&features.row(image))?;
            none.extend(
                compared
                    .none_of_these()
                    .map(|probability| (probability, true)),
            );
        }
        let share = |right: usize| right as f64 / episode.known.len() as f64;
        let floats = Float::all(features, episode)?.map(|float| {
            let known = episode.known.iter();
            share(
                known
                    .filter(|&&(image, class)| float.classify(features, image) == class)
                    .count(),
            )
        });
        Ok(Self {
            prototypes: share(right),
            floats,
            none,
        })
    }
}

fn spread(shares: Vec<f64>) -> Spread {
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
    Spread {
        mean,
        deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
    }
}

/// From the probability of none × [`ONE`] of frames, and whether they are of none.
fn rejection(mut frames: Vec<(i32, bool)>) -> Rejection {
    const BINS: usize = 15;
    frames.sort_unstable();
    let count = |none: bool| frames.iter().filter(|frame| frame.1 == none).count();
    let (known, unknown) = (count(false), count(true));
    let pairs = (known * unknown).max(1) as f64;

    // Frames of one probability together: a pair of equals counts half.
    let (mut below, mut greater) = (0, 0.0);
    for equal in frames.chunk_by(|a, b| a.0 == b.0) {
        let none = equal.iter().filter(|frame| frame.1).count();
        let others = equal.len() - none;
        greater += none as f64 * (below as f64 + others as f64 / 2.0);
        below += others;
    }

    let accepted = (TRUE_ACCEPTS * known as f64).ceil() as usize;
    let known_frames = frames.iter().filter(|frame| !frame.1);
    let threshold = known_frames
        .take(accepted)
        .last()
        .map_or(0, |frame| frame.0);
    let passed = frames
        .iter()
        .filter(|frame| frame.1 && frame.0 <= threshold);

    let mut bins = [(0.0, 0.0); BINS];
    for &(probability, none) in &frames {
        let probability = f64::from(probability) / f64::from(ONE);
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += probability;
        bins[bin].1 += f64::from(u8::from(none));
    }
    let gaps = bins
        .iter()
        .map(|(probabilities, none)| (probabilities - none).abs());
    Rejection {
        auroc: greater / pairs,
        false_accepts: passed.count() as f64 / unknown.max(1) as f64,
        calibration_error: gaps.sum::<f64>() / frames.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_mean_and_deviation() {
        let found = spread(vec![0.25, 0.5, 0.75]);
        assert_eq!((found.mean, found.deviation), (0.5, 0.25));
        assert_eq!(spread(vec![0.3]).deviation, 0.0);
    }

    #[test]
    fn frames_that_one_threshold_parts_are_told_apart() {
        let frames: Vec<_> = (0..100).map(|i| (i, i >= 50)).collect();
        let found = rejection(frames.clone());
        assert_eq!((found.auroc, found.false_accepts), (1.0, 0.0));
        let reversed = rejection(frames.iter().map(|&(p, none)| (p, !none)).collect());
        assert_eq!((reversed.auroc, reversed.false_accepts), (0.0, 1.0));
    }

    #[test]
    fn a_constant_tells_nothing_and_is_calibrated() {
        let frames: Vec<_> = (0..100).map(|i| (ONE / 2, i % 2 == 0)).collect();
        let found = rejection(frames);
        assert_eq!(
            (found.auroc, found.false_accepts, found.calibration_error),
            (0.5, 1.0, 0.0)
        );
        // Sure of what is so half the time.
        let sure = rejection((0..100).map(|i| (ONE, i % 2 == 0)).collect());
        assert_eq!(sure.calibration_error, 0.5);
    }

    #[test]
    fn false_accepts_are_counted_where_nine_of_ten_are_accepted() {
        // Ten known at 0 to 9, unknown at 7 to 16: the ninth known one is at 8.
        let known = (0..10).map(|i| (i, false));
        let unknown = (7..17).map(|i| (i, true));
        let found = rejection(known.chain(unknown).collect());
        assert_eq!(found.false_accepts, 0.2);
        // 3 pairs lost and 3 halves of 100.
        assert_eq!(found.auroc, 1.0 - (3.0 + 1.5) / 100.0);
    }
}
