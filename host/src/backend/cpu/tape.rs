//! Values on dfdx's tape.
//!
//! dfdx shows a tensor's values to its own operations only; an operation from outside gets copies.
//! So the values of a [`Node`] lie beside an empty dfdx tensor, whose identity files the gradient.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use dfdx::prelude::{Backward, Cpu, CpuError, PutTape, TensorFromVec, ZerosTensor};
use dfdx::tensor::{self, Tensor};

use super::buffers;
use super::source::Values;

/// dfdx's store of gradients.
pub type Gradients = tensor::Gradients<f32, Cpu>;

/// dfdx's record of the operations to run backwards.
pub type Recording = tensor::OwnedTape<f32, Cpu>;

/// What an operation's backward pass returns to dfdx.
pub type Backwards = std::result::Result<(), CpuError>;

/// Either a [`Recording`], or nothing ([`dfdx::tensor::NoneTape`]) where no gradient is wanted.
pub trait Tape: tensor::Tape<f32, Cpu> {}
impl<T: tensor::Tape<f32, Cpu>> Tape for T {}

/// Under what a tape files a gradient.
#[derive(Clone, Debug)]
pub struct Key(Tensor<(usize,), f32, Cpu>);

impl Key {
    /// A key like no other.
    pub fn new() -> Self {
        Self(Cpu::default().tensor_from_vec(Vec::new(), (0,)))
    }

    /// Takes the gradient out of the store, which frees it early. Empty where nothing added to it.
    pub fn take(&self, gradients: &mut Gradients) -> std::result::Result<Vec<f32>, CpuError> {
        let filed: &mut Vec<f32> = gradients.get_or_alloc_mut(&self.0)?;
        Ok(std::mem::take(filed))
    }

    /// Adds to the gradient.
    pub fn add(&self, gradients: &mut Gradients, gradient: Vec<f32>) -> Backwards {
        let filed: &mut Vec<f32> = gradients.get_or_alloc_mut(&self.0)?;
        if filed.is_empty() {
            *filed = gradient;
        } else {
            filed.iter_mut().zip(&gradient).for_each(|(a, b)| *a += b);
            buffers::give(gradient);
        }
        Ok(())
    }
}

/// The values of an activation, and the key of its gradient unless none is wanted.
#[derive(Clone)]
pub struct Node {
    /// The values, shared with the operations that need them on the way back.
    pub values: Arc<Values>,
    /// The key of their gradient.
    pub key: Option<Key>,
}

impl Node {
    /// Values that need no gradient: inputs.
    pub fn constant(values: Vec<f32>) -> Self {
        Self {
            values: Arc::new(values.into()),
            key: None,
        }
    }

    /// What an operation made, to be differentiated if `T` records.
    pub fn output<T: Tape>(values: impl Into<Values>) -> Self {
        Self {
            values: Arc::new(values.into()),
            key: T::OWNS_TAPE.then(Key::new),
        }
    }
}

/// Runs a recording backwards from a loss: `d loss / d loss` is 1, which the operation that made
/// the loss takes for granted.
pub fn backward(tape: Recording) -> Result<Gradients> {
    let loss: Tensor<(), f32, Cpu> = Cpu::default().zeros();
    loss.put_tape(tape)
        .try_backward()
        .map_err(|error| anyhow!("dfdx's backward pass: {error:?}"))
}
