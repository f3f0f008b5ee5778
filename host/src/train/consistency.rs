//! Labels for images that have none (FixMatch, Sohn et al., 2020): what the averaged network is
//! sure of in a slightly varied view, a strongly varied view of the same image is to show too.

use anyhow::{Context, Result, ensure};

use crate::backend::{Tensor, Weights};
use crate::evaluate::Predictions;

/// How much of the mean answer a step leaves as it was.
const MEMORY: f64 = 0.99;

/// The name under which the mean answer is kept.
const MEAN: &str = "mean_answer";

/// Turns answers into labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Labeller {
    /// The least probability that makes an answer a label.
    confidence: f64,
    /// The mean of the answers so far; none to take answers as they are.
    mean: Option<Vec<f32>>,
}

impl Labeller {
    /// Labels for `classes` classes. With `align`, answers are corrected by the ratio of equal
    /// frequencies to their own mean (distribution alignment, Berthelot et al., 2020).
    pub fn new(classes: usize, confidence: f64, align: bool) -> Self {
        Self {
            confidence,
            mean: align.then(|| vec![1.0 / classes as f32; classes]),
        }
    }

    /// The label of each image, or none where the network is not sure, from `count × classes`
    /// logits.
    pub fn labels(&mut self, logits: &[f32], classes: usize) -> Vec<Option<usize>> {
        let mut answers: Vec<Vec<f64>> = (logits.chunks(classes))
            .map(|logits| Predictions::probabilities(logits).collect())
            .collect();
        if let Some(mean) = &mut self.mean {
            let share = (1.0 - MEMORY) / answers.len().max(1) as f64;
            for (class, mean) in mean.iter_mut().enumerate() {
                let sum: f64 = answers.iter().map(|answer| answer[class]).sum();
                *mean = (MEMORY * f64::from(*mean) + share * sum) as f32;
            }
            for answer in &mut answers {
                let corrected = answer.iter_mut().zip(&*mean);
                corrected.for_each(|(p, mean)| *p /= f64::from(mean.max(1e-9)));
                let total: f64 = answer.iter().sum();
                answer.iter_mut().for_each(|p| *p /= total);
            }
        }
        let label = |answer: &Vec<f64>| {
            let (class, probability) =
                (answer.iter().enumerate()).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
            (*probability >= self.confidence).then_some(class)
        };
        answers.iter().map(label).collect()
    }

    /// What it has learned, to be kept in a checkpoint.
    pub fn state(&self) -> Weights {
        let tensor = |mean: &Vec<f32>| (MEAN.to_owned(), Tensor::new([mean.len()], mean.clone()));
        Weights(self.mean.iter().map(tensor).collect())
    }

    /// Goes on from [`state`](Self::state).
    pub fn set_state(&mut self, state: &Weights) -> Result<()> {
        if let Some(mean) = &mut self.mean {
            let tensor = state.get(MEAN).context("the checkpoint lacks a part")?;
            ensure!(
                tensor.data.len() == mean.len(),
                "the checkpoint's {MEAN} is of {} classes, not {}",
                tensor.data.len(),
                mean.len()
            );
            mean.clone_from(&tensor.data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(probabilities: &[f32]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn sure_answers_alone_become_labels() {
        let mut labeller = Labeller::new(2, 0.8, false);
        let logits = logits(&[0.81, 0.19, 0.5, 0.5, 0.1, 0.9]);
        assert_eq!(labeller.labels(&logits, 2), [Some(0), None, Some(1)]);
        assert!(labeller.state().0.is_empty());
    }

    #[test]
    fn a_class_answered_too_often_needs_more() {
        let mut labeller = Labeller::new(2, 0.7, true);
        let biased = logits(&[0.75, 0.25]);
        assert_eq!(labeller.labels(&biased, 2), [Some(0)]);
        for _ in 0..300 {
            labeller.labels(&biased, 2);
        }
        // Three in four is what it always says: that is no news.
        assert_eq!(labeller.labels(&biased, 2), [None]);
        assert_eq!(labeller.labels(&logits(&[0.4, 0.6]), 2), [Some(1)]);
    }

    #[test]
    fn the_state_comes_back_exactly() {
        let mut first = Labeller::new(3, 0.5, true);
        first.labels(&[0.1, 2.0, -1.0, 0.3, 0.3, 0.3], 3);
        let mut second = Labeller::new(3, 0.5, true);
        second.set_state(&first.state()).unwrap();
        assert_eq!(second, first);
        assert!(
            Labeller::new(4, 0.5, true)
                .set_state(&first.state())
                .is_err()
        );
        assert!(second.set_state(&Weights::default()).is_err());
    }
}
