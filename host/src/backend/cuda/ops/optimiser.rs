//! The rules that move weights, each a launch for all tensors: `kernels/optimiser.cu`.

use anyhow::Result;

use super::{Gpu, check, count, int};
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::{Slot, Span};

/// Values that a block moves.
const MOVED: usize = 1 << 10;

/// Values whose squares a block adds up.
const PART: usize = 1 << 14;

/// The most tensors of a launch, as the kernels have it: their table is an argument, and arguments
/// are 4 KiB at most.
const MOST_SEGMENTS: usize = 64;

/// One tensor's move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// Its place in each of the buffers.
    pub slot: Slot,
    /// What decay leaves of the values.
    pub keep: f32,
    /// Learning rate.
    pub rate: f64,
}

/// The buffers of a model whose tensors move.
#[derive(Clone, Copy)]
pub struct Moved<'a> {
    /// What is moved.
    pub values: Span<'a>,
    /// By what.
    pub gradients: Span<'a>,
    /// What clipping leaves of the gradients, one value; none for all of it.
    pub scale: Option<Span<'a>>,
}

/// Adam's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second.
    pub epsilon: f64,
}

/// The move by Adam of a tensor that moves while its gradient is made.
#[derive(Clone, Copy)]
pub struct AdamMove<'a> {
    /// The values of all tensors.
    pub values: Span<'a>,
    /// Their moments.
    pub moments: [Span<'a>; 2],
    /// Which of them moves, and how.
    pub step: Move,
    /// Which step of the tensor it is, from 1.
    pub steps: u64,
    /// The rule.
    pub rule: Adam,
}

impl<'a> AdamMove<'a> {
    /// The tensor's values and their two moments.
    pub(super) fn spans(&self) -> [Span<'a>; 3] {
        let Slot { start, len, .. } = self.step.slot;
        let [mean, square] = self.moments;
        [self.values, mean, square].map(|span| span.part(start, len))
    }

    /// The kernels' `Adam`.
    pub(super) fn numbers(&self) -> [f32; 8] {
        let [rate, root] = self.rule.corrected(self.step.rate, self.steps);
        self.rule.numbers([self.step.keep, rate, root])
    }
}

impl Adam {
    /// A rate, and what the root of the second moment is divided by, at that step of a tensor.
    fn corrected(&self, rate: f64, steps: u64) -> [f32; 2] {
        let correction = self.betas.map(|beta| 1.0 - beta.powf(steps as f64));
        [(rate / correction[0]) as f32, correction[1].sqrt() as f32]
    }

    /// The kernels' `Adam`, whose first numbers are a tensor's own.
    fn numbers(&self, own: [f32; 3]) -> [f32; 8] {
        let [keep, rate, root] = own;
        let [beta1, beta2] = self.betas.map(|beta| beta as f32);
        let [rest1, rest2] = self.betas.map(|beta| (1.0 - beta) as f32);
        let epsilon = self.epsilon as f32;
        [keep, rate, root, beta1, beta2, rest1, rest2, epsilon]
    }
}

/// The kernels' `Segments`.
struct Segments {
    words: Vec<i32>,
    blocks: usize,
}

/// The kernels' `Segment`, without its first block.
struct Segment {
    slot: Slot,
    keep: f32,
    rate: f32,
    root: f32,
}

impl Segments {
    /// The segments, a block for `part` values of each.
    fn new(segments: &[Segment], part: usize) -> Result<Self> {
        let mut words = vec![count(segments.len())?, count(part)?];
        let mut blocks = 0;
        for segment in segments {
            let Slot { start, len, .. } = segment.slot;
            words.extend([count(start)?, count(len)?, count(blocks)?]);
            let numbers = [segment.keep, segment.rate, segment.root];
            words.extend(numbers.map(|number| number.to_bits() as i32));
            blocks += len.div_ceil(part);
        }
        words.resize(2 + 6 * MOST_SEGMENTS, 0);
        Ok(Self { words, blocks })
    }
}

/// Values of scratch memory that the norm of gradients of these lengths takes.
pub fn norm_scratch(lengths: impl IntoIterator<Item = usize>) -> usize {
    2 * lengths.into_iter().map(norm_parts).sum::<usize>()
}

fn norm_parts(len: usize) -> usize {
    len.div_ceil(PART)
}

impl Gpu {
    /// What gradients are multiplied with so that the norm of those in the slots, all together, is
    /// at most `limit`.
    pub fn clip(
        &self,
        gradients: Span,
        slots: &[Slot],
        limit: f64,
        parts: Span,
        scale: Span,
    ) -> Result<()> {
        check(scale, 1);
        check(parts, norm_scratch(slots.iter().map(|slot| slot.len)));
        let whole = |&slot: &Slot| Segment {
            slot,
            keep: 1.0,
            rate: 0.0,
            root: 1.0,
        };
        let segments: Vec<_> = slots.iter().map(whole).collect();
        let mut sums = 0;
        self.each_segment("square_parts", gradients, &segments, PART, |blocks| {
            let part = parts.part(2 * sums, 2 * blocks);
            sums += blocks;
            vec![gradients.into(), part.into()]
        })?;
        let sums = int(sums)?;
        self.blocks("clip", 1, &[parts.into(), sums, limit.into(), scale.into()])
    }

    /// Adam with decoupled weight decay; beside each move, which step of its tensor it is, from 1.
    pub fn adam(
        &self,
        moved: Moved,
        [mean, square]: [Span; 2],
        moves: &[(Move, u64)],
        rule: Adam,
    ) -> Result<()> {
        let segment = |&(step, steps): &(Move, u64)| {
            let [rate, root] = rule.corrected(step.rate, steps);
            Segment {
                slot: step.slot,
                keep: step.keep,
                rate,
                root,
            }
        };
        let segments: Vec<_> = moves.iter().map(segment).collect();
        for span in [moved.gradients, mean, square] {
            check(span, moved.values.len());
        }
        // Each segment has its own.
        let numbers = Argument::value(rule.numbers([0.0; 3]));
        self.each_segment("adam", moved.values, &segments, MOVED, |_| {
            vec![
                moved.values.into(),
                moved.gradients.into(),
                mean.into(),
                square.into(),
                moved.scale.into(),
                numbers,
            ]
        })
    }

    /// Gradient descent with momentum.
    pub fn sgd(&self, moved: Moved, velocity: Span, moves: &[Move], momentum: f64) -> Result<()> {
        let segment = |step: &Move| Segment {
            slot: step.slot,
            keep: step.keep,
            rate: step.rate as f32,
            root: 1.0,
        };
        let segments: Vec<_> = moves.iter().map(segment).collect();
        for span in [moved.gradients, velocity] {
            check(span, moved.values.len());
        }
        self.each_segment("sgd", moved.values, &segments, MOVED, |_| {
            vec![
                moved.values.into(),
                moved.gradients.into(),
                velocity.into(),
                moved.scale.into(),
                (momentum as f32).into(),
            ]
        })
    }

    /// A kernel that goes over segments of a buffer: one launch, if there are no more than a table
    /// holds. `arguments` gives what follows the table, for so many blocks.
    fn each_segment<'a>(
        &self,
        kernel: &'static str,
        buffer: Span,
        segments: &[Segment],
        part: usize,
        mut arguments: impl FnMut(usize) -> Vec<Argument<'a>>,
    ) -> Result<()> {
        let end = |segment: &Segment| segment.slot.start + segment.slot.len;
        assert!(segments.iter().all(|segment| end(segment) <= buffer.len()));
        for segments in segments.chunks(MOST_SEGMENTS) {
            let Segments { words, blocks } = Segments::new(segments, part)?;
            let mut all = vec![Argument::words(&words)];
            all.extend(arguments(blocks));
            self.blocks(kernel, blocks, &all)?;
        }
        Ok(())
    }

    /// `average += share · (present − average)`.
    pub fn approach(&self, average: Span, present: Span, share: f32) -> Result<()> {
        check(present, average.len());
        let len = int(average.len())?;
        self.each(
            "approach",
            average.len(),
            &[average.into(), present.into(), len, share.into()],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_the_kernels_read_them() -> Result<()> {
        let segment = |start, len| Segment {
            slot: Slot::floats(start, len),
            keep: 0.5,
            rate: 0.25,
            root: 1.0,
        };
        let segments = [segment(0, 2049), segment(4096, 10), segment(4160, 2048)];
        let Segments { words, blocks } = Segments::new(&segments, 2048)?;
        assert_eq!(blocks, 4);
        assert_eq!(words.len(), 2 + 6 * MOST_SEGMENTS);
        assert_eq!(words[..2], [3, 2048]);
        let numbers = [0.5f32, 0.25, 1.0].map(|number| number.to_bits() as i32);
        for (words, places) in
            words[2..]
                .chunks(6)
                .zip([[0, 2049, 0], [4096, 10, 2], [4160, 2048, 3]])
        {
            assert_eq!((&words[..3], &words[3..]), (&places[..], &numbers[..]));
        }
        Ok(())
    }
}
