//! Weights of linear layers with two output channels to a halfword, for processors with dual
//! 16-bit multiplies.
//!
//! With a + 2⁸b in a halfword, one dual multiply adds the products of both channels with two inputs
//! to a sum `S = Sₐ + 2⁸ S_b`; another one, with the lower bytes alone, gives Sₐ. Only every second
//! weight has to be widened.

use crate::layer::{Op, Shape};

/// The most inputs whose sum of products, times 2⁸, fits 32 bits: 127 × 128 each.
const MOST_INPUTS: usize = 516;

/// Whether a layer's weights can be paired.
pub(crate) const fn fits(op: Op, input: Shape) -> bool {
    matches!(op, Op::Linear { .. })
        && input.height == 1
        && input.len() <= MOST_INPUTS
        && input.len().is_multiple_of(2)
}

/// Two weights in [−127, 127] in one.
#[inline(always)]
pub(crate) const fn pair(a: i8, b: i8) -> i16 {
    a as i16 + ((b as i16) << 8)
}

/// The two weights in one; the second is out of range where [`pair`] did not make it.
#[inline(always)]
pub(crate) const fn part(pair: i16) -> (i8, i32) {
    let a = pair as i8;
    (a, (pair as i32 - a as i32) >> 8)
}

/// Pairs the weights of two channels; those of `b` are zero where there is no second one.
pub(crate) fn pair_channels(a: &[i8], b: &[i8], pairs: &mut [i16]) {
    let b = b.iter().chain(core::iter::repeat(&0));
    for (to, (&a, &b)) in pairs.iter_mut().zip(a.iter().zip(b)) {
        *to = pair(a, b);
    }
}

/// Whether pairs hold weights in [−127, 127] only; of the first channel only where it is `alone`.
pub(crate) fn are_paired(pairs: &[i16], alone: bool) -> bool {
    let most = if alone { 0 } else { 127 };
    pairs.iter().all(|&pair| {
        let (a, b) = part(pair);
        a != i8::MIN && (-most..=most).contains(&b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weights_come_back(a in -127i8..=127, b in -127i8..=127) {
            prop_assert_eq!(part(pair(a, b)), (a, b.into()));
            prop_assert!(are_paired(&[pair(a, b)], false));
            prop_assert_eq!(are_paired(&[pair(a, b)], true), b == 0);
        }

        #[test]
        fn what_pairing_did_not_make_is_told(halfword: i16) {
            let (a, b) = part(halfword);
            let made = a != i8::MIN && i8::try_from(b).is_ok_and(|b| b != i8::MIN);
            prop_assert_eq!(are_paired(&[halfword], false), made);
        }
    }
}
