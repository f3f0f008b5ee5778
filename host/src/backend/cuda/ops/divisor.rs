//! Divisions without dividing, for kernels that take indices apart.

use anyhow::Result;

/// The kernels' `Divisor`: a number and its reciprocal, by which dividends below 2³¹ give whole
/// quotients (Granlund and Montgomery, 1994). With 2^(s − 1) < d ≤ 2^s, n · ⌈2^(31 + s) / d⌉ is too
/// much by less than n · d ≤ 2^(31 + s), which is less than one quotient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divisor {
    value: i32,
    factor: u32,
    shift: i32,
}

impl Divisor {
    /// Of a number; 0, by which nobody divides, has the reciprocal of 1.
    pub fn new(value: usize) -> Result<Self> {
        let value = super::count(value)?;
        let divisor = value.max(1) as u64;
        let shift = 31 + divisor.next_power_of_two().trailing_zeros();
        Ok(Self {
            value,
            factor: (1u64 << shift).div_ceil(divisor) as u32,
            shift: shift as i32,
        })
    }

    /// As the kernels have it.
    pub fn words(self) -> [i32; 3] {
        [self.value, self.factor as i32, self.shift]
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn quotient(dividend: u32, divisor: Divisor) -> u32 {
        ((u64::from(dividend) * u64::from(divisor.factor)) >> divisor.shift) as u32
    }

    #[test]
    fn quotients_are_whole() -> Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let powers = (0..=30).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
        let random: Vec<usize> = (0..1000).map(|_| rng.random_range(1..=1 << 30)).collect();
        for divisor in powers.chain(random).filter(|&d| (1..=1 << 30).contains(&d)) {
            let reciprocal = Divisor::new(divisor)?;
            let divisor = divisor as u32;
            let last = (1 << 31) - 1;
            let around = (last / divisor) * divisor;
            let some = [0, 1, divisor - 1, divisor, around - 1, around, last];
            let random = (0..100).map(|_| rng.random_range(0..=last));
            for dividend in some.into_iter().chain(random) {
                let found = quotient(dividend, reciprocal);
                assert_eq!(found, dividend / divisor, "{dividend} / {divisor}");
            }
        }
        Ok(())
    }
}
