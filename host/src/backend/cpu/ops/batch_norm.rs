//! Batch normalisation (Ioffe and Szegedy, 2015) over the rows of a `rows × channels` array: the
//! pixels of all images for a plane, the images for a vector.

use rayon::prelude::*;

use super::activation::{Function, WithFunction};
use super::columns::{Columns, repeat, task};

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
                values
                    .par_chunks(rows * channels)
                    .map(|values| Self::of_columns(values, channels, start, end))
                    .collect::<Vec<_>>()
                    .into_iter()
                    .reduce(Self::merge)
                    .unwrap_or_else(|| Self::none(end - start))
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

    fn none(channels: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; channels],
            squares: vec![0.0; channels],
        }
    }

    /// The moments of columns `start..end` alone.
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

    /// Factors and offsets beside rows taken several at a time, and the width of those.
    fn wide(&self) -> (usize, Vec<f32>, Vec<f32>) {
        let repeat = repeat(self.channels());
        let width = repeat * self.channels();
        (
            width,
            self.factor.repeat(repeat),
            self.offset.repeat(repeat),
        )
    }
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
        let (width, factor, offset) = self.affine.wide();
        let task = task(width);
        self.values.par_chunks_mut(task).for_each(|values| {
            for values in values.chunks_mut(width) {
                for ((x, a), b) in values.iter_mut().zip(&factor).zip(&offset) {
                    *x = F::apply(a * *x + b);
                }
            }
        });
    }
}

/// `outputs = activation(factor · values + offset)`.
pub struct Forward<'a> {
    /// What is normalised.
    pub values: &'a [f32],
    /// How.
    pub affine: &'a Affine,
    /// The result.
    pub outputs: &'a mut [f32],
}

impl WithFunction for Forward<'_> {
    type Output = ();

    fn run<F: Function>(self) {
        let (width, factor, offset) = self.affine.wide();
        let task = task(width);
        self.outputs
            .par_chunks_mut(task)
            .zip(self.values.par_chunks(task))
            .for_each(|(outputs, values)| {
                for (outputs, values) in outputs.chunks_mut(width).zip(values.chunks(width)) {
                    let coefficients = factor.iter().zip(&offset);
                    for ((y, x), (a, b)) in outputs.iter_mut().zip(values).zip(coefficients) {
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

/// The backward pass; turns the gradient of the outputs into that of the values, in place.
pub struct Backward<'a> {
    /// What was normalised.
    pub values: &'a [f32],
    /// How.
    pub affine: &'a Affine,
    /// Over which moments.
    pub moments: &'a Moments,
    /// The gradient of the outputs, then that of the values.
    pub gradient: &'a mut [f32],
}

impl WithFunction for Backward<'_> {
    type Output = Gradient;

    fn run<F: Function>(self) -> Gradient {
        let factor = &self.affine.factor;
        let channels = self.affine.channels();
        let mean: Vec<f32> = self.moments.mean.iter().map(|m| *m as f32).collect();
        let (by_value, shift) = self.sums::<F>(&mean);

        let count = self.moments.count as f64;
        let variance = self.moments.biased_variance();
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
            let factor = f64::from(factor[c]) / count;
            let per_value = -factor * scale[c] / deviation[c];
            slope[c] = per_value as f32;
            constant[c] = (-factor * shift[c] - per_value * self.moments.mean[c]) as f32;
        }
        let (width, factor, offset) = self.affine.wide();
        let slope = slope.repeat(width / channels);
        let constant = constant.repeat(width / channels);
        let task = task(width);
        self.gradient
            .par_chunks_mut(task)
            .zip(self.values.par_chunks(task))
            .for_each(|(gradient, values)| {
                for (gradient, values) in gradient.chunks_mut(width).zip(values.chunks(width)) {
                    let affine = factor.iter().zip(&offset);
                    let channel = affine.zip(slope.iter().zip(&constant));
                    for ((g, x), ((a, b), (s, k))) in gradient.iter_mut().zip(values).zip(channel) {
                        let inner = *g * F::slope(F::apply(a * x + b));
                        *g = a * inner + s * x + k;
                    }
                }
            });
        Gradient { scale, shift }
    }
}

impl Backward<'_> {
    /// Σ g·(x − μ) and Σ g of each channel, g the gradient before the activation.
    fn sums<F: Function>(&self, mean: &[f32]) -> (Vec<f64>, Vec<f64>) {
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
                        self.column_sums::<F>(values, gradient, mean, start, end)
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

    fn column_sums<F: Function>(
        &self,
        values: &[f32],
        gradient: &[f32],
        mean: &[f32],
        start: usize,
        end: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let columns = Columns::new(self.affine.channels(), start, end);
        let factor = self.affine.factor[start..end].repeat(columns.repeat);
        let offset = self.affine.offset[start..end].repeat(columns.repeat);
        let mean = mean[start..end].repeat(columns.repeat);
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
