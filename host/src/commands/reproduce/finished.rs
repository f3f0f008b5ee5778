//! What a finished training leaves in its folder.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::commands::folder::stages;
use crate::evaluate::Predictions;
use crate::files;
use crate::train::run::Folder;

/// The indices of the labelled images that a training was given, in the order of their files.
pub const LABELLED: &str = "labelled.json";

/// What a trained classifier says of all validation images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Share whose best class is their label, in [0, 1].
    pub top1: f64,
    /// Share whose label is among the best five, in [0, 1].
    pub top5: f64,
    /// Mean negative log-likelihood of the labels, in nats.
    pub loss: f64,
    /// How many they are.
    pub images: usize,
}

impl Finished {
    /// Of a classifier's predictions.
    pub fn of(predictions: &Predictions) -> Self {
        Self {
            top1: predictions.top_k(1),
            top5: predictions.top_k(5),
            loss: predictions.loss(),
            images: predictions.images(),
        }
    }

    /// What is in the folder of a training; nothing as long as it goes on.
    pub fn load(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.file(stages::RESULT);
        if !path.exists() {
            return Ok(None);
        }
        let finished = serde_json::from_str(&files::read_text(&path)?)
            .with_context(|| format!("{} is not the result of a training", path.display()))?;
        Ok(Some(finished))
    }

    /// Writes it there.
    pub fn save(&self, folder: &Folder) -> Result<()> {
        let text = serde_json::to_string(self)?;
        files::write(&folder.file(stages::RESULT), text.as_bytes())
    }
}

/// Removes the state to resume from, which a finished training has no use for: it takes three
/// times the place of the weights.
pub fn forget_checkpoint(folder: &Folder) -> Result<()> {
    let path = folder.checkpoint();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
