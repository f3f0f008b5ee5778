//! `vae96 export`: the model file of a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vae96::model::WeightLayout;
use vae96::network::{Description, Kind};

use super::config::Config;
use super::folder::stages;
use super::source::{self, Parts};
use super::trained::Trained;
use super::{Answer, inspect};
use crate::cli::{ExportCommand, ExportKind, Target};
use crate::data::loader::{Loader, Samples};
use crate::data::{Dataset, Images};
use crate::evaluate::Aligned;
use crate::files;
use crate::quantise::{self, calibrate::Method};
use crate::train::finetune::chosen;
use crate::train::progress::Progress;

/// How a model file is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How the ranges of activations are chosen.
    pub method: Method,
    /// Images to calibrate on.
    pub images: usize,
    /// Whether the file has the classes' names.
    pub names: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::Mse,
            images: 512,
            names: true,
        }
    }
}

/// Exports a run.
pub fn run(arguments: &ExportCommand, progress: Progress) -> Result<Answer> {
    ensure!(
        arguments.calibration_images > 0,
        "--calibration-images is 0; it must be at least 1"
    );
    let options = Options {
        method: arguments.calibration,
        images: arguments.calibration_images,
        names: !arguments.no_names,
    };
    let encoder = arguments.kind == Some(ExportKind::Encoder);
    let stage = if encoder {
        stages::PRETRAIN
    } else {
        stages::FINETUNE
    };
    let trained = Trained::load(&arguments.run, stage)?;
    let mut config = config(&arguments.run)?;
    if let Some(data) = &arguments.data {
        config.data = Some(data.clone());
    }
    let file = if encoder || (arguments.kind.is_none() && trained.label.classifier.is_none()) {
        let data = source::load(&config, Parts::UNLABELLED, progress)?;
        self::encoder(&trained, &data.unlabelled, &options)?
    } else {
        let data = source::load(&config, Parts::TRAIN, progress)?;
        classifier(&trained, &config, &data, &options)?
    };
    let (file, note) = ordered(file, arguments.target)?;
    files::write(&arguments.out, &file)?;
    let needs = crate::evaluate::needs(&file)?;
    let summary = inspect::summary(&needs);
    let text = format!("{}: {summary}{note}", arguments.out.display());
    let json = json!({
        "model": arguments.out,
        "layout": needs.layout,
        "flash_bytes": needs.flash_bytes,
        "ram_bytes": needs.ram_bytes,
        "macs": needs.macs,
    });
    Ok(Answer { json, text })
}

/// The file with its weights as the target's kernels take them, and a note where they cannot.
fn ordered(file: Vec<u8>, target: Target) -> Result<(Vec<u8>, &'static str)> {
    let layout = match target {
        Target::Portable => return Ok((file, "")),
        Target::CortexM4 => WeightLayout::Packed,
    };
    let aligned = Aligned::new(&file);
    Ok(match quantise::order::order(aligned.bytes(), layout)? {
        Some(ordered) => (ordered, ""),
        None => (
            file,
            "; portable weights, for sums of this model are too great for packed ones",
        ),
    })
}

/// The configuration of the run that `path` is, or lies in.
pub fn config(path: &Path) -> Result<Config> {
    let found: Option<PathBuf> = path
        .ancestors()
        .take(3)
        .map(|folder| folder.join("config.toml"))
        .find(|file| file.exists());
    let file = found.with_context(|| {
        format!(
            "{} is not in the folder of a run: no config.toml in it or above it",
            path.display()
        )
    })?;
    Config::load(&file)
}

/// The model file of a classifier, calibrated on the labelled images it was trained on.
pub fn classifier(
    trained: &Trained,
    config: &Config,
    data: &Dataset,
    options: &Options,
) -> Result<Vec<u8>> {
    let (head, classes) = trained.head()?;
    ensure!(
        data.classes == classes,
        "the images are of the classes {}; the classifier tells {} apart",
        data.classes.join(", "),
        classes.join(", ")
    );
    let labels = config.finetune()?.labels_per_class;
    let chosen = chosen(data, labels, config.seed)?;
    let images = spread(&data.train.images, &chosen, options.images)?;
    let names: Vec<&str> = match options.names {
        true => classes.iter().map(String::as_str).collect(),
        false => Vec::new(),
    };
    let network = description(trained, Kind::classifier(head.into()))?;
    quantise::quantise(
        network,
        classes.len(),
        &names,
        &trained.weights,
        &images,
        options.method,
    )
}

/// The model file of an encoder, calibrated on unlabelled images.
fn encoder(trained: &Trained, images: &Images, options: &Options) -> Result<Vec<u8>> {
    let all: Vec<usize> = (0..images.len()).collect();
    let images = spread(images, &all, options.images)?;
    let network = description(trained, Kind::Encoder)?;
    quantise::quantise(network, 0, &[], &trained.weights, &images, options.method)
}

fn description(trained: &Trained, kind: Kind) -> Result<&'static Description> {
    let architecture = trained.label.network.architecture();
    Description::of(architecture, kind)
        .with_context(|| format!("no device runs the {kind} of {}", architecture.name))
}

/// At most `count` of the images, spread evenly over all of them.
fn spread(images: &Images, indices: &[usize], count: usize) -> Result<Vec<Vec<f32>>> {
    let step = indices.len().div_ceil(count).max(1);
    let some = indices.iter().copied().step_by(step).collect();
    Loader::evaluation(Samples::unlabelled(images, some), 1, vae96::SIDE)?
        .map(|loaded| Ok(loaded?.batch.pixels))
        .collect()
}
