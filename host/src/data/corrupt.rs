//! Images hidden in part or made noisy, from which an auto-encoder is to make the whole ones
//! (denoising auto-encoders, Vincent et al., 2008; masked ones, He et al., 2022).

use rand::RngExt;
use rayon::prelude::*;

use super::random::{Purpose, stream};
use crate::backend::{Batch, Corruption, HIDDEN, PATCH, Pixels, Stream};

impl Corruption {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.mask == 0.0 && self.noise == 0.0
    }

    /// How far apart the least and the greatest noise are.
    pub fn reach(&self) -> f32 {
        (self.noise * 12f64.sqrt()) as f32
    }

    /// The images of training step `step`, corrupted: first each value gets its noise, by 24 bits of
    /// a word, then each patch is hidden or not, by 64 bits. Each image has a stream of its own. Of
    /// views it is told, for a machine that makes their values to do the same.
    pub fn apply(&self, batch: &Batch, seed: u64, step: u64) -> Batch {
        let side = batch.side;
        let first = stream(seed, Purpose::Corruption, step, 0);
        let pixels = match &batch.pixels {
            Pixels::Values(values) => {
                let mut values = values.clone();
                let images = values.par_chunks_mut(side * side * 3).enumerate();
                images.for_each(|(index, image)| self.corrupt(image, side, first.numbered(index)));
                Pixels::Values(values)
            }
            // What has been told of them before is forgotten.
            Pixels::Views(views) | Pixels::Corrupted(views, ..) => {
                Pixels::Corrupted(views.clone(), *self, first)
            }
        };
        Batch { pixels, ..*batch }
    }

    fn corrupt(&self, image: &mut [f32], side: usize, stream: Stream) {
        let mut rng = stream.rng();
        if self.noise > 0.0 {
            let reach = self.reach();
            for value in image.iter_mut() {
                *value += reach * (rng.random::<f32>() - 0.5);
            }
        }
        if self.mask > 0.0 {
            for top in (0..side).step_by(PATCH) {
                for left in (0..side).step_by(PATCH) {
                    if rng.random_bool(self.mask) {
                        hide(image, side, top, left);
                    }
                }
            }
        }
    }
}

fn hide(image: &mut [f32], side: usize, top: usize, left: usize) {
    let columns = left * 3..(left + PATCH).min(side) * 3;
    for row in image.chunks_exact_mut(side * 3).skip(top).take(PATCH) {
        row[columns.clone()].fill(HIDDEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: usize, side: usize) -> Batch {
        let values = (0..count * side * side * 3).map(|i| (i % 251) as f32 / 500.0);
        Batch::new(count, side, values.collect())
    }

    #[test]
    fn whole_patches_are_hidden_and_about_as_many_as_asked_for() {
        let whole = batch(50, 20);
        let masked = Corruption {
            mask: 0.6,
            noise: 0.0,
        }
        .apply(&whole, 1, 2);
        let (mut hidden, mut patches) = (0, 0);
        for (masked, whole) in
            (masked.values().unwrap().chunks(1200)).zip(whole.values().unwrap().chunks(1200))
        {
            for (top, left) in (0..9).map(|patch| (patch / 3 * PATCH, patch % 3 * PATCH)) {
                let pixels = (top..20.min(top + PATCH)).flat_map(|y| {
                    let row = y * 60;
                    row + left * 3..row + 20.min(left + PATCH) * 3
                });
                let pixels: Vec<_> = pixels.collect();
                let is_hidden = pixels.iter().all(|&i| masked[i] == HIDDEN);
                assert!(is_hidden || pixels.iter().all(|&i| masked[i] == whole[i]));
                hidden += usize::from(is_hidden);
                patches += 1;
            }
        }
        let share = hidden as f64 / patches as f64;
        assert!((0.52..0.68).contains(&share), "{share}");
    }

    #[test]
    fn noise_has_its_deviation_and_follows_from_seed_and_step() {
        let corruption = Corruption {
            mask: 0.0,
            noise: 0.1,
        };
        let whole = batch(4, 32);
        let apply = |seed, step| corruption.apply(&whole, seed, step);
        let noisy = apply(1, 2);
        let squares = noisy.values().unwrap().iter().zip(whole.values().unwrap());
        let mean = squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / 12288.0;
        assert!((mean.sqrt() - 0.1).abs() < 0.003, "{mean}");
        assert_eq!(noisy, apply(1, 2));
        assert_ne!(noisy, apply(1, 3));
        assert_ne!(noisy, apply(2, 2));
    }
}
