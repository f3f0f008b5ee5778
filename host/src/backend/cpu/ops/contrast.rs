//! The contrastive term: each view's partner told from all other views by cosine similarity
//! (NT-Xent, Chen et al., 2020; InfoNCE, van den Oord et al., 2018).

use rayon::prelude::*;

use crate::backend::cpu::gemm::{matrix, product};
use crate::backend::cpu::tape::{Node, Tape};

/// Keeps the length of a vector of zeros from dividing.
const EPSILON: f32 = 1e-6;

/// `Σ −log softmax(cos(xᵢ, xⱼ) / temperature)` over all views i of a batch whose second half holds
/// the partners j of its first, the softmax over all views but i. Views have `dimensions` values;
/// the loss holds the sum `weight` times.
pub fn contrast<T: Tape>(
    tape: &mut T,
    views: &Node,
    dimensions: usize,
    temperature: f32,
    weight: f32,
) -> f64 {
    let count = views.values.len() / dimensions;
    let lengths: Vec<f32> = (views.values.par_chunks(dimensions))
        .map(|view| view.iter().map(|v| v * v).sum::<f32>().sqrt().max(EPSILON))
        .collect();
    let units: Vec<f32> = (views.values.chunks(dimensions).zip(&lengths))
        .flat_map(|(view, length)| view.iter().map(move |v| v / length))
        .collect();
    let matrix_of = |units| matrix(units, count, dimensions);
    let mut similarities = vec![0.0; count * count];
    product(
        &mut similarities,
        matrix_of(&units),
        matrix_of(&units).transpose(),
    );
    // Each row becomes the gradient of its loss by its similarities.
    let losses: Vec<f64> = (similarities.par_chunks_mut(count).enumerate())
        .map(|(view, row)| {
            let partner = (view + count / 2) % count;
            row[view] = f32::NEG_INFINITY;
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let logit = |similarity: f32| f64::from((similarity - top) / temperature);
            let wanted = logit(row[partner]);
            let total: f64 = row.iter().map(|s| logit(*s).exp()).sum();
            for similarity in row.iter_mut() {
                *similarity = (logit(*similarity).exp() / total) as f32;
            }
            row[partner] -= 1.0;
            total.ln() - wanted
        })
        .collect();
    if let Some(key) = views.key.clone() {
        tape.add_backward_op(move |gradients| {
            // A similarity stands in the rows of both its views.
            let both: Vec<f32> = (0..count * count)
                .into_par_iter()
                .map(|index| {
                    similarities[index] + similarities[index % count * count + index / count]
                })
                .collect();
            let mut gradient = vec![0.0; units.len()];
            let pairs = matrix(&both, count, count);
            product(&mut gradient, pairs, matrix(&units, count, dimensions));
            let factor = weight / temperature;
            (gradient.par_chunks_mut(dimensions))
                .zip(units.par_chunks(dimensions))
                .zip(&lengths)
                .for_each(|((gradient, unit), length)| {
                    // What moves a view along itself does not turn it.
                    let along: f32 = gradient.iter().zip(unit).map(|(g, u)| g * u).sum();
                    for (g, u) in gradient.iter_mut().zip(unit) {
                        *g = factor * (*g - along * u) / length;
                    }
                });
            key.add(gradients, gradient)
        });
    }
    losses.iter().sum()
}
