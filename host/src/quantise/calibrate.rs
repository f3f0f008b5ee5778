//! Ranges of activations, found on training images.
//!
//! Every value a layer puts out is counted in a histogram of fixed bins, so the order of images
//! and the number of threads change nothing. The range is then the one that loses least.

use anyhow::{Result, anyhow, ensure};
use clap::ValueEnum;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vae96::float::{self, Params};

use super::fold::Folded;

/// How a range is chosen from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The range whose rounding and clipping together have the least mean squared error.
    Mse,
    /// All but the outermost 0.01 % of the values.
    Percentile,
    /// Everything that was seen.
    Minmax,
}

/// The least and the greatest value that int8 must express; 0 lies between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least, at most 0.
    pub min: f64,
    /// The greatest, at least 0.
    pub max: f64,
}

/// The range of each layer's output over `images` (pixels in [0, 1], channels innermost).
///
/// # Errors
/// Where an activation is not a number: the weights are damaged.
pub fn ranges(layers: &[Folded], images: &[Vec<f32>], method: Method) -> Result<Vec<Range>> {
    ensure!(!images.is_empty(), "no images to calibrate on");
    let histograms = images
        .par_iter()
        .map(|image| observe(layers, image))
        .try_reduce(
            || vec![Histogram::default(); layers.len()],
            |mut sum, more| {
                for (sum, more) in sum.iter_mut().zip(&more) {
                    sum.merge(more);
                }
                Ok(sum)
            },
        )?;
    Ok(histograms.iter().map(|seen| seen.range(method)).collect())
}

/// What one image makes each layer put out.
fn observe(layers: &[Folded], image: &[f32]) -> Result<Vec<Histogram>> {
    let mut input = image.to_vec();
    let mut histograms = Vec::with_capacity(layers.len());
    for folded in layers {
        let mut output = vec![0.0; folded.output.len()];
        let params = Params {
            weight: &folded.weight,
            bias: &folded.bias,
        };
        float::layer(&folded.layer, folded.input, &input, params, &mut output)
            .map_err(|error| anyhow!("the layer {}: {error}", folded.layer.name))?;
        let mut histogram = Histogram::default();
        for &value in &output {
            ensure!(
                value.is_finite(),
                "the layer {} puts out {value} for a training image",
                folded.layer.name
            );
            histogram.add(value);
        }
        histograms.push(histogram);
        input = output;
    }
    Ok(histograms)
}

/// Bins an octave: a bin is 2.2 % wide, finer than the steps of int8 over all but its last bits.
const BINS_PER_OCTAVE: i32 = 32;
/// Magnitudes below 2⁻²⁰ are counted as the smallest bin, above 2²⁰ as the largest.
const OCTAVES: i32 = 20;
const BINS: usize = (2 * OCTAVES * BINS_PER_OCTAVE) as usize;

/// Counts of values by sign and logarithm of the magnitude.
#[derive(Clone, Debug)]
struct Histogram {
    zeros: u64,
    negative: Vec<u64>,
    positive: Vec<u64>,
    min: f32,
    max: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            zeros: 0,
            negative: vec![0; BINS],
            positive: vec![0; BINS],
            min: 0.0,
            max: 0.0,
        }
    }
}

impl Histogram {
    fn add(&mut self, value: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        let octave = value.abs().log2() + OCTAVES as f32;
        let bin = (octave * BINS_PER_OCTAVE as f32) as usize;
        let side = if value < 0.0 {
            &mut self.negative
        } else {
            &mut self.positive
        };
        side[bin.min(BINS - 1)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (mine, theirs) in [
            (&mut self.negative, &other.negative),
            (&mut self.positive, &other.positive),
        ] {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    fn range(&self, method: Method) -> Range {
        let all = Range {
            min: f64::from(self.min),
            max: f64::from(self.max),
        };
        match method {
            Method::Minmax => all,
            Method::Percentile => self.clipped(all, 1e-4),
            Method::Mse => self.least_error(all),
        }
    }

    /// The values that occur, as (value, count), but for zero, which every range expresses.
    fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        let side = |sign: f64, counts: &'_ [u64]| {
            let values: Vec<_> = counts
                .iter()
                .enumerate()
                .filter(|&(_, &count)| count > 0)
                .map(|(bin, &count)| (sign * centre(bin), count))
                .collect();
            values
        };
        side(-1.0, &self.negative)
            .into_iter()
            .chain(side(1.0, &self.positive))
    }

    /// The range without the outermost `share` of the values.
    fn clipped(&self, all: Range, share: f64) -> Range {
        let total = self.zeros + self.values().map(|(_, count)| count).sum::<u64>();
        let spare = (share * total as f64) as u64;
        let mut values: Vec<_> = self.values().collect();
        values.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        let mut dropped = 0;
        let bound = values
            .iter()
            .find(|(_, count)| {
                dropped += count;
                dropped > spare
            })
            .map_or(0.0, |(value, _)| value.abs());
        Range {
            min: all.min.max(-bound),
            max: all.max.min(bound),
        }
    }

    /// The range, among shares of the whole, of the least squared error.
    fn least_error(&self, all: Range) -> Range {
        let values: Vec<_> = self.values().collect();
        let error = |range: &Range| -> f64 {
            let (scale, zero_point) = affine(*range);
            let squared = |&(value, count): &(f64, u64)| {
                let q = (value / scale).round() + f64::from(zero_point);
                let back = (q.clamp(-128.0, 127.0) - f64::from(zero_point)) * scale;
                // A value that is expressed lies anywhere within its step: the error there is
                // scale² / 12 on average, whatever the centre of its bin says.
                let within = if q == q.clamp(-128.0, 127.0) {
                    scale * scale / 12.0
                } else {
                    (value - back) * (value - back)
                };
                within * count as f64
            };
            values.iter().map(squared).sum()
        };
        (20..=100)
            .map(|percent| Range {
                min: all.min * f64::from(percent) / 100.0,
                max: all.max * f64::from(percent) / 100.0,
            })
            .min_by(|a, b| error(a).total_cmp(&error(b)))
            .unwrap_or(all)
    }
}

/// The magnitude in the middle of a bin.
fn centre(bin: usize) -> f64 {
    let octave = (bin as f64 + 0.5) / f64::from(BINS_PER_OCTAVE) - f64::from(OCTAVES);
    octave.exp2()
}

/// Scale and zero point of int8 for a range: zero is expressed exactly.
pub fn affine(range: Range) -> (f64, i8) {
    let width = range.max - range.min;
    if width <= 0.0 {
        return (1.0, -128);
    }
    let scale = width / 255.0;
    let zero_point = (-128.0 - range.min / scale).round().clamp(-128.0, 127.0);
    (scale, zero_point as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = f32>) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(value);
        }
        histogram
    }

    #[test]
    fn zero_is_expressed_exactly_and_the_ends_within_half_a_step() {
        for (min, max) in [(0.0, 6.0), (-1.0, 3.0), (-5.0, 0.0), (-0.1, 100.0)] {
            let (scale, zero_point) = affine(Range { min, max });
            let q = |value: f64| (value / scale).round() + f64::from(zero_point);
            for end in [min, max] {
                assert!(
                    (-128.5..=127.5).contains(&q(end)),
                    "{min} {max}: {}",
                    q(end)
                );
            }
            assert!((-128..=127).contains(&i32::from(zero_point)));
        }
    }

    #[test]
    fn an_outlier_is_clipped_where_that_loses_less() {
        let values = (1..=1_000_000).map(|i| i as f32 / 1_000_000.0);
        let calm = histogram(values.clone()).range(Method::Mse);
        assert!(calm.max > 0.97, "{calm:?}");
        let wild = histogram(values.chain([3.0])).range(Method::Mse);
        assert!(wild.max < 2.0 && wild.max > 0.8, "{wild:?}");
        let all = histogram([0.5, 4.0, -1.0]).range(Method::Minmax);
        assert_eq!((all.min, all.max), (-1.0, 4.0));
    }

    #[test]
    fn merging_is_the_same_as_adding() {
        let mut merged = histogram([0.0, 1.5, -2.0]);
        merged.merge(&histogram([3.0, -0.25]));
        let added = histogram([0.0, 1.5, -2.0, 3.0, -0.25]);
        assert_eq!(merged.positive, added.positive);
        assert_eq!(merged.negative, added.negative);
        assert_eq!((merged.min, merged.max), (added.min, added.max));
    }
}
