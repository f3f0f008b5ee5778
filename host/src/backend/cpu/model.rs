//! Networks with their optimiser: what every learner does with its weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use super::block::Signal;
use super::buffers;
use super::network::Network;
use super::optimiser::State;
use super::parameter::Variable;
use super::tape::{Gradients, Node};
use crate::backend::checks;
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
    /// The networks with averaged weights, once there are any.
    pub averaged: Option<N>,
    state: State,
}

impl<N: Networks + Clone> Model<N> {
    /// The networks with their weights, all of them.
    pub fn new(networks: N, weights: &Weights) -> Result<Self> {
        let mut model = Self {
            networks,
            averaged: None,
            state: State::default(),
        };
        checks::complete(weights, &shapes(&model.networks))?;
        model.set_weights(weights)?;
        Ok(model)
    }

    /// Moves the weights.
    pub fn update(&mut self, mut gradients: Gradients, update: &Update) -> Result<()> {
        let mut parameters = Vec::new();
        for network in self.networks.all_mut() {
            let all = network.parameters_mut(&update.layer_rates);
            parameters.extend(all.map(|(parameter, factor)| (parameter, factor * update.rate)));
        }
        self.state.step(parameters, &mut gradients, update)
    }
}

impl<N: Networks + Clone> Learner for Model<N> {
    fn weights(&self) -> Result<Weights> {
        Ok(get(&self.networks))
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        set(&mut self.networks, weights)
    }

    fn optimiser_state(&self) -> Result<Weights> {
        Ok(self.state.export(&variables(&self.networks)))
    }

    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()> {
        self.state = State::import(&variables(&self.networks), state)?;
        Ok(())
    }

    fn average(&mut self, decay: f64) -> Result<()> {
        let Some(averaged) = &mut self.averaged else {
            self.averaged = Some(self.networks.clone());
            return Ok(());
        };
        let present = self.networks.all().into_iter().flat_map(Network::variables);
        let averaged = averaged.all_mut().into_iter();
        for (averaged, present) in averaged.flat_map(Network::variables_mut).zip(present) {
            averaged.approach(present, decay as f32);
        }
        Ok(())
    }

    fn averaged(&self) -> Result<Option<Weights>> {
        Ok(self.averaged.as_ref().map(get))
    }

    fn set_averaged(&mut self, weights: &Weights) -> Result<()> {
        checks::complete(weights, &shapes(&self.networks))?;
        let mut averaged = self.networks.clone();
        set(&mut averaged, weights)?;
        self.averaged = Some(averaged);
        Ok(())
    }
}

/// Every tensor by name.
fn variables(networks: &impl Networks) -> BTreeMap<&str, &Variable> {
    let all = networks.all().into_iter();
    all.flat_map(Network::variables)
        .map(|variable| (variable.name.as_str(), variable))
        .collect()
}

/// Every tensor's dimensions by its name.
fn shapes(networks: &impl Networks) -> BTreeMap<&str, &[usize]> {
    let all = networks.all().into_iter();
    all.flat_map(Network::variables)
        .map(|variable| (variable.name.as_str(), variable.shape.as_slice()))
        .collect()
}

fn get(networks: &impl Networks) -> Weights {
    let named = variables(networks).into_iter();
    let named = named.map(|(name, variable)| (name.to_owned(), variable.get()));
    Weights(named.collect())
}

/// Replaces the tensors that `weights` names; nothing where one of them does not fit.
fn set(networks: &mut impl Networks, weights: &Weights) -> Result<()> {
    checks::known(weights, &shapes(networks))?;
    let all = networks.all_mut().into_iter();
    for variable in all.flat_map(Network::variables_mut) {
        if let Some(tensor) = weights.0.get(&variable.name) {
            variable.set(tensor);
        }
    }
    Ok(())
}

/// A batch as the first layer's input.
pub fn input(batch: &Batch) -> Result<Signal> {
    let shape = checks::images(batch)?;
    let values = batch.values()?;
    let mut pixels = buffers::take(values.len());
    pixels.copy_from_slice(values);
    Ok(Signal {
        shape,
        node: Node::constant(pixels),
    })
}

/// The values of a signal, copied only where a tape still shares them.
pub fn values(signal: Signal) -> Vec<f32> {
    match Arc::try_unwrap(signal.node.values) {
        Ok(values) => values.into_vec(),
        Err(shared) => shared.to_vec(),
    }
}
