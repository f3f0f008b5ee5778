//! The VAE's noise: its values, or the random numbers that a machine makes them of.

use std::borrow::Cow;
use std::f64::consts::TAU;
use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// ε ~ N(0, 1) of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise<'a> {
    /// The values.
    Values(&'a [f32]),
    /// As many of a stream's [`normal`](Stream::normal) values as the step takes.
    Drawn(Stream),
}

impl<'a> Noise<'a> {
    /// The values, `len` of a stream.
    pub fn values(self, len: usize) -> Cow<'a, [f32]> {
        match self {
            Self::Values(values) => Cow::Borrowed(values),
            Self::Drawn(stream) => Cow::Owned(stream.normal(len)),
        }
    }

    /// The noise of some of the values.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn part(self, values: Range<usize>) -> Self {
        match self {
            Self::Values(all) => Self::Values(&all[values]),
            Self::Drawn(stream) => Self::Drawn(stream.after(values.start)),
        }
    }
}

/// A stream of random numbers: ChaCha's of 8 rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// ChaCha's key.
    pub key: [u8; 32],
    /// Its nonce.
    pub nonce: u64,
    /// Numbers of 64 bits that are left out at its beginning.
    pub start: usize,
}

impl Stream {
    /// Its numbers.
    pub fn rng(&self) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(self.nonce);
        rng.set_word_pos(2 * self.start as u128);
        rng
    }

    /// The stream `number` nonces on.
    pub fn numbered(self, number: usize) -> Self {
        Self {
            nonce: self.nonce.wrapping_add(number as u64),
            ..self
        }
    }

    /// What is left of it after `len` numbers.
    pub fn after(self, len: usize) -> Self {
        Self {
            start: self.start + len,
            ..self
        }
    }

    /// `len` values of N(0, 1), by Box and Muller's transform of each pair of the whole stream's
    /// numbers. A GPU makes them alike (`cuda/kernels/noise.cu`).
    pub fn normal(&self, len: usize) -> Vec<f32> {
        // The value before, where the first is the second of its pair.
        let before = self.start % 2;
        let pairs = Self {
            start: self.start - before,
            ..*self
        };
        let mut rng = pairs.rng();
        let mut values = Vec::with_capacity(len + 2);
        while values.len() < before + len {
            // 1 − u lies in (0, 1], where the logarithm is finite.
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            let (sin, cos) = (TAU * rng.random::<f64>()).sin_cos();
            values.extend([(radius * cos) as f32, (radius * sin) as f32]);
        }
        values.truncate(before + len);
        values.split_off(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream {
        key: [7; 32],
        nonce: 3,
        start: 0,
    };

    /// By another implementation of ChaCha and of the transform: a seed means these for ever.
    #[test]
    fn a_stream_gives_the_same_values_for_ever() {
        let expected = [-0.491_542, 0.168_324_68, -0.761_821_7, 0.090_865_02];
        assert_eq!(STREAM.normal(4), expected);
    }

    #[test]
    fn values_are_of_mean_0_and_variance_1() {
        let values = STREAM.normal(100_001);
        assert_eq!(values.len(), 100_001);
        let mean = |of: &dyn Fn(f64) -> f64| {
            let sum: f64 = values.iter().map(|&value| of(f64::from(value))).sum();
            sum / values.len() as f64
        };
        assert!(mean(&|value| value).abs() < 0.02);
        assert!((mean(&|value| value * value) - 1.0).abs() < 0.03);
    }

    #[test]
    fn fewer_values_are_the_first_of_more() {
        let all = STREAM.normal(33);
        for len in 0..33 {
            assert_eq!(STREAM.normal(len), all[..len]);
            assert_eq!(*Noise::Drawn(STREAM).values(len), all[..len]);
        }
    }

    #[test]
    fn a_stream_goes_on_after_any_of_its_values() {
        let all = STREAM.normal(33);
        for start in 0..33 {
            let rest = STREAM.after(start);
            assert_eq!(rest.normal(33 - start), all[start..]);
            assert_eq!(
                rest.after(2).normal(1),
                STREAM.normal(start + 3)[start + 2..]
            );
            assert!(rest.normal(0).is_empty());
        }
    }
}
