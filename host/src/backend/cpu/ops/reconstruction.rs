//! The squared error between images and their reconstructions.

use std::sync::Arc;

use rayon::prelude::*;

use crate::backend::cpu::buffers;
use crate::backend::cpu::parallel::{CHUNK, squared_distance, vectorised};
use crate::backend::cpu::source::Values;
use crate::backend::cpu::tape::{Node, Tape};

/// `Σ (x̂ − x)²`, which the loss holds `weight` times.
pub fn squared_error<T: Tape>(
    tape: &mut T,
    outputs: &Node,
    images: &Arc<Values>,
    weight: f32,
) -> f64 {
    let error = outputs
        .values
        .par_chunks(CHUNK)
        .zip(images.par_chunks(CHUNK))
        .map(|(outputs, images)| vectorised!(squared_distance(outputs, images)))
        .collect::<Vec<f64>>()
        .iter()
        .sum();
    if let Some(key) = outputs.key.clone() {
        let (outputs, images) = (outputs.values.clone(), images.clone());
        tape.add_backward_op(move |gradients| {
            let mut gradient = buffers::take(outputs.len());
            gradient
                .par_chunks_mut(CHUNK)
                .zip(outputs.par_chunks(CHUNK))
                .zip(images.par_chunks(CHUNK))
                .for_each(|((gradient, outputs), images)| {
                    let values = gradient.iter_mut().zip(outputs).zip(images);
                    vectorised!(values.for_each(|((g, y), x)| *g = 2.0 * weight * (y - x)));
                });
            key.add(gradients, gradient)
        });
    }
    error
}
