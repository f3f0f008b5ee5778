//! Pooling.

use rand::RngExt;
use vae96::Shape;

use super::{check, distinct, for_each_case, gradients, input, no_tape, random, weigh};
use crate::backend::cpu::ops::average_pool::average_pool;
use crate::backend::cpu::ops::max_pool::max_pool;
use crate::backend::cpu::tape::{Node, Recording};

#[test]
fn max_pool_gradients() {
    for_each_case(|rng| {
        let shape = Shape::plane(rng.random_range(4..=7), 5, rng.random_range(1..=3));
        let (count, size) = (2, rng.random_range(1..=4));
        let x = distinct(rng, count * shape.len());
        let mut tape = Recording::default();
        let inputs = input(&x);
        let output = max_pool(&mut tape, &inputs, shape, size);
        let c = random(rng, output.values.len());
        let key = inputs.key.clone().expect("an input's key");
        let found = gradients(tape, &output, c.clone(), &[&key], &[]);
        check("input", &x, &found[0], 1e-3, |x| {
            weigh(&max_pool(&mut no_tape(), &input(x), shape, size).values, &c)
        });
    });
}

#[test]
fn average_pool_gradients() {
    for_each_case(|rng| {
        let shape = Shape::plane(rng.random_range(4..=7), 5, rng.random_range(1..=3));
        let size = (rng.random_range(1..=4), rng.random_range(1..=5));
        let x = random(rng, 2 * shape.len());
        let mut tape = Recording::default();
        let inputs = input(&x);
        let output = average_pool(&mut tape, &inputs, shape, size);
        let c = random(rng, output.values.len());
        let key = inputs.key.clone().expect("an input's key");
        let found = gradients(tape, &output, c.clone(), &[&key], &[]);
        check("input", &x, &found[0], 1e-2, |x| {
            weigh(
                &average_pool(&mut no_tape(), &input(x), shape, size).values,
                &c,
            )
        });
    });
}

#[test]
fn the_first_of_equals_wins() {
    let shape = Shape::plane(2, 2, 1);
    let inputs = input(&[1.0, 1.0, 1.0, 1.0]);
    let mut tape = Recording::default();
    let output = max_pool(&mut tape, &inputs, shape, 2);
    let key = inputs.key.clone().expect("an input's key");
    let found = gradients(tape, &output, vec![3.0], &[&key], &[]);
    assert_eq!(found[0], [3.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_remainder_is_dropped() {
    let shape = Shape::plane(3, 3, 1);
    let values: Vec<f32> = (1..=9).map(|v| v as f32).collect();
    let inputs = Node::constant(values);
    let pooled = max_pool(&mut no_tape(), &inputs, shape, 2);
    assert_eq!(pooled.values[..], [5.0]);
    let pooled = average_pool(&mut no_tape(), &inputs, shape, (2, 2));
    assert_eq!(pooled.values[..], [3.0]);
}
