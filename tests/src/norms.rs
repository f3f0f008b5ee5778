//! What BatchNorm and sums of columns must be: formulas in f64 of the values that the GPU has, on arrays
//! of any shape.

use anyhow::{Result, ensure};
use host::backend::cuda::memory::{Arena, Kind};
use host::backend::cuda::ops::norm::{Kept, Norm};
use host::backend::cuda::ops::{Columns, Gpu};
use vae96::Activation;

use crate::held::Held;
use crate::products::random;

/// Shapes, rows and channels, that blocks of threads cover in each of their ways: whole rows of few
/// channels, several rows beside one another, parts of many channels; with rows, or values, left over.
pub const SHAPES: [[usize; 2]; 12] = [
    [2, 1],
    [3001, 3],
    [777, 9],
    [5003, 16],
    [1000, 30],
    [1001, 31],
    [64, 32],
    [300, 33],
    [129, 64],
    [130, 250],
    [7, 1024],
    [5, 4332],
];

/// PyTorch's, as `kernels/norm.cu` has them.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// How far sums may be off, of the sum of what they are of, absolutely.
const SUMS: f64 = 1e-5;

/// How far values may be off that are written down as that kind.
fn tolerance(kind: Kind) -> f64 {
    match kind {
        Kind::F32 => 1e-5,
        Kind::Bf16 => 1.0 / 256.0,
    }
}

/// Compares all that is made of `rows × channels` random values.
///
/// # Errors
/// Where something is off, with what it is and by how much.
pub fn are_right(gpu: &Gpu, [rows, channels]: [usize; 2], seed: u64) -> Result<()> {
    let kind = gpu.kind();
    let mut seed = seed;
    let mut draw = |len: usize, centre: f32| -> Vec<f32> {
        seed = seed.wrapping_add(1);
        let values = random(len, seed);
        values.iter().map(|value| centre + value).collect()
    };
    let values = Held::new(gpu, &draw(rows * channels, 3.0), kind)?;
    let gradient = Held::new(gpu, &draw(rows * channels, 0.25), kind)?;
    let tensors = [1.5, 0.0, 0.5, 2.0, 0.0].map(|centre| draw(channels, centre));
    // What the GPU has of them.
    let (x, upper) = (values.span().download()?, gradient.span().download()?);
    let column = |values: &[f32], channel: usize| -> Vec<f64> {
        let column = values[channel..].iter().step_by(channels);
        column.map(|&value| f64::from(value)).collect()
    };
    // No more than they ask for: what lies beyond is watched.
    let mut arena = Arena::new(gpu.precision());
    Columns::need(rows, channels, &mut arena);
    let scratch = gpu.buffer(arena.finish().0)?;
    let scratch = scratch.whole();
    let what = |name: &str, channel: usize| format!("{rows} × {channels}: {name} of {channel}");

    let sums = Held::fresh(gpu, channels, Kind::F32)?;
    gpu.column_sums(gradient.span(), sums.span(), scratch)?;
    for (channel, &found) in sums.span().download()?.iter().enumerate() {
        let addends = column(&upper, channel);
        near(
            &what("the sum", channel),
            found,
            addends.iter().sum(),
            size(&addends),
        )?;
    }

    let held = tensors
        .each_ref()
        .map(|values| Held::new(gpu, values, Kind::F32));
    let [scale, shift, mean, variance, bias] = held;
    let (scale, shift, mean, variance, bias) = (scale?, shift?, mean?, variance?, bias?);
    let norm = Norm {
        scale: scale.span(),
        shift: shift.span(),
        mean: mean.span(),
        variance: variance.span(),
        bias: Some(bias.span()),
    };
    let statistics = Held::fresh(gpu, 4 * channels, Kind::F32)?;
    let [affine, slopes] = [(); 2].map(|()| Held::fresh(gpu, 2 * channels, Kind::F32));
    let (affine, slopes) = (affine?, slopes?);
    let kept = Kept {
        statistics: statistics.span(),
        affine: affine.span(),
        slopes: slopes.span(),
        meeting: None,
    };
    gpu.moments(values.span(), norm, kept, scratch, None)?;
    let out = Held::fresh(gpu, rows * channels, kind)?;
    // Its slope is nowhere undecided.
    let activation = Activation::Sigmoid;
    gpu.normalise(values.span(), affine.span(), activation, out.span())?;
    let [of_scale, of_shift] = [(); 2].map(|()| Held::fresh(gpu, channels, Kind::F32));
    let (of_scale, of_shift) = (of_scale?, of_shift?);
    gpu.norm_backward(
        values.span(),
        kept,
        activation,
        gradient.span(),
        [of_scale.span(), of_shift.span()],
        scratch,
    )?;

    let found = statistics.span().download_doubles()?;
    let [running_mean, running_variance] = [&mean, &variance].map(|held| held.span().download());
    let (running_mean, running_variance) = (running_mean?, running_variance?);
    let [of_scale, of_shift] = [of_scale, of_shift].map(|held| held.span().download());
    let (of_scale, of_shift) = (of_scale?, of_shift?);
    let (outputs, lower) = (out.span().download()?, gradient.span().download()?);
    for channel in 0..channels {
        let what = |name| what(name, channel);
        let (x, upper) = (column(&x, channel), column(&upper, channel));
        let [scale, shift, before_mean, before_variance, bias] =
            tensors.each_ref().map(|values| f64::from(values[channel]));
        let count = rows as f64;
        let mean = x.iter().sum::<f64>() / count;
        let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = (squares / count + EPSILON).sqrt();
        near(&what("the mean"), found[channel], mean, 1.0)?;
        near(
            &what("the deviation"),
            found[channels + channel],
            deviation,
            deviation,
        )?;
        let running = |before: f64, now: f64| (1.0 - MOMENTUM) * before + MOMENTUM * now;
        let expected = running(before_mean, mean + bias);
        near(
            &what("the running mean"),
            running_mean[channel],
            expected,
            1.0,
        )?;
        let expected = running(before_variance, squares / (count - 1.0));
        near(
            &what("the running variance"),
            running_variance[channel],
            expected,
            expected,
        )?;

        let unit: Vec<_> = x.iter().map(|x| (x - mean) / deviation).collect();
        let y: Vec<_> = unit
            .iter()
            .map(|x| 1.0 / (1.0 + (-scale * x - shift).exp()))
            .collect();
        all_near(
            &what("the outputs"),
            &column(&outputs, channel),
            &y,
            norm_of(&y),
            kind,
        )?;
        let inner: Vec<_> = upper
            .iter()
            .zip(&y)
            .map(|(g, y)| g * y * (1.0 - y))
            .collect();
        let by_unit: Vec<_> = inner.iter().zip(&unit).map(|(g, x)| g * x).collect();
        let (plain, scaled) = (inner.iter().sum::<f64>(), by_unit.iter().sum::<f64>());
        near(
            &what("the gradient of β"),
            of_shift[channel],
            plain,
            size(&inner),
        )?;
        // x − mean is a difference of larger numbers, of which the mean is rounded.
        let larger = size(&inner) / deviation + size(&by_unit);
        near(
            &what("the gradient of γ"),
            of_scale[channel],
            scaled,
            larger,
        )?;
        let factor = scale / deviation;
        let expected: Vec<_> = (inner.iter().zip(&unit))
            .map(|(g, x)| factor * (g - plain / count - x * scaled / count))
            .collect();
        let larger = factor.abs() * norm_of(&inner) * (1.0 + 1.0 / deviation);
        all_near(
            &what("the gradient"),
            &column(&lower, channel),
            &expected,
            larger,
            kind,
        )?;
    }
    Ok(())
}

/// Σ |value|.
fn size(values: &[f64]) -> f64 {
    values.iter().map(|value| value.abs()).sum()
}

fn norm_of(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// An error where a number is further off than [`SUMS`] of `size`.
fn near(what: &str, found: impl Into<f64>, expected: f64, size: f64) -> Result<()> {
    let found = found.into();
    ensure!(
        (found - expected).abs() <= SUMS * size,
        "{what} is {found}, not {expected}"
    );
    Ok(())
}

/// An error where values are, together, further off than a kind's tolerance of `size`.
fn all_near(what: &str, found: &[f64], expected: &[f64], size: f64, kind: Kind) -> Result<()> {
    let off: Vec<_> = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| found - expected)
        .collect();
    let off = norm_of(&off);
    ensure!(
        off <= tolerance(kind) * size,
        "{what}: {off:.2e} off, of {size:.2e}"
    );
    Ok(())
}
