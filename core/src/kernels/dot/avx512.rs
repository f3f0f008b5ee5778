//! AVX-512 with its vector neural-network instructions.

use core::arch::x86_64::*;

use super::{Copied, Dot, Task, blocks};
use crate::interleaved::{CHANNELS, Line};

/// Whether the processor has all that is used here.
pub(super) fn detected() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512vnni")
}

struct Vnni;

// SAFETY of all: the instructions and the pointers are the callers' promise.
impl Dot for Vnni {
    type Sums = __m512i;
    type Weights = __m512i;
    type Pixels = __m512i;
    const FLIP: u8 = 128;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn weights(line: *const Line) -> __m512i {
        // SAFETY: see above; a line is aligned.
        unsafe { _mm512_load_si512(line.cast()) }
    }

    #[inline(always)]
    unsafe fn pixels(taps: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(taps.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, weights: __m512i, pixels: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, pixels, weights) }
    }

    #[inline(always)]
    unsafe fn values(sums: __m512i) -> [i32; CHANNELS] {
        let mut values = [0; CHANNELS];
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), sums) };
        values
    }
}

/// A row.
///
/// # Safety
///
/// The processor is [`detected`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn run(task: &Task<'_>) {
    let all = task.geometry.outputs.div_ceil(CHANNELS);
    let mut copied = Copied::new();
    let mut block = 0;
    // SAFETY: the caller's, and no block is beyond the last.
    unsafe {
        let rows = copied.copy(task.rows, Vnni::FLIP);
        while block < all {
            // Registers for 24 sums, or half as many.
            block += match all - block {
                1 => {
                    blocks::<Vnni, 12, 1>(task, rows, block);
                    1
                }
                2 | 3 => {
                    blocks::<Vnni, 12, 2>(task, rows, block);
                    2
                }
                _ => {
                    blocks::<Vnni, 6, 4>(task, rows, block);
                    4
                }
            };
        }
    }
}
