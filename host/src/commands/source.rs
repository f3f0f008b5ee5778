//! Where a run's images come from: a folder, or the built-in scenes.

use anyhow::{Result, ensure};

use super::config::Config;
use crate::data::{Dataset, folder, scenes};
use crate::files;
use crate::train::progress::Progress;

/// Which images a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Labelled ones to learn from.
    pub train: bool,
    /// Labelled ones to evaluate on.
    pub val: bool,
    /// Unlabelled ones.
    pub unlabelled: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Self = Self {
        train: true,
        val: true,
        unlabelled: true,
    };
    /// What pre-training reads.
    pub const UNLABELLED: Self = Self {
        train: false,
        val: false,
        unlabelled: true,
    };
    /// What fine-tuning reads.
    pub const LABELLED: Self = Self {
        train: true,
        val: true,
        unlabelled: false,
    };
    /// What calibration reads.
    pub const TRAIN: Self = Self {
        train: true,
        val: false,
        unlabelled: false,
    };
    /// What an evaluation reads.
    pub const VAL: Self = Self {
        train: false,
        val: true,
        unlabelled: false,
    };
}

/// Loads the images that `config` names.
pub fn load(config: &Config, parts: Parts, progress: Progress) -> Result<Dataset> {
    match &config.data {
        Some(root) => {
            let bar = progress.bar("images", 0, "files");
            let labels = config
                .finetune
                .as_ref()
                .map_or(0, |finetune| finetune.labels_per_class);
            let options = folder::Options {
                train: parts.train,
                val: parts.val,
                unlabelled: parts.unlabelled,
                labels_per_class: labels,
                max_unlabelled: (config.unlabelled > 0).then_some(config.unlabelled),
                cache: files::cache(),
                ..folder::Options::default()
            };
            let data = folder::read(root, &options, &bar)?;
            bar.finish_and_clear();
            tell_skipped(&data, progress);
            if parts.train {
                tell_unlabelled_classes(&data, progress);
            }
            Ok(data)
        }
        None => Ok(scenes::dataset(&scenes(config, parts)?)),
    }
}

/// How many scenes are drawn: enough to train on in a few minutes.
fn scenes(config: &Config, parts: Parts) -> Result<scenes::Options> {
    const TRAIN_PER_CLASS: usize = 64;
    const VAL_PER_CLASS: usize = 100;
    const UNLABELLED: usize = 4000;
    // They lie in memory, 28 KB each.
    const MOST: usize = 100_000;
    let labels = config
        .finetune
        .as_ref()
        .map_or(0, |finetune| finetune.labels_per_class);
    let unlabelled = match config.unlabelled {
        0 => UNLABELLED,
        some => some,
    };
    for (name, value, most) in [
        ("unlabelled", unlabelled, MOST),
        ("finetune.labels_per_class", labels, MOST / scenes::CLASSES),
    ] {
        ensure!(
            value <= most,
            "{name} is {value}; of the built-in scenes at most {most} are drawn"
        );
    }
    let wanted = |part: bool, count: usize| if part { count } else { 0 };
    Ok(scenes::Options {
        seed: config.scenes_seed.unwrap_or(config.seed),
        train_per_class: wanted(parts.train, TRAIN_PER_CLASS.max(labels)),
        val_per_class: wanted(parts.val, VAL_PER_CLASS),
        unlabelled: wanted(parts.unlabelled, unlabelled),
    })
}

/// Names the first files that could not be read, and counts them all.
fn tell_skipped(data: &Dataset, progress: Progress) {
    const NAMED: usize = 10;
    for skipped in data.skipped.iter().take(NAMED) {
        progress.tell(&format!(
            "skipped {}: {}",
            skipped.file.display(),
            skipped.reason
        ));
    }
    if data.skipped.len() > NAMED {
        progress.tell(&format!("… and {} more files", data.skipped.len() - NAMED));
    }
    if !data.skipped.is_empty() {
        progress.tell(&format!(
            "skipped {} unreadable files in all",
            data.skipped.len()
        ));
    }
}

/// Names the classes that have no training image.
fn tell_unlabelled_classes(data: &Dataset, progress: Progress) {
    let names = data.classes.iter().enumerate();
    let without: Vec<_> = names
        .filter(|(class, _)| !data.train.labels.contains(class))
        .map(|(_, name)| name.as_str())
        .collect();
    if !without.is_empty() {
        progress.tell(&format!(
            "no labelled training images of {} of {} classes: {}",
            without.len(),
            data.classes.len(),
            without.join(", ")
        ));
    }
}
