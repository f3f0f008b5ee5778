//! The latent sample and its divergence from the prior (Kingma and Welling, 2014).

use crate::backend::cpu::tape::{Node, Tape};

/// How the divergence counts in the loss.
#[derive(Clone, Copy, Debug)]
pub struct Divergence {
    /// Its weight.
    pub weight: f32,
    /// A dimension whose mean divergence over the batch is below this adds nothing to the loss.
    pub free_bits: f64,
}

/// `z = μ + ε · exp(½ log σ²)` of `dimensions` values an image, and the KL divergence
/// `−½ Σ (1 + log σ² − μ² − σ²)` of the whole batch.
pub fn sample<T: Tape>(
    tape: &mut T,
    mean: &Node,
    log_variance: &Node,
    noise: &[f32],
    dimensions: usize,
    divergence: Divergence,
) -> (Node, f64) {
    let pairs = || mean.values.iter().zip(log_variance.values.iter());
    let mut totals = vec![0.0f64; dimensions];
    for (index, (mean, log)) in pairs().enumerate() {
        let (mean, log) = (f64::from(*mean), f64::from(*log));
        totals[index % dimensions] += -0.5 * (1.0 + log - mean * mean - log.exp());
    }
    let values: Vec<f32> = pairs()
        .zip(noise)
        .map(|((mean, log), noise)| mean + noise * (0.5 * log).exp())
        .collect();
    let output = Node::output::<T>(values);
    if let (Some(key), Some(mean_key), Some(log_key)) = (
        output.key.clone(),
        mean.key.clone(),
        log_variance.key.clone(),
    ) {
        let noise = noise.to_vec();
        let (mean, log) = (mean.values.clone(), log_variance.values.clone());
        let free = divergence.free_bits * (mean.len() / dimensions) as f64;
        let weights: Vec<f32> = (totals.iter())
            .map(|total| {
                if *total < free {
                    0.0
                } else {
                    divergence.weight
                }
            })
            .collect();
        tape.add_backward_op(move |gradients| {
            let mut gradient = key.take(gradients)?;
            // Nothing adds to it where nothing is decoded.
            gradient.resize(noise.len(), 0.0);
            let weights = || weights.iter().cycle();
            let by_mean = (gradient.iter().zip(mean.iter()).zip(weights()))
                .map(|((g, mean), weight)| g + weight * mean)
                .collect();
            let by_log = (gradient.iter().zip(log.iter()).zip(&noise).zip(weights()))
                .map(|(((g, log), noise), weight)| {
                    let deviation = (0.5 * log).exp();
                    0.5 * (g * noise * deviation + weight * (deviation * deviation - 1.0))
                })
                .collect();
            mean_key.add(gradients, by_mean)?;
            log_key.add(gradients, by_log)
        });
    }
    (output, totals.iter().sum())
}
