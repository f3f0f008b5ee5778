//! Softmax cross-entropy with label smoothing (Szegedy et al., 2016).

use rayon::prelude::*;

use crate::backend::cpu::tape::{Node, Tape};
use crate::backend::{Outcome, Target};

/// The cross-entropies of `targets.len() × classes` logits against targets smoothed to
/// `1 − smoothing` on their class and `smoothing` spread over all; the loss is their weighted sum.
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
            let smoothing = f64::from(target.smoothing);
            let everywhere = smoothing / classes as f64;
            let best = first_maximum(logits);
            let top = f64::from(logits[best]);
            let total: f64 = logits.iter().map(|l| (f64::from(*l) - top).exp()).sum();
            let mut loss = 0.0;
            for (class, (gradient, logit)) in gradient.iter_mut().zip(logits).enumerate() {
                let log = f64::from(*logit) - top - total.ln();
                let hit = if class == target.class {
                    1.0 - smoothing
                } else {
                    0.0
                };
                let wanted = hit + everywhere;
                loss -= wanted * log;
                *gradient = ((log.exp() - wanted) * f64::from(target.weight)) as f32;
            }
            Outcome {
                cross_entropy: loss,
                correct: best == target.class,
            }
        })
        .collect();
    if let Some(key) = logits.key.clone() {
        tape.add_backward_op(move |gradients| key.add(gradients, gradient));
    }
    outcomes
}

fn first_maximum(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
