//! AVX2: bytes widened to 16 bits, whose products are summed in pairs.

use core::arch::x86_64::*;

use super::{Dot, Task, row};
use crate::interleaved::{CHANNELS, Line};

/// Whether the processor has all that is used here.
pub(super) fn detected() -> bool {
    std::is_x86_feature_detected!("avx2")
}

struct Avx2;

// SAFETY of all: the instructions and the pointers are the callers' promise.
impl Dot for Avx2 {
    /// Two sums a channel, four channels a vector.
    type Sums = [__m256i; 4];
    type Weights = [__m256i; 4];
    type Pixels = __m256i;
    const FLIP: u8 = 0;

    #[inline(always)]
    unsafe fn zero() -> [__m256i; 4] {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 4] }
    }

    #[inline(always)]
    unsafe fn weights(line: *const Line) -> [__m256i; 4] {
        let line: *const __m128i = line.cast();
        // SAFETY: see above.
        unsafe {
            [
                _mm256_cvtepi8_epi16(_mm_load_si128(line)),
                _mm256_cvtepi8_epi16(_mm_load_si128(line.add(1))),
                _mm256_cvtepi8_epi16(_mm_load_si128(line.add(2))),
                _mm256_cvtepi8_epi16(_mm_load_si128(line.add(3))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pixels(taps: *const u8) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let taps = _mm_cvtsi32_si128(taps.cast::<i32>().read_unaligned());
            _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(taps))
        }
    }

    #[inline(always)]
    unsafe fn dot(mut sums: [__m256i; 4], weights: [__m256i; 4], pixels: __m256i) -> [__m256i; 4] {
        for (sums, weights) in sums.iter_mut().zip(weights) {
            // SAFETY: see above.
            *sums = unsafe { _mm256_add_epi32(*sums, _mm256_madd_epi16(weights, pixels)) };
        }
        sums
    }

    #[inline(always)]
    unsafe fn values([a, b, c, d]: [__m256i; 4]) -> [i32; CHANNELS] {
        let mut values = [0; CHANNELS];
        let to: *mut __m256i = values.as_mut_ptr().cast();
        // Pairs are added within halves of a vector, whose quarters are sorted afterwards.
        const ORDER: i32 = 0b11_01_10_00;
        // SAFETY: see above.
        unsafe {
            let low = _mm256_permute4x64_epi64::<ORDER>(_mm256_hadd_epi32(a, b));
            let high = _mm256_permute4x64_epi64::<ORDER>(_mm256_hadd_epi32(c, d));
            _mm256_storeu_si256(to, low);
            _mm256_storeu_si256(to.add(1), high);
        }
        values
    }
}

/// A row.
///
/// # Safety
///
/// The processor is [`detected`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run(task: &Task<'_>) {
    // SAFETY: the caller's.
    unsafe { row::<Avx2, 2>(task) }
}
