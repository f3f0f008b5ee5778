//! `vae96 run`: the whole pipeline.

use anyhow::Result;
use serde_json::{Value, json};

use super::config::{Config, Given, Stage};
use super::export;
use super::folder::{self, stages};
use super::report::{self, Outcome};
use super::trained::{Label, Trained};
use super::{Answer, finetune, latent_space, machine, pretrain, source};
use crate::backend::Weights;
use crate::cli::RunArguments;
use crate::data::Dataset;
use crate::data::loader::Samples;
use crate::evaluate::{self, Predictions};
use crate::files;
use crate::train::progress::Progress;
use crate::train::recipe::{Finetune, Recipe};
use crate::train::run::Folder;

/// Pre-trains, trains the baseline, fine-tunes, exports, evaluates, reports.
pub fn run(arguments: &RunArguments, progress: Progress) -> Result<Answer> {
    let given = Given {
        common: arguments.common.clone(),
        pretrain: arguments.stages.pretrain.clone(),
        finetune: arguments.stages.finetune.clone(),
        ..Given::default()
    };
    let (folder, mut config) = folder::open(Stage::Run, &arguments.folder, given)?;
    let backend = machine::of(&mut config, &folder, progress)?;
    progress.tell(&format!(
        "training on {}; run: {}",
        backend.name(),
        folder.path().display()
    ));
    let data = source::load(&config, source::Parts::ALL, progress)?;

    let encoder = pretrain::stage(
        &config,
        &*backend,
        &data.unlabelled,
        &folder.stage(stages::PRETRAIN)?,
        progress,
    )?;
    let classifier = |from: Option<&Weights>, name: &str, config: &Config| {
        let weights = finetune::stage(
            config,
            &*backend,
            &data,
            from,
            name,
            &folder.stage(name)?,
            progress,
        )?;
        let label = Label::classifier(config, &data.classes)?;
        anyhow::Ok(Trained { weights, label })
    };
    let from_scratch = classifier(None, stages::BASELINE, &baseline(&config))?;
    let finetuned = classifier(Some(&encoder), stages::FINETUNE, &config)?;
    let model = export::classifier(&finetuned, &config, &data, &export::Options::default())?;
    files::write(&folder.file(stages::MODEL), &model)?;

    let float = |trained: &Trained| {
        let classifier = trained.classifier(&*backend)?;
        evaluate::classifier(
            &*classifier,
            data.classes.len(),
            Samples::spread(&data.val, 0),
        )
    };
    let outcome = Outcome {
        latent: latent_space::views(&*backend, &encoder, &config, &data)?,
        baseline: float(&from_scratch)?,
        finetuned: float(&finetuned)?,
        int8: evaluate::model(&model, &data.val)?,
        model,
    };
    answer(&config, &data, &folder, &outcome)
}

/// The options of the baseline, which sees no unlabelled image.
fn baseline(config: &Config) -> Config {
    let labels_alone = |finetune: &Finetune| match config.recipe {
        Recipe::Default | Recipe::FewLabels => finetune.labels_alone(),
        Recipe::Paper => finetune.without_unlabelled(),
    };
    Config {
        finetune: config.finetune.as_ref().map(labels_alone),
        ..config.clone()
    }
}

fn answer(config: &Config, data: &Dataset, folder: &Folder, outcome: &Outcome) -> Result<Answer> {
    let report = report::of_run(folder, config, data, outcome)?;
    let page = crate::report::html(&report)?;
    files::write(&folder.file(report::PAGE), page.as_bytes())?;
    let accuracy = |predictions: &Predictions| -> Value {
        json!({ "top1": predictions.top_k(1), "top5": predictions.top_k(5) })
    };
    let needs = evaluate::needs(&outcome.model)?;
    let json = json!({
        "run": folder.path(),
        "baseline": accuracy(&outcome.baseline),
        "finetuned": accuracy(&outcome.finetuned),
        "int8": accuracy(&outcome.int8),
        "model": {
            "flash_bytes": needs.flash_bytes,
            "ram_bytes": needs.ram_bytes,
            "macs": needs.macs,
        },
    });
    files::write(&folder.file(stages::RESULT), json.to_string().as_bytes())?;
    let text = format!(
        "{}\nrun: {}\nmodel: {}\nreport: {}",
        crate::report::table(&report),
        folder.path().display(),
        folder.file(stages::MODEL).display(),
        folder.file(report::PAGE).display()
    );
    Ok(Answer { json, text })
}
