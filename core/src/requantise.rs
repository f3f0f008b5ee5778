//! From a 32-bit accumulator to an 8-bit activation: multiplication by a real number in (0, 1)
//! or somewhat above, in integers, rounded twice as TensorFlow Lite's reference kernels and
//! gemmlowp do.
//!
//! A real multiplier is kept as `multiplier / 2³¹ × 2^shift`, the multiplier in [2³⁰, 2³¹).

/// The shifts a model file may hold.
pub const SHIFTS: core::ops::RangeInclusive<i8> = -31..=30;

/// `value × multiplier / 2³¹ × 2^shift`, in 32 bits.
///
/// A positive shift is applied before the multiplication, and wraps; a negative one after it,
/// and rounds half away from zero. Shifts beyond [`SHIFTS`] count as the nearest one.
#[inline(always)]
pub const fn multiply(value: i32, multiplier: i32, shift: i8) -> i32 {
    let left = if shift < 0 {
        0
    } else if shift > *SHIFTS.end() {
        *SHIFTS.end() as u32
    } else {
        shift as u32
    };
    let right = if shift > 0 {
        0
    } else if shift < *SHIFTS.start() {
        SHIFTS.start().unsigned_abs() as u32
    } else {
        shift.unsigned_abs() as u32
    };
    let scaled = value.wrapping_shl(left);
    divide_by_power_of_two(doubling_high_multiply(scaled, multiplier), right)
}

/// [`multiply`] for values in (−2³⁰, 2³⁰) and parameters that [`is_narrow`] is true of: nothing
/// overflows, and nothing is a special case.
#[inline(always)]
pub(crate) const fn multiply_narrow(value: i32, multiplier: i32, shift: i8) -> i32 {
    shift_narrow(high_narrow(value, multiplier), bits_narrow(shift))
}

/// The first half of [`multiply_narrow`]: the high half of the doubled product, rounded.
#[inline(always)]
pub(crate) const fn high_narrow(value: i32, multiplier: i32) -> i32 {
    let product = (value << 1) as i64 * multiplier as i64;
    ((product + (1 << 31)) >> 32) as i32
}

/// The second half of [`multiply_narrow`]: that shifted right by one bit more than these, rounded.
#[inline(always)]
pub(crate) const fn shift_narrow(high: i32, bits: u32) -> i32 {
    // One less below zero, then half a unit more: ties go away from zero.
    (((high + (high >> 31)) >> bits) + 1) >> 1
}

/// The bits that [`shift_narrow`] takes for a shift.
#[inline(always)]
pub(crate) const fn bits_narrow(shift: i8) -> u32 {
    !shift as u32 & 31
}

/// Whether a multiplier and a shift make a value smaller.
pub(crate) const fn is_narrow(multiplier: i32, shift: i8) -> bool {
    multiplier == 0 || shift < 0
}

/// The high half of `2ab`, rounded to the nearest, ties towards positive infinity. The one product that
/// does not fit, of `i32::MIN` with itself, saturates.
#[inline(always)]
pub const fn doubling_high_multiply(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = a as i64 * b as i64;
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    // A division rounds towards zero where a shift would round down.
    ((product + nudge) / (1 << 31)) as i32
}

/// `value / 2^exponent` rounded to the nearest, ties away from zero; `exponent` is at most 31.
#[inline(always)]
pub const fn divide_by_power_of_two(value: i32, exponent: u32) -> i32 {
    let mask = (1u32.wrapping_shl(exponent).wrapping_sub(1)) as i32;
    let remainder = value & mask;
    let threshold = (mask >> 1) + (value < 0) as i32;
    value.wrapping_shr(exponent) + (remainder > threshold) as i32
}

/// The multiplier and shift nearest to a real number, as TensorFlow Lite's converter makes them.
///
/// Numbers below 2⁻³² or so become zero. What no multiplier can express saturates: negative
/// numbers and NaN to zero, numbers of 2³⁰ and more to the greatest.
pub fn quantise_multiplier(real: f64) -> (i32, i8) {
    if real.is_nan() || real <= 0.0 {
        return (0, 0);
    }
    if real.is_infinite() {
        return (i32::MAX, *SHIFTS.end());
    }
    let (fraction, mut exponent) = libm::frexp(real);
    let mut fixed = libm::round(fraction * 2_147_483_648.0) as i64;
    if fixed == 1 << 31 {
        fixed /= 2;
        exponent += 1;
    }
    if exponent < i32::from(*SHIFTS.start()) {
        (0, 0)
    } else if exponent > i32::from(*SHIFTS.end()) {
        (i32::MAX, *SHIFTS.end())
    } else {
        (fixed as i32, exponent as i8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `n / 2^bits` rounded to the nearest integer; ties away from zero or upwards.
    fn rounded(n: i128, bits: u32, ties_upwards: bool) -> i128 {
        let unit = 1i128 << bits;
        let (quotient, remainder) = (n.div_euclid(unit), n.rem_euclid(unit));
        let up = match (2 * remainder).cmp(&unit) {
            core::cmp::Ordering::Less => false,
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Equal => n >= 0 || ties_upwards,
        };
        quotient + i128::from(up)
    }

    /// The rule, in numbers too wide to overflow.
    fn reference(value: i32, multiplier: i32, shift: i8) -> i32 {
        let value = if shift > 0 {
            i128::from((i64::from(value) << shift) as i32)
        } else {
            i128::from(value)
        };
        let high = rounded(value * i128::from(multiplier), 31, true).min(i128::from(i32::MAX));
        rounded(high, u32::from((-shift).max(0).unsigned_abs()), false) as i32
    }

    const EXTREMES: [i32; 17] = [
        i32::MIN,
        i32::MIN + 1,
        -(1 << 30) - 1,
        -(1 << 30),
        -(1 << 16),
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        1 << 16,
        (1 << 30) - 1,
        1 << 30,
        i32::MAX - 1,
        i32::MAX,
    ];

    #[test]
    fn extremes_follow_the_rule() {
        for value in EXTREMES {
            for multiplier in EXTREMES {
                for shift in SHIFTS {
                    assert_eq!(
                        multiply(value, multiplier, shift),
                        reference(value, multiplier, shift),
                        "{value} × {multiplier}, shift {shift}"
                    );
                }
            }
        }
    }

    #[test]
    fn rounding_is_the_published_one() {
        assert_eq!(doubling_high_multiply(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!(doubling_high_multiply(i32::MIN, i32::MAX), -i32::MAX);
        assert_eq!(doubling_high_multiply(1, 1 << 30), 1);
        assert_eq!(doubling_high_multiply(-1, 1 << 30), 0);
        assert_eq!(doubling_high_multiply(-3, 1 << 30), -1);
        let halves: [(i32, i32); 6] = [(1, 1), (3, 2), (-1, -1), (-3, -2), (5, 3), (-5, -3)];
        for (value, half) in halves {
            assert_eq!(divide_by_power_of_two(value, 1), half, "{value} / 2");
        }
        assert_eq!(divide_by_power_of_two(i32::MIN, 31), -1);
        assert_eq!(divide_by_power_of_two(i32::MAX, 31), 1);
    }

    #[test]
    fn rounding_twice_differs_from_rounding_once() {
        // 5 × ½ × ½ is nearest to 1; but 2.5 rounds to 3, and half of that to 2.
        assert_eq!(multiply(5, 1 << 30, -1), 2);
    }

    #[test]
    fn multipliers_of_known_numbers() {
        assert_eq!(quantise_multiplier(0.0), (0, 0));
        assert_eq!(quantise_multiplier(-1.0), (0, 0));
        assert_eq!(quantise_multiplier(f64::NAN), (0, 0));
        assert_eq!(quantise_multiplier(f64::INFINITY), (i32::MAX, 30));
        assert_eq!(quantise_multiplier(1e300), (i32::MAX, 30));
        assert_eq!(quantise_multiplier(1e-300), (0, 0));
        assert_eq!(quantise_multiplier(5e-324), (0, 0));
        assert_eq!(quantise_multiplier(0.25), (1 << 30, -1));
        assert_eq!(quantise_multiplier(0.5), (1 << 30, 0));
        assert_eq!(quantise_multiplier(1.0), (1 << 30, 1));
        assert_eq!(quantise_multiplier(0.3), (1_288_490_189, -1));
        // Rounds up to 2³¹, which becomes 2³⁰ and one more in the exponent.
        assert_eq!(quantise_multiplier(1.0 - 1e-12), (1 << 30, 1));
        // The smallest that is kept, and the greatest that is not.
        assert_eq!(quantise_multiplier(2f64.powi(-32)), (1 << 30, -31));
        assert_eq!(quantise_multiplier(2f64.powi(-33)), (0, 0));
        assert_eq!(quantise_multiplier(2f64.powi(29)), (1 << 30, 30));
        assert_eq!(quantise_multiplier(2f64.powi(30)), (i32::MAX, 30));
    }

    proptest! {
        #[test]
        fn any_accumulator_follows_the_rule(value: i32, multiplier: i32, shift in SHIFTS) {
            prop_assert_eq!(multiply(value, multiplier, shift), reference(value, multiplier, shift));
        }

        #[test]
        fn narrow_values_follow_the_rule(
            value in 1 - (1i32 << 30)..1 << 30,
            multiplier in 0..=i32::MAX,
            shift in SHIFTS,
        ) {
            let multiplier = if shift < 0 { multiplier } else { 0 };
            prop_assert!(is_narrow(multiplier, shift));
            prop_assert_eq!(
                multiply_narrow(value, multiplier, shift),
                reference(value, multiplier, shift)
            );
        }

        #[test]
        fn any_shift_is_harmless(value: i32, multiplier: i32, shift: i8) {
            let nearest = shift.clamp(*SHIFTS.start(), *SHIFTS.end());
            prop_assert_eq!(multiply(value, multiplier, shift), multiply(value, multiplier, nearest));
        }

        #[test]
        fn a_multiplier_is_as_near_as_31_bits_are(real in 1e-9f64..1e8) {
            let (multiplier, shift) = quantise_multiplier(real);
            prop_assert!(multiplier >= 1 << 30);
            let back = f64::from(multiplier) * 2f64.powi(i32::from(shift) - 31);
            prop_assert!((back / real - 1.0).abs() <= 2f64.powi(-31));
        }

        #[test]
        fn requantisation_is_within_one_of_the_real_product(
            value in -(1i32 << 24)..1 << 24,
            real in 1e-6f64..1.0,
        ) {
            let (multiplier, shift) = quantise_multiplier(real);
            let exact = f64::from(value) * real;
            prop_assert!((f64::from(multiply(value, multiplier, shift)) - exact).abs() < 1.01);
        }
    }
}
