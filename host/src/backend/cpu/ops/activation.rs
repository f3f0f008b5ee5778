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
    fn apply(x: f32) -> f32 {
        x
    }

    fn slope(_: f32) -> f32 {
        1.0
    }
}

impl Function for Relu {
    fn apply(x: f32) -> f32 {
        if x > 0.0 { x } else { 0.0 }
    }

    fn slope(y: f32) -> f32 {
        if y > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Function for Sigmoid {
    fn apply(x: f32) -> f32 {
        1.0 / (1.0 + (-x).exp())
    }

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
