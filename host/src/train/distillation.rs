//! Answers for images without labels, from classifiers that are trained already (knowledge
//! distillation, Hinton et al., 2015): the mean of what they say of each whole image is what a
//! varied view of it is to show (Xie et al., 2020). They may be of another network.

use std::sync::Arc;

use anyhow::{Result, ensure};
use vae96::{Architecture, Head};

use super::progress::Progress;
use crate::backend::{Answer, Backend, Target, Weights, first_maximum};
use crate::data::loader::Samples;
use crate::evaluate::{self, Predictions};

/// A classifier that others learn from.
#[derive(Clone, Copy, Debug)]
pub struct Teacher<'a> {
    /// Its network.
    pub architecture: &'static Architecture,
    /// Its head.
    pub head: Head,
    /// Its weights.
    pub weights: &'a Weights,
}

/// What teachers say of the unlabelled images.
#[derive(Clone, Debug, PartialEq)]
pub struct Distilled(Vec<Arc<[f32]>>);

impl Distilled {
    /// Asks the `teachers`, one after the other, about the `unlabelled` images.
    ///
    /// # Errors
    /// Where an answer is not finite.
    pub fn new(
        teachers: &[Teacher<'_>],
        backend: &dyn Backend,
        unlabelled: &Samples,
        classes: usize,
        progress: Progress,
    ) -> Result<Self> {
        let images = unlabelled.len();
        let bar = progress.bar("asking", (teachers.len() * images) as u64, "images");
        let part = 1.0 / teachers.len() as f64;
        let mut shares = vec![0.0; images * classes];
        for teacher in teachers {
            let Teacher {
                architecture,
                head,
                weights,
            } = *teacher;
            let classifier = evaluate::ready(backend, architecture, head, classes, weights)?;
            let form = classifier.form();
            let said = evaluate::values(unlabelled.clone(), evaluate::BATCH, form, |batch| {
                let logits = classifier.logits(batch)?;
                bar.inc(batch.count as u64);
                let rows = logits.chunks(classes).flat_map(Predictions::probabilities);
                Ok(rows.map(|share| (part * share) as f32).collect())
            })?;
            shares
                .iter_mut()
                .zip(said)
                .for_each(|(sum, share)| *sum += share);
        }
        bar.finish_and_clear();
        ensure!(
            shares.iter().all(|share| share.is_finite()),
            "a teacher's answers are not finite: its training diverged"
        );
        let answers: Vec<Arc<[f32]>> = shares.chunks(classes).map(Arc::from).collect();
        let best = answers
            .iter()
            .map(|shares| f64::from(shares[first_maximum(shares)]));
        progress.tell(&format!(
            "what {} said of {images} images: a probability of {:.2} for the best class in the mean",
            match teachers.len() {
                1 => "a teacher".to_owned(),
                count => format!("{count} teachers"),
            },
            best.sum::<f64>() / images as f64
        ));
        Ok(Self(answers))
    }

    /// What a classifier is to say of those images, the loss `weight` times their mean.
    pub fn targets<'a>(&'a self, images: &'a [usize], weight: f64) -> impl Iterator<Item = Target> {
        let weight = (weight / images.len() as f64) as f32;
        images.iter().map(move |&image| Target {
            answer: Answer::Shares(Arc::clone(&self.0[image])),
            weight,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;
    use crate::backend::parameters;
    use crate::data::{IMAGE_BYTES, Images};
    use vae96::{EDGE, PAPER};

    const CLASSES: usize = 3;
    const QUIET: Progress = Progress { quiet: true };

    fn unlabelled() -> Images {
        let byte = |at: usize| (at * 31 % 251 + at / IMAGE_BYTES * 7) as u8;
        Images::from_bytes((0..5 * IMAGE_BYTES).map(byte).collect())
    }

    fn weights(architecture: &'static Architecture, head: Head, seed: u64) -> Weights {
        Weights::initial(&parameters::classifier(architecture, head, CLASSES), seed)
    }

    fn distilled(teachers: &[Teacher<'_>]) -> Result<Distilled> {
        let images = unlabelled();
        let samples = Samples::unlabelled(&images, (0..5).collect());
        Distilled::new(teachers, &Cpu, &samples, CLASSES, QUIET)
    }

    fn shares(target: &Target) -> &[f32] {
        match &target.answer {
            Answer::Shares(shares) => shares,
            Answer::Class { .. } => panic!("{target:?}"),
        }
    }

    #[test]
    fn answers_are_the_mean_of_all_teachers() {
        let all = [
            (&EDGE, Head::Conv),
            (&EDGE, Head::Dense),
            (&PAPER, Head::Conv),
        ];
        let all =
            all.map(|(architecture, head)| (architecture, head, weights(architecture, head, 5)));
        let teachers: Vec<_> = (all.iter())
            .map(|(architecture, head, weights)| Teacher {
                architecture,
                head: *head,
                weights,
            })
            .collect();
        let together = distilled(&teachers).unwrap();
        let apart: Vec<_> = (teachers.iter())
            .map(|teacher| distilled(&[*teacher]).unwrap())
            .collect();
        let images = [3, 0];
        for (index, target) in together.targets(&images, 2.0).enumerate() {
            assert_eq!(target.weight, 1.0);
            let row = shares(&target);
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
            for (class, share) in row.iter().enumerate() {
                let of = |one: &Distilled| one.0[images[index]][class];
                let mean = apart.iter().map(of).sum::<f32>() / apart.len() as f32;
                assert!((share - mean).abs() < 1e-6, "{share}, not {mean}");
            }
        }
        assert_ne!(together.0[0], together.0[3]);
    }

    #[test]
    fn a_teacher_that_diverged_is_refused() {
        let mut weights = weights(&EDGE, Head::Conv, 5);
        let (_, tensor) = weights.0.iter_mut().next_back().unwrap();
        tensor.data.fill(f32::NAN);
        let teacher = Teacher {
            architecture: &EDGE,
            head: Head::Conv,
            weights: &weights,
        };
        let error = distilled(&[teacher]).unwrap_err().to_string();
        assert!(error.contains("diverged"), "{error}");
    }
}
