//! A linear layer: the input is widened once, weights as they are met.

use core::arch::naked_asm;

use super::super::{Channels, portable};

/// Values that the loop deals with at once, and times that it is unrolled.
const BLOCK: usize = 16;
const TIMES: usize = 16;

/// Values of the longest input; others take the portable kernel.
const MOST: usize = BLOCK * TIMES;

/// Bytes of one block in the unrolled loop: every instruction takes four.
const BLOCK_BYTES: usize = 19 * 4;

/// Channels summed in one call.
const CHANNELS: usize = 16;

/// See [`portable::linear`].
#[inline(always)]
pub(crate) fn linear(input: &[i8], weights: &[i8], channels: &Channels<'_>, output: &mut [i8]) {
    let length = input.len();
    let fitting = length > 0
        && length <= MOST
        && length.is_multiple_of(BLOCK)
        && weights.as_ptr().addr().is_multiple_of(4);
    if !fitting {
        return portable::linear(input, weights, channels, output);
    }
    let mut wide = Wide([0; MOST]);
    let fours = wide.0.as_chunks_mut::<4>().0.iter_mut();
    for (wide, &[a, b, c, d]) in fours.zip(input.as_chunks().0) {
        *wide = [a, c, b, d].map(i16::from);
    }
    let skip = (TIMES - length / BLOCK) * BLOCK_BYTES;
    let mut each = channels.iter();
    let blocks = output.chunks_mut(CHANNELS);
    for (output, weights) in blocks.zip(&mut weights.chunks(CHANNELS * length)) {
        let mut sums = [0; CHANNELS];
        let count = output.len().min(weights.len() / length);
        if count == 0 {
            return;
        }
        // SAFETY: `count` is positive and at most CHANNELS; there are `count × length` weights and
        // `length` widened values, which is what `skip` leaves of the loop; all lie at words.
        unsafe {
            sum_kernel(
                wide.0.as_ptr(),
                weights.as_ptr(),
                sums.as_mut_ptr(),
                count,
                skip,
            );
        }
        channels.activations(&sums, &mut each, output);
    }
}

/// Widened values, at a word.
#[repr(align(4))]
struct Wide([i16; MOST]);

/// Sums of products of an input with the weights of one channel after the other.
///
/// # Safety
/// `channels` is positive, and there are as many sums; the input, widened and ordered 0, 2, 1, 3,
/// is as long as what `skip` leaves of the loop, and so are each channel's weights. Both lie at
/// words.
#[unsafe(naked)]
unsafe extern "C" fn sum_kernel(
    input: *const i16,
    weights: *const i8,
    sums: *mut i32,
    channels: usize,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r5, [sp, #36]",
        "adr.w r12, 3f",
        "add r12, r12, r5",
        "orr r12, r12, #1",
        // Entry, input.
        "sub sp, sp, #8",
        "strd r12, r0, [sp]",
        "mov r11, r2",
        "mov r12, r3",
        "2:",
        "movs r2, #0",
        "ldr pc, [sp]",
        ".p2align 2",
        "3:",
        ".rept 16",
        "ldmia.w r1!, {{r3-r6}}",
        "ldmia.w r0!, {{r7-r10}}",
        "sxtb16 lr, r3",
        "smlad r2, lr, r7, r2",
        "sxtb16 r3, r3, ror #8",
        "smlad r2, r3, r8, r2",
        "sxtb16 lr, r4",
        "smlad r2, lr, r9, r2",
        "sxtb16 r4, r4, ror #8",
        "smlad r2, r4, r10, r2",
        "ldmia.w r0!, {{r7-r10}}",
        "sxtb16 lr, r5",
        "smlad r2, lr, r7, r2",
        "sxtb16 r5, r5, ror #8",
        "smlad r2, r5, r8, r2",
        "sxtb16 lr, r6",
        "smlad r2, lr, r9, r2",
        "sxtb16 r6, r6, ror #8",
        "smlad r2, r6, r10, r2",
        ".endr",
        "str r2, [r11], #4",
        "ldr r0, [sp, #4]",
        "subs.w r12, r12, #1",
        "bne 2b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}
