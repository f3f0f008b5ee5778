//! Words of two 16-bit halves, in plain Rust.

/// Bytes 0 and 2, widened.
#[inline(always)]
pub(crate) fn even(word: u32) -> u32 {
    join(word as i8 as i16, (word >> 16) as i8 as i16)
}

/// Bytes 1 and 3, widened.
#[inline(always)]
pub(crate) fn odd(word: u32) -> u32 {
    even(word >> 8)
}

/// Sums of halves.
#[inline(always)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    let ([a, b], [c, d]) = (part(a), part(b));
    join(a.wrapping_add(c), b.wrapping_add(d))
}

/// Differences of halves.
#[inline(always)]
pub(crate) fn sub(a: u32, b: u32) -> u32 {
    let ([a, b], [c, d]) = (part(a), part(b));
    join(a.wrapping_sub(c), b.wrapping_sub(d))
}

/// The sum of both products.
#[inline(always)]
pub(crate) fn multiply(a: i32, b: i32) -> i32 {
    let ([a, b], [c, d]) = (part(a.cast_unsigned()), part(b.cast_unsigned()));
    (i32::from(a) * i32::from(c)).wrapping_add(i32::from(b) * i32::from(d))
}

#[inline(always)]
fn part(word: u32) -> [i16; 2] {
    [word as i16, (word >> 16) as i16]
}

#[inline(always)]
fn join(low: i16, high: i16) -> u32 {
    u32::from(low.cast_unsigned()) | u32::from(high.cast_unsigned()) << 16
}
