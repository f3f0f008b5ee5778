//! All tensors of a model in one buffer, each at its place; gradients, moments and averages lie in
//! buffers of the same order.

use std::collections::BTreeMap;

use anyhow::Result;

use super::memory::{Arena, Buffer, Slot};
use crate::backend::checks;
use crate::backend::layout::Layout;
use crate::backend::{Tensor, Weights};

/// A tensor's number in its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index(usize);

/// A tensor under PyTorch's name.
#[derive(Clone, Debug)]
pub struct Variable {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's dimensions.
    pub shape: Vec<usize>,
    /// Whether weight decay applies: to the weights of maps, not to biases and BatchNorm.
    pub decays: bool,
    /// Its place in each of the buffers.
    pub slot: Slot,
    layout: Layout,
}

impl Variable {
    /// Values in PyTorch's layout from our own.
    pub fn export(&self, values: &[f32]) -> Tensor {
        Tensor::new(self.shape.clone(), self.layout.export(values))
    }

    /// Values in our layout from PyTorch's.
    pub fn import(&self, tensor: &Tensor) -> Vec<f32> {
        self.layout.import(&tensor.data)
    }
}

/// The tensors of a model.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    variables: Vec<Variable>,
    arena: Arena,
}

impl Pack {
    /// Room for another tensor.
    pub fn add(&mut self, name: String, shape: Vec<usize>, layout: Layout, decays: bool) -> Index {
        let slot = self.arena.place(shape.iter().product());
        self.variables.push(Variable {
            name,
            shape,
            decays,
            slot,
            layout,
        });
        Index(self.variables.len() - 1)
    }

    /// Values of a buffer for all tensors.
    pub fn len(&self) -> usize {
        self.arena.clone().finish().0
    }

    /// A tensor.
    pub fn get(&self, index: Index) -> &Variable {
        &self.variables[index.0]
    }

    /// Every tensor with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Index, &Variable)> {
        let numbered = self.variables.iter().enumerate();
        numbered.map(|(index, variable)| (Index(index), variable))
    }

    /// Every tensor by name.
    pub fn by_name(&self) -> BTreeMap<&str, (Index, &Variable)> {
        let all = self.iter();
        all.map(|(index, variable)| (variable.name.as_str(), (index, variable)))
            .collect()
    }

    /// Every tensor's dimensions by its name.
    pub fn shapes(&self) -> BTreeMap<&str, &[usize]> {
        let all = self.variables.iter();
        all.map(|variable| (variable.name.as_str(), variable.shape.as_slice()))
            .collect()
    }

    /// All tensors of a buffer.
    pub fn download(&self, buffer: &Buffer) -> Result<Weights> {
        let tensors = self.variables.iter().map(|variable| {
            let values = buffer.at(variable.slot).download()?;
            Ok((variable.name.clone(), variable.export(&values)))
        });
        tensors.collect::<Result<_>>().map(Weights)
    }

    /// Replaces the tensors that `weights` names; nothing where one of them does not fit.
    pub fn upload(&self, weights: &Weights, buffer: &Buffer) -> Result<()> {
        checks::known(weights, &self.shapes())?;
        let named = self.by_name();
        for (name, tensor) in &weights.0 {
            let (_, variable) = named[name.as_str()];
            buffer.at(variable.slot).upload(&variable.import(tensor))?;
        }
        Ok(())
    }
}
