//! What a learner takes of a machine's memory, worked out before it has any.

use std::fmt;

use super::machine::Room;
use super::memory::Arena;
use super::optimiser;
use super::pack::Pack;
use crate::backend::work::{Steps, Work};

/// Drivers give memory out in multiples of this many bytes.
const GRANULE: usize = 2 << 20;

/// The buffers of a learner, each at its longest, in values of f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<usize>);

impl Plan {
    /// Of a learner with the tensors of `pack`, whose passes are laid out as the arenas say.
    pub fn new(pack: &Pack, steps: Option<Steps>, passes: impl IntoIterator<Item = Arena>) -> Self {
        // Values; gradients and the optimiser's two moments; averages.
        let copies = 1 + steps.map_or(0, |steps| 3 + usize::from(steps.averages));
        let mut buffers = vec![pack.len(); copies];
        let passes = passes.into_iter().map(|mut arena| {
            if steps.is_some() {
                arena.need(optimiser::scratch(pack));
            }
            arena.finish().0
        });
        // One pass has the memory of the one before.
        buffers.extend(passes.max());
        Self(buffers)
    }

    /// Bytes that it all takes.
    pub fn bytes(&self) -> usize {
        let bytes = |len: &usize| (size_of::<f32>() * len).next_multiple_of(GRANULE);
        // And the losses of steps that nobody has asked for yet.
        self.0.iter().map(bytes).sum::<usize>() + GRANULE
    }

    /// Values of all buffers.
    #[cfg(test)]
    pub fn values(&self) -> usize {
        self.0.iter().sum()
    }
}

/// A machine has too little memory.
#[derive(Clone, Copy, Debug)]
pub struct TooLittle {
    /// What it was wanted for.
    pub work: Work,
    /// The bytes that the work takes.
    pub wanted: usize,
    /// What the machine has.
    pub room: Room,
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: usize| bytes.div_ceil(1 << 20);
        write!(
            f,
            "{} takes {} MiB of the GPU's memory, of which {} of {} MiB are free; a smaller batch \
             takes less",
            self.work,
            megabytes(self.wanted),
            self.room.free >> 20,
            megabytes(self.room.all)
        )
    }
}

impl std::error::Error for TooLittle {}
