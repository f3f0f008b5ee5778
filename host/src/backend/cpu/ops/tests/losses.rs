//! The latent sample and the losses.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{check, for_each_case, gradients, input, no_tape, random, weigh};
use crate::backend::cpu::ops::contrast::contrast;
use crate::backend::cpu::ops::cross_entropy::cross_entropy;
use crate::backend::cpu::ops::latent::{Divergence, sample};
use crate::backend::cpu::ops::reconstruction::squared_error;
use crate::backend::cpu::tape::{Recording, backward};
use crate::backend::{Answer, Target};

#[test]
fn latent_gradients() {
    for_each_case(|rng| {
        let (count, dimensions) = (rng.random_range(1..=3), rng.random_range(1..=5));
        let len = count * dimensions;
        let (mean, log) = (random(rng, len), random(rng, len));
        let (noise, c) = (random(rng, len), random(rng, len));
        let divergence = Divergence {
            weight: rng.random_range(0.0f32..2.0),
            free_bits: 0.0,
        };
        let nodes = (input(&mean), input(&log));
        let mut tape = Recording::default();
        let (output, _) = sample(
            &mut tape, &nodes.0, &nodes.1, &noise, dimensions, divergence,
        );
        let keys = (nodes.0.key.expect("μ's key"), nodes.1.key.expect("σ's key"));
        let found = gradients(tape, &output, c.clone(), &[&keys.0, &keys.1], &[]);
        let loss = |mean: &[f32], log: &[f32]| {
            let (mean, log) = (input(mean), input(log));
            let (z, kl) = sample(&mut no_tape(), &mean, &log, &noise, dimensions, divergence);
            weigh(&z.values, &c) + f64::from(divergence.weight) * kl
        };
        check("μ", &mean, &found[0], 1e-2, |mean| loss(mean, &log));
        check("log σ²", &log, &found[1], 1e-2, |log| loss(&mean, log));
    });
}

/// Two dimensions of two images: one diverges by ½ a nat each, the other by 0.02.
#[test]
fn free_bits_free_the_dimensions_below_them() {
    let (mean, log) = ([1.0, 0.2, -1.0, 0.2], [0.0; 4]);
    let gradient = |free_bits| {
        let nodes = (input(&mean), input(&log));
        let mut tape = Recording::default();
        let divergence = Divergence {
            weight: 3.0,
            free_bits,
        };
        let (output, kl) = sample(&mut tape, &nodes.0, &nodes.1, &[0.0; 4], 2, divergence);
        assert!((kl - 1.04).abs() < 1e-6);
        let key = nodes.0.key.expect("μ's key");
        gradients(tape, &output, vec![0.0; 4], &[&key], &[]).remove(0)
    };
    let close = |found: Vec<f32>, expected: [f32; 4]| {
        let pairs = found.iter().zip(&expected);
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}"
        );
    };
    close(gradient(0.0), [3.0, 0.6, -3.0, 0.6]);
    close(gradient(0.1), [3.0, 0.0, -3.0, 0.0]);
    close(gradient(1.0), [0.0; 4]);
}

#[test]
fn contrast_gradients() {
    for_each_case(|rng| {
        let (pairs, dimensions) = (rng.random_range(1..=4), rng.random_range(2..=6));
        let views = random(rng, 2 * pairs * dimensions);
        let temperature = rng.random_range(0.1..1.0);
        let node = input(&views);
        let mut tape = Recording::default();
        let loss = contrast(&mut tape, &node, dimensions, temperature, 0.5);
        assert!(
            (loss - slow_contrast(&views, dimensions, temperature)).abs() < 1e-3 * (1.0 + loss)
        );
        let mut gradients = backward(tape).expect("a backward pass");
        let key = node.key.expect("an input's key");
        let found = key.take(&mut gradients).expect("a gradient");
        check("view", &views, &found, 1e-3, |views| {
            0.5 * slow_contrast(views, dimensions, temperature)
        });
    });
}

/// The contrastive loss by its definition.
fn slow_contrast(views: &[f32], dimensions: usize, temperature: f32) -> f64 {
    let views: Vec<Vec<f64>> = (views.chunks(dimensions))
        .map(|view| view.iter().map(|v| f64::from(*v)).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let similarity = |i: usize, j: usize| {
        let (a, b) = (&views[i], &views[j]);
        (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() / f64::from(temperature)).exp()
    };
    let loss = |i: usize| {
        let others = (0..views.len()).filter(|&j| j != i);
        let total: f64 = others.map(|j| similarity(i, j)).sum();
        -(similarity(i, (i + views.len() / 2) % views.len()) / total).ln()
    };
    (0..views.len()).map(loss).sum()
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

fn answer(rng: &mut ChaCha8Rng, classes: usize) -> Answer {
    match rng.random() {
        true => Answer::Class {
            class: rng.random_range(0..classes),
            smoothing: rng.random_range(0.0..0.5),
        },
        false => {
            let parts: Vec<f32> = (0..classes).map(|_| rng.random_range(0.1..1.0)).collect();
            let sum: f32 = parts.iter().sum();
            Answer::Shares(parts.iter().map(|part| part / sum).collect())
        }
    }
}

#[test]
fn cross_entropy_gradients() {
    for_each_case(|rng| {
        let (count, classes) = (rng.random_range(1..=4), rng.random_range(2..=7));
        let logits: Vec<f32> = random(rng, count * classes)
            .iter()
            .map(|v| 3.0 * v)
            .collect();
        let targets: Vec<Target> = (0..count)
            .map(|_| Target {
                answer: answer(rng, classes),
                weight: rng.random_range(0.0..1.0),
            })
            .collect();
        let node = input(&logits);
        let mut tape = Recording::default();
        cross_entropy(&mut tape, &node, classes, &targets);
        let mut gradients = backward(tape).expect("a backward pass");
        let key = node.key.expect("an input's key");
        let found = key.take(&mut gradients).expect("a gradient");
        check("logit", &logits, &found, 1e-2, |logits| {
            let node = input(logits);
            let outcomes = cross_entropy(&mut no_tape(), &node, classes, &targets);
            let weighed = outcomes.iter().zip(&targets);
            weighed
                .map(|(outcome, target)| f64::from(target.weight) * outcome.cross_entropy)
                .sum()
        });
    });
}
