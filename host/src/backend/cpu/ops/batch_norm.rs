//! Batch normalisation (Ioffe and Szegedy, 2015) over the rows of a `rows × channels` array: the
//! pixels of all images for a plane, the images for a vector.

use std::borrow::Cow;

use rayon::prelude::*;
use vae96::Activation;

use super::activation::{Function, WithFunction, with};
use super::columns::{Columns, repeat, task};
use crate::backend::cpu::parallel::vectorised;
use crate::backend::cpu::source::{Elementwise, Source, read_all};

/// Added to a variance before its root is taken.
pub const EPSILON: f64 = 1e-5;

/// Channels of a task.
const COLUMNS: usize = 1024;

/// Each channel's mean and variance over a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Rows they were taken over.
    pub count: usize,
    /// Means.
    pub mean: Vec<f64>,
    /// Sums of squared deviations from the mean.
    pub squares: Vec<f64>,
}

impl Moments {
    /// The moments of each channel. Blocks of rows are summed about a value of their own, and
    /// merged by the formula of Chan, Golub and LeVeque (1979): nothing is lost where a mean is far
    /// from zero.
    pub fn of(values: &[f32], channels: usize) -> Self {
        let columns: Vec<Self> = (0..channels.div_ceil(COLUMNS))
            .into_par_iter()
            .map(|block| {
                let start = block * COLUMNS;
                let end = channels.min(start + COLUMNS);
                let rows = Columns::new(channels, start, end).task_rows();
                let parts = values
                    .par_chunks(rows * channels)
                    .map(|values| vectorised!(Self::of_columns(values, channels, start, end)))
                    .collect();
                Self::merged(parts, end - start)
            })
            .collect();
        let mut all = Self::none(0);
        for block in columns {
            all.count = block.count;
            all.mean.extend(block.mean);
            all.squares.extend(block.squares);
        }
        all
    }

    /// The moments of the rows of one task, on this thread.
    pub fn of_rows(values: &[f32], channels: usize) -> Self {
        vectorised!(Self::of_columns(values, channels, 0, channels))
    }

    /// The moments of all rows from those of their parts, in order.
    pub fn merged(parts: Vec<Self>, channels: usize) -> Self {
        let merged = parts.into_iter().reduce(Self::merge);
        merged.unwrap_or_else(|| Self::none(channels))
    }

    fn none(channels: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; channels],
            squares: vec![0.0; channels],
        }
    }

    /// The moments of columns `start..end` alone.
    #[inline(always)]
    fn of_columns(values: &[f32], channels: usize, start: usize, end: usize) -> Self {
        let columns = Columns::new(channels, start, end);
        let mut total = Self::none(end - start);
        for block in values.chunks(columns.block()) {
            let count = (block.len() / channels) as f64;
            let centre = columns.centre(block);
            let mut sums = columns.zeros();
            let mut squares = columns.zeros();
            for row in columns.rows(block) {
                let sums = sums.iter_mut().zip(squares.iter_mut());
                for (((sum, square), value), centre) in sums.zip(row).zip(&centre) {
                    let deviation = value - centre;
                    *sum += deviation;
                    *square += deviation * deviation;
                }
            }
            let sums = columns.fold(&sums);
            let mean = (sums.iter().zip(&centre))
                .map(|(sum, centre)| f64::from(*centre) + sum / count)
                .collect();
            let squares = (columns.fold(&squares).iter().zip(&sums))
                .map(|(square, sum)| square - sum * sum / count)
                .collect();
            total = total.merge(Self {
                count: block.len() / channels,
                mean,
                squares,
            });
        }
        total
    }

    fn merge(mut self, other: Self) -> Self {
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let weight = self.count as f64 * share;
        for (i, mean) in self.mean.iter_mut().enumerate() {
            let delta = other.mean[i] - *mean;
            *mean += delta * share;
            self.squares[i] += other.squares[i] + delta * delta * weight;
        }
        self.count = count;
        self
    }

    /// The variances that normalise: divided by the number of rows.
    pub fn biased_variance(&self) -> Vec<f64> {
        let count = self.count as f64;
        self.squares.iter().map(|s| s / count).collect()
    }

    /// The variances that the running statistics take in: divided by one less.
    pub fn unbiased_variance(&self) -> Vec<f64> {
        let count = (self.count as f64 - 1.0).max(1.0);
        self.squares.iter().map(|s| s / count).collect()
    }
}

/// Normalisation as `factor · x + offset`, one pair a channel.
#[derive(Clone, Debug)]
pub struct Affine {
    /// `γ / √(σ² + ε)`.
    pub factor: Vec<f32>,
    /// `β − factor · μ`.
    pub offset: Vec<f32>,
}

impl Affine {
    /// From means, variances, γ and β.
    pub fn new(mean: &[f64], variance: &[f64], scale: &[f32], shift: &[f32]) -> Self {
        let factor: Vec<f64> = (scale.iter().zip(variance))
            .map(|(scale, variance)| f64::from(*scale) / (variance + EPSILON).sqrt())
            .collect();
        let offset = (shift.iter().zip(&factor).zip(mean))
            .map(|((shift, factor), mean)| (f64::from(*shift) - factor * mean) as f32)
            .collect();
        Self {
            factor: factor.iter().map(|f| *f as f32).collect(),
            offset,
        }
    }

    fn channels(&self) -> usize {
        self.factor.len()
    }
}

/// One value a channel, beside rows taken several at a time where they are narrow.
fn wide(values: &[f32]) -> Vec<f32> {
    values.repeat(repeat(values.len()))
}

/// `values = activation(factor · values + offset)`.
pub struct InPlace<'a> {
    /// What is normalised.
    pub values: &'a mut [f32],
    /// How.
    pub affine: &'a Affine,
}

impl WithFunction for InPlace<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let (factor, offset) = (wide(&self.affine.factor), wide(&self.affine.offset));
        let (width, task) = (factor.len(), task(factor.len()));
        self.values.par_chunks_mut(task).for_each(|values| {
            vectorised!({
                for values in values.chunks_mut(width) {
                    for ((x, a), b) in values.iter_mut().zip(&factor).zip(&offset) {
                        *x = F::apply(a * *x + b);
                    }
                }
            });
        });
    }
}

/// `activation(factor · x + offset)` of rows that are read where they are needed.
pub struct Normalise {
    channels: usize,
    factor: Vec<f32>,
    offset: Vec<f32>,
    activation: Activation,
}

impl Normalise {
    /// Normalisation, then an activation.
    pub fn new(affine: &Affine, activation: Activation) -> Self {
        Self {
            channels: affine.channels(),
            factor: wide(&affine.factor),
            offset: wide(&affine.offset),
            activation,
        }
    }
}

impl Elementwise for Normalise {
    fn channels(&self) -> usize {
        self.channels
    }

    fn apply(&self, rows: &[f32], to: &mut [f32]) {
        with(
            self.activation,
            Forward {
                normalise: self,
                rows,
                to,
            },
        );
    }
}

struct Forward<'a> {
    normalise: &'a Normalise,
    rows: &'a [f32],
    to: &'a mut [f32],
}

impl WithFunction for Forward<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let Normalise { factor, offset, .. } = self.normalise;
        let width = factor.len();
        vectorised!({
            for (to, rows) in self.to.chunks_mut(width).zip(self.rows.chunks(width)) {
                let coefficients = factor.iter().zip(offset);
                for ((y, x), (a, b)) in to.iter_mut().zip(rows).zip(coefficients) {
                    *y = F::apply(a * x + b);
                }
            }
        });
    }
}

/// The gradients of γ and β.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// Of γ: Σ g·x̂.
    pub scale: Vec<f64>,
    /// Of β: Σ g.
    pub shift: Vec<f64>,
}

/// The backward pass: the gradient of what was normalised, read where it is needed.
pub struct Backward<'a> {
    values: &'a [f32],
    gradient: &'a [f32],
    activation: Activation,
    channels: usize,
    factor: Vec<f32>,
    offset: Vec<f32>,
    slope: Vec<f32>,
    constant: Vec<f32>,
}

impl<'a> Backward<'a> {
    /// From what was normalised, over which moments, how, and the gradient of the outputs.
    pub fn new(
        values: &'a [f32],
        moments: &Moments,
        affine: &Affine,
        activation: Activation,
        gradient: &'a [f32],
    ) -> (Self, Gradient) {
        let channels = affine.channels();
        let mean: Vec<f32> = moments.mean.iter().map(|m| *m as f32).collect();
        let sums = Sums {
            values,
            gradient,
            affine,
            mean: &mean,
        };
        let (by_value, shift) = with(activation, sums);
        let count = moments.count as f64;
        let variance = moments.biased_variance();
        let deviation: Vec<f64> = variance.iter().map(|v| (v + EPSILON).sqrt()).collect();
        let scale: Vec<f64> = by_value
            .iter()
            .zip(&deviation)
            .map(|(s, d)| s / d)
            .collect();
        // dx = factor · (g − Σg / n − x̂ · Σ(g·x̂) / n), as factor · g + slope · x + constant.
        let mut slope = vec![0.0f32; channels];
        let mut constant = vec![0.0f32; channels];
        for c in 0..channels {
            let factor = f64::from(affine.factor[c]) / count;
            let per_value = -factor * scale[c] / deviation[c];
            slope[c] = per_value as f32;
            constant[c] = (-factor * shift[c] - per_value * moments.mean[c]) as f32;
        }
        let backward = Self {
            values,
            gradient,
            activation,
            channels,
            factor: wide(&affine.factor),
            offset: wide(&affine.offset),
            slope: wide(&slope),
            constant: wide(&constant),
        };
        (backward, Gradient { scale, shift })
    }
}

impl Source for Backward<'_> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn read(&self, start: usize, to: &mut [f32]) {
        let backward = self;
        with(
            self.activation,
            Read {
                backward,
                start,
                to,
            },
        );
    }

    fn whole(&self) -> Cow<'_, [f32]> {
        Cow::Owned(read_all(self, self.channels))
    }
}

struct Read<'a> {
    backward: &'a Backward<'a>,
    start: usize,
    to: &'a mut [f32],
}

impl WithFunction for Read<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let Self {
            backward,
            start,
            to,
        } = self;
        let Backward {
            factor,
            offset,
            slope,
            constant,
            ..
        } = backward;
        let width = factor.len();
        let values = backward.values[start..start + to.len()].chunks(width);
        let gradient = backward.gradient[start..start + to.len()].chunks(width);
        vectorised!({
            for ((to, values), gradient) in to.chunks_mut(width).zip(values).zip(gradient) {
                let channel = factor.iter().zip(offset).zip(slope.iter().zip(constant));
                let row = to.iter_mut().zip(values.iter().zip(gradient));
                for ((to, (x, g)), ((a, b), (s, k))) in row.zip(channel) {
                    let inner = g * F::slope(F::apply(a * x + b));
                    *to = a * inner + s * x + k;
                }
            }
        });
    }
}

/// Σ g·(x − μ) and Σ g of each channel, g the gradient before the activation.
struct Sums<'a> {
    values: &'a [f32],
    gradient: &'a [f32],
    affine: &'a Affine,
    mean: &'a [f32],
}

impl WithFunction for Sums<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    fn run<F: Function>(self) -> Self::Output {
        let channels = self.affine.channels();
        let blocks: Vec<(Vec<f64>, Vec<f64>)> = (0..channels.div_ceil(COLUMNS))
            .into_par_iter()
            .map(|block| {
                let start = block * COLUMNS;
                let end = channels.min(start + COLUMNS);
                let rows = Columns::new(channels, start, end).task_rows();
                let parts: Vec<_> = self
                    .values
                    .par_chunks(rows * channels)
                    .zip(self.gradient.par_chunks(rows * channels))
                    .map(|(values, gradient)| {
                        vectorised!(self.column_sums::<F>(values, gradient, start, end))
                    })
                    .collect();
                let mut total = (vec![0.0; end - start], vec![0.0; end - start]);
                for (by_value, plain) in parts {
                    total.0.iter_mut().zip(by_value).for_each(|(a, b)| *a += b);
                    total.1.iter_mut().zip(plain).for_each(|(a, b)| *a += b);
                }
                total
            })
            .collect();
        let mut all = (Vec::new(), Vec::new());
        for (by_value, plain) in blocks {
            all.0.extend(by_value);
            all.1.extend(plain);
        }
        all
    }
}

impl Sums<'_> {
    #[inline(always)]
    fn column_sums<F: Function>(
        &self,
        values: &[f32],
        gradient: &[f32],
        start: usize,
        end: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let columns = Columns::new(self.affine.channels(), start, end);
        let factor = self.affine.factor[start..end].repeat(columns.repeat);
        let offset = self.affine.offset[start..end].repeat(columns.repeat);
        let mean = self.mean[start..end].repeat(columns.repeat);
        let mut total = (vec![0.0f64; end - start], vec![0.0f64; end - start]);
        let blocks = values
            .chunks(columns.block())
            .zip(gradient.chunks(columns.block()));
        for (values, gradient) in blocks {
            let mut by_value = columns.zeros();
            let mut plain = columns.zeros();
            for (values, gradient) in columns.rows(values).zip(columns.rows(gradient)) {
                let sums = by_value.iter_mut().zip(plain.iter_mut());
                let channel = factor.iter().zip(&offset).zip(&mean);
                let row = values.iter().zip(gradient);
                for (((v, p), (x, g)), ((a, b), m)) in sums.zip(row).zip(channel) {
                    let inner = g * F::slope(F::apply(a * x + b));
                    *p += inner;
                    *v += inner * (x - m);
                }
            }
            let add = |(a, b): (&mut f64, f64)| *a += b;
            total
                .0
                .iter_mut()
                .zip(columns.fold(&by_value))
                .for_each(add);
            total.1.iter_mut().zip(columns.fold(&plain)).for_each(add);
        }
        total
    }
}
