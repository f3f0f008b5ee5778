//! The latent sample and its divergence from the prior (Kingma and Welling, 2014).

use crate::backend::cpu::tape::{Node, Tape};

/// `z = μ + ε · exp(½ log σ²)`, and the KL divergence `−½ Σ (1 + log σ² − μ² − σ²)` of the whole
/// batch, which the loss holds `weight` times.
pub fn sample<T: Tape>(
    tape: &mut T,
    mean: &Node,
    log_variance: &Node,
    noise: &[f32],
    weight: f32,
) -> (Node, f64) {
    let pairs = || mean.values.iter().zip(log_variance.values.iter());
    let divergence = pairs()
        .map(|(mean, log)| {
            let (mean, log) = (f64::from(*mean), f64::from(*log));
            -0.5 * (1.0 + log - mean * mean - log.exp())
        })
        .sum();
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
        tape.add_backward_op(move |gradients| {
            let gradient = key.take(gradients)?;
            let by_mean = (gradient.iter().zip(mean.iter()))
                .map(|(g, mean)| g + weight * mean)
                .collect();
            let by_log = (gradient.iter().zip(log.iter()).zip(&noise))
                .map(|((g, log), noise)| {
                    let deviation = (0.5 * log).exp();
                    0.5 * (g * noise * deviation + weight * (deviation * deviation - 1.0))
                })
                .collect();
            mean_key.add(gradients, by_mean)?;
            log_key.add(gradients, by_log)
        });
    }
    (output, divergence)
}
