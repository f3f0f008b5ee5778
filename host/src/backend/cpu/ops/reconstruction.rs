//! The squared error between images and their reconstructions.

use std::sync::Arc;

use rayon::prelude::*;

use crate::backend::cpu::parallel::{CHUNK, squared_distance};
use crate::backend::cpu::tape::{Node, Tape};

/// `Σ (x̂ − x)²`, which the loss holds `weight` times.
pub fn squared_error<T: Tape>(
    tape: &mut T,
    outputs: &Node,
    images: &Arc<Vec<f32>>,
    weight: f32,
) -> f64 {
    let error = outputs
        .values
        .par_chunks(CHUNK)
        .zip(images.par_chunks(CHUNK))
        .map(|(outputs, images)| squared_distance(outputs, images))
        .collect::<Vec<f64>>()
        .iter()
        .sum();
    if let Some(key) = outputs.key.clone() {
        let (outputs, images) = (outputs.values.clone(), images.clone());
        tape.add_backward_op(move |gradients| {
            let mut gradient = vec![0.0; outputs.len()];
            gradient
                .par_chunks_mut(CHUNK)
                .zip(outputs.par_chunks(CHUNK))
                .zip(images.par_chunks(CHUNK))
                .for_each(|((gradient, outputs), images)| {
                    for ((g, y), x) in gradient.iter_mut().zip(outputs).zip(images) {
                        *g = 2.0 * weight * (y - x);
                    }
                });
            key.add(gradients, gradient)
        });
    }
    error
}
