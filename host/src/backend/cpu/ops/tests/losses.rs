//! The latent sample and the losses.

use std::sync::Arc;

use rand::RngExt;

use super::{check, for_each_case, gradients, input, no_tape, random, weigh};
use crate::backend::cpu::ops::cross_entropy::cross_entropy;
use crate::backend::cpu::ops::latent::sample;
use crate::backend::cpu::ops::reconstruction::squared_error;
use crate::backend::cpu::tape::{Recording, backward};

#[test]
fn latent_gradients() {
    for_each_case(|rng| {
        let len = rng.random_range(1..=12);
        let (mean, log) = (random(rng, len), random(rng, len));
        let (noise, c) = (random(rng, len), random(rng, len));
        let weight = rng.random_range(0.0f32..2.0);
        let nodes = (input(&mean), input(&log));
        let mut tape = Recording::default();
        let (output, _) = sample(&mut tape, &nodes.0, &nodes.1, &noise, weight);
        let keys = (nodes.0.key.expect("μ's key"), nodes.1.key.expect("σ's key"));
        let found = gradients(tape, &output, c.clone(), &[&keys.0, &keys.1]);
        let loss = |mean: &[f32], log: &[f32]| {
            let (z, kl) = sample(&mut no_tape(), &input(mean), &input(log), &noise, weight);
            weigh(&z.values, &c) + f64::from(weight) * kl
        };
        check("μ", &mean, &found[0], 1e-2, |mean| loss(mean, &log));
        check("log σ²", &log, &found[1], 1e-2, |log| loss(&mean, log));
    });
}

#[test]
fn squared_error_gradients() {
    for_each_case(|rng| {
        let len = rng.random_range(1..=3000);
        let (outputs, images) = (random(rng, len), Arc::new(random(rng, len).into()));
        let node = input(&outputs);
        let mut tape = Recording::default();
        let error = squared_error(&mut tape, &node, &images, 0.5);
        let expected: f64 = (outputs.iter().zip(images.iter()))
            .map(|(y, x)| (f64::from(*y) - f64::from(*x)).powi(2))
            .sum();
        assert!((error / expected - 1.0).abs() < 1e-5);
        let mut gradients = backward(tape).expect("a backward pass");
        let key = node.key.expect("an input's key");
        let found = key.take(&mut gradients).expect("a gradient");
        for ((g, y), x) in found.iter().zip(&outputs).zip(images.iter()) {
            assert!((g - (y - x)).abs() < 1e-6);
        }
    });
}

#[test]
fn cross_entropy_gradients() {
    for_each_case(|rng| {
        let (count, classes) = (rng.random_range(1..=4), rng.random_range(2..=7));
        let logits: Vec<f32> = random(rng, count * classes)
            .iter()
            .map(|v| 3.0 * v)
            .collect();
        let labels: Vec<usize> = (0..count).map(|_| rng.random_range(0..classes)).collect();
        let smoothing = rng.random_range(0.0..0.5);
        let node = input(&logits);
        let mut tape = Recording::default();
        cross_entropy(&mut tape, &node, classes, &labels, smoothing);
        let mut gradients = backward(tape).expect("a backward pass");
        let key = node.key.expect("an input's key");
        let found = key.take(&mut gradients).expect("a gradient");
        check("logit", &logits, &found, 1e-2, |logits| {
            let node = input(logits);
            let loss = cross_entropy(&mut no_tape(), &node, classes, &labels, smoothing);
            loss.cross_entropy / count as f64
        });
    });
}
