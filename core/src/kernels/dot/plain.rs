//! Plain Rust, for comparison.

use super::{Dot, Task, row};
use crate::interleaved::{CHANNELS, Line, TAPS};

struct Plain;

// SAFETY of all: the pointers are the callers' promise.
impl Dot for Plain {
    type Sums = [i32; CHANNELS];
    type Weights = Line;
    type Pixels = [u8; TAPS];
    const FLIP: u8 = 128;

    #[inline(always)]
    unsafe fn zero() -> [i32; CHANNELS] {
        [0; CHANNELS]
    }

    #[inline(always)]
    unsafe fn weights(line: *const Line) -> Line {
        // SAFETY: see above.
        unsafe { *line }
    }

    #[inline(always)]
    unsafe fn pixels(taps: *const u8) -> [u8; TAPS] {
        // SAFETY: see above.
        unsafe { taps.cast::<[u8; TAPS]>().read() }
    }

    #[inline(always)]
    unsafe fn dot(
        mut sums: [i32; CHANNELS],
        Line(weights): Line,
        pixels: [u8; TAPS],
    ) -> [i32; CHANNELS] {
        for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<TAPS>().0) {
            for (&weight, pixel) in weights.iter().zip(pixels) {
                *sum = sum.wrapping_add(i32::from(weight) * i32::from(pixel));
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn values(sums: [i32; CHANNELS]) -> [i32; CHANNELS] {
        sums
    }
}

/// A row.
///
/// # Safety
///
/// None but those of the task.
pub(super) unsafe fn run(task: &Task<'_>) {
    // SAFETY: the caller's.
    unsafe { row::<Plain, 2>(task) }
}
