//! A report's quantities, from raw predictions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::evaluate::Predictions;

use super::{Confusion, Picture, Reliability, ReliabilityBin};

/// A latent dimension is active when its mean KL divergence exceeds this, in nats.
pub const ACTIVE_NATS: f64 = 0.01;

/// Images of one class taken for another, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusedPair {
    /// The class they belong to.
    pub truth: usize,
    /// The class they were taken for.
    pub predicted: usize,
    /// Those images, the most confident mistake first.
    pub images: Vec<usize>,
    /// Images of the true class.
    pub of: usize,
}

/// An interval of shares of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Confidence against accuracy in `bins` bins of equal width, and the expected calibration
/// error Σ |Bₘ|/n · |acc(Bₘ) − conf(Bₘ)|. Bin m of M holds confidences in ((m − 1)/M, m/M]
/// (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
/// equations 1 to 3, who take 15 bins).
pub fn reliability(predictions: &Predictions, name: &str, bins: usize) -> Reliability {
    let bins = bins.max(1);
    let mut sums = vec![(0.0, 0_usize, 0_usize); bins];
    for ((best, confidence), &label) in predictions.best().zip(predictions.labels()) {
        let bin = ((confidence * bins as f64).ceil() as usize).clamp(1, bins) - 1;
        let (confidences, correct, count) = &mut sums[bin];
        *confidences += confidence;
        *correct += usize::from(best == label);
        *count += 1;
    }
    let bins: Vec<_> = sums
        .into_iter()
        .map(|(confidences, correct, count)| ReliabilityBin {
            confidence: mean(confidences, count),
            accuracy: mean(correct as f64, count),
            count,
        })
        .collect();
    let gaps = bins
        .iter()
        .map(|bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs());
    Reliability {
        name: name.to_owned(),
        expected_calibration_error: mean(gaps.sum(), predictions.images()),
        bins,
    }
}

/// The `limit` ordered pairs of classes with the most mistakes, most first; equal ones in the
/// order of their indices.
pub fn most_confused(predictions: &Predictions, limit: usize) -> Vec<ConfusedPair> {
    let mut of = vec![0; predictions.classes()];
    let mut mistakes = BTreeMap::<(usize, usize), Vec<(usize, f64)>>::new();
    for (image, ((best, confidence), &label)) in
        predictions.best().zip(predictions.labels()).enumerate()
    {
        of[label] += 1;
        if best != label {
            mistakes
                .entry((label, best))
                .or_default()
                .push((image, confidence));
        }
    }
    let mut pairs: Vec<_> = mistakes.into_iter().collect();
    pairs.sort_by_key(|(_, images)| Reverse(images.len()));
    pairs.truncate(limit);
    pairs
        .into_iter()
        .map(|((truth, predicted), mut images)| {
            images.sort_by(|a, b| b.1.total_cmp(&a.1));
            ConfusedPair {
                truth,
                predicted,
                images: images.into_iter().map(|(image, _)| image).collect(),
                of: of[truth],
            }
        })
        .collect()
}

/// `pairs` with the classes' names and at most `examples` pictures each; `picture` gives the
/// 96×96 RGB bytes of an image. A class without a name, or a picture of another size, is an error.
pub fn confusions(
    pairs: &[ConfusedPair],
    classes: &[String],
    examples: usize,
    picture: impl Fn(usize) -> Result<Vec<u8>>,
) -> Result<Vec<Confusion>> {
    pairs
        .iter()
        .map(|pair| {
            let highest = pair.truth.max(pair.predicted);
            ensure!(
                highest < classes.len(),
                "class {highest} is confused, and only {} classes have names",
                classes.len()
            );
            Ok(Confusion {
                truth: classes[pair.truth].clone(),
                predicted: classes[pair.predicted].clone(),
                count: pair.images.len(),
                of: pair.of,
                examples: pair
                    .images
                    .iter()
                    .take(examples)
                    .map(|&image| Picture::new(picture(image)?))
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// How many latent dimensions carry information: their KL divergence exceeds [`ACTIVE_NATS`].
/// (The active units of Burda, Grosse and Salakhutdinov, ICLR 2016, take the variance of the
/// means instead.)
pub fn active_dimensions(kl_per_dimension: &[f64]) -> usize {
    kl_per_dimension
        .iter()
        .filter(|&&kl| kl > ACTIVE_NATS)
        .count()
}

/// The 95 % interval of a share observed over `images` independent images (Wilson, "Probable
/// inference, the law of succession, and statistical inference", JASA 1927). All of [0, 1]
/// without images.
pub fn wilson(share: f64, images: usize) -> Interval {
    const Z: f64 = 1.959_963_984_540_054;
    if images == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let n = images as f64;
    let spread = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / spread;
    let half = Z / spread * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval {
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

/// `sum / count`, and 0 of nothing.
fn mean(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    /// Logits of which the softmax is the given probabilities.
    fn logits(probabilities: &[f32]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn reliability_by_hand() {
        // Five bins: 0.9 right and 0.95 wrong in the last, 0.55 right, 0.7 wrong.
        let scores: Vec<f32> = [[0.9, 0.1], [0.05, 0.95], [0.55, 0.45], [0.3, 0.7]]
            .iter()
            .flat_map(|p| logits(p))
            .collect();
        let all = Predictions::new(scores, vec![0; 4], 2).unwrap();
        let found = reliability(&all, "float", 5);
        let counts: Vec<_> = found.bins.iter().map(|bin| bin.count).collect();
        assert_eq!(found.name, "float");
        assert_eq!(counts, [0, 0, 1, 1, 2]);
        close(found.bins[4].confidence, 0.925);
        close(found.bins[4].accuracy, 0.5);
        // ¼·|1 − 0.55| + ¼·|0 − 0.7| + ½·|0.5 − 0.925|
        close(found.expected_calibration_error, 0.5);
    }

    #[test]
    fn bins_hold_their_upper_edge() {
        // Equal logits: a confidence of exactly 1/2, then of exactly 1.
        let all = Predictions::new(vec![0.0, 0.0, 1000.0, 0.0], vec![0, 0], 2).unwrap();
        let found = reliability(&all, "", 2);
        assert_eq!(found.bins[0].count, 1);
        assert_eq!(found.bins[1].count, 1);
        close(found.expected_calibration_error, 0.25);
    }

    #[test]
    fn confused_pairs_by_hand() {
        let classes = 3;
        let answers = [
            (0, 1, 0.5),
            (0, 1, 0.9),
            (0, 0, 0.9),
            (1, 0, 0.7),
            (2, 1, 0.8),
            (2, 2, 0.8),
        ];
        let scores: Vec<f32> = answers
            .iter()
            .flat_map(|&(_, predicted, p)| {
                let mut row = vec![(1.0 - p) / 2.0; classes];
                row[predicted] = p;
                logits(&row)
            })
            .collect();
        let labels: Vec<_> = answers.iter().map(|a| a.0).collect();
        let all = Predictions::new(scores, labels, classes).unwrap();
        let pairs = most_confused(&all, 2);
        let expected = [
            ConfusedPair {
                truth: 0,
                predicted: 1,
                images: vec![1, 0],
                of: 3,
            },
            ConfusedPair {
                truth: 1,
                predicted: 0,
                images: vec![3],
                of: 1,
            },
        ];
        assert_eq!(pairs, expected);

        let names = ["a", "b", "c"].map(str::to_owned);
        let shown = confusions(&pairs, &names, 1, |_| Ok(vec![0; 96 * 96 * 3])).unwrap();
        assert_eq!((shown[0].truth.as_str(), shown[0].count), ("a", 2));
        assert_eq!(shown[0].examples.len(), 1);
        assert!(confusions(&pairs, &names[..1], 1, |_| Ok(Vec::new())).is_err());
        assert!(confusions(&pairs, &names, 1, |_| Ok(Vec::new())).is_err());
    }

    #[test]
    fn active_means_above_the_threshold() {
        assert_eq!(active_dimensions(&[0.0, 0.01, 0.0101, 3.0, f64::NAN]), 2);
    }

    #[test]
    fn wilson_against_published_values() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263 and 0/20.
        let a = wilson(81.0 / 263.0, 263);
        assert!((a.low - 0.2553).abs() < 5e-5 && (a.high - 0.3662).abs() < 5e-5);
        let b = wilson(0.0, 20);
        assert!(b.low == 0.0 && (b.high - 0.1611).abs() < 5e-5);
        assert_eq!(wilson(0.0, 0).high, 1.0);
    }

    #[test]
    fn of_no_images_there_is_nothing_to_tell() {
        let none = Predictions::new(vec![], vec![], 3).unwrap();
        close(reliability(&none, "", 10).expected_calibration_error, 0.0);
        assert!(most_confused(&none, 5).is_empty());
    }
}
