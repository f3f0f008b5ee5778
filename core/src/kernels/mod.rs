//! The arithmetic, a row at a time. One signature an operation; every instruction set that has
//! kernels of its own gives the same answers to the bit.
//!
//! Activations are `i8` in NHWC order, sums are `i32` and wrap: no input makes them panic. Rows
//! and weights whose lengths do not belong together give an incomplete answer, never a panic;
//! the callers pass what was checked before.

#[cfg(thumb1)]
#[expect(unsafe_code, reason = "kernels in assembly")]
mod armv6m;
#[cfg(thumb2)]
#[expect(unsafe_code, reason = "kernels in assembly")]
mod armv7em;
#[cfg(feature = "std")]
#[expect(unsafe_code, reason = "kernels in vector instructions")]
pub(crate) mod dot;
#[cfg(not(dsp))]
mod halves;
#[cfg(helium)]
#[expect(unsafe_code, reason = "kernels in assembly")]
mod helium;
mod packed;
#[cfg_attr(
    thumb1,
    expect(dead_code, reason = "all its convolutions are armv6m's")
)]
mod portable;
#[cfg(not(thumb2))]
mod wide;
mod winograd;

#[cfg(thumb1)]
pub(crate) use armv6m::conv_row;
#[cfg(dsp)]
pub(crate) use armv7em::{add_columns, max_pool_row, paired_linear};
#[cfg(helium)]
pub(crate) use helium::conv_row;
pub(crate) use packed::conv_row as packed_conv_row;
#[cfg(not(any(thumb1, helium)))]
pub(crate) use portable::conv_row;
#[cfg(not(dsp))]
pub(crate) use portable::{add_columns, max_pool_row, paired_linear};
pub(crate) use portable::{average, linear, linear_row, requantise_row};
pub(crate) use winograd::{Winograd, conv_rows as winograd_conv_rows};

use crate::layer::Window;
use crate::requantise;

/// Pixels that a convolution computes together.
pub(crate) const PIXELS: usize = 2;

/// The rows that one row of a convolution's output looks at: a ring, padded left and right.
pub(crate) struct Rows<'a> {
    /// As many rows as the window is high, one after another.
    pub ring: &'a [i8],
    /// Values from one row to the next, padding counted.
    pub pitch: usize,
    /// The row in the ring that is the window's uppermost.
    pub first: usize,
    /// Values a pixel.
    pub channels: usize,
}

impl Rows<'_> {
    /// The windows' rows from top to bottom.
    #[inline(always)]
    fn top_to_bottom(&self) -> impl Iterator<Item = &[i8]> {
        let (bottom, top) = self
            .ring
            .split_at_checked(self.first * self.pitch)
            .unwrap_or_default();
        top.chunks_exact(self.pitch.max(1))
            .chain(bottom.chunks_exact(self.pitch.max(1)))
    }
}

/// What becomes of a layer's accumulators, one entry a channel.
#[derive(Clone, Copy)]
pub(crate) struct Channels<'a> {
    /// Added to the sum.
    pub bias: &'a [i32],
    /// See [`requantise`].
    pub multipliers: &'a [i32],
    /// See [`requantise`].
    pub shifts: &'a [i8],
    /// The output value that stands for zero.
    pub zero_point: i8,
    /// The least output value.
    pub min: i8,
    /// The greatest output value.
    pub max: i8,
}

/// One channel's entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    bias: i32,
    multiplier: i32,
    shift: i8,
}

impl Channels<'_> {
    /// Channel by channel.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = Channel> {
        let scales = self.multipliers.iter().zip(self.shifts);
        (self.bias.iter().zip(scales)).map(|(&bias, (&multiplier, &shift))| Channel {
            bias,
            multiplier,
            shift,
        })
    }

    /// The activation that a sum of products stands for.
    #[inline(always)]
    fn activation(&self, sum: i32, channel: Channel) -> i8 {
        let sum = channel.bias.wrapping_add(sum);
        requantise::multiply(sum, channel.multiplier, channel.shift)
            .saturating_add(self.zero_point.into())
            .min(self.max.into())
            .max(self.min.into()) as i8
    }

    /// The activations of narrow sums without their bias, a channel each.
    #[cfg(dsp)]
    #[inline(always)]
    fn narrow_activations(
        &self,
        sums: &[i32],
        channels: &mut impl Iterator<Item = Channel>,
        output: &mut [i8],
    ) {
        for ((output, &sum), channel) in output.iter_mut().zip(sums).zip(channels) {
            *output = self.of_narrow(sum, channel);
        }
    }

    /// The activation of a narrow sum without its bias.
    #[inline(always)]
    fn of_narrow(&self, sum: i32, channel: Channel) -> i8 {
        let sum = channel.bias.wrapping_add(sum);
        if self.clamps() {
            self.narrow_activation::<true>(sum, channel)
        } else {
            self.narrow_activation::<false>(sum, channel)
        }
    }

    /// Whether the output has not the whole range of 8 bits.
    #[inline(always)]
    fn clamps(&self) -> bool {
        (self.min, self.max) != (i8::MIN, i8::MAX)
    }

    /// The activation of a narrow sum that has its bias; `CLAMPS` as [`clamps`](Self::clamps) says.
    #[inline(always)]
    fn narrow_activation<const CLAMPS: bool>(&self, sum: i32, channel: Channel) -> i8 {
        let value = requantise::multiply_narrow(sum, channel.multiplier, channel.shift)
            .wrapping_add(self.zero_point.into());
        if CLAMPS {
            value.min(self.max.into()).max(self.min.into()) as i8
        } else {
            value.clamp(i8::MIN.into(), i8::MAX.into()) as i8
        }
    }
}

/// Words of scratch memory that [`conv_row`] needs for windows of `taps` values.
pub(crate) const fn scratch_words(taps: usize) -> usize {
    (PIXELS * taps).div_ceil(2)
}

/// Values in a window over pixels of `channels`.
pub(crate) const fn taps(window: Window, channels: usize) -> usize {
    window.kernel * window.kernel * channels
}
