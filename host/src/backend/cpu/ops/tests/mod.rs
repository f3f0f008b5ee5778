//! Gradients of every operation against central differences, on small random shapes.
//!
//! A test's loss is `Σ c · output` with random `c`; an operation's gradients are what its backward
//! pass makes of `c`. The operations compute in single precision, so steps are large and tolerances
//! relative to the largest gradient.

mod losses;
mod maps;
mod pools;

use std::sync::Arc;

use dfdx::tensor::{NoneTape, Tape as _};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::backend::cpu::parameter::{Parameter, Variable};
use crate::backend::cpu::tape::{Key, Node, Recording, backward};
use crate::backend::layout::Layout;

/// Random shapes a test tries.
const CASES: u64 = 12;

fn for_each_case(test: impl Fn(&mut ChaCha8Rng)) {
    for seed in 0..CASES {
        test(&mut ChaCha8Rng::seed_from_u64(seed));
    }
}

/// Values between -1 and 1.
fn random(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

/// Distinct values between -1 and 1, far enough apart that a small step changes no order, and none
/// near zero.
fn distinct(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
    let mut values: Vec<f32> = (0..len)
        .map(|i| (2 * i + 1) as f32 / len as f32 - 1.0)
        .collect();
    for last in (1..len).rev() {
        values.swap(last, rng.random_range(0..=last));
    }
    values
}

fn parameter(values: Vec<f32>) -> Parameter {
    let mut variable = Variable::new(String::new(), vec![values.len()], Layout::default());
    variable.values = values.into();
    Parameter::new(variable, true)
}

fn input(values: &[f32]) -> Node {
    Node {
        values: Arc::new(values.to_vec().into()),
        key: Some(Key::new()),
    }
}

/// The gradients of `inputs`, then of `parameters`, for the loss `Σ coefficients · output`.
fn gradients(
    mut tape: Recording,
    output: &Node,
    coefficients: Vec<f32>,
    inputs: &[&Key],
    parameters: &[&Parameter],
) -> Vec<Vec<f32>> {
    let key = output.key.clone().expect("a recorded output");
    tape.add_backward_op(move |gradients| key.add(gradients, coefficients));
    let mut gradients = backward(tape).expect("a backward pass");
    let mut all = Vec::new();
    for key in inputs {
        all.push(key.take(&mut gradients).expect("a gradient"));
    }
    for Parameter { key, variable, .. } in parameters {
        let gradient = key.take(&mut gradients, variable.shape[0]);
        all.push(gradient.expect("a gradient").into_values());
    }
    all
}

fn weigh(values: &[f32], coefficients: &[f32]) -> f64 {
    let products = values.iter().zip(coefficients);
    products.map(|(v, c)| f64::from(*v) * f64::from(*c)).sum()
}

/// Compares a gradient with the central differences of `loss` at `values`.
fn check(what: &str, values: &[f32], gradient: &[f32], step: f32, loss: impl Fn(&[f32]) -> f64) {
    assert_eq!(values.len(), gradient.len(), "{what}");
    let differences: Vec<f64> = (0..values.len())
        .map(|index| {
            let at = |step: f32| {
                let mut values = values.to_vec();
                values[index] += step;
                (f64::from(values[index]), loss(&values))
            };
            let ((right, above), (left, below)) = (at(step), at(-step));
            (above - below) / (right - left)
        })
        .collect();
    let largest = differences.iter().fold(0.01, |m: f64, d| m.max(d.abs()));
    for (index, (found, expected)) in gradient.iter().zip(&differences).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error < 5e-3 * largest,
            "{what} {index}: {found} instead of {expected}"
        );
    }
}

/// A tape that records nothing, for the loss at other values.
fn no_tape() -> NoneTape {
    NoneTape
}
