//! `vae96 reproduce`: the paper's experiments.
//!
//! Every training lies in a folder of its own inside the run's, where it is resumed or found
//! complete; what it came to is in its `result.json`. The report is written anew after each, so
//! that a run of days can be read while it goes on.

mod differences;
mod estimate;
mod finished;
mod gather;
mod tables;

use anyhow::{Result, ensure};

use super::config::{Config, Given, Stage};
use super::folder::{self, stages};
use super::report::PAGE;
use super::source::{self, Parts};
use super::trained::{Label, Trained};
use super::{Answer, finetune, machine, pretrain};
use crate::backend::{Backend, Weights, parameters};
use crate::cli::ReproduceCommand;
use crate::data::Dataset;
use crate::data::loader::Samples;
use crate::evaluate;
use crate::files;
use crate::report::number;
use crate::train::finetune::chosen;
use crate::train::progress::Progress;
use crate::train::recipe::FinetuneArguments;
use crate::train::reproduction::{Setting, Training, trainings};
use crate::train::run::Folder;
use estimate::{Estimate, Kind};
use finished::Finished;

/// Trains all there is to train, and reports.
pub fn run(arguments: &ReproduceCommand, progress: Progress) -> Result<Answer> {
    refuse_varied(&arguments.stages.finetune)?;
    let given = Given {
        common: arguments.common.clone(),
        pretrain: arguments.stages.pretrain.clone(),
        finetune: arguments.stages.finetune.clone(),
        reproduce: arguments.reproduction.clone(),
        ..Given::default()
    };
    let (folder, mut config) = folder::open(Stage::Reproduce, &arguments.folder, given)?;
    let backend = machine::of(&mut config, &folder, progress)?;
    progress.tell(&format!(
        "training on {}; run: {}",
        backend.name(),
        folder.path().display()
    ));
    let data = source::load(&config, Parts::ALL, progress)?;
    let labels = possible(&config, &data, progress)?;
    let seeds = config.reproduce()?.seeds as u64;
    let reproduction = Reproduction {
        trainings: trainings(&labels, config.seed..config.seed + seeds),
        config: &config,
        backend: &*backend,
        data: &data,
        folder: &folder,
        progress,
    };
    reproduction.train()?;
    reproduction.answer()
}

/// A reproduction varies some options by itself.
fn refuse_varied(given: &FinetuneArguments) -> Result<()> {
    for (name, given) in [
        ("--head", given.head.is_some()),
        ("--encoder", given.encoder.is_some()),
        ("--labels-per-class", given.labels_per_class.is_some()),
    ] {
        ensure!(
            !given,
            "reproduce trains with every head and encoder, and --labels says with how many \
             labels: leave out {name}"
        );
    }
    Ok(())
}

/// The numbers of labels that every class has images for.
fn possible(config: &Config, data: &Dataset, progress: Progress) -> Result<Vec<usize>> {
    let mut counts = vec![0; data.classes.len()];
    for &label in &data.train.labels {
        counts[label] += 1;
    }
    let fewest = counts.iter().copied().enumerate().min_by_key(|&(_, n)| n);
    let (class, images) = fewest.unwrap_or_default();
    let name = data.classes.get(class).map_or("", String::as_str);
    let (labels, lacking) = config.reproduce()?.labels.within(images);
    if !lacking.is_empty() {
        let lacking: Vec<_> = lacking.iter().map(usize::to_string).collect();
        let left_out = format!(
            "{} labels a class: the class {name} has {images} labelled images",
            lacking.join(", ")
        );
        ensure!(!labels.is_empty(), "there are not {left_out}");
        progress.tell(&format!("left out: {left_out}"));
    }
    Ok(labels)
}

/// A run with all it needs.
struct Reproduction<'a> {
    config: &'a Config,
    backend: &'a dyn Backend,
    data: &'a Dataset,
    folder: &'a Folder,
    /// The classifiers, in their order.
    trainings: Vec<Training>,
    progress: Progress,
}

impl Reproduction<'_> {
    /// Does the trainings that are not finished, the VAE's first.
    fn train(&self) -> Result<()> {
        let folder = self.folder.stage(stages::PRETRAIN)?;
        if folder.is_complete() && self.finished()?.len() == self.trainings.len() {
            return Ok(());
        }
        let mut estimate = Estimate::measure(self)?;
        self.progress.tell(&format!(
            "{} trainings: a VAE, and {} classifiers; their weights take {} in the end; {} left, \
             as {} steps of each kind take here",
            1 + self.trainings.len(),
            self.trainings.len(),
            number::bytes(self.weight_bytes()?),
            estimate.left(self)?,
            estimate::STEPS,
        ));
        if !folder.is_complete() {
            self.announce(0, "the VAE", &estimate)?;
        }
        let timed = estimate.begin(Kind::Vae, self.vae_work()?);
        let encoder = self.encoder(&folder)?;
        estimate.end(timed);
        self.write()?;
        for (index, &training) in self.trainings.iter().enumerate() {
            let folder = self.folder_of(training);
            if Finished::load(&folder)?.is_some() {
                continue;
            }
            self.announce(1 + index, &describe(training), &estimate)?;
            let timed = estimate.begin(training.into(), self.work(training)?);
            self.classifier(training, &folder, &encoder)?;
            estimate.end(timed);
            self.write()?;
        }
        Ok(())
    }

    /// Pre-trains where that is not done, and gives the tensors that classifiers start from: the
    /// others are nearly all of the VAE's memory.
    fn encoder(&self, folder: &Folder) -> Result<Weights> {
        let images = &self.data.unlabelled;
        let vae = pretrain::stage(self.config, self.backend, images, folder, self.progress)?;
        finished::forget_checkpoint(folder)?;
        let shared = parameters::encoder(self.config.autoencoder()?);
        let tensors = vae.0.into_iter();
        let shared = tensors.filter(|(name, _)| shared.iter().any(|p| p.name == *name));
        Ok(Weights(shared.collect()))
    }

    fn announce(&self, index: usize, what: &str, estimate: &Estimate) -> Result<()> {
        self.progress.tell(&format!(
            "training {} of {}: {what}; {} left",
            index + 1,
            1 + self.trainings.len(),
            estimate.left(self)?
        ));
        Ok(())
    }

    /// Trains one classifier and evaluates it on all validation images.
    fn classifier(&self, training: Training, folder: &Folder, encoder: &Weights) -> Result<()> {
        files::make_folder(folder.path())?;
        let config = self.config_of(training)?;
        config.save(&folder.config())?;
        let indices = chosen(self.data, training.labels, training.seed)?;
        let indices = serde_json::to_string(&indices)?;
        files::write(&folder.file(finished::LABELLED), indices.as_bytes())?;
        let weights = finetune::stage(
            &config,
            self.backend,
            self.data,
            (training.setting != Setting::Baseline).then_some(encoder),
            training.setting.name(),
            folder,
            self.progress,
        )?;
        let classes = &self.data.classes;
        let label = Label::classifier(&config, classes)?;
        let classifier = Trained { weights, label }.classifier(self.backend)?;
        let val = Samples::spread(&self.data.val, 0);
        let predictions = evaluate::classifier(&*classifier, classes.len(), val)?;
        Finished::of(&predictions).save(folder)?;
        finished::forget_checkpoint(folder)
    }

    fn folder_of(&self, training: Training) -> Folder {
        Folder::at(&self.folder.file(&training.folder())).with_events(self.config.tensorboard)
    }

    fn config_of(&self, training: Training) -> Result<Config> {
        let encoder = self.folder.file(stages::PRETRAIN);
        self.config.of_training(training, &encoder)
    }

    /// The classifiers that are trained, with what they came to.
    fn finished(&self) -> Result<Vec<(Training, Finished)>> {
        let of = |&training: &Training| {
            let finished = Finished::load(&self.folder_of(training))?;
            Ok(finished.map(|finished| (training, finished)))
        };
        self.trainings
            .iter()
            .map(of)
            .filter_map(Result::transpose)
            .collect()
    }

    /// What all weights take on disk in the end.
    fn weight_bytes(&self) -> Result<usize> {
        let classifiers = self.trainings.iter().copied().map(Kind::from);
        let kinds = std::iter::once(Kind::Vae).chain(classifiers);
        kinds.map(|kind| kind.weight_bytes(self)).sum()
    }

    /// Writes the page, the tables and the answer as far as there is something to say.
    fn write(&self) -> Result<crate::report::Report> {
        let report = gather::report(self)?;
        let page = crate::report::html(&report)?;
        files::write(&self.folder.file(PAGE), page.as_bytes())?;
        tables::write(self.folder, &report, &self.finished()?)?;
        Ok(report)
    }

    fn answer(&self) -> Result<Answer> {
        let report = self.write()?;
        let json = gather::json(self, &report)?;
        files::write(
            &self.folder.file(stages::RESULT),
            json.to_string().as_bytes(),
        )?;
        let text = format!(
            "{}\nrun: {}\nreport: {}",
            tables::terminal(&report),
            self.folder.path().display(),
            self.folder.file(PAGE).display()
        );
        Ok(Answer { json, text })
    }
}

/// A training as the user reads of it.
fn describe(training: Training) -> String {
    format!(
        "{}, labels a class {}, seed {}",
        training.setting.name(),
        training.labels,
        training.seed
    )
}
