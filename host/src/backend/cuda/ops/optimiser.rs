//! The rules that move weights: `kernels/optimiser.cu`.

use anyhow::Result;

use super::losses::PART;
use super::{Gpu, check, int};
use crate::backend::cuda::memory::Span;

/// One tensor's move.
#[derive(Clone, Copy)]
pub struct Move<'a> {
    /// What is moved.
    pub values: Span<'a>,
    /// By what.
    pub gradient: Span<'a>,
    /// What clipping leaves of the gradient, one value; none for all of it.
    pub scale: Option<Span<'a>>,
    /// What decay leaves of the values.
    pub keep: f32,
    /// Learning rate.
    pub rate: f64,
}

/// Adam's numbers for a step.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second.
    pub epsilon: f64,
    /// Which step it is, from 1.
    pub steps: u64,
}

/// Values of scratch memory that the norm of gradients of these lengths takes.
pub fn norm_scratch(lengths: impl IntoIterator<Item = usize>) -> usize {
    2 * lengths.into_iter().map(norm_parts).sum::<usize>()
}

fn norm_parts(len: usize) -> usize {
    len.div_ceil(PART)
}

impl Gpu {
    /// What gradients are multiplied with so that the norm of all together is at most `limit`.
    /// `part` finds a part of the scratch memory: so many values, from there.
    pub fn clip<'a>(
        &self,
        gradients: &[Span],
        limit: f64,
        part: impl Fn(usize, usize) -> Span<'a>,
        scale: Span,
    ) -> Result<()> {
        check(scale, 1);
        let mut start = 0;
        for gradient in gradients {
            let parts = norm_parts(gradient.len());
            let to = part(start, 2 * parts);
            self.blocks(
                "square_parts",
                parts,
                &[
                    (*gradient).into(),
                    int(gradient.len())?,
                    int(PART)?,
                    to.into(),
                ],
            )?;
            start += 2 * parts;
        }
        let all = part(0, start);
        self.blocks(
            "clip",
            1,
            &[all.into(), int(start / 2)?, limit.into(), scale.into()],
        )
    }

    /// Adam with decoupled weight decay.
    pub fn adam(&self, step: Move, [mean, square]: [Span; 2], rule: Adam) -> Result<()> {
        let len = step.values.len();
        for span in [step.gradient, mean, square] {
            check(span, len);
        }
        let correction = rule.betas.map(|beta| 1.0 - beta.powf(rule.steps as f64));
        let rate = (step.rate / correction[0]) as f32;
        let root = correction[1].sqrt() as f32;
        let [beta1, beta2] = rule.betas.map(|beta| beta as f32);
        let [rest1, rest2] = rule.betas.map(|beta| (1.0 - beta) as f32);
        self.each(
            "adam",
            len,
            &[
                step.values.into(),
                step.gradient.into(),
                mean.into(),
                square.into(),
                int(len)?,
                step.scale.into(),
                step.keep.into(),
                rate.into(),
                root.into(),
                beta1.into(),
                beta2.into(),
                rest1.into(),
                rest2.into(),
                (rule.epsilon as f32).into(),
            ],
        )
    }

    /// Gradient descent with momentum.
    pub fn sgd(&self, step: Move, velocity: Span, momentum: f64) -> Result<()> {
        let len = step.values.len();
        check(step.gradient, len);
        check(velocity, len);
        self.each(
            "sgd",
            len,
            &[
                step.values.into(),
                step.gradient.into(),
                velocity.into(),
                int(len)?,
                step.scale.into(),
                step.keep.into(),
                (step.rate as f32).into(),
                (momentum as f32).into(),
            ],
        )
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
