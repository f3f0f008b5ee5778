//! The angle between a frame and a class.

use super::ONE;
use crate::quantised::Quantised;

/// ⌊√(256 n)⌋ for every distance n of two 8-bit values.
static ROOTS: [u8; 256] = {
    let mut roots = [0; 256];
    let mut rest: &mut [u8] = &mut roots;
    let mut distance = 0u32;
    while let [first, after @ ..] = rest {
        *first = (distance << 8).isqrt() as u8;
        distance += 1;
        rest = after;
    }
    roots
};

/// The signed square root of a feature, from −255 to 255.
#[inline(always)]
pub(super) fn root(value: i8, zero_point: i8) -> i16 {
    let distance = value.abs_diff(zero_point);
    let root = ROOTS
        .get(usize::from(distance))
        .copied()
        .unwrap_or_default();
    if value < zero_point {
        -i16::from(root)
    } else {
        i16::from(root)
    }
}

/// A frame's roots and the square of their length.
pub(super) struct Frame<const FEATURES: usize> {
    roots: [i16; FEATURES],
    square: u64,
}

impl<const FEATURES: usize> Frame<FEATURES> {
    /// Features beyond `FEATURES` are left out.
    pub fn new(features: &Quantised<'_>) -> Self {
        let mut roots = [0; FEATURES];
        for (root_of, &value) in roots.iter_mut().zip(features.values) {
            *root_of = root(value, features.zero_point);
        }
        Self {
            square: square(&roots),
            roots,
        }
    }

    /// The cosine of the angle to a class's sum × [`ONE`]; 0 where one of them has no length.
    pub fn similarity(&self, sum: &[i16; FEATURES]) -> i32 {
        let pairs = self.roots.iter().zip(sum);
        let product: i64 = pairs
            .map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b)))
            .sum();
        let length = (self.square * square(sum)).isqrt() as i64;
        let cosine = (product * i64::from(ONE)).checked_div(length).unwrap_or(0);
        // The length was rounded down.
        (cosine as i32).clamp(-ONE, ONE)
    }
}

fn square(values: &[i16]) -> u64 {
    let squares = values
        .iter()
        .map(|&value| i32::from(value) * i32::from(value));
    squares.map(|square| square as u64).sum()
}
