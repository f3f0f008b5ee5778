//! The rules that move weights, and their state.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};

use super::gradient::Gradient;
use super::parallel::vectorised;
use super::parameter::{Parameter, Variable};
use super::tape::Gradients;
use crate::backend::checks;
use crate::backend::{Optimiser, Tensor, Update, Weights};

/// What a rule remembers of each parameter, by its name, in our layout.
#[derive(Clone, Debug, Default)]
pub struct State(BTreeMap<String, Memory>);

#[derive(Clone, Debug)]
enum Memory {
    Adam {
        steps: u64,
        mean: Vec<f32>,
        square: Vec<f32>,
    },
    Sgd {
        velocity: Vec<f32>,
    },
}

/// PyTorch's names of the memories.
const MEAN: &str = "exp_avg";
const SQUARE: &str = "exp_avg_sq";
const STEPS: &str = "step";
const VELOCITY: &str = "momentum_buffer";

impl State {
    /// Moves each parameter that the loss depends on, at its own rate.
    pub fn step(
        &mut self,
        parameters: Vec<(&mut Parameter, f64)>,
        gradients: &mut Gradients,
        update: &Update,
    ) -> Result<()> {
        let mut moves = Vec::with_capacity(parameters.len());
        for (parameter, rate) in parameters {
            let name = &parameter.variable.name;
            let rows = parameter.variable.shape[0];
            let gradient = parameter
                .key
                .take(gradients, rows)
                .map_err(|error| anyhow!("dfdx's gradient of {name}: {error:?}"))?;
            if !gradient.is_empty() {
                moves.push((parameter, rate, gradient));
            }
        }
        let mut scale = 1.0;
        if let Some(limit) = update.clip_norm {
            let mut squares = 0.0;
            for (.., gradient) in &mut moves {
                squares += gradient.sum_of_squares();
            }
            scale = (limit / f64::sqrt(squares)).min(1.0);
        }
        for (parameter, rate, gradient) in moves {
            let decay = if parameter.decays {
                rate * update.weight_decay
            } else {
                0.0
            };
            let values = Arc::make_mut(&mut parameter.variable.values);
            let len = values.len();
            let move_ = Move {
                values,
                gradient,
                scale: scale as f32,
                keep: (1.0 - decay) as f32,
                rate,
            };
            let memory = self.0.entry(parameter.variable.name.clone());
            match update.optimiser {
                Optimiser::AdamW { betas, epsilon } => {
                    let memory = memory.or_insert_with(|| Memory::adam(len));
                    move_.adam(memory, betas, epsilon);
                }
                Optimiser::Sgd { momentum } => {
                    let memory = memory.or_insert_with(|| Memory::sgd(len));
                    move_.sgd(memory, momentum);
                }
            }
        }
        Ok(())
    }

    /// The state under PyTorch's names, `conv1.weight.exp_avg`, and in its layouts.
    pub fn export(&self, variables: &BTreeMap<&str, &Variable>) -> Weights {
        let mut state = BTreeMap::new();
        for (name, memory) in &self.0 {
            let Some(variable) = variables.get(name.as_str()) else {
                continue;
            };
            let mut put = |what, tensor| state.insert(format!("{name}.{what}"), tensor);
            match memory {
                Memory::Adam {
                    steps,
                    mean,
                    square,
                } => {
                    put(MEAN, variable.export(mean));
                    put(SQUARE, variable.export(square));
                    put(STEPS, Tensor::new([], vec![*steps as f32]));
                }
                Memory::Sgd { velocity } => {
                    put(VELOCITY, variable.export(velocity));
                }
            }
        }
        Weights(state)
    }

    /// The state that [`export`](Self::export) gave.
    pub fn import(variables: &BTreeMap<&str, &Variable>, state: &Weights) -> Result<Self> {
        let mut memories = BTreeMap::new();
        for (key, tensor) in &state.0 {
            let parts = key.rsplit_once('.');
            let known = parts.and_then(|(name, what)| Some((*variables.get(name)?, what)));
            let Some((variable, what)) = known else {
                bail!(
                    "the optimiser's state has {key}, which belongs to no weight of this network"
                );
            };
            if what != STEPS {
                checks::shape(key, tensor, &variable.shape)?;
            }
            let name = variable.name.clone();
            let values = || variable.import(tensor);
            let len = tensor.data.len();
            match what {
                MEAN | SQUARE | STEPS => {
                    let adam = || Memory::adam(variable.values.len());
                    let memory = memories.entry(name).or_insert_with(adam);
                    match (memory, what) {
                        (Memory::Adam { mean, .. }, MEAN) => *mean = values(),
                        (Memory::Adam { square, .. }, SQUARE) => *square = values(),
                        (Memory::Adam { steps, .. }, _) if len == 1 => {
                            *steps = tensor.data[0] as u64;
                        }
                        _ => bail!("the optimiser's state {key} does not fit its others"),
                    }
                }
                VELOCITY => {
                    let velocity = values();
                    let other = memories.insert(name, Memory::Sgd { velocity });
                    ensure!(
                        other.is_none(),
                        "the optimiser's state {key} is of two rules"
                    );
                }
                _ => bail!("the optimiser's state {key} is of no known rule"),
            }
        }
        Ok(Self(memories))
    }
}

impl Memory {
    fn adam(len: usize) -> Self {
        Self::Adam {
            steps: 0,
            mean: vec![0.0; len],
            square: vec![0.0; len],
        }
    }

    fn sgd(len: usize) -> Self {
        Self::Sgd {
            velocity: vec![0.0; len],
        }
    }
}

/// One parameter's move.
struct Move<'a> {
    values: &'a mut [f32],
    gradient: Gradient,
    /// What clipping leaves of the gradient.
    scale: f32,
    /// What decay leaves of the values.
    keep: f32,
    rate: f64,
}

impl Move<'_> {
    /// Adam (Kingma and Ba, 2015), the decay apart from the gradient (Loshchilov and Hutter, 2019).
    fn adam(self, memory: &mut Memory, betas: [f64; 2], epsilon: f64) {
        if !matches!(memory, Memory::Adam { .. }) {
            *memory = Memory::adam(self.values.len());
        }
        let Memory::Adam {
            steps,
            mean,
            square,
        } = memory
        else {
            return;
        };
        *steps += 1;
        let correction = betas.map(|beta| 1.0 - beta.powf(*steps as f64));
        let rate = (self.rate / correction[0]) as f32;
        let root = correction[1].sqrt() as f32;
        let [b1, b2] = betas.map(|beta| beta as f32);
        let [c1, c2] = betas.map(|beta| (1.0 - beta) as f32);
        let (scale, keep, epsilon) = (self.scale, self.keep, epsilon as f32);
        let arrays = [self.values, mean, square];
        self.gradient
            .zip(arrays, |[values, mean, square], gradient| {
                let memory = mean.iter_mut().zip(square);
                let values = values.iter_mut().zip(memory).zip(gradient);
                vectorised!({
                    values.for_each(|((value, (m, v)), g)| {
                        let g = g * scale;
                        *m = b1 * *m + c1 * g;
                        *v = b2 * *v + c2 * g * g;
                        *value = *value * keep - rate * *m / (v.sqrt() / root + epsilon);
                    });
                });
            });
    }

    /// Momentum as PyTorch has it: `v ← momentum · v + g`, `w ← w − rate · v`.
    fn sgd(self, memory: &mut Memory, momentum: f64) {
        if !matches!(memory, Memory::Sgd { .. }) {
            *memory = Memory::sgd(self.values.len());
        }
        let Memory::Sgd { velocity } = memory else {
            return;
        };
        let (scale, keep) = (self.scale, self.keep);
        let (momentum, rate) = (momentum as f32, self.rate as f32);
        let arrays = [self.values, velocity];
        self.gradient.zip(arrays, |[values, velocity], gradient| {
            let values = values.iter_mut().zip(velocity).zip(gradient);
            vectorised!({
                values.for_each(|((value, v), g)| {
                    *v = momentum * *v + g * scale;
                    *value = *value * keep - rate * *v;
                });
            });
        });
    }
}
