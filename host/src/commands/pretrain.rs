//! `vae96 pretrain`.

use anyhow::Result;
use serde_json::json;

use super::config::{Config, Given, Stage};
use super::trained::{Label, Trained};
use super::{Answer, folder, latent_space, machine, report, source};
use crate::backend::{Backend, Weights};
use crate::cli::PretrainCommand;
use crate::data::{Dataset, Images};
use crate::train::metrics;
use crate::train::pretrain::{Request, train};
use crate::train::progress::Progress;
use crate::train::run::Folder;

/// Trains the VAE, and reports.
pub fn run(arguments: &PretrainCommand, progress: Progress) -> Result<Answer> {
    let given = Given {
        common: arguments.common.clone(),
        init: arguments.init.clone(),
        pretrain: arguments.pretrain.clone(),
        ..Given::default()
    };
    let (folder, mut config) = folder::open(Stage::Pretrain, &arguments.folder, given)?;
    let backend = machine::of(&mut config, &folder, progress)?;
    progress.tell(&format!("training on {}", backend.name()));
    let data = source::load(&config, source::Parts::UNLABELLED, progress)?;
    let weights = stage(&config, &*backend, &data.unlabelled, &folder, progress)?;
    let data = with_validation(&config, data, progress);
    let latent = latent_space::views(&*backend, &weights, &config, &data)?;
    report::write_pretraining(&folder, &config, &data, latent)?;
    let records = metrics::read(&folder.metrics())?;
    let decodes = config.pretrain()?.decodes();
    let measures = records.last().map(|record| match decodes {
        true => &record.val,
        false => &record.train,
    });
    let figure = |name: &str| measures.and_then(|all| all.get(name)).copied();
    let number = |name: &str| figure(name).unwrap_or(f64::NAN);
    let learned = match decodes {
        true => format!(
            "loss {:.4}, of which reconstruction (Σ (x̂ − x)²) {:.2} and KL {:.2} nats an image \
             held out",
            number("loss"),
            number("reconstruction"),
            number("kl")
        ),
        false => format!(
            "contrastive loss {:.4} nats a view in training",
            number("contrast")
        ),
    };
    let text = format!(
        "pre-trained on {} images: {learned}\nrun: {}",
        data.unlabelled.len(),
        folder.path().display()
    );
    let json = json!({
        "run": folder.path(),
        "images": data.unlabelled.len(),
        "epochs": records.len(),
        "loss": figure("loss"),
        "reconstruction": figure("reconstruction"),
        "kl": figure("kl"),
    });
    Ok(Answer { json, text })
}

/// The validation images too, if there are any: the report's map shows their classes. They come
/// when the training is over, and a fault of theirs costs the map alone.
fn with_validation(config: &Config, mut data: Dataset, progress: Progress) -> Dataset {
    let folder = config.data.as_ref().map(|root| root.join("supervised/val"));
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return data;
    }
    match source::load(config, source::Parts::VAL, progress) {
        Ok(found) => {
            data.classes = found.classes;
            data.val = found.val;
            data.skipped.extend(found.skipped);
        }
        Err(error) => progress.tell(&format!("the report has no map of classes: {error:#}")),
    }
    data
}

/// Pre-training as a stage of a run.
pub fn stage(
    config: &Config,
    backend: &dyn Backend,
    images: &Images,
    folder: &Folder,
    progress: Progress,
) -> Result<Weights> {
    let settings = config.pretrain()?;
    let autoencoder = config.autoencoder()?;
    let init = match &config.init {
        Some(path) => Some(Trained::init(path, config.network, autoencoder)?),
        None => None,
    };
    let request = Request {
        autoencoder,
        settings,
        seed: config.seed,
        init: init.as_ref(),
        images,
    };
    let label = Label::vae(config.network);
    train(&request, backend, folder, &label.metadata()?, progress)
}
