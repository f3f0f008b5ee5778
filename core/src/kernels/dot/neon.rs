//! NEON with its dot-product instruction.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Dot, Task, row};
use crate::interleaved::{CHANNELS, Line};

/// Whether the processor has all that is used here.
pub(super) fn detected() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

struct Neon;

// SAFETY of all: the instructions and the pointers are the callers' promise.
impl Dot for Neon {
    /// Four channels a vector.
    type Sums = [int32x4_t; 4];
    type Weights = [int8x16_t; 4];
    type Pixels = int8x16_t;
    const FLIP: u8 = 0;

    #[inline(always)]
    unsafe fn zero() -> [int32x4_t; 4] {
        // SAFETY: see above.
        unsafe { [vdupq_n_s32(0); 4] }
    }

    #[inline(always)]
    unsafe fn weights(line: *const Line) -> [int8x16_t; 4] {
        let line: *const i8 = line.cast();
        // SAFETY: see above.
        unsafe {
            [
                vld1q_s8(line),
                vld1q_s8(line.add(16)),
                vld1q_s8(line.add(32)),
                vld1q_s8(line.add(48)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pixels(taps: *const u8) -> int8x16_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(taps.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn dot(
        mut sums: [int32x4_t; 4],
        weights: [int8x16_t; 4],
        pixels: int8x16_t,
    ) -> [int32x4_t; 4] {
        for (sums, weights) in sums.iter_mut().zip(weights) {
            // Its intrinsic is not stable.
            // SAFETY: see above; the instruction changes the sums alone.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sums:v}.4s, {weights:v}.16b, {pixels:v}.16b",
                    sums = inout(vreg) *sums,
                    weights = in(vreg) weights,
                    pixels = in(vreg) pixels,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn values(sums: [int32x4_t; 4]) -> [i32; CHANNELS] {
        let mut values = [0; CHANNELS];
        for (to, sums) in values.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
            // SAFETY: see above.
            unsafe { vst1q_s32(to.as_mut_ptr(), sums) };
        }
        values
    }
}

/// A row.
///
/// # Safety
///
/// The processor is [`detected`].
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run(task: &Task<'_>) {
    // SAFETY: the caller's.
    unsafe { row::<Neon, 4>(task) }
}
