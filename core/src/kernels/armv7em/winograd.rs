//! The inner loops of [Winograd's method](super::super::winograd): a dual multiply takes two
//! channels, and so do the additions of its transforms. `plain` there has the same arithmetic in
//! Rust.

use core::arch::naked_asm;

use super::super::winograd::{
    CHANNELS, PAIRS, PIXELS, POINT, POINTS, SUMS, TILES, Tiles, WEIGHTS, plain,
};
use super::super::{Channel, Channels};
use crate::requantise;

/// Words of a chunk of a tap's weights.
const QUADS: usize = PAIRS / 2;

/// See [`plain::transform_weights`].
#[inline(always)]
pub(crate) fn transform_weights(
    weights: &[u32],
    quads: usize,
    lane: usize,
    transformed: &mut [i32; WEIGHTS],
) {
    if weights.len() < 8 * quads + QUADS || lane >= CHANNELS {
        return;
    }
    // SAFETY: the kernel reads 8 words of each of 9 taps, and writes every second of the 512 words
    // from `lane` on.
    unsafe {
        weights_kernel(
            weights.as_ptr(),
            transformed.as_mut_ptr().add(lane),
            4 * quads,
        )
    }
}

/// See [`plain::multiply`].
#[inline(always)]
pub(crate) fn multiply(
    pixels: &[i32; PIXELS],
    weights: &[i32; WEIGHTS],
    sums: &mut [i32; SUMS],
    more: bool,
) {
    let kernel = if more { add_kernel } else { multiply_kernel };
    // SAFETY: the arrays are as long as the kernels want them.
    unsafe { kernel(pixels, weights, sums) }
}

/// See [`plain::finish`].
#[inline(always)]
pub(crate) fn finish(
    sums: &[i32],
    tiles: Tiles,
    channels: &Channels<'_>,
    channel: Channel,
    rows: [&mut [i8]; 2],
) {
    if channels.clamps() {
        return plain::finish(sums, tiles, channels, channel, rows);
    }
    let [upper, lower] = rows;
    let last = (2 * tiles.count).wrapping_sub(1) * tiles.pitch;
    if tiles.count == 0
        || tiles.count > TILES
        || sums.len() < (POINTS - 1) * POINT + tiles.count
        || upper.len() <= last
        || lower.len() <= last
    {
        return;
    }
    let scale = Scale {
        bias: channel.bias << 1,
        multiplier: channel.multiplier,
        bits: requantise::bits_narrow(channel.shift),
        zero_point: channels.zero_point.into(),
        lower: lower.as_mut_ptr(),
        pitch: tiles.pitch,
    };
    // SAFETY: the kernel reads 16 sums, 24 bytes apart, for each of the tiles, and writes two values
    // a tile to each row, `pitch` bytes apart: so many there are.
    unsafe { finish_kernel(sums.as_ptr(), upper.as_mut_ptr(), &scale, tiles.count) }
}

/// What [`finish_kernel`] knows of a channel and its place.
#[repr(C)]
struct Scale {
    /// Twice the bias.
    bias: i32,
    multiplier: i32,
    bits: u32,
    zero_point: i32,
    lower: *mut i8,
    pitch: usize,
}

/// Half of the weights of four channels at a time: row 0 of the window is row 0 of the transformed,
/// row 2 row 3, and their sum more or less row 1 is row 1 and row 2.
///
/// # Safety
/// There are 8 words of each of 9 taps, `tap` bytes apart; 511 words can be written.
#[unsafe(naked)]
unsafe extern "C" fn weights_kernel(weights: *const u32, transformed: *mut i32, tap: usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        // Three taps.
        "add.w r3, r2, r2, lsl #1",
        "movs r12, #8",
        "2:",
        // Even channels, then odd ones.
        ".macro vae96_row place",
        "str.w r4, [r1, #\\place]",
        "str.w r6, [r1, #\\place + 384]",
        "sadd16 r4, r4, r6",
        "sadd16 r6, r4, r5",
        "ssub16 r4, r4, r5",
        "str.w r6, [r1, #\\place + 128]",
        "str.w r4, [r1, #\\place + 256]",
        ".endm",
        ".macro vae96_half place, rotation:vararg",
        "ldr.w r4, [r0]",
        "ldr.w r5, [r0, r2]",
        "ldr.w r6, [r0, r2, lsl #1]",
        "add r0, r0, r3",
        "sxtb16 r4, r4 \\rotation",
        "sxtb16 r5, r5 \\rotation",
        "sxtb16 r6, r6 \\rotation",
        "ldr.w r10, [r0]",
        "ldr.w r11, [r0, r2]",
        "ldr.w lr, [r0, r2, lsl #1]",
        "add r0, r0, r3",
        "mov r7, r4",
        "mov r8, r5",
        "mov r9, r6",
        "vae96_row \\place",
        "ldr.w r4, [r0]",
        "ldr.w r5, [r0, r2]",
        "ldr.w r6, [r0, r2, lsl #1]",
        "sub.w r0, r0, r3, lsl #1",
        "sxtb16 r4, r4 \\rotation",
        "sxtb16 r5, r5 \\rotation",
        "sxtb16 r6, r6 \\rotation",
        "sadd16 r7, r7, r4",
        "sadd16 r8, r8, r5",
        "sadd16 r9, r9, r6",
        "vae96_row \\place + 1536",
        "sxtb16 r10, r10 \\rotation",
        "sxtb16 r11, r11 \\rotation",
        "sxtb16 lr, lr \\rotation",
        "sadd16 r4, r7, r10",
        "sadd16 r5, r8, r11",
        "sadd16 r6, r9, lr",
        "vae96_row \\place + 512",
        "ssub16 r4, r7, r10",
        "ssub16 r5, r8, r11",
        "ssub16 r6, r9, lr",
        "vae96_row \\place + 1024",
        ".endm",
        "vae96_half 0",
        "vae96_half 8, , ror #8",
        "add r0, r0, #4",
        "add r1, r1, #16",
        "subs.w r12, r12, #1",
        "bne.w 2b",
        ".purgem vae96_row",
        ".purgem vae96_half",
        "pop {{r4-r11, pc}}",
    )
}

/// A kernel whose sums begin so.
macro_rules! products {
    ($(#[$doc:meta])* $name:ident: $($begin:literal)*) => {
        $(#[$doc])*
        ///
        /// Sums r3 to r5 are of three tiles with one channel, r6 to r8 with the other.
        ///
        /// # Safety
        /// None but that the pointers are those of references.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            pixels: *const [i32; PIXELS],
            weights: *const [i32; WEIGHTS],
            sums: *mut [i32; SUMS],
        ) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "add.w r3, r2, #384",
                "push {{r3}}",
                "2:",
                $($begin,)*
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
                "ldr r9, [sp]",
                "cmp r2, r9",
                "bne.w 2b",
                "add sp, sp, #4",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

products! {
    /// Products.
    multiply_kernel:
    "movs r3, #0"
    "movs r4, #0"
    "movs r5, #0"
    "movs r6, #0"
    "movs r7, #0"
    "mov r8, r7"
}

products! {
    /// Products, added to what is there.
    add_kernel: "ldmia.w r2, {{r3-r8}}"
}

/// Both rows of some tiles, column by column of the sums: r4 to r7 are what becomes of the upper
/// row, r8 to r11 of the lower.
///
/// # Safety
/// `tiles` is positive; there are 16 sums, 24 bytes apart, for each; two pixels a tile can be
/// written in each row.
#[unsafe(naked)]
unsafe extern "C" fn finish_kernel(
    sums: *const i32,
    upper: *mut i8,
    scale: *const Scale,
    tiles: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "sub sp, sp, #12",
        // Lower row, tiles left, scale.
        "ldr r12, [r2, #16]",
        "strd r12, r3, [sp]",
        "str r2, [sp, #8]",
        ".macro vae96_column column, upper, lower",
        "ldr.w r2, [r0, #24 * \\column]",
        "ldr.w r3, [r0, #24 * \\column + 96]",
        "ldr.w r12, [r0, #24 * \\column + 192]",
        "ldr.w lr, [r0, #24 * \\column + 288]",
        "add.w \\upper, r3, r12",
        "add.w \\upper, \\upper, r2, lsl #1",
        "sub.w \\lower, r3, r12",
        "sub.w \\lower, \\lower, lr, lsl #1",
        ".endm",
        "2:",
        "vae96_column 0, r4, r8",
        "vae96_column 1, r5, r9",
        "vae96_column 2, r6, r10",
        "vae96_column 3, r7, r11",
        ".purgem vae96_column",
        // Four times the sums of products.
        "add.w r2, r5, r6",
        "add.w r4, r2, r4, lsl #1",
        "sub.w r5, r5, r6",
        "sub.w r5, r5, r7, lsl #1",
        "add.w r2, r9, r10",
        "add.w r8, r2, r8, lsl #1",
        "sub.w r9, r9, r10",
        "sub.w r9, r9, r11, lsl #1",
        // r2 bias, r3 multiplier, r6 bits, r7 zero point, r10 lower row, r11 pitch.
        "ldr lr, [sp, #8]",
        "ldmia.w lr, {{r2, r3, r6, r7}}",
        "ldr r11, [lr, #20]",
        "ldr r10, [sp]",
        ".macro vae96_activation sum",
        "add.w \\sum, r2, \\sum, asr #1",
        "smmulr \\sum, \\sum, r3",
        "add.w \\sum, \\sum, \\sum, asr #31",
        "asr.w \\sum, \\sum, r6",
        "add.w \\sum, \\sum, #1",
        "add.w \\sum, r7, \\sum, asr #1",
        "ssat \\sum, #8, \\sum",
        ".endm",
        "vae96_activation r4",
        "vae96_activation r5",
        "vae96_activation r8",
        "vae96_activation r9",
        ".purgem vae96_activation",
        "strb r4, [r1]",
        "strb r5, [r1, r11]",
        "strb r8, [r10]",
        "strb r9, [r10, r11]",
        "add.w r1, r1, r11, lsl #1",
        "add.w r10, r10, r11, lsl #1",
        "add r0, r0, #4",
        "ldr r12, [sp, #4]",
        "subs r12, r12, #1",
        "strd r10, r12, [sp]",
        "bne.w 2b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
    )
}
