//! What a network learns.

use std::sync::Arc;

use super::gradient::GradientKey;
use crate::backend::Tensor;
use crate::backend::layout::Layout;

/// A tensor under PyTorch's name, kept in our layout.
#[derive(Clone, Debug)]
pub struct Variable {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's dimensions.
    pub shape: Vec<usize>,
    layout: Layout,
    /// The values in our layout, shared with the tape during a step.
    pub values: Arc<Vec<f32>>,
}

impl Variable {
    /// Zeros, to be replaced by [`set`](Self::set).
    pub fn new(name: String, shape: Vec<usize>, layout: Layout) -> Self {
        let values = Arc::new(vec![0.0; shape.iter().product()]);
        Self {
            name,
            shape,
            layout,
            values,
        }
    }

    /// Takes over a tensor in PyTorch's layout.
    pub fn set(&mut self, tensor: &Tensor) {
        self.values = Arc::new(self.layout.import(&tensor.data));
    }

    /// `self ← decay · self + (1 − decay) · other`, for a tensor of the same shape.
    pub fn approach(&mut self, other: &Self, decay: f32) {
        let values = Arc::make_mut(&mut self.values);
        for (value, other) in values.iter_mut().zip(other.values.iter()) {
            // Equal values stay as they are, to the bit.
            *value += (1.0 - decay) * (other - *value);
        }
    }

    /// The values in PyTorch's layout.
    pub fn get(&self) -> Tensor {
        self.export(&self.values)
    }

    /// Values that belong to this tensor's, such as their moments, in PyTorch's layout.
    pub fn export(&self, values: &[f32]) -> Tensor {
        Tensor::new(self.shape.clone(), self.layout.export(values))
    }

    /// Values that belong to this tensor's, in our layout.
    pub fn import(&self, tensor: &Tensor) -> Vec<f32> {
        self.layout.import(&tensor.data)
    }
}

/// A variable that gradients move.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its values.
    pub variable: Variable,
    /// The key of its gradient.
    pub key: GradientKey,
    /// Whether weight decay applies: to the weights of maps, not to biases and BatchNorm.
    pub decays: bool,
}

impl Parameter {
    /// A parameter of zeros.
    pub fn new(variable: Variable, decays: bool) -> Self {
        Self {
            variable,
            key: GradientKey::new(),
            decays,
        }
    }
}
