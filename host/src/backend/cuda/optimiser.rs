//! What the rules that move weights remember, tensor by tensor.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::memory::Buffer;
use super::network::Memory;
use super::ops::Gpu;
use super::ops::optimiser::{Adam, AdamMove, Move, Moved, norm_scratch};
use super::pack::{Index, Pack};
use crate::backend::checks;
use crate::backend::{Optimiser, Tensor, Update, Weights};

/// PyTorch's names of the memories.
const MEAN: &str = "exp_avg";
const SQUARE: &str = "exp_avg_sq";
const STEPS: &str = "step";
const VELOCITY: &str = "momentum_buffer";

/// The memories of all tensors of a pack.
#[derive(Default)]
pub struct State {
    rules: BTreeMap<Index, Rule>,
    moments: Option<Moments>,
}

/// Which rule a tensor's memories are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Adam { steps: u64 },
    Sgd,
}

/// Two values for each of the tensors: mean and square of Adam, the velocity of SGD.
struct Moments {
    first: Buffer,
    second: Buffer,
}

impl Moments {
    fn new(gpu: &Gpu, pack: &Pack) -> Result<Self> {
        let [first, second] = [(); 2].map(|()| gpu.filled(pack.len(), 0.0));
        Ok(Self {
            first: first?,
            second: second?,
        })
    }
}

/// How a tensor moves whose layer has that factor of the rate.
fn move_of(memory: Memory, index: Index, factor: f64, update: &Update) -> Move {
    let variable = memory.pack.get(index);
    let rate = factor * update.rate;
    let decay = match variable.decays {
        true => rate * update.weight_decay,
        false => 0.0,
    };
    Move {
        slot: variable.slot,
        keep: (1.0 - decay) as f32,
        rate,
    }
}

/// Values of scratch memory that a step needs: the clipping's scale, and parts of the norm.
pub fn scratch(pack: &Pack) -> usize {
    2 + norm_scratch(pack.iter().map(|(_, variable)| variable.slot.len))
}

impl State {
    /// The moments of all tensors, once there are any.
    fn moments(&mut self, memory: Memory) -> Result<&Moments> {
        let moments = match self.moments.take() {
            Some(moments) => moments,
            None => Moments::new(memory.gpu, memory.pack)?,
        };
        Ok(self.moments.insert(moments))
    }

    /// Counts a step of a tensor by Adam: its number, from 1. What another rule has left of its
    /// moments is forgotten.
    fn count(&mut self, memory: Memory, index: Index) -> Result<u64> {
        let before = match self.rules.get(&index) {
            Some(Rule::Adam { steps }) => *steps,
            Some(Rule::Sgd) => {
                let slot = memory.pack.get(index).slot;
                let Moments { first, second } = self.moments(memory)?;
                memory.gpu.fill(first.at(slot), 0.0)?;
                memory.gpu.fill(second.at(slot), 0.0)?;
                0
            }
            None => 0,
        };
        let steps = before + 1;
        self.rules.insert(index, Rule::Adam { steps });
        Ok(steps)
    }

    /// How a tensor moves by a gradient that nobody keeps, by that rule; its step is counted.
    pub fn moving<'a>(
        &'a mut self,
        memory: Memory<'a>,
        index: Index,
        factor: f64,
        update: &Update,
        rule: Adam,
    ) -> Result<AdamMove<'a>> {
        let steps = self.count(memory, index)?;
        let step = move_of(memory, index, factor, update);
        let Moments { first, second } = self.moments(memory)?;
        Ok(AdamMove {
            values: memory.values.whole(),
            moments: [first.whole(), second.whole()],
            step,
            steps,
            rule,
        })
    }

    /// Moves each tensor that got a gradient, at its own rate.
    pub fn step(
        &mut self,
        memory: Memory,
        gradients: &Buffer,
        learned: &[(Index, f64)],
        update: &Update,
    ) -> Result<()> {
        let gpu = memory.gpu;
        let moves: Vec<_> = (learned.iter())
            .map(|&(index, factor)| move_of(memory, index, factor, update))
            .collect();
        let gradients = gradients.whole();
        let scale = match update.clip_norm {
            Some(limit) => {
                let slots: Vec<_> = moves.iter().map(|step| step.slot).collect();
                let scale = memory.at(memory.scratch.first(1));
                let parts = norm_scratch(slots.iter().map(|slot| slot.len));
                let parts = memory.at(memory.scratch.part(2, parts));
                gpu.clip(gradients, &slots, limit, parts, scale)?;
                Some(scale)
            }
            None => None,
        };
        let moved = Moved {
            values: memory.values.whole(),
            gradients,
            scale,
        };
        match update.optimiser {
            Optimiser::AdamW { betas, epsilon } => {
                let mut steps = Vec::with_capacity(moves.len());
                for (&(index, _), &step) in learned.iter().zip(&moves) {
                    steps.push((step, self.count(memory, index)?));
                }
                let Moments { first, second } = self.moments(memory)?;
                let both = [first.whole(), second.whole()];
                gpu.adam(moved, both, &steps, Adam { betas, epsilon })?;
            }
            Optimiser::Sgd { momentum } => {
                for &(index, _) in learned {
                    if let Some(Rule::Adam { .. }) = self.rules.get(&index) {
                        let slot = memory.pack.get(index).slot;
                        gpu.fill(self.moments(memory)?.first.at(slot), 0.0)?;
                    }
                }
                let velocity = self.moments(memory)?.first.whole();
                gpu.sgd(moved, velocity, &moves, momentum)?;
                let rules = learned.iter().map(|&(index, _)| (index, Rule::Sgd));
                self.rules.extend(rules);
            }
        }
        Ok(())
    }

    /// The state under PyTorch's names, `conv1.weight.exp_avg`, and in its layouts.
    pub fn export(&self, pack: &Pack) -> Result<Weights> {
        let mut state = Weights::default();
        let Some(moments) = &self.moments else {
            return Ok(state);
        };
        for (index, rule) in &self.rules {
            let variable = pack.get(*index);
            let mut put = |what: &str, tensor| {
                state.0.insert(format!("{}.{what}", variable.name), tensor);
            };
            let of = |buffer: &Buffer| -> Result<Tensor> {
                Ok(variable.export(&buffer.at(variable.slot).download()?))
            };
            match rule {
                Rule::Adam { steps } => {
                    put(MEAN, of(&moments.first)?);
                    put(SQUARE, of(&moments.second)?);
                    put(STEPS, Tensor::new([], vec![*steps as f32]));
                }
                Rule::Sgd => put(VELOCITY, of(&moments.first)?),
            }
        }
        Ok(state)
    }

    /// The state that [`export`](Self::export) gave, or the other backend.
    pub fn import(gpu: &Gpu, pack: &Pack, state: &Weights) -> Result<Self> {
        let moments = Moments::new(gpu, pack)?;
        let mut rules = BTreeMap::new();
        let named = pack.by_name();
        for (key, tensor) in &state.0 {
            let parts = key.rsplit_once('.');
            let known = parts.and_then(|(name, what)| Some((*named.get(name)?, what)));
            let Some(((index, variable), what)) = known else {
                bail!(
                    "the optimiser's state has {key}, which belongs to no weight of this network"
                );
            };
            if what != STEPS {
                checks::shape(key, tensor, &variable.shape)?;
            }
            let rule = match what {
                MEAN | SQUARE | STEPS => Rule::Adam { steps: 0 },
                VELOCITY => Rule::Sgd,
                _ => bail!("the optimiser's state {key} is of no known rule"),
            };
            let found = rules.entry(index).or_insert(rule);
            match (found, what) {
                (Rule::Adam { steps }, STEPS) if tensor.data.len() == 1 => {
                    *steps = tensor.data[0] as u64;
                }
                (Rule::Adam { .. }, MEAN | SQUARE) | (Rule::Sgd, VELOCITY) => {
                    let buffer = match what {
                        SQUARE => &moments.second,
                        _ => &moments.first,
                    };
                    buffer.at(variable.slot).upload(&variable.import(tensor))?;
                }
                _ => bail!("the optimiser's state {key} does not fit its others"),
            }
        }
        Ok(Self {
            rules,
            moments: Some(moments),
        })
    }
}
