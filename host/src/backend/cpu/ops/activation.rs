//! The functions that follow a map, and their slopes.

use vae96::Activation;

/// A function of one value.
pub trait Function: Sync {
    /// Its value.
    fn apply(x: f32) -> f32;

    /// Its derivative where its value is `y`.
    fn slope(y: f32) -> f32;
}

/// `x`.
pub struct Identity;

/// `max(0, x)`.
pub struct Relu;

/// `1 / (1 + e⁻ˣ)`.
pub struct Sigmoid;

impl Function for Identity {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope(_: f32) -> f32 {
        1.0
    }
}

impl Function for Relu {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        if x > 0.0 { x } else { 0.0 }
    }

    #[inline(always)]
    fn slope(y: f32) -> f32 {
        if y > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Function for Sigmoid {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        1.0 / (1.0 + exp(-x))
    }

    #[inline(always)]
    fn slope(y: f32) -> f32 {
        y * (1.0 - y)
    }
}

/// Work that is compiled once for each function.
pub trait WithFunction {
    /// What it gives.
    type Output;

    /// Does it.
    fn run<F: Function>(self) -> Self::Output;
}

/// Does `work` with the function that a layer names.
pub fn with<W: WithFunction>(activation: Activation, work: W) -> W::Output {
    match activation {
        Activation::None => work.run::<Identity>(),
        Activation::Relu => work.run::<Relu>(),
        Activation::Sigmoid => work.run::<Sigmoid>(),
    }
}

/// eˣ within 2 units in the last place, in arithmetic that a compiler can do many at a time and
/// that gives the same bits on every machine. Beyond ±87 it stays where it is there.
///
/// x = k · ln 2 + r with |r| ≤ ½ ln 2, so eˣ = 2ᵏ · eʳ, eʳ by its Taylor polynomial.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Added and taken away again, it rounds to a whole number, which its low bits then hold.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; a product of the first with k is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 87.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = x - k * LN_2[0] - k * LN_2[1];
    let mut e = 1.0 / 720.0;
    for term in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        e = e * r + term;
    }
    let power = rounded.to_bits().wrapping_add(127) << 23;
    e * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_double_precision() {
        for step in -86_999..=86_999 {
            let x = step as f32 * 1e-3;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 2.4e-7,
                "e^{x}: {found} instead of {expected}"
            );
        }
        assert_eq!(exp(f32::INFINITY), exp(87.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
