//! Networks with their optimiser: what every learner does with its weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use vae96::Shape;

use super::block::Signal;
use super::network::Network;
use super::optimiser::State;
use super::parameter::Variable;
use super::tape::{Gradients, Node};
use crate::backend::{Batch, Learner, Update, Weights};

/// The networks of a model.
pub trait Networks {
    /// All of them, the encoder first.
    fn all(&self) -> Vec<&Network>;

    /// All of them, the encoder first.
    fn all_mut(&mut self) -> Vec<&mut Network>;
}

/// Networks that learn.
#[derive(Debug)]
pub struct Model<N> {
    /// The networks.
    pub networks: N,
    state: State,
}

impl<N: Networks> Model<N> {
    /// The networks with their weights, all of them.
    pub fn new(networks: N, weights: &Weights) -> Result<Self> {
        let mut model = Self {
            networks,
            state: State::default(),
        };
        for variable in model.variables().values() {
            ensure!(
                weights.0.contains_key(&variable.name),
                "the weights lack {} of shape {:?}",
                variable.name,
                variable.shape
            );
        }
        model.set_weights(weights)?;
        Ok(model)
    }

    /// Moves the weights.
    pub fn update(&mut self, mut gradients: Gradients, update: &Update) -> Result<()> {
        let mut parameters = Vec::new();
        for (index, network) in self.networks.all_mut().into_iter().enumerate() {
            let rate = if index == 0 { update.encoder_rate } else { 1.0 };
            if rate != 0.0 {
                parameters.extend(network.parameters_mut().map(|p| (p, rate * update.rate)));
            }
        }
        self.state.step(parameters, &mut gradients, update)
    }

    fn variables(&self) -> BTreeMap<&str, &Variable> {
        let all = self.networks.all().into_iter();
        all.flat_map(Network::variables)
            .map(|variable| (variable.name.as_str(), variable))
            .collect()
    }
}

impl<N: Networks> Learner for Model<N> {
    fn weights(&self) -> Result<Weights> {
        let named = self.variables().into_iter();
        let named = named.map(|(name, variable)| (name.to_owned(), variable.get()));
        Ok(Weights(named.collect()))
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        let variables = self.variables();
        for (name, tensor) in &weights.0 {
            let Some(variable) = variables.get(name.as_str()) else {
                let known: Vec<_> = variables.keys().copied().collect();
                bail!(
                    "there is no tensor {name} (shape {:?}) in this network, only {}",
                    tensor.shape,
                    known.join(", ")
                );
            };
            variable.check(name, tensor)?;
        }
        let all = self.networks.all_mut().into_iter();
        for variable in all.flat_map(Network::variables_mut) {
            if let Some(tensor) = weights.0.get(&variable.name) {
                variable.set(tensor);
            }
        }
        Ok(())
    }

    fn optimiser_state(&self) -> Result<Weights> {
        Ok(self.state.export(&self.variables()))
    }

    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()> {
        self.state = State::import(&self.variables(), state)?;
        Ok(())
    }
}

/// A batch as the first layer's input.
pub fn input(batch: &Batch) -> Result<Signal> {
    let shape = Shape::plane(batch.side, batch.side, 3);
    ensure!(
        batch.count > 0 && !shape.is_empty() && batch.pixels.len() == batch.count * shape.len(),
        "a batch of {} images of {shape} holds {} values, not {}",
        batch.count,
        batch.count * shape.len(),
        batch.pixels.len()
    );
    Ok(Signal {
        shape,
        node: Node::constant(batch.pixels.clone()),
    })
}

/// The values of a signal, copied only where a tape still shares them.
pub fn values(signal: Signal) -> Vec<f32> {
    match Arc::try_unwrap(signal.node.values) {
        Ok(values) => values.into_vec(),
        Err(shared) => shared.to_vec(),
    }
}
