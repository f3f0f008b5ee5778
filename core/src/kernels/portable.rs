//! Kernels in plain Rust, for every machine. The inner loops are dot products over contiguous
//! memory, which compilers turn into vector instructions where there are any.

use super::{Channels, Rows, taps};
use crate::layer::Window;

/// Output channels that one pass over a window computes: the window's values are loaded once
/// for all of them.
const BLOCK: usize = 4;

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
    scratch: &mut [i16],
    output: &mut [i8],
) {
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
    let taps = left.len();
    let mut weights = weights.chunks(taps.max(1));
    let mut channel = (channels.bias.iter())
        .zip(channels.multipliers)
        .zip(channels.shifts);
    let mut near = near.iter_mut();
    let mut far = far.iter_mut();
    while let Some(first) = weights.next() {
        // A last block of fewer channels computes its first one again for the missing.
        let block: [&[i8]; BLOCK] = [
            first,
            weights.next().unwrap_or(first),
            weights.next().unwrap_or(first),
            weights.next().unwrap_or(first),
        ];
        let [near_sums, far_sums] = dot_block(left, right, block);
        for (near_sum, far_sum) in near_sums.into_iter().zip(far_sums) {
            let Some(((&bias, &multiplier), &shift)) = channel.next() else {
                return;
            };
            if let Some(value) = near.next() {
                *value = channels.activation(bias.wrapping_add(near_sum), multiplier, shift);
            }
            if let Some(value) = far.next() {
                *value = channels.activation(bias.wrapping_add(far_sum), multiplier, shift);
            }
        }
    }
}

/// The dot products of two windows with the weights of four channels.
#[inline(always)]
fn dot_block(left: &[i16], right: &[i16], weights: [&[i8]; BLOCK]) -> [[i32; BLOCK]; 2] {
    let [w0, w1, w2, w3] = weights;
    let mut near = [0i32; BLOCK];
    let mut far = [0i32; BLOCK];
    let taps = left.iter().zip(right).zip(w0).zip(w1).zip(w2).zip(w3);
    for (((((&l, &r), &w0), &w1), &w2), &w3) in taps {
        let (l, r) = (i32::from(l), i32::from(r));
        let [w0, w1, w2, w3] = [w0, w1, w2, w3].map(i32::from);
        let [n0, n1, n2, n3] = near;
        near = [
            n0.wrapping_add(l * w0),
            n1.wrapping_add(l * w1),
            n2.wrapping_add(l * w2),
            n3.wrapping_add(l * w3),
        ];
        let [f0, f1, f2, f3] = far;
        far = [
            f0.wrapping_add(r * w0),
            f1.wrapping_add(r * w1),
            f2.wrapping_add(r * w2),
            f3.wrapping_add(r * w3),
        ];
    }
    [near, far]
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
    for (window, output) in windows.zip(output.chunks_exact_mut(channels)) {
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
    for (window, sums) in windows.zip(sums.chunks_exact_mut(channels)) {
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
    let channel = (channels.bias.iter())
        .zip(channels.multipliers)
        .zip(channels.shifts);
    let weights = weights.chunks_exact(input.len().max(1));
    for ((output, weights), ((&bias, &multiplier), &shift)) in
        output.iter_mut().zip(weights).zip(channel)
    {
        let sum = bias.wrapping_add(dot(input, weights));
        *output = channels.activation(sum, multiplier, shift);
    }
}

/// Adds one row's share to the sums of a linear layer over a plane. The row begins at value
/// `at` of the `inputs` that the plane has; `weights` are `outputs × inputs`.
#[inline(always)]
pub(crate) fn linear_row(row: &[i8], at: usize, inputs: usize, weights: &[i8], sums: &mut [i32]) {
    for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(inputs.max(1))) {
        *sum = sum.wrapping_add(dot(row, weights.get(at..).unwrap_or_default()));
    }
}

/// The activations of finished sums, which hold their bias already.
#[inline(always)]
pub(crate) fn requantise_row(sums: &[i32], channels: &Channels<'_>, output: &mut [i8]) {
    let channel = channels.multipliers.iter().zip(channels.shifts);
    for ((output, &sum), (&multiplier, &shift)) in output.iter_mut().zip(sums).zip(channel) {
        *output = channels.activation(sum, multiplier, shift);
    }
}

#[inline(always)]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| {
        sum.wrapping_add(i32::from(a) * i32::from(b))
    })
}
