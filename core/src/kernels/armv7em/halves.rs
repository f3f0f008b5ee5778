//! Words of two 16-bit halves, an instruction each. `kernels/halves.rs` has them in Rust.

use core::arch::asm;

/// Bytes 0 and 2, widened.
#[inline(always)]
pub(crate) fn even(word: u32) -> u32 {
    let halves;
    // SAFETY: registers alone are read and written.
    unsafe {
        asm!(
            "sxtb16 {halves}, {word}",
            word = in(reg) word,
            halves = lateout(reg) halves,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    halves
}

/// Bytes 1 and 3, widened.
#[inline(always)]
pub(crate) fn odd(word: u32) -> u32 {
    let halves;
    // SAFETY: registers alone are read and written.
    unsafe {
        asm!(
            "sxtb16 {halves}, {word}, ror #8",
            word = in(reg) word,
            halves = lateout(reg) halves,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    halves
}

/// Sums of halves.
#[inline(always)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    let sums;
    // SAFETY: registers and flags alone are read and written.
    unsafe {
        asm!(
            "sadd16 {sums}, {a}, {b}",
            a = in(reg) a,
            b = in(reg) b,
            sums = lateout(reg) sums,
            options(pure, nomem, nostack),
        );
    }
    sums
}

/// Differences of halves.
#[inline(always)]
pub(crate) fn sub(a: u32, b: u32) -> u32 {
    let differences;
    // SAFETY: registers and flags alone are read and written.
    unsafe {
        asm!(
            "ssub16 {differences}, {a}, {b}",
            a = in(reg) a,
            b = in(reg) b,
            differences = lateout(reg) differences,
            options(pure, nomem, nostack),
        );
    }
    differences
}
