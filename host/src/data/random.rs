//! Random numbers by name: every draw has its own stream, so neither the order of the draws nor
//! the number of threads matters, and a resumed run draws what an uninterrupted one would have.

use rand_chacha::ChaCha8Rng;

use crate::backend::Stream;

/// What a stream of random numbers is for. The values are part of what a seed means: a changed
/// one changes every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which labelled images a run sees.
    Split = 1,
    /// The order of the images of an epoch.
    Order = 2,
    /// The view of an image in an epoch.
    View = 3,
    /// A built-in scene.
    Scene = 4,
    /// The VAE's noise in a training step.
    Noise = 5,
    /// The VAE's noise over the images held out.
    ValidationNoise = 6,
    /// The latents of the samples shown.
    Samples = 7,
    /// Which unlabelled images are held out.
    HoldOut = 8,
    /// What an auto-encoder's inputs lack.
    Corruption = 9,
    /// The order of the unlabelled images beside labelled ones.
    UnlabelledOrder = 10,
    /// The views of the unlabelled images beside labelled ones.
    UnlabelledView = 11,
    /// Where k-means begins.
    Clusters = 12,
    /// Which images teach classes, and which are asked about.
    Episodes = 13,
    /// Which images BatchNorm's statistics are taken of in the end.
    Recalibration = 14,
}

/// The stream of random numbers of one draw. Different arguments give independent streams:
/// seed, purpose and epoch are ChaCha's key, the index is its nonce.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Stream {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&epoch.to_le_bytes());
    Stream {
        key,
        nonce: index,
        start: 0,
    }
}

/// The numbers of that stream.
pub fn rng(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    stream(seed, purpose, epoch, index).rng()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::HashSet;

    #[test]
    fn every_argument_changes_the_stream() {
        let mut first = HashSet::new();
        for seed in 0..4 {
            for purpose in [
                Purpose::Split,
                Purpose::Order,
                Purpose::View,
                Purpose::Scene,
            ] {
                for epoch in 0..4 {
                    for index in 0..4 {
                        first.insert(rng(seed, purpose, epoch, index).next_u64());
                    }
                }
            }
        }
        assert_eq!(first.len(), 256);
    }

    #[test]
    fn the_same_arguments_give_the_same_stream() {
        let mut streams = [(); 2].map(|()| rng(7, Purpose::View, 3, 11));
        for _ in 0..100 {
            assert_eq!(streams[0].next_u64(), streams[1].next_u64());
        }
    }
}
