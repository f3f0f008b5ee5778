//! Kernels in plain Rust, for every machine. The inner loops are dot products over contiguous
//! memory, which compilers turn into vector instructions where there are any.

use super::{Channels, Rows, taps};
use crate::layer::Window;
use crate::pairing;

/// One row of a convolution's output.
///
/// `weights` are `output channels × kernel × kernel × input channels`, `output` is
/// `pixels × output channels`; `scratch` holds two windows, widened.
#[inline(always)]
pub(crate) fn conv_row(
    rows: &Rows<'_>,
    window: Window,
    weights: &[i8],
    channels: &Channels<'_>,
    scratch: &mut [i32],
    output: &mut [i8],
) {
    let scratch: &mut [i16] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
    let taps = taps(window, rows.channels);
    let count = channels.bias.len();
    let Some((left, scratch)) = scratch.split_at_mut_checked(taps) else {
        return;
    };
    let Some(right) = scratch.get_mut(..taps) else {
        return;
    };
    let step = window.stride * rows.channels;
    let mut at = 0;
    for pair in output.chunks_mut((2 * count).max(1)) {
        let (near, far) = pair.split_at_mut_checked(count).unwrap_or_default();
        gather(rows, window, at, left);
        if !far.is_empty() {
            gather(rows, window, at + step, right);
        }
        at += 2 * step;
        pixel_pair(left, right, weights, channels, near, far);
    }
}

/// Widens the window that starts `at` values into its rows.
#[inline(always)]
fn gather(rows: &Rows<'_>, window: Window, at: usize, taps: &mut [i16]) {
    let width = window.kernel * rows.channels;
    for (taps, row) in taps
        .chunks_exact_mut(width.max(1))
        .zip(rows.top_to_bottom())
    {
        for (tap, &value) in taps.iter_mut().zip(row.get(at..).unwrap_or_default()) {
            *tap = value.into();
        }
    }
}

/// All channels of two pixels; `far` is empty where a row's last pixel has no partner.
#[inline(always)]
fn pixel_pair(
    left: &[i16],
    right: &[i16],
    weights: &[i8],
    channels: &Channels<'_>,
    near: &mut [i8],
    far: &mut [i8],
) {
    let weights = weights.chunks_exact(left.len().max(1));
    let mut far = far.iter_mut();
    for ((near, weights), channel) in near.iter_mut().zip(weights).zip(channels.iter()) {
        let (near_sum, far_sum) = dot_pair(left, right, weights);
        *near = channels.activation(near_sum, channel);
        if let Some(far) = far.next() {
            *far = channels.activation(far_sum, channel);
        }
    }
}

/// The dot products of two windows with the weights of one channel, which are loaded and
/// widened once for both. More windows or channels at once cost x86-64 its registers.
#[inline(always)]
fn dot_pair(left: &[i16], right: &[i16], weights: &[i8]) -> (i32, i32) {
    let taps = left.iter().zip(right).zip(weights);
    taps.fold((0i32, 0i32), |(near, far), ((&left, &right), &weight)| {
        let weight = i32::from(weight);
        (
            near.wrapping_add(i32::from(left) * weight),
            far.wrapping_add(i32::from(right) * weight),
        )
    })
}

/// Folds one row of `pixels × channels` into a row of maxima over `size` columns each; the
/// `first` row of a window overwrites what `output` held.
#[inline(always)]
pub(crate) fn max_pool_row(
    row: &[i8],
    size: usize,
    channels: usize,
    first: bool,
    output: &mut [i8],
) {
    if first {
        output.fill(i8::MIN);
    }
    let channels = channels.max(1);
    let windows = row.chunks_exact((size * channels).max(1));
    // By reference: pairs of chunks would be counted by divisions, and a compiler that loses sight
    // of the divisors keeps their panics.
    for (window, output) in windows.zip(&mut output.chunks_exact_mut(channels)) {
        for pixel in window.chunks_exact(channels) {
            for (max, &value) in output.iter_mut().zip(pixel) {
                *max = (*max).max(value);
            }
        }
    }
}

/// Adds one row of `pixels × channels` to sums over `size` columns each.
#[inline(always)]
pub(crate) fn add_columns(row: &[i8], size: usize, channels: usize, sums: &mut [i32]) {
    let channels = channels.max(1);
    let windows = row.chunks_exact((size * channels).max(1));
    for (window, sums) in windows.zip(&mut sums.chunks_exact_mut(channels)) {
        for pixel in window.chunks_exact(channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum = sum.wrapping_add(value.into());
            }
        }
    }
}

/// The means of sums of `count` values each, rounded half away from zero.
#[inline(always)]
pub(crate) fn average(sums: &[i32], count: usize, output: &mut [i8]) {
    // No more than 2²³ values of 8 bits fit a sum, so the count fits too.
    let count = (count as i32).max(1);
    let half = count / 2;
    for (output, &sum) in output.iter_mut().zip(sums) {
        let nudged = sum.wrapping_add(if sum > 0 { half } else { -half });
        *output = nudged.wrapping_div(count).clamp(-128, 127) as i8;
    }
}

/// A linear layer over a whole vector. `weights` are `outputs × inputs`.
#[inline(always)]
pub(crate) fn linear(input: &[i8], weights: &[i8], channels: &Channels<'_>, output: &mut [i8]) {
    let weights = weights.chunks_exact(input.len().max(1));
    for ((output, weights), channel) in output.iter_mut().zip(weights).zip(channels.iter()) {
        *output = channels.activation(dot(input, weights), channel);
    }
}

/// The same with [paired](crate::pairing) weights.
#[inline(always)]
pub(crate) fn paired_linear(
    input: &[i8],
    pairs: &[i16],
    channels: &Channels<'_>,
    output: &mut [i8],
) {
    let mut each = channels.iter();
    // By reference: see max_pool_row.
    for (output, pairs) in output
        .chunks_mut(2)
        .zip(&mut pairs.chunks_exact(input.len().max(1)))
    {
        let terms = input.iter().zip(pairs);
        let sums = terms.fold([0i32; 2], |[a, b], (&input, &pair)| {
            let (first, second) = pairing::part(pair);
            let input = i32::from(input);
            [
                a.wrapping_add(input * i32::from(first)),
                b.wrapping_add(input * second),
            ]
        });
        for ((output, sum), channel) in output.iter_mut().zip(sums).zip(&mut each) {
            *output = channels.activation(sum, channel);
        }
    }
}

/// Adds one row's share to the sums of a linear layer over a plane. The row begins at value
/// `at` of the `inputs` that the plane has; `weights` are `outputs × inputs`.
#[inline(always)]
pub(crate) fn linear_row(row: &[i8], at: usize, inputs: usize, weights: &[i8], sums: &mut [i32]) {
    for (sum, weights) in sums
        .iter_mut()
        .zip(&mut weights.chunks_exact(inputs.max(1)))
    {
        *sum = sum.wrapping_add(dot(row, weights.get(at..).unwrap_or_default()));
    }
}

/// The activations of a linear layer's finished sums.
#[inline(always)]
pub(crate) fn requantise_row(sums: &[i32], channels: &Channels<'_>, output: &mut [i8]) {
    for ((output, &sum), channel) in output.iter_mut().zip(sums).zip(channels.iter()) {
        *output = channels.activation(sum, channel);
    }
}

#[inline(always)]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| {
        sum.wrapping_add(i32::from(a) * i32::from(b))
    })
}
