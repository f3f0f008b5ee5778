//! Losses and their gradients: `kernels/losses.cu` and `kernels/contrast.cu`.

use anyhow::Result;
use vae96::Activation;

use super::divisor::Divisor;
use super::maps::{Map, Operands};
use super::norm::function;
use super::{Columns, Gpu, check, check_kind, check_several, int};
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::{Arena, Kind, Slot, Span};
use crate::backend::cuda::share::Share;
use crate::backend::{Contrast, VaeObjective};

/// Values of a part of a long sum.
pub const PART: usize = 1 << 12;

/// The latent distribution of a batch.
#[derive(Clone, Copy)]
pub struct Latents<'a> {
    /// Images.
    pub count: usize,
    /// μ.
    pub mean: Span<'a>,
    /// log σ².
    pub log_variance: Span<'a>,
    /// ε.
    pub noise: Span<'a>,
    /// Each dimension's divergence over these images, in f64.
    pub divergence: Span<'a>,
}

/// What free bits are measured by.
#[derive(Clone, Copy)]
pub struct Divergences<'a> {
    /// Images of the whole batch.
    pub count: usize,
    /// Each dimension's divergence over them, in f64.
    pub each: Span<'a>,
}

/// What becomes of outputs before they are compared with anything.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// Channels of the outputs.
    pub channels: usize,
    /// What is added to each, if anything.
    pub bias: Option<Span<'a>>,
    /// What is taken of the sum.
    pub activation: Activation,
}

impl Latents<'_> {
    fn check(&self) -> usize {
        let dimensions = self.divergence.len() / 2;
        let all = [self.mean, self.log_variance, self.noise];
        check_kind(&all, Kind::F32);
        (all.into_iter()).for_each(|span| check(span, self.count * dimensions));
        dimensions
    }
}

/// Where the contrastive term's values lie. Machines that share a batch compare all of its views,
/// each for itself.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    share: Share,
    dimensions: usize,
    /// The views of all machines, if there are others.
    all: Option<Slot>,
    units: Slot,
    /// The gradients of the units.
    by_units: Slot,
    lengths: Slot,
    similarities: Slot,
    pairs: Slot,
    /// Each view's loss, in f64.
    losses: Slot,
}

impl Comparison {
    /// Lays them out for views of `dimensions` values, the losses of all of which go to `losses`.
    pub fn new(arena: &mut Arena, share: Share, dimensions: usize, losses: Slot) -> Self {
        let count = share.total;
        let shared = !share.is_whole();
        let this = Self {
            share,
            dimensions,
            all: shared.then(|| arena.place(count * dimensions)),
            units: arena.place(count * dimensions),
            by_units: arena.place(count * dimensions),
            lengths: arena.place(count),
            similarities: arena.place(count * count),
            pairs: arena.place(count * count),
            losses,
        };
        this.map().need(arena);
        this
    }

    /// The map from units to similarities, whose weights are the units themselves. Its input
    /// gradient sums all units, each as much as its pair of similarities says.
    fn map(&self) -> Map {
        Map::exact(self.dimensions, self.share.total, self.share.total)
    }
}

impl Gpu {
    /// The latent sample of a batch, and the divergences of its dimensions.
    pub fn sample(&self, latents: Latents, out: Span) -> Result<()> {
        let dimensions = latents.check();
        self.check_values(&[out]);
        check(out, latents.mean.len());
        let [grid, block] = Columns::new(latents.count, dimensions).whole(latents.count);
        self.launch(
            "divergence",
            grid,
            block,
            &[
                latents.mean.into(),
                latents.log_variance.into(),
                int(latents.count)?,
                int(dimensions)?,
                latents.divergence.into(),
            ],
        )?;
        self.each(
            "sample",
            out.len(),
            &[
                latents.mean.into(),
                latents.log_variance.into(),
                latents.noise.into(),
                int(out.len())?,
                out.into(),
            ],
        )
    }

    /// The gradients of μ, added to what it has with `add`, and log σ² from that of the sample.
    pub fn sample_backward(
        &self,
        latents: Latents,
        gradient: Span,
        all: Divergences,
        objective: &VaeObjective,
        add: bool,
        [by_mean, by_log]: [Span; 2],
    ) -> Result<()> {
        let dimensions = latents.check();
        let gradients = [gradient, by_mean, by_log];
        self.check_values(&gradients);
        (gradients.into_iter()).for_each(|span| check(span, latents.mean.len()));
        check(all.each, 2 * dimensions);
        let weight = (objective.scale * objective.beta) as f32;
        let least = objective.free_bits * all.count as f64;
        self.each(
            "sample_backward",
            gradient.len(),
            &[
                gradient.into(),
                latents.mean.into(),
                latents.log_variance.into(),
                latents.noise.into(),
                int(gradient.len())?,
                int(dimensions)?,
                all.each.into(),
                weight.into(),
                least.into(),
                add.into(),
                by_mean.into(),
                by_log.into(),
            ],
        )
    }

    /// `Σ (activation(outputs + bias) − targets)²`, an f64, and its gradient by the outputs, `weight`
    /// times.
    pub fn squared_error(
        &self,
        [outputs, targets]: [Span; 2],
        ending: Ending,
        weight: f32,
        gradient: Span,
        scratch: Span,
        sum: Span,
    ) -> Result<()> {
        check_kind(&[outputs], Kind::F32);
        self.check_values(&[targets, gradient]);
        check(targets, outputs.len());
        check(gradient, outputs.len());
        if let Some(bias) = ending.bias {
            check(bias, ending.channels);
        }
        let parts = outputs.len().div_ceil(PART);
        assert!(2 * parts <= scratch.len());
        check_several(&[outputs, targets, gradient]);
        self.blocks(
            "squared_error",
            parts,
            &[
                outputs.into(),
                targets.into(),
                int(outputs.len())?,
                int(PART)?,
                Argument::value(Divisor::new(ending.channels)?.words()),
                ending.bias.into(),
                function(ending.activation),
                weight.into(),
                gradient.into(),
                scratch.into(),
            ],
        )?;
        check(sum, 2);
        self.blocks("sum", 1, &[scratch.into(), int(parts)?, sum.into()])
    }

    /// The outcomes of a batch, two f64 each, and the gradient of its logits. Targets are class,
    /// smoothing and weight; a negative smoothing tells that the row of `shares` is wanted, which
    /// is never looked at without one.
    pub fn cross_entropy(
        &self,
        logits: Span,
        [targets, shares]: [Span; 2],
        gradient: Span,
        outcomes: Span,
    ) -> Result<()> {
        let count = targets.len() / 3;
        let classes = logits.len() / count;
        check_kind(&[logits, targets, shares], Kind::F32);
        self.check_values(&[gradient]);
        check(logits, count * classes);
        check(targets, 3 * count);
        check(gradient, logits.len());
        check(outcomes, 4 * count);
        int(logits.len())?;
        self.blocks(
            "cross_entropy",
            count,
            &[
                logits.into(),
                int(classes)?,
                targets.into(),
                shares.into(),
                gradient.into(),
                outcomes.into(),
            ],
        )
    }

    /// The losses of telling each view's partner, of all machines' views, and the gradient of this
    /// one's, `weight` times. `at` finds the comparison's slots.
    pub fn contrast<'a>(
        &self,
        comparison: &Comparison,
        at: impl Fn(Slot) -> Span<'a>,
        [views, gradient]: [Span<'a>; 2],
        term: Contrast,
        weight: f32,
        scratch: Span,
    ) -> Result<()> {
        let Comparison {
            share, dimensions, ..
        } = *comparison;
        let count = share.total;
        check_kind(&[views], Kind::F32);
        self.check_values(&[gradient]);
        check(views, share.count * dimensions);
        check(gradient, views.len());
        int(count * count)?;
        let all = comparison.all.map(&at);
        if let Some(all) = all {
            self.fill(all, 0.0)?;
            self.copy(views, all.part(share.start * dimensions, views.len()))?;
            all.reduce()?;
        }
        let views = all.unwrap_or(views);
        let temperature = term.temperature as f32;
        let losses = at(comparison.losses);
        check(losses, 2 * count);
        let (units, lengths) = (at(comparison.units), at(comparison.lengths));
        let by_units = at(comparison.by_units);
        let (similarities, pairs) = (at(comparison.similarities), at(comparison.pairs));
        self.blocks(
            "contrast_units",
            count,
            &[views.into(), int(dimensions)?, units.into(), lengths.into()],
        )?;
        let product = |factors, out| Operands {
            factors,
            out,
            add: false,
            scratch,
            moments: None,
        };
        let map = comparison.map();
        map.forward(self, product([units, units], similarities))?;
        self.blocks(
            "contrast_losses",
            count,
            &[
                similarities.into(),
                int(count)?,
                temperature.into(),
                losses.into(),
            ],
        )?;
        self.each(
            "contrast_pairs",
            count * count,
            &[similarities.into(), int(count)?, pairs.into()],
        )?;
        map.input_gradient(self, product([pairs, units], by_units))?;
        self.blocks(
            "contrast_backward",
            share.count,
            &[
                units.into(),
                lengths.into(),
                by_units.into(),
                int(share.start)?,
                int(dimensions)?,
                (weight / temperature).into(),
                gradient.into(),
            ],
        )
    }
}
