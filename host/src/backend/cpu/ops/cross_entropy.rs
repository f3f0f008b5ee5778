//! Softmax cross-entropy against a class, with label smoothing (Szegedy et al., 2016), or a
//! distribution (Hinton et al., 2015).

use rayon::prelude::*;

use crate::backend::cpu::tape::{Node, Tape};
use crate::backend::{Answer, Outcome, Target, first_maximum};

/// The cross-entropies of `targets.len() × classes` logits against the targets' shares: those given,
/// or `1 − smoothing` of a class and `smoothing` spread over all; the loss is their weighted sum.
pub fn cross_entropy<T: Tape>(
    tape: &mut T,
    logits: &Node,
    classes: usize,
    targets: &[Target],
) -> Vec<Outcome> {
    let mut gradient = vec![0.0f32; logits.values.len()];
    let outcomes = gradient
        .par_chunks_mut(classes)
        .zip(logits.values.par_chunks(classes))
        .zip(targets.par_iter())
        .map(|((gradient, logits), target)| {
            let best = first_maximum(logits);
            let top = f64::from(logits[best]);
            let mut total = 0.0;
            for (gradient, logit) in gradient.iter_mut().zip(logits) {
                let part = (f64::from(*logit) - top).exp();
                *gradient = part as f32;
                total += part;
            }
            let (all, weight) = (top + total.ln(), f64::from(target.weight));
            let mut loss = 0.0;
            for (class, (gradient, logit)) in gradient.iter_mut().zip(logits).enumerate() {
                let wanted = share(&target.answer, class, classes);
                loss -= wanted * (f64::from(*logit) - all);
                *gradient = ((f64::from(*gradient) / total - wanted) * weight) as f32;
            }
            Outcome {
                cross_entropy: loss,
                correct: best == target.answer.class(),
            }
        })
        .collect();
    if let Some(key) = logits.key.clone() {
        tape.add_backward_op(move |gradients| key.add(gradients, gradient));
    }
    outcomes
}

/// What an answer wants of a class.
fn share(answer: &Answer, class: usize, classes: usize) -> f64 {
    match answer {
        Answer::Shares(shares) => f64::from(shares[class]),
        Answer::Class {
            class: right,
            smoothing,
        } => {
            let smoothing = f64::from(*smoothing);
            let hit = if class == *right {
                1.0 - smoothing
            } else {
                0.0
            };
            hit + smoothing / classes as f64
        }
    }
}
