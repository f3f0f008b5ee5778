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

/// A buffer cut into the tasks' shares of `share` values; as many empty shares where there is no
/// buffer of the `len` values.
pub fn tasks(
    buffer: Option<&mut [f32]>,
    share: usize,
    len: usize,
) -> rayon::vec::IntoIter<Option<&mut [f32]>> {
    let shares: Vec<_> = match buffer {
        Some(buffer) => buffer.chunks_mut(share).map(Some).collect(),
        None => (0..len.div_ceil(share)).map(|_| None).collect(),
    };
    shares.into_par_iter()
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

/// `Σ (a − b)²`, in many single-precision sums side by side, each of few terms.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    const TERMS: usize = 64;
    let run = |(a, b): (&[f32], &[f32])| {
        let mut sums = [0.0f32; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        sums.iter().map(|sum| f64::from(*sum)).sum::<f64>()
    };
    a.chunks(LANES * TERMS)
        .zip(b.chunks(LANES * TERMS))
        .map(run)
        .sum()
}
