//! What the rules that move weights remember, tensor by tensor.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::memory::{Buffer, Slot, Span};
use super::network::Memory;
use super::ops::Gpu;
use super::ops::optimiser::{Adam, Move, norm_scratch};
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

/// Values of scratch memory that a step needs: the clipping's scale, and parts of the norm.
pub fn scratch(pack: &Pack) -> usize {
    2 + norm_scratch(pack.iter().map(|(_, variable)| variable.slot.len))
}

impl State {
    /// Moves each tensor that got a gradient, at its own rate.
    pub fn step(
        &mut self,
        memory: Memory,
        gradients: &Buffer,
        learned: &[(Index, f64)],
        update: &Update,
    ) -> Result<()> {
        let gpu = memory.gpu;
        let slot = |index: Index| memory.pack.get(index).slot;
        let scale = match update.clip_norm {
            Some(limit) => {
                let gradients: Vec<_> = (learned.iter())
                    .map(|(index, _)| gradients.at(slot(*index)))
                    .collect();
                let part = |start, len| memory.at(memory.scratch.part(2 + start, len));
                let scale = memory.at(memory.scratch.first(1));
                gpu.clip(&gradients, limit, part, scale)?;
                Some(scale)
            }
            None => None,
        };
        if self.moments.is_none() {
            self.moments = Some(Moments::new(gpu, memory.pack)?);
        }
        for &(index, factor) in learned {
            let rate = factor * update.rate;
            let decay = match memory.pack.get(index).decays {
                true => rate * update.weight_decay,
                false => 0.0,
            };
            let step = Move {
                values: memory.values.at(slot(index)),
                gradient: gradients.at(slot(index)),
                scale,
                keep: (1.0 - decay) as f32,
                rate,
            };
            self.move_one(gpu, index, slot(index), step, update.optimiser)?;
        }
        Ok(())
    }

    fn move_one(
        &mut self,
        gpu: &Gpu,
        index: Index,
        slot: Slot,
        step: Move,
        optimiser: Optimiser,
    ) -> Result<()> {
        let Some(moments) = &self.moments else {
            return Ok(());
        };
        let (first, second) = (moments.first.at(slot), moments.second.at(slot));
        let before = self.rules.get(&index).copied();
        let forget = |span: Span| gpu.fill(span, 0.0);
        match optimiser {
            Optimiser::AdamW { betas, epsilon } => {
                let steps = match before {
                    Some(Rule::Adam { steps }) => steps + 1,
                    Some(Rule::Sgd) => {
                        forget(first)?;
                        forget(second)?;
                        1
                    }
                    None => 1,
                };
                let rule = Adam {
                    betas,
                    epsilon,
                    steps,
                };
                gpu.adam(step, [first, second], rule)?;
                self.rules.insert(index, Rule::Adam { steps });
            }
            Optimiser::Sgd { momentum } => {
                if let Some(Rule::Adam { .. }) = before {
                    forget(first)?;
                }
                gpu.sgd(step, first, momentum)?;
                self.rules.insert(index, Rule::Sgd);
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
