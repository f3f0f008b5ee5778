//! All that a training needs to go on as if it had never stopped: weights and their average,
//! optimiser state, the best weights so far, the epoch's sums, the count of steps. The order of the images, their
//! augmentation and the VAE's noise follow from the seed and that count.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::metrics::{Record, Sums};
use crate::backend::{Metadata, Weights};

/// The best weights so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The score that made them the best; higher is better.
    pub score: f64,
    /// The epoch they ended, counted from 1.
    pub epoch: usize,
    /// The weights.
    pub weights: Weights,
}

/// The state of a training between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps done.
    pub step: usize,
    /// The weights.
    pub weights: Weights,
    /// The optimiser's state.
    pub optimiser: Weights,
    /// The averaged weights, where there are any.
    pub averaged: Option<Weights>,
    /// What the task keeps besides.
    pub state: Weights,
    /// The best weights so far.
    pub best: Option<Best>,
    /// The records of the epochs that ended.
    pub records: Vec<Record>,
    /// The sums of the epoch that goes on.
    pub sums: Sums,
}

/// What of a checkpoint is not a tensor.
#[derive(Serialize, Deserialize)]
struct State {
    step: usize,
    best: Option<(f64, usize)>,
    records: Vec<Record>,
    sums: Sums,
}

const STATE: &str = "state";
const TASK: &str = "task/";
const AVERAGED: &str = "averaged/";
const WEIGHTS: &str = "weights/";
const OPTIMISER: &str = "optimiser/";
const BEST: &str = "best/";

impl Checkpoint {
    /// Writes it, beside its place first and renamed into it when whole.
    pub fn save(&self, path: &Path) -> Result<()> {
        let state = State {
            step: self.step,
            best: self.best.as_ref().map(|best| (best.score, best.epoch)),
            records: self.records.clone(),
            sums: self.sums.clone(),
        };
        let mut tensors = Weights::default();
        let best = self.best.as_ref().map(|best| (BEST, &best.weights));
        let averaged = self.averaged.as_ref().map(|averaged| (AVERAGED, averaged));
        let parts = [
            (WEIGHTS, &self.weights),
            (OPTIMISER, &self.optimiser),
            (TASK, &self.state),
        ];
        for (prefix, part) in parts.into_iter().chain(best).chain(averaged) {
            let named =
                |(name, tensor): (&String, &_)| (format!("{prefix}{name}"), Clone::clone(tensor));
            tensors.0.extend(part.0.iter().map(named));
        }
        let metadata = Metadata::from([(STATE.to_owned(), serde_json::to_string(&state)?)]);
        tensors.save(path, &metadata)
    }

    /// Reads one.
    pub fn load(path: &Path) -> Result<Self> {
        let (mut tensors, metadata) = Weights::load(path)?;
        let state: State = metadata
            .get(STATE)
            .and_then(|state| serde_json::from_str(state).ok())
            .with_context(|| format!("{} is not a checkpoint of a training", path.display()))?;
        let mut part = |prefix: &str| {
            let names: Vec<_> = tensors
                .0
                .keys()
                .filter(|name| name.starts_with(prefix))
                .cloned()
                .collect();
            let tensors = names.into_iter().filter_map(|name| {
                let tensor = tensors.0.remove(&name)?;
                Some((name[prefix.len()..].to_owned(), tensor))
            });
            Weights(tensors.collect())
        };
        Ok(Self {
            step: state.step,
            weights: part(WEIGHTS),
            optimiser: part(OPTIMISER),
            averaged: Some(part(AVERAGED)).filter(|averaged| !averaged.0.is_empty()),
            state: part(TASK),
            best: state.best.map(|(score, epoch)| Best {
                score,
                epoch,
                weights: part(BEST),
            }),
            records: state.records,
            sums: state.sums,
        })
    }
}
