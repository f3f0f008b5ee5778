//! A linear layer of paired weights: the input is widened once, and one weight of each pair.

use core::arch::naked_asm;

use super::super::{Channels, portable};

/// Inputs that the loop deals with at once.
const BLOCK: usize = 32;

/// Values of the longest input; others take the portable kernel.
const MOST: usize = 256;

/// Channels summed in one call.
const CHANNELS: usize = 16;

/// See [`portable::paired_linear`].
#[inline(always)]
pub(crate) fn paired_linear(
    input: &[i8],
    pairs: &[i16],
    channels: &Channels<'_>,
    output: &mut [i8],
) {
    let length = input.len();
    let fitting = length > 0
        && length <= MOST
        && length.is_multiple_of(BLOCK)
        && pairs.as_ptr().addr().is_multiple_of(4);
    if !fitting {
        return portable::paired_linear(input, pairs, channels, output);
    }
    let mut wide = Wide([0; MOST]);
    for (wide, &value) in wide.0.iter_mut().zip(input) {
        *wide = value.into();
    }
    let mut each = channels.iter();
    let blocks = output.chunks_mut(CHANNELS);
    for (output, pairs) in blocks.zip(&mut pairs.chunks(CHANNELS / 2 * length)) {
        let mut sums = [0; CHANNELS];
        let count = output.len().div_ceil(2).min(pairs.len() / length);
        if count == 0 {
            return;
        }
        // SAFETY: `count` is positive and at most half of CHANNELS; there are `count × length`
        // pairs and `length` widened values, a multiple of 32; all lie at words.
        unsafe {
            pairs_kernel(
                wide.0.as_ptr(),
                pairs.as_ptr(),
                sums.as_mut_ptr(),
                count,
                length / BLOCK,
            );
        }
        channels.narrow_activations(&sums, &mut each, output);
    }
}

/// Widened values, at a word.
#[repr(align(4))]
struct Wide([i16; MOST]);

/// Sums of products of an input with the weights of two channels after two: r2 of both, r3 of the
/// first.
///
/// # Safety
/// `count` and `blocks` are positive; there are twice `count` sums, 32 × `blocks` widened inputs,
/// and as many pairs for each two sums. Both lie at words.
#[unsafe(naked)]
unsafe extern "C" fn pairs_kernel(
    input: *const i16,
    pairs: *const i16,
    sums: *mut i32,
    count: usize,
    blocks: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        // Input, blocks, sums, pairs of channels left.
        "sub sp, sp, #16",
        "strd r0, r4, [sp]",
        "strd r2, r3, [sp, #8]",
        "2:",
        "ldrd r0, r12, [sp]",
        "movs r2, #0",
        "movs r3, #0",
        "3:",
        ".rept 4",
        "ldmia.w r1!, {{r4-r7}}",
        "ldmia.w r0!, {{r8-r11}}",
        "sxtb16 lr, r4",
        "smlad r2, r4, r8, r2",
        "smlad r3, lr, r8, r3",
        "sxtb16 lr, r5",
        "smlad r2, r5, r9, r2",
        "smlad r3, lr, r9, r3",
        "sxtb16 lr, r6",
        "smlad r2, r6, r10, r2",
        "smlad r3, lr, r10, r3",
        "sxtb16 lr, r7",
        "smlad r2, r7, r11, r2",
        "smlad r3, lr, r11, r3",
        ".endr",
        "subs.w r12, r12, #1",
        "bne 3b",
        "sub r4, r2, r3",
        "asr.w r4, r4, #8",
        "ldrd r5, r6, [sp, #8]",
        "strd r3, r4, [r5], #8",
        "subs r6, r6, #1",
        "strd r5, r6, [sp, #8]",
        "bne 2b",
        "add sp, sp, #16",
        "pop {{r4-r11, pc}}",
    )
}
