//! The products of [Winograd's method](super::super::winograd): a dual multiply takes two channels.

use core::arch::naked_asm;

use super::super::winograd::{CHANNELS, POINTS, SUMS, TILES};

/// Times that the loop is unrolled: the most pairs of channels.
const TIMES: usize = 16;

/// Bytes of one pair in the unrolled loop: every instruction takes four.
const PAIR_BYTES: usize = 8 * 4;

/// Adds, point by point, the products of three tiles with two channels over all pairs.
#[inline(always)]
pub(crate) fn multiply(pixels: &[i32], weights: &[i32], sums: &mut [i32; SUMS], pairs: usize) {
    if pairs == 0
        || pairs > TIMES
        || pixels.len() < POINTS * pairs * TILES
        || weights.len() < POINTS * pairs * CHANNELS
    {
        return;
    }
    // SAFETY: the kernel reads 16 × 3 × pairs words of pixels and 16 × 2 × pairs of weights, and
    // reads and writes 16 × 6 sums: so many there are. It enters the loop within it.
    unsafe {
        multiply_kernel(
            pixels.as_ptr(),
            weights.as_ptr(),
            sums.as_mut_ptr(),
            (TIMES - pairs) * PAIR_BYTES,
        );
    }
}

/// Sums r3 to r5 of three tiles with one channel, r6 to r8 with the other.
///
/// # Safety
/// There are 96 sums, and the pixels and weights of 16 points of as many pairs as `skip` leaves of
/// the loop.
#[unsafe(naked)]
unsafe extern "C" fn multiply_kernel(
    pixels: *const i32,
    weights: *const i32,
    sums: *mut i32,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "adr.w r12, 3f",
        "add r12, r12, r3",
        "orr r12, r12, #1",
        "add.w r4, r2, #384",
        // Entry, end of the sums.
        "sub sp, sp, #8",
        "strd r12, r4, [sp]",
        "2:",
        "ldmia.w r2, {{r3-r8}}",
        "ldr pc, [sp]",
        ".p2align 2",
        "3:",
        ".rept 16",
        "ldmia.w r0!, {{r11, r12, lr}}",
        "ldmia.w r1!, {{r9, r10}}",
        "smlad r3, r11, r9, r3",
        "smlad r4, r12, r9, r4",
        "smlad r5, lr, r9, r5",
        "smlad r6, r11, r10, r6",
        "smlad r7, r12, r10, r7",
        "smlad r8, lr, r10, r8",
        ".endr",
        "stmia.w r2!, {{r3-r8}}",
        "ldr r9, [sp, #4]",
        "cmp r2, r9",
        "bne 2b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}
