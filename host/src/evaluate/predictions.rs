//! A classifier's answers to labelled images, and how right they are.

use anyhow::{Result, ensure};

/// A classifier's answers to labelled images.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    logits: Vec<f32>,
    labels: Vec<usize>,
    classes: usize,
}

impl Predictions {
    /// Answers as `labels.len() × classes` logits.
    ///
    /// # Errors
    /// For a logit that is not finite (training diverged), a label that is no class, or another
    /// number of logits.
    pub fn new(logits: Vec<f32>, labels: Vec<usize>, classes: usize) -> Result<Self> {
        ensure!(classes > 0, "predictions over no classes");
        ensure!(
            logits.len() == labels.len() * classes,
            "{} logits, where {} images of {classes} classes have {}",
            logits.len(),
            labels.len(),
            labels.len() * classes
        );
        for (image, (&label, logits)) in labels.iter().zip(logits.chunks(classes)).enumerate() {
            ensure!(
                label < classes,
                "image {image} has label {label}, and there are {classes} classes"
            );
            ensure!(
                logits.iter().all(|logit| logit.is_finite()),
                "image {image} has a logit that is not finite: the training diverged"
            );
        }
        Ok(Self {
            logits,
            labels,
            classes,
        })
    }

    /// Images answered.
    pub fn images(&self) -> usize {
        self.labels.len()
    }

    /// Classes told apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The true class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Share of images whose label is among the `k` best classes, in [0, 1]; 0 without images.
    /// Of equal logits the class of the lower index comes first.
    pub fn top_k(&self, k: usize) -> f64 {
        let hits = self.rows().filter(|&(logits, label)| {
            let ahead = |&(class, &logit): &(usize, &f32)| {
                logit > logits[label] || (logit == logits[label] && class < label)
            };
            logits.iter().enumerate().filter(ahead).count() < k
        });
        hits.count() as f64 / self.images().max(1) as f64
    }

    /// Mean negative log-likelihood of the labels, in nats; 0 without images.
    pub fn loss(&self) -> f64 {
        let losses = self
            .rows()
            .map(|(logits, label)| log_sum_exp(logits) - f64::from(logits[label]));
        losses.sum::<f64>() / self.images().max(1) as f64
    }

    /// The best class of each image and its probability; of equal ones the lower index.
    pub fn best(&self) -> impl Iterator<Item = (usize, f64)> {
        self.rows().map(|(logits, _)| {
            let best = (1..logits.len()).fold(0, |best, class| {
                if logits[class] > logits[best] {
                    class
                } else {
                    best
                }
            });
            let confidence = (f64::from(logits[best]) - log_sum_exp(logits)).exp();
            (best, confidence.min(1.0))
        })
    }

    /// The softmax probabilities of some logits.
    pub fn probabilities(logits: &[f32]) -> impl Iterator<Item = f64> {
        let all = log_sum_exp(logits);
        logits
            .iter()
            .map(move |&logit| (f64::from(logit) - all).exp())
    }

    fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.logits
            .chunks(self.classes)
            .zip(self.labels.iter().copied())
    }
}

/// log Σ eˣ, without overflow.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - max).exp()).sum();
    max + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn top_k_counts_the_best() {
        let scores = [
            5.0, 1.0, 3.0, 2.0, // label 0 comes first
            5.0, 1.0, 3.0, 2.0, // label 2 comes second
            5.0, 1.0, 3.0, 2.0, // label 1 comes last
        ];
        let all = Predictions::new(scores.to_vec(), vec![0, 2, 1], 4).unwrap();
        close(all.top_k(0), 0.0);
        close(all.top_k(1), 1.0 / 3.0);
        close(all.top_k(2), 2.0 / 3.0);
        close(all.top_k(3), 2.0 / 3.0);
        close(all.top_k(4), 1.0);
        close(all.top_k(5), 1.0);
    }

    #[test]
    fn a_constant_network_is_right_by_chance_alone() {
        let all = Predictions::new(vec![0.5; 16], vec![0, 1, 2, 3], 4).unwrap();
        close(all.top_k(1), 0.25);
        close(all.top_k(2), 0.5);
        close(all.loss(), 4.0_f64.ln());
        assert!(
            all.best()
                .all(|(best, p)| best == 0 && (p - 0.25).abs() < 1e-6)
        );
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let all = Predictions::new(vec![3e38, 0.0, -3e38, 0.0], vec![0, 1], 2).unwrap();
        close(all.loss(), 0.0);
        assert_eq!(all.best().collect::<Vec<_>>(), [(0, 1.0), (1, 1.0)]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let error = |logits: &[f32], labels: &[usize], classes| {
            Predictions::new(logits.to_vec(), labels.to_vec(), classes)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default()
        };
        assert!(error(&[], &[], 0).contains("no classes"));
        assert!(error(&[0.0; 5], &[0, 1], 3).contains("5 logits"));
        assert!(error(&[0.0; 3], &[3], 3).contains("label 3"));
        assert!(error(&[0.0, f32::NAN, 0.0], &[0], 3).contains("diverged"));
        let none = Predictions::new(vec![], vec![], 3).unwrap();
        close(none.top_k(1) + none.loss(), 0.0);
    }
}
