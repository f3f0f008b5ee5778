//! Words of two 16-bit halves, an instruction each. `kernels/halves.rs` has most of them in Rust.

use core::arch::asm;

/// A function that is one instruction.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($input:ident),+): $text:literal, $($option:ident),*) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name($($input: u32),+) -> u32 {
            let result;
            // SAFETY: registers alone are read and written, and flags where they are not preserved.
            unsafe {
                asm!(
                    $text,
                    $($input = in(reg) $input,)+
                    result = lateout(reg) result,
                    options(pure, nomem, nostack, $($option),*),
                );
            }
            result
        }
    };
}

instruction! {
    /// Bytes 0 and 2, widened.
    even(word): "sxtb16 {result}, {word}", preserves_flags
}

instruction! {
    /// Bytes 1 and 3, widened.
    odd(word): "sxtb16 {result}, {word}, ror #8", preserves_flags
}

instruction! {
    /// Halves and bytes 0 and 2, added.
    add_even(halves, bytes): "sxtab16 {result}, {halves}, {bytes}", preserves_flags
}

instruction! {
    /// Halves and bytes 1 and 3, added.
    add_odd(halves, bytes): "sxtab16 {result}, {halves}, {bytes}, ror #8", preserves_flags
}

instruction! {
    /// Sums of halves.
    add(a, b): "sadd16 {result}, {a}, {b}",
}

instruction! {
    /// Differences of halves.
    sub(a, b): "ssub16 {result}, {a}, {b}",
}
