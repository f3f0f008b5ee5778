//! Convolutions for Cortex-M0 and M0+, whose one multiplication is of 32 bits: it carries the
//! products of one weight with two pixels, `x₀ + 2¹⁶x₁`. Two such products fit their halves; then
//! the upper halves are summed apart, and what is left of the whole sum is the lower ones'.

use core::arch::naked_asm;

use super::{Channels, Rows, taps};
use crate::layer::Window;

/// Steps in the unrolled loop.
const UNROLLED: usize = 8;

/// See [`portable::conv_row`](super::portable::conv_row).
#[inline(always)]
pub(crate) fn conv_row(
    rows: &Rows<'_>,
    window: Window,
    weights: &[i8],
    channels: &Channels<'_>,
    scratch: &mut [i32],
    output: &mut [i8],
) {
    let taps = taps(window, rows.channels);
    let count = channels.bias.len();
    let Some(packed) = scratch.get_mut(..taps) else {
        return;
    };
    let step = window.stride * rows.channels;
    for (pair, output) in output.chunks_mut((2 * count).max(1)).enumerate() {
        let (near, far) = output.split_at_mut_checked(count).unwrap_or_default();
        // A row's last pixel may be its own partner.
        let partner = if far.is_empty() { 0 } else { step };
        pack(rows, window, 2 * pair * step, partner, packed);
        let mut far = far.iter_mut();
        let weights = weights.chunks_exact(taps.max(1));
        for ((near, weights), channel) in near.iter_mut().zip(weights).zip(channels.iter()) {
            let [left, right] = dot_pair(packed, weights);
            *near = channels.activation(left, channel);
            if let Some(far) = far.next() {
                *far = channels.activation(right, channel);
            }
        }
    }
}

/// Packs the window that starts `at` values into its rows with that `partner` values further on.
#[inline(always)]
fn pack(rows: &Rows<'_>, window: Window, at: usize, partner: usize, packed: &mut [i32]) {
    let width = (window.kernel * rows.channels).max(1);
    for (packed, row) in packed.chunks_exact_mut(width).zip(rows.top_to_bottom()) {
        let left = row.get(at..).unwrap_or_default();
        let right = row.get(at + partner..).unwrap_or_default();
        for (packed, (&left, &right)) in packed.iter_mut().zip(left.iter().zip(right)) {
            *packed = i32::from(left) + (i32::from(right) << 16);
        }
    }
}

/// The dot products of two packed windows with the weights of one channel.
#[inline(always)]
fn dot_pair(packed: &[i32], weights: &[i8]) -> [i32; 2] {
    let whole = packed.len().min(weights.len()) / UNROLLED * UNROLLED;
    let (packed, more) = packed.split_at_checked(whole).unwrap_or_default();
    let (weights, more_weights) = weights.split_at_checked(whole).unwrap_or_default();
    let mut sums = [0; 2];
    if whole > 0 {
        let end = packed.as_ptr_range().end;
        // SAFETY: as many words as weights, a positive multiple of UNROLLED of them, and two sums.
        unsafe { dot_pair_kernel(packed.as_ptr(), weights.as_ptr(), end, sums.as_mut_ptr()) }
    }
    for (&packed, &weight) in more.iter().zip(more_weights) {
        let left = i32::from(packed as i16);
        let right = packed.wrapping_sub(left) >> 16;
        sums[0] = sums[0].wrapping_add(left * i32::from(weight));
        sums[1] = sums[1].wrapping_add(right * i32::from(weight));
    }
    sums
}

/// The whole sum is r8, that of the upper halves r9.
///
/// # Safety
/// `packed..end` is a positive multiple of [`UNROLLED`] words, there are as many weights, and two
/// sums.
#[unsafe(naked)]
unsafe extern "C" fn dot_pair_kernel(
    packed: *const i32,
    weights: *const i8,
    end: *const i32,
    sums: *mut i32,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "mov r11, r2",
        "mov r12, r3",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        // Half a unit of the upper halves rounds the lower ones away.
        "movs r4, #1",
        "lsls r4, r4, #15",
        "mov r10, r4",
        "adds r6, r1, #1",
        "movs r7, #0",
        "2:",
        ".rept 4",
        "ldmia r0!, {{r2, r3}}",
        "ldrsb r4, [r1, r7]",
        "ldrsb r5, [r6, r7]",
        "adds r7, #2",
        "muls r2, r4, r2",
        "muls r3, r5, r3",
        "adds r2, r2, r3",
        "add r8, r2",
        "add r2, r10",
        "asrs r2, r2, #16",
        "add r9, r2",
        ".endr",
        "cmp r0, r11",
        "bne 2b",
        "mov r1, r9",
        "lsls r2, r1, #16",
        "mov r0, r8",
        "subs r0, r0, r2",
        "mov r3, r12",
        "stmia r3!, {{r0, r1}}",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}
