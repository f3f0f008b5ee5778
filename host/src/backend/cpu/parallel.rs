//! How work is cut into tasks: by its size alone, never by the number of threads, so that sums are
//! formed in the same order everywhere.

use rayon::prelude::*;

use super::buffers;

/// Tasks a batch's images are dealt to; each sums the gradients of its own images.
const TASKS: usize = 16;

/// Values in a task of element-wise work: 256 KB, the share of a level-2 cache.
pub const CHUNK: usize = 1 << 16;

/// Images in a task.
pub fn images_per_task(images: usize) -> usize {
    images.div_ceil(TASKS).max(1)
}

/// Evaluates an expression with its loops compiled for this processor's vectors. What it calls has
/// to be `#[inline(always)]`.
macro_rules! vectorised {
    ($work:expr) => {{
        let once = $crate::backend::cpu::parallel::Once;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                once.now();
                $work
            },
        )
    }};
}
pub(crate) use vectorised;

/// What a closure that takes it can be called with but once. One that could be called again is
/// called through a function of the compiler's, which nothing makes it inline: its loops would be
/// compiled for the oldest processors.
pub struct Once;

impl Once {
    /// Takes it.
    #[inline(always)]
    pub fn now(self) {}
}

/// A batch's outputs of `len` values an image, and what `work` returns of each image. It is given
/// the image's number, the buffers of its task and the image's outputs, all of which it writes.
pub fn each_image<T: Send, B>(
    images: usize,
    len: usize,
    buffer: impl Fn() -> B + Sync,
    work: impl Fn(usize, &mut B, &mut [f32]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let mut outputs = buffers::take(images * len);
    let seen = outputs
        .par_chunks_mut(len)
        .enumerate()
        .map_init(&buffer, |buffer, (image, output)| {
            work(image, buffer, output)
        })
        .collect();
    (outputs, seen)
}

/// The tasks' shares of `len` values, `share` each, as their length and their part of a buffer of
/// all values, where there is one.
pub fn tasks(
    buffer: Option<&mut [f32]>,
    share: usize,
    len: usize,
) -> rayon::vec::IntoIter<(usize, Option<&mut [f32]>)> {
    let shares: Vec<_> = match buffer {
        Some(buffer) => (buffer.chunks_mut(share))
            .map(|part| (part.len(), Some(part)))
            .collect(),
        None => (0..len)
            .step_by(share)
            .map(|start| (share.min(len - start), None))
            .collect(),
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
    rest.into_iter().for_each(buffers::give);
    total
}

/// `Σ (a − b)²`, in many single-precision sums side by side, each of few terms.
#[inline(always)]
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
