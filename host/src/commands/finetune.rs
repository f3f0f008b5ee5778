//! `vae96 finetune`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use super::config::{Config, Given, SCRATCH, Stage};
use super::folder::stages;
use super::trained::{Label, Trained};
use super::{Answer, folder, machine, report, source};
use crate::backend::{Backend, Weights};
use crate::cli::FinetuneCommand;
use crate::data::Dataset;
use crate::data::loader::Samples;
use crate::evaluate;
use crate::train::finetune::{Request, train};
use crate::train::progress::Progress;
use crate::train::run::Folder;

/// Trains a classifier, and reports.
pub fn run(arguments: &FinetuneCommand, progress: Progress) -> Result<Answer> {
    let given = Given {
        common: arguments.common.clone(),
        from: arguments.from.clone(),
        teachers: arguments.teacher.clone(),
        finetune: arguments.finetune.clone(),
        ..Given::default()
    };
    let (folder, mut config) = folder::open(Stage::Finetune, &arguments.folder, given)?;
    let from = config
        .from
        .as_deref()
        .context("--from says what to start from: a pre-training's folder, or `scratch`")?;
    let encoder = match from {
        SCRATCH => None,
        path => Some(Trained::encoder(path.as_ref(), config.network)?),
    };
    let backend = machine::of(&mut config, &folder, progress)?;
    progress.tell(&format!("training on {}", backend.name()));
    let parts = source::Parts {
        unlabelled: config.finetune()?.lessons() > 0,
        ..source::Parts::LABELLED
    };
    let data = source::load(&config, parts, progress)?;
    let name = if encoder.is_some() {
        "fine-tune"
    } else {
        "baseline"
    };
    let label = Label::classifier(&config, &data.classes)?;
    let teachers = teachers(&config, &data)?;
    let teachers: Vec<_> = teachers
        .iter()
        .map(Trained::teacher)
        .collect::<Result<_>>()?;
    let request = Request {
        teachers: &teachers,
        ..request(&config, &data, encoder.as_ref(), name)?
    };
    let weights = train(&request, &*backend, &folder, &label.metadata()?, progress)?;
    let trained = Trained { weights, label };
    let classifier = trained.classifier(&*backend)?;
    let predictions = evaluate::classifier(
        &*classifier,
        data.classes.len(),
        Samples::spread(&data.val, 0),
    )?;
    report::write_classifier(&folder, &config, &data, &predictions)?;
    let (top1, top5) = (predictions.top_k(1), predictions.top_k(5));
    let text = format!(
        "top-1 {:.2} %, top-5 {:.2} % of {} images\nrun: {}",
        100.0 * top1,
        100.0 * top5,
        predictions.images(),
        folder.path().display()
    );
    let json = json!({
        "run": folder.path(),
        "images": predictions.images(),
        "top1": top1,
        "top5": top5,
        "loss": predictions.loss(),
    });
    Ok(Answer { json, text })
}

/// Fine-tuning as a stage of a run.
pub fn stage(
    config: &Config,
    backend: &dyn Backend,
    data: &Dataset,
    encoder: Option<&Weights>,
    name: &str,
    folder: &Folder,
    progress: Progress,
) -> Result<Weights> {
    let request = request(config, data, encoder, name)?;
    let label = Label::classifier(config, &data.classes)?;
    train(&request, backend, folder, &label.metadata()?, progress)
}

/// A training without teachers.
fn request<'a>(
    config: &'a Config,
    data: &'a Dataset,
    encoder: Option<&'a Weights>,
    name: &'a str,
) -> Result<Request<'a>> {
    Ok(Request {
        name,
        architecture: config.network.architecture(),
        settings: config.finetune()?,
        seed: config.seed,
        encoder,
        teachers: &[],
        data,
    })
}

/// The classifiers of `--teacher`, of the classes of the data.
fn teachers(config: &Config, data: &Dataset) -> Result<Vec<Trained>> {
    let teacher = |path: &PathBuf| {
        let trained = Trained::load(path, stages::FINETUNE)?;
        (trained.check_classes(&data.classes))
            .with_context(|| format!("{} cannot teach them", path.display()))?;
        Ok(trained)
    };
    config.teachers.iter().map(teacher).collect()
}
