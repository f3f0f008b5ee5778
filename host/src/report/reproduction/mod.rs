//! A reproduction of the paper, to be shown beside the paper's own figures.

pub mod paper;

use serde::Serialize;

use super::Pretraining;

/// The paper's experiments, as far as they are done.
#[derive(Clone, Debug, Default)]
pub struct Reproduction {
    /// Trainings that are finished.
    pub done: usize,
    /// Trainings in all.
    pub trainings: usize,
    /// Classes told apart.
    pub classes: usize,
    /// Validation images that accuracies are of.
    pub images: usize,
    /// Validation images that curves are of.
    pub curve_images: usize,
    /// Whether the weights are those of the best validation accuracy.
    pub keeps_best: bool,
    /// Figures 1 and 2.
    pub pretraining: Option<Pretraining>,
    /// The VAE's loss over single batches.
    pub steps: Vec<StepLoss>,
    /// Figure 3: the settings and the baseline.
    pub settings: Vec<SettingResult>,
    /// Table 1 and Figure 4, by ascending labels.
    pub rows: Vec<LabelRow>,
    /// What differs from the paper.
    pub differences: Vec<Difference>,
}

/// The loss of one batch, before the step that it led to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepLoss {
    /// Steps done before it.
    pub step: usize,
    /// Σ (x̂ − x)² + KL, a mean over the batch's images.
    pub loss: f64,
}

/// A quantity over the seeds that are done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation over seeds, estimated from them (n − 1); none of one seed.
    pub deviation: Option<f64>,
    /// Its value with each seed.
    pub seeds: Vec<f64>,
}

impl Spread {
    /// Of its values, of which there must be one at least.
    pub fn of(seeds: Vec<f64>) -> Option<Self> {
        let count = seeds.len() as f64;
        let mean = seeds.iter().sum::<f64>() / count;
        let squares: f64 = seeds.iter().map(|value| (value - mean).powi(2)).sum();
        (!seeds.is_empty()).then(|| Self {
            mean,
            deviation: (seeds.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            seeds,
        })
    }
}

/// Shares of all validation images, in [0, 1].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// Whose best class is their label.
    pub top1: Spread,
    /// Whose label is among the best five.
    pub top5: Spread,
}

/// One of the paper's classifiers, trained with the most labels.
#[derive(Clone, Debug, Serialize)]
pub struct SettingResult {
    /// Its name in files, by which [`paper::top1`] knows it.
    pub setting: &'static str,
    /// Its name for people.
    #[serde(skip)]
    pub name: &'static str,
    /// What it came to; none as long as no seed is done.
    pub accuracy: Option<Accuracy>,
    /// Epoch, and mean over seeds of the top-1 accuracy on validation images, in [0, 1].
    pub curve: Vec<(usize, f64)>,
}

/// A line of Table 1.
#[derive(Clone, Debug, Serialize)]
pub struct LabelRow {
    /// Labelled images a class.
    pub labels: usize,
    /// Convolutional head on the pre-trained encoder, which goes on learning.
    pub pretrained: Option<Accuracy>,
    /// The same from scratch.
    pub baseline: Option<Accuracy>,
}

/// Something that is not as in the paper, or that must be known to be so.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// In the paper.
    pub paper: &'static str,
    /// Here.
    pub here: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_by_hand() {
        let spread = Spread::of(vec![0.629, 0.621, 0.638]).unwrap();
        assert!((spread.mean - 0.629_333).abs() < 1e-6);
        assert!((spread.deviation.unwrap() - 0.008_505).abs() < 1e-6);
        assert_eq!(Spread::of(vec![0.5]).unwrap().deviation, None);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
