//! Pools of four channels at a time. Rows that do not lie at words, or whose channels do not fill
//! them, take the portable kernels.

use core::arch::asm;

use super::super::portable;
use super::halves::{add_even, add_odd};

/// Columns whose sum is sure to fit 16 bits.
const MOST_COLUMNS: usize = 255;

/// See [`portable::max_pool_row`].
#[inline(always)]
pub(crate) fn max_pool_row(
    row: &[i8],
    size: usize,
    channels: usize,
    first: bool,
    output: &mut [i8],
) {
    if !channels.is_multiple_of(4) || channels == 0 {
        return portable::max_pool_row(row, size, channels, first, output);
    }
    let words = channels / 4;
    let (Ok(row_words), Ok(output_words)) = (
        bytemuck::try_cast_slice::<i8, u32>(row),
        bytemuck::try_cast_slice_mut::<i8, u32>(output),
    ) else {
        return portable::max_pool_row(row, size, channels, first, output);
    };
    let windows = row_words.chunks_exact((size * words).max(1));
    for (window, output) in windows.zip(&mut output_words.chunks_exact_mut(words)) {
        for (at, output) in output.iter_mut().enumerate() {
            let mut pixels = window.iter().skip(at).step_by(words);
            let mut max = match first {
                true => pixels.next().copied().unwrap_or(*output),
                false => *output,
            };
            for &pixel in pixels {
                max = max_of_four(max, pixel);
            }
            *output = max;
        }
    }
}

/// See [`portable::add_columns`].
#[inline(always)]
pub(crate) fn add_columns(row: &[i8], size: usize, channels: usize, sums: &mut [i32]) {
    if !channels.is_multiple_of(4) || channels == 0 || size > MOST_COLUMNS {
        return portable::add_columns(row, size, channels, sums);
    }
    let words = channels / 4;
    let Ok(row_words) = bytemuck::try_cast_slice::<i8, u32>(row) else {
        return portable::add_columns(row, size, channels, sums);
    };
    let windows = row_words.chunks_exact((size * words).max(1));
    for (window, sums) in windows.zip(&mut sums.chunks_exact_mut(channels)) {
        let (sums, _) = sums.as_chunks_mut::<4>();
        for (at, sums) in sums.iter_mut().enumerate() {
            let pixels = window.iter().skip(at).step_by(words);
            let (even, odd) = pixels.fold((0, 0), |(even, odd), &pixel| {
                (add_even(even, pixel), add_odd(odd, pixel))
            });
            let halves = [
                even as i16,
                odd as i16,
                (even >> 16) as i16,
                (odd >> 16) as i16,
            ];
            for (sum, half) in sums.iter_mut().zip(halves) {
                *sum = sum.wrapping_add(half.into());
            }
        }
    }
}

/// The greater of each two bytes.
#[inline(always)]
fn max_of_four(a: u32, b: u32) -> u32 {
    let max;
    // SAFETY: registers and flags alone are read and written.
    unsafe {
        asm!(
            "ssub8 {max}, {a}, {b}",
            "sel {max}, {a}, {b}",
            a = in(reg) a,
            b = in(reg) b,
            max = out(reg) max,
            options(pure, nomem, nostack),
        );
    }
    max
}
