//! Convolutions for Cortex-M55 and M85: sixteen products an instruction, two channels of three
//! pixels a loop, and requantisation of four channels at once. Channels that are no multiple of
//! four take the portable kernel.

use core::arch::naked_asm;

use super::{Channels, Rows, portable, taps};
use crate::layer::Window;

/// Pixels that are computed together.
const PIXELS: usize = 3;

/// Channels that are requantised together.
const CHANNELS: usize = 4;

/// What four channels are requantised with.
#[repr(C)]
struct Quad {
    bias: *const i32,
    multipliers: *const i32,
    shifts: *const i8,
    zero_point: i32,
    min: i32,
    max: i32,
}

/// See [`portable::conv_row`].
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
    let bytes: &mut [i8] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
    let fitting = taps > 0
        && count.is_multiple_of(CHANNELS)
        && output.len().is_multiple_of((PIXELS * count).max(1))
        && channels.multipliers.len() == count
        && channels.shifts.len() == count;
    let Some(windows) = bytes.get_mut(..PIXELS * taps).filter(|_| fitting) else {
        return portable::conv_row(rows, window, weights, channels, scratch, output);
    };
    let step = window.stride * rows.channels;
    let width = window.kernel * rows.channels;
    let mut at = 0;
    for output in output.chunks_exact_mut((PIXELS * count).max(1)) {
        for taps in windows.chunks_exact_mut(taps.max(1)) {
            for (taps, row) in taps
                .chunks_exact_mut(width.max(1))
                .zip(rows.top_to_bottom())
            {
                for (tap, &value) in taps.iter_mut().zip(row.get(at..).unwrap_or_default()) {
                    *tap = value;
                }
            }
            at += step;
        }
        let bias = channels.bias.as_chunks::<CHANNELS>().0.iter();
        let multipliers = channels.multipliers.as_chunks::<CHANNELS>().0.iter();
        let shifts = channels.shifts.as_chunks::<CHANNELS>().0.iter();
        let weights = weights.chunks_exact((CHANNELS * taps).max(1));
        let quads = bias.zip(multipliers.zip(shifts)).zip(weights).enumerate();
        for (index, ((bias, (multipliers, shifts)), weights)) in quads {
            let Some(output) = output.get_mut(CHANNELS * index..) else {
                return;
            };
            let mut sums = [0; PIXELS * CHANNELS];
            let quad = Quad {
                bias: bias.as_ptr(),
                multipliers: multipliers.as_ptr(),
                shifts: shifts.as_ptr(),
                zero_point: channels.zero_point.into(),
                min: channels.min.into(),
                max: channels.max.into(),
            };
            // SAFETY: there are 3 windows and 4 channels of weights, each of `taps` values, 12
            // sums, and 4 of all that the quad points to; the output has 3 pixels of `count`
            // channels, of which 4 are written from the one on that it begins with here.
            unsafe {
                sum_kernel(windows.as_ptr(), weights.as_ptr(), taps, sums.as_mut_ptr());
                requantise_kernel(sums.as_ptr(), &quad, output.as_mut_ptr(), count);
            }
        }
    }
}

/// Sums of two channels of three pixels, r0 to r10, twice.
///
/// # Safety
/// `taps` is positive; there are 3 windows and 4 channels' weights of so many values, and 12 sums.
#[unsafe(naked)]
unsafe extern "C" fn sum_kernel(
    windows: *const i8,
    weights: *const i8,
    taps: usize,
    sums: *mut i32,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r11, lr}}",
        "mov r11, r2",
        "mov r12, r3",
        // Windows, weights of the next two channels, end of the first pixel's sums.
        "sub sp, sp, #12",
        "strd r0, r1, [sp]",
        "add r3, r3, #16",
        "str r3, [sp, #8]",
        "2:",
        "ldrd r5, r1, [sp]",
        "add r7, r5, r11",
        "add r9, r7, r11",
        "add r3, r1, r11",
        "add r0, r3, r11",
        "str r0, [sp, #4]",
        "movs r0, #0",
        "movs r2, #0",
        "movs r4, #0",
        "movs r6, #0",
        "mov r8, r0",
        "mov r10, r0",
        "dlstp.8 lr, r11",
        "3:",
        "vldrb.8 q0, [r1], #16",
        "vldrb.8 q1, [r3], #16",
        "vldrb.8 q2, [r5], #16",
        "vmlava.s8 r0, q2, q0",
        "vmlava.s8 r2, q2, q1",
        "vldrb.8 q3, [r7], #16",
        "vmlava.s8 r4, q3, q0",
        "vmlava.s8 r6, q3, q1",
        "vldrb.8 q2, [r9], #16",
        "vmlava.s8 r8, q2, q0",
        "vmlava.s8 r10, q2, q1",
        "letp lr, 3b",
        "strd r8, r10, [r12, #32]",
        "strd r4, r6, [r12, #16]",
        "strd r0, r2, [r12], #8",
        "ldr r0, [sp, #8]",
        "cmp r12, r0",
        "bne 2b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

/// Requantises four channels of three pixels.
///
/// # Safety
/// There are 12 sums, 4 of all that `quad` points to, and 4 bytes of output in each of 3 pixels,
/// which lie `count` bytes apart.
#[unsafe(naked)]
unsafe extern "C" fn requantise_kernel(
    sums: *const i32,
    quad: *const Quad,
    output: *mut i8,
    count: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r9, lr}}",
        "ldmia r1, {{r4-r9}}",
        "movs r1, #3",
        "dls lr, r1",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vldrw.u32 q1, [r4]",
        "vadd.i32 q0, q0, q1",
        "vldrb.s32 q2, [r6]",
        "vmov.i32 q3, #0",
        // To the left before the multiplication, to the right after it.
        "vmax.s32 q1, q2, q3",
        "vshl.s32 q0, q0, q1",
        "vldrw.u32 q1, [r5]",
        "vqrdmulh.s32 q0, q0, q1",
        "vmin.s32 q2, q2, q3",
        // One less below zero: ties go away from it.
        "vand q1, q0, q2",
        "vshr.s32 q1, q1, #31",
        "vqadd.s32 q0, q0, q1",
        "vrshl.s32 q0, q0, q2",
        "vqadd.s32 q0, q0, r7",
        "vdup.32 q1, r9",
        "vmin.s32 q0, q0, q1",
        "vdup.32 q1, r8",
        "vmax.s32 q0, q0, q1",
        "vstrb.32 q0, [r2]",
        "add r2, r2, r3",
        "le lr, 2b",
        "pop {{r4-r9, pc}}",
    )
}
