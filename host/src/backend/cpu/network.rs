//! A sequence of layers, built from their description.

use anyhow::{Result, ensure};
use dfdx::tensor::NoneTape;
use vae96::{Layer, Op, Shape};

use super::block::{Block, Signal};
use super::parameter::{Parameter, Variable};
use super::tape::{Recording, Tape};

/// Layers, one after the other.
#[derive(Debug)]
pub struct Network {
    blocks: Vec<Block>,
    /// The shape it makes of the input it was built for.
    pub output: Shape,
}

impl Network {
    /// The network of `layers` for inputs of shape `input`, with weights of zero.
    pub fn new(layers: &'static [Layer], input: Shape, classes: usize) -> Result<Self> {
        let mut shape = input;
        let mut blocks = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            if let Op::Unflatten { .. } = layer.op {
                let before = index.checked_sub(1).map(|before| layers[before].op);
                ensure!(
                    matches!(before, Some(Op::Linear { .. })),
                    "layer {} makes a plane of something else than a linear layer",
                    layer.name
                );
            }
            let next = layers.get(index + 1).map(|next| next.op);
            blocks.push(Block::new(*layer, shape, classes, next)?);
            shape = layer.output(shape, classes);
        }
        Ok(Self {
            blocks,
            output: shape,
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

    /// What gradients move.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.blocks.iter_mut().flat_map(Block::parameters_mut)
    }

    /// The shape it makes of an input of another shape than it was built for; an error where a
    /// layer refuses it.
    pub fn check(&self, input: Shape) -> Result<Shape> {
        (self.blocks.iter()).try_fold(input, |shape, block| block.output(shape))
    }

    /// All layers in training.
    pub fn train<T: Tape>(&mut self, tape: &mut T, input: Signal) -> Result<Signal> {
        (self.blocks.iter_mut()).try_fold(input, |signal, block| block.train(tape, &signal))
    }

    /// All layers in training, without a recording unless they are to learn.
    pub fn train_if(&mut self, learn: bool, tape: &mut Recording, input: Signal) -> Result<Signal> {
        if learn {
            self.train(tape, input)
        } else {
            self.train(&mut NoneTape, input)
        }
    }

    /// All layers in use.
    pub fn infer(&self, input: Signal) -> Result<Signal> {
        (self.blocks.iter()).try_fold(input, |signal, block| block.infer(&signal))
    }
}
