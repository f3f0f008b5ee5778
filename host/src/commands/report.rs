//! Gathers what a run left in its folder, and writes the page that shows it.

use std::path::Path;

use anyhow::Result;
use toml::{Table, Value};

use super::config::Config;
use super::folder::stages;
use crate::data::{Dataset, IMAGE_BYTES, Labelled};
use crate::evaluate::{self, Predictions};
use crate::files;
use crate::report::{
    self, ClassifierCurve, ClassifierEpoch, DataSummary, LatentSpace, LayerRow, ModelSummary,
    Picture, Pretraining, Reconstructions, Report, ResultRow, VaeEpoch,
};
use crate::train::metrics::{self, Record};
use crate::train::pretrain::{LatentUse, read_sheet, show};
use crate::train::recipe::Keep;
use crate::train::run::Folder;

/// The page's name in a run's folder.
pub const PAGE: &str = "report.html";

/// Pairs of classes that the page shows as the most confused.
const CONFUSED_PAIRS: usize = 9;
/// Example images of each.
const EXAMPLES: usize = 4;
/// Bins of a reliability diagram, as in the literature.
const BINS: usize = 15;

/// What a run's three classifiers say of the validation images.
pub struct Outcome {
    /// What the pre-trained encoder sees.
    pub latent: Option<LatentSpace>,
    /// From scratch.
    pub baseline: Predictions,
    /// From the pre-trained encoder.
    pub finetuned: Predictions,
    /// The model file.
    pub int8: Predictions,
    /// The model file's bytes.
    pub model: Vec<u8>,
}

/// The report of a whole run.
pub fn of_run(
    folder: &Folder,
    config: &Config,
    data: &Dataset,
    outcome: &Outcome,
) -> Result<Report> {
    let Outcome {
        latent,
        baseline,
        finetuned,
        int8,
        model,
    } = outcome;
    let row = |name: &str, predictions: &Predictions, versus: Option<&str>| ResultRow {
        name: name.to_owned(),
        top1: predictions.top_k(1),
        top5: predictions.top_k(5),
        images: predictions.images(),
        versus: versus.map(str::to_owned),
        note: String::new(),
    };
    let stage = |name: &str| Folder::at(&folder.file(name));
    Ok(Report {
        results: vec![
            row("baseline", baseline, None),
            row("fine-tuned float", finetuned, Some("baseline")),
            row("fine-tuned int8", int8, Some("fine-tuned float")),
        ],
        model: Some(model_summary(model)?),
        pretraining: Some(pretraining(&stage(stages::PRETRAIN))?),
        latent: latent.clone(),
        classifiers: vec![
            curve("baseline", &stage(stages::BASELINE))?,
            curve("fine-tuned", &stage(stages::FINETUNE))?,
        ],
        confusions: confusions(int8, &data.classes, &data.val)?,
        confusions_of: "fine-tuned int8".to_owned(),
        reliability: vec![
            report::reliability(finetuned, "float", BINS),
            report::reliability(int8, "int8", BINS),
        ],
        ..frame("From photographs to an int8 classifier", config, data)?
    })
}

/// Writes the page of `pretrain`: what it left in `folder`, and its latent space.
pub fn write_pretraining(
    folder: &Folder,
    config: &Config,
    data: &Dataset,
    latent: Option<LatentSpace>,
) -> Result<()> {
    let report = Report {
        pretraining: Some(pretraining(folder)?),
        latent,
        ..frame("Pre-training", config, data)?
    };
    write(folder, &report)
}

/// Writes the page of `finetune`: what it left in `folder`, and its predictions.
pub fn write_classifier(
    folder: &Folder,
    config: &Config,
    data: &Dataset,
    predictions: &Predictions,
) -> Result<()> {
    let name = "classifier";
    let report = Report {
        results: vec![ResultRow {
            name: name.to_owned(),
            top1: predictions.top_k(1),
            top5: predictions.top_k(5),
            images: predictions.images(),
            ..ResultRow::default()
        }],
        classifiers: vec![curve(name, folder)?],
        confusions: confusions(predictions, &data.classes, &data.val)?,
        confusions_of: name.to_owned(),
        reliability: vec![report::reliability(predictions, "float", BINS)],
        ..frame("Training a classifier", config, data)?
    };
    write(folder, &report)
}

fn write(folder: &Folder, report: &Report) -> Result<()> {
    files::write(&folder.file(PAGE), report::html(report)?.as_bytes())
}

/// What every report has.
pub(super) fn frame(title: &str, config: &Config, data: &Dataset) -> Result<Report> {
    let labels = config
        .finetune
        .as_ref()
        .map(|finetune| finetune.labels_per_class);
    let labels_per_class = labels.filter(|&labels| labels > 0);
    let mut notes = vec![format!(
        "The images are {}. All that is random follows from the seed {}.",
        match &config.data {
            Some(data) => format!("those in {}", data.display()),
            None => "the built-in scenes".to_owned(),
        },
        config.seed
    )];
    if config
        .finetune
        .as_ref()
        .is_some_and(|finetune| finetune.keep == Keep::Best)
    {
        notes.push(
            "The weights kept are those of the epoch with the best validation accuracy: the \
             figures on the same images are a little too good."
                .to_owned(),
        );
    }
    Ok(Report {
        title: title.to_owned(),
        network: config.network.architecture().name.to_owned(),
        data: DataSummary {
            classes: data.classes.clone(),
            train: labels_per_class.map_or(data.train.labels.len(), |n| n * data.classes.len()),
            labels_per_class,
            val: data.val.labels.len(),
            unlabelled: data.unlabelled.len(),
            skipped: data.skipped.len(),
        },
        configuration: options(&Table::try_from(config)?, ""),
        notes,
        ..Report::default()
    })
}

/// Every option with its value, tables flattened.
fn options(table: &Table, prefix: &str) -> Vec<(String, String)> {
    let option = |(name, value): (&String, &Value)| match value {
        Value::Table(table) => options(table, &format!("{prefix}{name}.")),
        Value::String(text) => vec![(format!("{prefix}{name}"), text.clone())],
        value => vec![(format!("{prefix}{name}"), value.to_string())],
    };
    table.iter().flat_map(option).collect()
}

fn model_summary(model: &[u8]) -> Result<ModelSummary> {
    let needs = evaluate::needs(model)?;
    let layer = |layer: &evaluate::LayerNeeds| LayerRow {
        name: layer.name.to_owned(),
        out: layer.out.to_string(),
        macs: layer.macs,
        flash_bytes: layer.flash_bytes,
        ram_bytes: layer.ram_bytes,
    };
    Ok(ModelSummary {
        flash_bytes: needs.flash_bytes,
        ram_bytes: needs.ram_bytes,
        macs: needs.macs,
        layers: needs.layers.iter().map(layer).collect(),
    })
}

/// A figure of a record, not a number where it has none.
fn figure(measures: &metrics::Measures, name: &str) -> f64 {
    measures.get(name).copied().unwrap_or(f64::NAN)
}

pub(super) fn pretraining(folder: &Folder) -> Result<Pretraining> {
    let epoch = |record: &Record| VaeEpoch {
        epoch: record.epoch,
        train_reconstruction: figure(&record.train, "reconstruction"),
        train_kl: figure(&record.train, "kl"),
        val_reconstruction: figure(&record.val, "reconstruction"),
        val_kl: figure(&record.val, "kl"),
        train_contrast: figure(&record.train, "contrast"),
    };
    // Without a decoder that learns there is nothing to show.
    let latent = folder.file(show::LATENT);
    let used = match latent.exists() {
        true => serde_json::from_str(&files::read_text(&latent)?)?,
        false => LatentUse::default(),
    };
    Ok(Pretraining {
        epochs: metrics::read(&folder.metrics())?
            .iter()
            .map(epoch)
            .collect(),
        reconstructions: Reconstructions {
            originals: pictures(&folder.file(show::ORIGINALS))?,
            first_epoch: pictures(&folder.file(show::FIRST))?,
            last_epoch: pictures(&folder.file(show::LATEST))?,
        },
        samples: pictures(&folder.file(show::SAMPLES))?,
        kl_per_dimension: used.kl_per_dimension,
    })
}

fn pictures(sheet: &Path) -> Result<Vec<Picture>> {
    if !sheet.exists() {
        return Ok(Vec::new());
    }
    read_sheet(sheet)?.into_iter().map(Picture::new).collect()
}

fn curve(name: &str, folder: &Folder) -> Result<ClassifierCurve> {
    let epoch = |record: &Record| ClassifierEpoch {
        epoch: record.epoch,
        train_loss: figure(&record.train, "loss"),
        train_accuracy: figure(&record.train, "top1"),
        val_loss: figure(&record.val, "loss"),
        val_top1: figure(&record.val, "top1"),
        val_top5: figure(&record.val, "top5"),
    };
    Ok(ClassifierCurve {
        name: name.to_owned(),
        epochs: metrics::read(&folder.metrics())?
            .iter()
            .map(epoch)
            .collect(),
    })
}

fn confusions(
    predictions: &Predictions,
    classes: &[String],
    val: &Labelled,
) -> Result<Vec<report::Confusion>> {
    let pairs = report::most_confused(predictions, CONFUSED_PAIRS);
    report::confusions(&pairs, classes, EXAMPLES, |image| {
        let mut bytes = vec![0; IMAGE_BYTES];
        val.images.read(image, &mut bytes)?;
        Ok(bytes)
    })
}
