//! What a training measured, epoch by epoch.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;

/// Figures by name: `loss`, `reconstruction`, `kl`, `top1`, …
pub type Measures = BTreeMap<String, f64>;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The epoch that ended, counted from 1.
    pub epoch: usize,
    /// Steps done in all.
    pub step: usize,
    /// Learning rate of the epoch's last step.
    pub rate: f64,
    /// Means over the epoch's training images, as training saw them.
    pub train: Measures,
    /// Means over the images held out, with the weights at the epoch's end.
    pub val: Measures,
    /// How long the epoch took, in seconds.
    pub seconds: f64,
    /// Share of the time since training began or was resumed in which a step waited for its images.
    pub waiting: f64,
    /// When the epoch ended, in seconds since 1970.
    #[serde(default)]
    pub ended: f64,
}

/// One line of `steps.jsonl`: the loss of one batch, before its step moved the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done before it: 0 for the first.
    pub step: usize,
    /// Means over the batch's images.
    pub train: Measures,
}

/// Figures that add up over the images of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Images so far.
    pub images: usize,
    /// Sum of each figure over them.
    pub sums: Measures,
}

impl Sums {
    /// Adds the means over `images` more images.
    pub fn add(&mut self, images: usize, figures: &[(&str, f64)]) {
        self.images += images;
        for &(name, mean) in figures {
            *self.sums.entry(name.to_owned()).or_default() += images as f64 * mean;
        }
    }

    /// The mean of each figure.
    pub fn means(&self) -> Measures {
        let images = self.images.max(1) as f64;
        let mean = |(name, sum): (&String, &f64)| (name.clone(), sum / images);
        self.sums.iter().map(mean).collect()
    }
}

/// Reads the records of a training.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let text = files::read_text(path)?;
    let record = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("{}, line {}: not a record", path.display(), index + 1))
    };
    text.lines().enumerate().map(record).collect()
}

/// Reads the records of single steps; a line that was cut short counts as none.
pub fn read_steps(path: &Path) -> Result<Vec<StepRecord>> {
    let text = files::read_text(path)?;
    let records = text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    Ok(records.collect())
}

/// Writes all records anew: a resumed training forgets what came after its checkpoint.
pub fn rewrite(path: &Path, records: &[impl Serialize]) -> Result<()> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    files::write(path, text.as_bytes())
}

/// Adds a record.
pub fn append(path: &Path, record: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(record)? + "\n";
    files::append(path, line.as_bytes())
}
