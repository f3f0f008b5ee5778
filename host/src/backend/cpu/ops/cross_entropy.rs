//! Softmax cross-entropy with label smoothing (Szegedy et al., 2016).

use rayon::prelude::*;

use crate::backend::ClassifierLoss;
use crate::backend::cpu::tape::{Node, Tape};

/// The cross-entropies of `labels.len() × classes` logits against labels smoothed to
/// `1 − smoothing` on their class and `smoothing` spread over all; the loss is their mean.
pub fn cross_entropy<T: Tape>(
    tape: &mut T,
    logits: &Node,
    classes: usize,
    labels: &[usize],
    smoothing: f64,
) -> ClassifierLoss {
    let everywhere = smoothing / classes as f64;
    let mut gradient = vec![0.0f32; logits.values.len()];
    let rows: Vec<(f64, bool)> = gradient
        .par_chunks_mut(classes)
        .zip(logits.values.par_chunks(classes))
        .zip(labels.par_iter())
        .map(|((gradient, logits), label)| {
            let best = first_maximum(logits);
            let top = f64::from(logits[best]);
            let total: f64 = logits.iter().map(|l| (f64::from(*l) - top).exp()).sum();
            let mut loss = 0.0;
            for (class, (gradient, logit)) in gradient.iter_mut().zip(logits).enumerate() {
                let log = f64::from(*logit) - top - total.ln();
                let hit = if class == *label {
                    1.0 - smoothing
                } else {
                    0.0
                };
                let target = hit + everywhere;
                loss -= target * log;
                *gradient = ((log.exp() - target) / labels.len() as f64) as f32;
            }
            (loss, best == *label)
        })
        .collect();
    if let Some(key) = logits.key.clone() {
        tape.add_backward_op(move |gradients| key.add(gradients, gradient));
    }
    ClassifierLoss {
        cross_entropy: rows.iter().map(|(loss, _)| loss).sum(),
        correct: rows.iter().filter(|(_, correct)| *correct).count(),
    }
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
