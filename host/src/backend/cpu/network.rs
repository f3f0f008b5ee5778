//! A sequence of layers, built from their description.

use anyhow::Result;
use dfdx::tensor::NoneTape;
use vae96::{Layer, Shape};

use super::block::{Block, MOMENTUM, Signal};
use super::parameter::{Parameter, Variable};
use super::tape::Recording;
use crate::backend::LayerRates;
use crate::backend::description::Described;

/// Layers, one after the other.
#[derive(Clone, Debug)]
pub struct Network {
    blocks: Vec<Block>,
    /// The shape it makes of the input it was built for.
    pub output: Shape,
}

impl Network {
    /// The network of `layers` for inputs of shape `input`, with weights of zero.
    pub fn new(layers: &[Layer], input: Shape, classes: usize) -> Result<Self> {
        let (layers, output) = Described::sequence(layers, input, classes)?;
        Ok(Self {
            blocks: layers.into_iter().map(Block::new).collect(),
            output,
        })
    }

    /// Every tensor.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.blocks.iter().flat_map(Block::variables)
    }

    /// Every tensor, to be replaced.
    pub fn variables_mut(&mut self) -> impl Iterator<Item = &mut Variable> {
        self.blocks.iter_mut().flat_map(Block::variables_mut)
    }

    /// What gradients move, with the factor of its layer's rate; nothing whose factor is 0.
    pub fn parameters_mut<'a>(
        &'a mut self,
        rates: &'a LayerRates,
    ) -> impl Iterator<Item = (&'a mut Parameter, f64)> {
        let learning = self.blocks.iter_mut().filter_map(|block| {
            let rate = rates.of(block.name());
            (rate != 0.0).then_some((block, rate))
        });
        learning
            .flat_map(|(block, rate)| block.parameters_mut().into_iter().map(move |p| (p, rate)))
    }

    /// The shape it makes of an input of another shape than it was built for; an error where a
    /// layer refuses it.
    pub fn check(&self, input: Shape) -> Result<Shape> {
        (self.blocks.iter()).try_fold(input, |shape, block| block.output(shape))
    }

    /// All layers in training; nothing is recorded before the first that learns.
    pub fn train(
        &mut self,
        tape: &mut Recording,
        input: Signal,
        rates: &LayerRates,
    ) -> Result<Signal> {
        let learns = |block: &Block| block.has_weights() && rates.of(block.name()) != 0.0;
        let frozen = if input.node.key.is_some() {
            0
        } else {
            let first = self.blocks.iter().position(learns);
            first.unwrap_or(self.blocks.len())
        };
        let (frozen, learning) = self.blocks.split_at_mut(frozen);
        let features = (frozen.iter_mut()).try_fold(input, |signal, block| {
            block.train(&mut NoneTape, &signal, MOMENTUM)
        })?;
        (learning.iter_mut()).try_fold(features, |signal, block| {
            block.train(tape, &signal, MOMENTUM)
        })
    }

    /// Nothing but BatchNorm's running statistics, which take in a share of `momentum` of a batch's.
    pub fn follow(&mut self, input: Signal, momentum: f64) -> Result<()> {
        (self.blocks.iter_mut()).try_fold(input, |signal, block| {
            block.train(&mut NoneTape, &signal, momentum)
        })?;
        Ok(())
    }

    /// All layers in use.
    pub fn infer(&self, input: Signal) -> Result<Signal> {
        (self.blocks.iter()).try_fold(input, |signal, block| block.infer(&signal))
    }
}
