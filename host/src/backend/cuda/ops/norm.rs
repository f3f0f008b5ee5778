//! Batch normalisation, biases and activations: `kernels/norm.cu`.

use anyhow::Result;
use vae96::Activation;

use super::divisor::Divisor;
use super::{Columns, Gpu, MOMENTS, PAIR, WideColumns, check, check_several, int};
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Span;
use crate::backend::cuda::share::Share;

/// Blocks that a multiprocessor takes, as the kernels have it.
const NORMALISE_BLOCKS: usize = 6;
const BACKWARD_BLOCKS: usize = 4;

/// BatchNorm's tensors.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// γ.
    pub scale: Span<'a>,
    /// β.
    pub shift: Span<'a>,
    /// The running means.
    pub mean: Span<'a>,
    /// The running variances.
    pub variance: Span<'a>,
    /// The bias of the map before it, which the map's values are without.
    pub bias: Option<Span<'a>>,
}

/// What BatchNorm keeps for its backward pass, all of it one slot.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// Means and deviations, in f64.
    pub statistics: Span<'a>,
    /// Factors and offsets.
    pub affine: Span<'a>,
    /// Slopes and constants of the gradient.
    pub slopes: Span<'a>,
    /// Where the sums of all machines meet that share the batch, if there are others.
    pub meeting: Option<Meeting<'a>>,
}

/// Where machines that share a batch lay their moments side by side, and add up other sums.
#[derive(Clone, Copy)]
pub struct Meeting<'a> {
    /// The machine's share.
    pub share: Share,
    /// [`meeting`] values.
    pub table: Span<'a>,
}

/// Values of a [`Meeting`]'s table.
pub fn meeting(share: Share, channels: usize) -> usize {
    MOMENTS * share.ranks * channels
}

impl Meeting<'_> {
    /// The rows of all machines, where this one has `rows`.
    fn rows(&self, rows: usize) -> usize {
        rows / self.share.count * self.share.total
    }
}

impl Kept<'_> {
    fn check(&self, channels: usize) {
        check(self.statistics, 4 * channels);
        check(self.affine, 2 * channels);
        check(self.slopes, 2 * channels);
        if let Some(Meeting { share, table }) = self.meeting {
            check(table, meeting(share, channels));
        }
    }
}

impl Norm<'_> {
    fn check(&self) -> usize {
        let channels = self.scale.len();
        let all = [self.shift, self.mean, self.variance];
        all.into_iter()
            .chain(self.bias)
            .for_each(|span| check(span, channels));
        channels
    }
}

/// An activation as kernels know it.
pub(super) fn function<'a>(activation: Activation) -> Argument<'a> {
    let number: i32 = match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::Sigmoid => 2,
    };
    number.into()
}

impl Gpu {
    /// The moments of a map's values, and of those of the other machines that share the batch; they
    /// move the running ones. Those of `tiles` tiles lie in the scratch memory already, if there are
    /// any.
    pub fn moments(
        &self,
        values: Span,
        norm: Norm,
        kept: Kept,
        scratch: Span,
        tiles: Option<usize>,
    ) -> Result<()> {
        let channels = norm.check();
        kept.check(channels);
        let columns = Columns::new(values.len() / channels, channels);
        self.check_values(&[values]);
        check(values, columns.rows * channels);
        let parts = tiles.unwrap_or(columns.parts());
        assert!(MOMENTS * parts * channels <= scratch.len());
        let (rows, part) = (columns.rows, int(columns.part)?);
        let width = int(channels)?;
        int(values.len())?;
        if tiles.is_none() {
            self.launch(
                "moments_parts",
                columns.grid(),
                columns.block(),
                &[values.into(), int(rows)?, width, part, scratch.into()],
            )?;
        }
        let mut all = (scratch, parts, rows);
        if let Some(meeting) = kept.meeting {
            let Meeting { share, table } = meeting;
            self.fill(table, 0.0)?;
            let own = table.part(share.rank * MOMENTS * channels, MOMENTS * channels);
            let [grid, block] = columns.whole(parts);
            self.launch(
                "merge_moments",
                grid,
                block,
                &[scratch.into(), int(parts)?, int(rows)?, width, own.into()],
            )?;
            // Of each place all machines but one have 0.
            table.reduce_doubles()?;
            all = (table, share.ranks, meeting.rows(rows));
        }
        let (from, parts, rows) = all;
        let [grid, block] = columns.whole(parts);
        self.launch(
            "moments",
            grid,
            block,
            &[
                from.into(),
                int(parts)?,
                int(rows)?,
                width,
                norm.scale.into(),
                norm.shift.into(),
                norm.bias.into(),
                norm.mean.into(),
                norm.variance.into(),
                kept.statistics.into(),
                kept.affine.into(),
            ],
        )
    }

    /// Factors and offsets by the running statistics.
    pub fn running_affine(&self, norm: Norm, affine: Span) -> Result<()> {
        let channels = norm.check();
        check(affine, 2 * channels);
        self.each(
            "running_affine",
            channels,
            &[
                int(channels)?,
                norm.scale.into(),
                norm.shift.into(),
                norm.bias.into(),
                norm.mean.into(),
                norm.variance.into(),
                affine.into(),
            ],
        )
    }

    /// `out = activation(factor · values + offset)`; both may be the same span.
    pub fn normalise(
        &self,
        values: Span,
        affine: Span,
        activation: Activation,
        out: Span,
    ) -> Result<()> {
        self.check_values(&[values, out]);
        let channels = affine.len() / 2;
        self.each_of_channels(
            "normalise",
            NORMALISE_BLOCKS,
            channels,
            &[values, out],
            &[
                values.into(),
                int(values.len())?,
                Argument::value(Divisor::new(channels)?.words()),
                affine.into(),
                function(activation),
                out.into(),
            ],
        )
    }

    /// Turns the gradient of BatchNorm's outputs into that of its inputs, and gives those of γ and
    /// β, of the whole batch where machines share it.
    pub fn norm_backward(
        &self,
        values: Span,
        kept: Kept,
        activation: Activation,
        gradient: Span,
        [scale, shift]: [Span; 2],
        scratch: Span,
    ) -> Result<()> {
        let channels = scale.len();
        kept.check(channels);
        check(shift, channels);
        check(gradient, values.len());
        let columns = Columns::new(values.len() / channels, channels);
        check(values, columns.rows * channels);
        let sums = WideColumns::new(columns.rows, channels, self.kind());
        assert!(sums.scratch() <= scratch.len());
        self.check_values(&[values, gradient]);
        check_several(&[values, gradient]);
        let (rows, width) = (columns.rows, int(channels)?);
        let divisor = Divisor::new(channels)?.words();
        let [len, row, part] = sums.arguments(values.len())?;
        self.launch(
            "norm_parts",
            sums.wide.grid(),
            sums.wide.block(),
            &[
                values.into(),
                gradient.into(),
                len,
                row,
                part,
                Argument::value(divisor),
                kept.statistics.into(),
                kept.affine.into(),
                function(activation),
                scratch.into(),
            ],
        )?;
        let mut all = (scratch, sums.parts(), rows);
        if let Some(meeting) = kept.meeting {
            let shared = meeting.table.part(0, PAIR * channels);
            let [grid, block] = columns.whole(sums.parts());
            self.launch(
                "norm_sums",
                grid,
                block,
                &[scratch.into(), int(sums.parts())?, width, shared.into()],
            )?;
            shared.reduce_doubles()?;
            all = (shared, 1, meeting.rows(rows));
        }
        let (from, parts, rows) = all;
        let [grid, block] = columns.whole(parts);
        self.launch(
            "norm_gradients",
            grid,
            block,
            &[
                from.into(),
                int(parts)?,
                int(rows)?,
                width,
                kept.statistics.into(),
                kept.affine.into(),
                scale.into(),
                shift.into(),
                kept.slopes.into(),
            ],
        )?;
        self.each_of_channels(
            "norm_backward",
            BACKWARD_BLOCKS,
            channels,
            &[values, gradient],
            &[
                values.into(),
                len,
                Argument::value(divisor),
                kept.affine.into(),
                kept.slopes.into(),
                function(activation),
                gradient.into(),
            ],
        )
    }

    /// `values = activation(values + bias)`, the bias one value a channel; also of f32.
    pub fn finish(
        &self,
        values: Span,
        channels: usize,
        bias: Option<Span>,
        activation: Activation,
    ) -> Result<()> {
        if let Some(bias) = bias {
            check(bias, channels);
        }
        let width = Divisor::new(channels)?.words();
        self.each_several(
            self.by_kind(values, ["finish", "finish_f32"]),
            &[values],
            &[
                values.into(),
                int(values.len())?,
                Argument::value(width),
                bias.into(),
                function(activation),
            ],
        )
    }

    /// The sum of each of the columns of `values`, as many as `out` has values.
    pub fn column_sums(&self, values: Span, out: Span, scratch: Span) -> Result<()> {
        let columns = Columns::new(values.len() / out.len(), out.len());
        check(values, columns.rows * columns.channels);
        let sums = WideColumns::new(columns.rows, columns.channels, self.kind());
        assert!(sums.scratch() <= scratch.len());
        self.check_values(&[values]);
        check_several(&[values]);
        let width = int(columns.channels)?;
        let [len, row, part] = sums.arguments(values.len())?;
        self.launch(
            "column_parts",
            sums.wide.grid(),
            sums.wide.block(),
            &[values.into(), len, row, part, width, scratch.into()],
        )?;
        let [grid, block] = columns.whole(sums.parts());
        self.launch(
            "columns",
            grid,
            block,
            &[scratch.into(), int(sums.parts())?, width, out.into()],
        )
    }
}
