//! How work is cut into tasks: by its size alone, never by the number of threads, so that sums are
//! formed in the same order everywhere.

use rayon::prelude::*;

/// Tasks a batch's images are dealt to; each sums the gradients of its own images.
const TASKS: usize = 16;

/// Values in a task of element-wise work: 256 KB, the share of a level-2 cache.
pub const CHUNK: usize = 1 << 16;

/// Images in a task.
pub fn images_per_task(images: usize) -> usize {
    images.div_ceil(TASKS).max(1)
}

/// The partial sums added up, in order.
pub fn sum(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let Some(mut total) = parts.next() else {
        return Vec::new();
    };
    let rest: Vec<Vec<f32>> = parts.collect();
    total
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, total)| {
            for part in &rest {
                let part = &part[chunk * CHUNK..][..total.len()];
                total.iter_mut().zip(part).for_each(|(a, b)| *a += b);
            }
        });
    total
}
