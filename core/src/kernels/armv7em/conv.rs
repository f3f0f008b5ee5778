//! The inner loops of [packed](super::packed) convolutions for Cortex-M3 and above. Every multiply
//! is a `SMLAL`; all fourteen registers are in use.
//!
//! Each kernel enters its unrolled loop as far from its end as a run has steps. `kernels/wide.rs`
//! has the same arithmetic in Rust.

use core::arch::naked_asm;

/// Bytes of one step, or of two, in the unrolled loops: every instruction takes four.
const UNIT3_BYTES: usize = 13 * 4;
const HALVING3_BYTES: usize = 13 * 4;
const HALVING5_BYTES: usize = 10 * 4;

/// Times that the loops are unrolled.
const UNIT3_TIMES: usize = 16;
const HALVING3_TIMES: usize = 24;
const HALVING5_TIMES: usize = 16;

/// Sums of four pixels, the one before them and the one after them, of a 3×3 window of stride 1.
#[inline(always)]
pub(crate) fn unit3(
    pixels: &[i32],
    weights: &[i32],
    starts: &[i32],
    sums: &mut [i32],
    run: usize,
    runs: usize,
) {
    let even = run.is_multiple_of(2) && runs.is_multiple_of(2);
    if !even
        || run == 0
        || runs == 0
        || run > 2 * UNIT3_TIMES
        || pixels.len() < 2 * run * runs
        || weights.len() < run * runs
        || starts.len() < 4 * runs
        || sums.len() < 6
    {
        return;
    }
    // SAFETY: the kernel reads 2 × run × runs words of pixels, run × runs of weights and 4 × runs
    // of starts, and reads and writes 6 sums: so many there are. It enters the loop within it.
    unsafe {
        unit3_kernel(
            pixels.as_ptr(),
            weights.as_ptr(),
            sums.as_mut_ptr(),
            runs,
            starts.as_ptr(),
            (UNIT3_TIMES - run / 2) * UNIT3_BYTES,
        );
    }
}

/// Sums of eight pixels and the one after them, of a 3×3 window of stride 2.
#[inline(always)]
pub(crate) fn halving3(pixels: &[i32], weights: &[i32], sums: &mut [i32], run: usize, runs: usize) {
    if run == 0
        || runs == 0
        || run > HALVING3_TIMES
        || pixels.len() < 8 * run * runs
        || weights.len() < 2 * run * runs
        || sums.len() < 9
    {
        return;
    }
    // SAFETY: the kernel reads 8 × run × runs words of pixels and 2 × run × runs of weights, and
    // reads and writes 9 sums: so many there are. It enters the loop within it.
    unsafe {
        halving3_kernel(
            pixels.as_ptr(),
            weights.as_ptr(),
            sums.as_mut_ptr(),
            runs,
            (HALVING3_TIMES - run) * HALVING3_BYTES,
        );
    }
}

/// Sums of four pixels, the one before them and the one after them, of a 5×5 window of stride 2.
#[inline(always)]
pub(crate) fn halving5(pixels: &[i32], weights: &[i32], sums: &mut [i32], run: usize, runs: usize) {
    if run == 0
        || runs == 0
        || run > HALVING5_TIMES
        || pixels.len() < 4 * run * runs
        || weights.len() < 3 * run * runs
        || sums.len() < 6
    {
        return;
    }
    // SAFETY: the kernel reads 4 × run × runs words of pixels and 3 × run × runs of weights, and
    // reads and writes 6 sums: so many there are. It enters the loop within it.
    unsafe {
        halving5_kernel(
            pixels.as_ptr(),
            weights.as_ptr(),
            sums.as_mut_ptr(),
            runs,
            (HALVING5_TIMES - run) * HALVING5_BYTES,
        );
    }
}

/// Sums r2:r3 and r4:r5 of both pairs of pixels with the whole words, r6:r7 and r8:r9 with the
/// weights between the fields.
///
/// # Safety
/// `runs` is even and positive; there are 6 sums, 4 × runs words of starts, and the pixels and
/// weights of `runs` runs of the length that `skip` leaves of the loop.
#[unsafe(naked)]
unsafe extern "C" fn unit3_kernel(
    pixels: *const i32,
    weights: *const i32,
    sums: *mut i32,
    runs: usize,
    starts: *const i32,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "adr.w r12, 3f",
        "add r12, r12, r5",
        "orr r12, r12, #1",
        // Entry, runs left, sums, starts, and two notes.
        "sub sp, sp, #24",
        "strd r12, r3, [sp]",
        "strd r2, r4, [sp, #8]",
        "2:",
        "ldr r10, [sp, #12]",
        "ldmia r10!, {{r2-r9}}",
        "str r10, [sp, #12]",
        "ldr pc, [sp]",
        ".p2align 2",
        "3:",
        ".rept 16",
        "ldmia.w r1!, {{r10, r11}}",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r2, r3, r12, r10",
        "smlal r4, r5, lr, r10",
        "sbfx r10, r10, #8, #8",
        "smlal r6, r7, r12, r10",
        "smlal r8, r9, lr, r10",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r2, r3, r12, r11",
        "smlal r4, r5, lr, r11",
        "sbfx r11, r11, #8, #8",
        "smlal r6, r7, r12, r11",
        "smlal r8, r9, lr, r11",
        ".endr",
        "ldr r10, [sp, #4]",
        "subs r10, r10, #1",
        "str r10, [sp, #4]",
        "lsls r11, r10, #31",
        "beq 4f",
        // After an odd run: what the uppermost coefficients are.
        "sub.w r10, r3, r7, lsl #8",
        "sub.w r11, r5, r9, lsl #8",
        "asr.w r10, r10, #12",
        "asr.w r11, r11, #12",
        "strd r10, r11, [sp, #16]",
        "ldr pc, [sp]",
        // After an even run: what lies between the fields is taken off.
        "4:",
        "subs.w r2, r2, r6, lsl #8",
        "sbc.w r3, r3, r7, lsl #8",
        "sub.w r3, r3, r6, lsr #24",
        "subs.w r4, r4, r8, lsl #8",
        "sbc.w r5, r5, r9, lsl #8",
        "sub.w r5, r5, r8, lsr #24",
        "ldr.w lr, [sp, #8]",
        // The coefficients are added to the sums from left to right.
        "ldrd r10, r11, [lr]",
        "ubfx r12, r2, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r2, lsr #22",
        "ubfx r12, r3, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "ldrd r12, r2, [sp, #16]",
        "sub.w r3, r3, r12, lsl #12",
        "add r10, r10, r12",
        "add.w r10, r10, r3, asr #12",
        "ubfx r12, r4, #0, #22",
        "add r10, r10, r12",
        "ubfx r12, r6, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r4, lsr #22",
        "ubfx r12, r5, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "add.w r11, r11, r6, lsr #22",
        "add.w r11, r11, r7, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "sub.w r5, r5, r2, lsl #12",
        "add r10, r10, r2",
        "add.w r10, r10, r5, asr #12",
        "ubfx r12, r8, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r8, lsr #22",
        "add.w r11, r11, r9, lsl #10",
        "strd r10, r11, [lr]",
        "ldr r10, [sp, #4]",
        "cmp r10, #0",
        "bne 2b",
        "add sp, sp, #24",
        "pop {{r4-r11, pc}}",
    )
}

/// Sums r2:r3 to r8:r9 of four pairs of pixels.
///
/// # Safety
/// `runs` is positive; there are 9 sums, and the pixels and weights of `runs` runs of the length
/// that `skip` leaves of the loop.
#[unsafe(naked)]
unsafe extern "C" fn halving3_kernel(
    pixels: *const i32,
    weights: *const i32,
    sums: *mut i32,
    runs: usize,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r5, [sp, #36]",
        "adr.w r12, 3f",
        "add r12, r12, r5",
        "orr r12, r12, #1",
        // Entry, runs left, sums.
        "sub sp, sp, #12",
        "strd r12, r3, [sp]",
        "str r2, [sp, #8]",
        "2:",
        "mov.w r2, #0x200000",
        "mov.w r3, #0x800",
        "mov r4, r2",
        "mov r5, r3",
        "mov r6, r2",
        "mov r7, r3",
        "mov r8, r2",
        "mov r9, r3",
        "ldr pc, [sp]",
        ".p2align 2",
        "3:",
        ".rept 24",
        "ldmia.w r1!, {{r10, r11}}",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r2, r3, r12, r10",
        "smlal r4, r5, lr, r10",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r6, r7, r12, r10",
        "smlal r8, r9, lr, r10",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r2, r3, r12, r11",
        "smlal r4, r5, lr, r11",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r6, r7, r12, r11",
        "smlal r8, r9, lr, r11",
        ".endr",
        "ldr.w lr, [sp, #8]",
        "ldrd r10, r11, [lr]",
        "ubfx r12, r2, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r2, lsr #22",
        "ubfx r12, r3, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "add.w r10, r10, r3, asr #12",
        "ubfx r12, r4, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r4, lsr #22",
        "ubfx r12, r5, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "add.w r10, r10, r5, asr #12",
        "ubfx r12, r6, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r6, lsr #22",
        "ubfx r12, r7, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "add.w r10, r10, r7, asr #12",
        "ubfx r12, r8, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r8, lsr #22",
        "ubfx r12, r9, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "strd r10, r11, [lr], #8",
        "ldr.w r10, [lr]",
        "add.w r10, r10, r9, asr #12",
        "str.w r10, [lr]",
        "ldr r10, [sp, #4]",
        "subs r10, r10, #1",
        "str r10, [sp, #4]",
        "bne 2b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

/// Sums r2:r3 and r4:r5 of both pairs of pixels that begin a column earlier, r6:r7 and r8:r9 of
/// those that begin with the window.
///
/// # Safety
/// `runs` is positive; there are 6 sums, and the pixels and weights of `runs` runs of the length
/// that `skip` leaves of the loop.
#[unsafe(naked)]
unsafe extern "C" fn halving5_kernel(
    pixels: *const i32,
    weights: *const i32,
    sums: *mut i32,
    runs: usize,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r5, [sp, #36]",
        "adr.w r12, 3f",
        "add r12, r12, r5",
        "orr r12, r12, #1",
        // Entry, runs left, sums.
        "sub sp, sp, #12",
        "strd r12, r3, [sp]",
        "str r2, [sp, #8]",
        "2:",
        "mov.w r2, #0x200000",
        "mov.w r3, #0x800",
        "mov r4, r2",
        "mov r5, r3",
        "mov r6, r2",
        "mov r7, r3",
        "mov r8, r2",
        "mov r9, r3",
        "ldr pc, [sp]",
        ".p2align 2",
        "3:",
        ".rept 16",
        "ldmia.w r1!, {{r10, r11}}",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r2, r3, r12, r10",
        "smlal r4, r5, lr, r10",
        "smlal r6, r7, r12, r11",
        "smlal r8, r9, lr, r11",
        "ldr.w r10, [r1], #4",
        "ldmia.w r0!, {{r12, lr}}",
        "smlal r6, r7, r12, r10",
        "smlal r8, r9, lr, r10",
        ".endr",
        "ldr.w lr, [sp, #8]",
        "ldrd r10, r11, [lr]",
        "ubfx r12, r2, #0, #22",
        "add r10, r10, r12",
        "add.w r11, r11, r2, lsr #22",
        "ubfx r12, r3, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "ubfx r12, r6, #0, #22",
        "add r11, r11, r12",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "add.w r10, r10, r3, asr #12",
        "ubfx r12, r4, #0, #22",
        "add r10, r10, r12",
        "add.w r10, r10, r6, lsr #22",
        "ubfx r12, r7, #0, #12",
        "add.w r10, r10, r12, lsl #10",
        "add.w r11, r11, r4, lsr #22",
        "ubfx r12, r5, #0, #12",
        "add.w r11, r11, r12, lsl #10",
        "add.w r11, r11, r7, asr #12",
        "ubfx r12, r8, #0, #22",
        "add r11, r11, r12",
        "strd r10, r11, [lr], #8",
        "ldrd r10, r11, [lr]",
        "add.w r10, r10, r5, asr #12",
        "add.w r10, r10, r8, lsr #22",
        "ubfx r12, r9, #0, #12",
        "add.w r10, r10, r12, lsl #10",
        "add.w r11, r11, r9, asr #12",
        "strd r10, r11, [lr]",
        "ldr r10, [sp, #4]",
        "subs r10, r10, #1",
        "str r10, [sp, #4]",
        "bne 2b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
    )
}
