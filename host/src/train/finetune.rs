//! Fine-tuning: a classifier on few labelled images, from a pre-trained encoder or from scratch.

use anyhow::{Context, Result, ensure};
use vae96::Architecture;

use super::metrics::Measures;
use super::progress::Progress;
use super::recipe::{Finetune, Keep, Optimisation};
use super::run::{Folder, Plan, Run, Task};
use crate::backend::{Backend, Classifier, Learner, Metadata, Weights, parameters};
use crate::data::Dataset;
use crate::data::loader::{Drawing, Loaded, Loader, Samples};
use crate::data::split::split;
use crate::evaluate;

/// What a fine-tuning is given.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What the user reads before the progress bar.
    pub name: &'a str,
    /// The network.
    pub architecture: &'static Architecture,
    /// How to train.
    pub settings: &'a Finetune,
    /// All that is random follows from it.
    pub seed: u64,
    /// The pre-trained encoder; none to start from scratch.
    pub encoder: Option<&'a Weights>,
    /// The images.
    pub data: &'a Dataset,
}

/// Trains a classifier and gives back its weights; a training that is complete already only gives
/// its weights.
pub fn train(
    request: &Request<'_>,
    backend: &dyn Backend,
    folder: &Folder,
    metadata: &Metadata,
    progress: Progress,
) -> Result<Weights> {
    if folder.is_complete() {
        return Ok(Weights::load(&folder.weights())?.0);
    }
    let Request {
        settings,
        data,
        architecture,
        ..
    } = *request;
    let chosen = chosen(data, settings.labels_per_class, request.seed)?;
    let classes = data.classes.len();
    let weights = start(request, classes)?;
    let (batch, steps_per_epoch) = pass(settings, chosen.len());
    let plan = Plan {
        name: request.name.to_owned(),
        epochs: settings.epochs,
        steps_per_epoch,
        score: Some("top1"),
        keep_best: settings.keep == Keep::Best,
        patience: settings.patience,
    };
    let mut task = FinetuneTask {
        classifier: backend.classifier(architecture, settings.head.into(), classes, &weights)?,
        optimisation: settings.optimisation(request.encoder.is_some()),
        smoothing: settings.smoothing,
        steps: plan.steps(),
        val: Samples::spread(&data.val, settings.val_images),
        classes,
    };
    let mut run = Run::begin(&plan, folder, &mut task, progress)?;
    let drawing = Drawing {
        batch,
        side: settings.side,
        augmentation: settings.augmentation(),
        seed: request.seed,
    };
    let samples = Samples::labelled(&data.train, chosen);
    let mut loader = Loader::training(samples, drawing, run.step() as u64)?;
    run.go(&mut task, &mut loader)?;
    run.end(&mut task, metadata)
}

/// Images a step and steps an epoch, of `images` labelled images.
pub fn pass(settings: &Finetune, images: usize) -> (usize, usize) {
    let images = images.max(settings.epoch_images);
    let batch = settings.batch.min(images);
    (batch, images / batch)
}

/// The labelled images that a run sees: `labels_per_class` of each class, or all of them for 0.
pub fn chosen(data: &Dataset, labels_per_class: usize, seed: u64) -> Result<Vec<usize>> {
    let wanted = (labels_per_class > 0).then_some(labels_per_class);
    Ok(split(&data.train.labels, &data.classes, wanted, 0, seed)?.train)
}

/// The weights before training: the seed's, with the pre-trained encoder's in their place.
fn start(request: &Request<'_>, classes: usize) -> Result<Weights> {
    let Request {
        architecture,
        settings,
        ..
    } = *request;
    let all = parameters::classifier(architecture, settings.head.into(), classes);
    let mut weights = Weights::initial(&all, request.seed);
    if let Some(pretrained) = request.encoder {
        for parameter in parameters::encoder(architecture) {
            let tensor = pretrained
                .get(&parameter.name)
                .context("these weights are not of a VAE that this network can start from")?;
            ensure!(
                tensor.shape == parameter.shape,
                "the pre-trained {} has the shape {:?}; the network {} needs {:?}",
                parameter.name,
                tensor.shape,
                architecture.name,
                parameter.shape
            );
            weights.0.insert(parameter.name, tensor.clone());
        }
    }
    Ok(weights)
}

struct FinetuneTask {
    classifier: Box<dyn Classifier>,
    optimisation: Optimisation,
    smoothing: f64,
    steps: usize,
    val: Samples,
    classes: usize,
}

impl Task for FinetuneTask {
    fn step(&mut self, loaded: &Loaded, step: usize) -> Result<Vec<(&'static str, f64)>> {
        let update = self.optimisation.update(step, self.steps);
        let loss = self
            .classifier
            .step(&loaded.batch, &loaded.labels, self.smoothing, &update)?;
        Ok(vec![
            ("loss", loss.cross_entropy),
            ("top1", loss.correct as f64),
        ])
    }

    fn validate(&mut self, _epoch: usize) -> Result<Measures> {
        let predictions = evaluate::classifier(&*self.classifier, self.classes, self.val.clone())?;
        Ok(Measures::from([
            ("loss".to_owned(), predictions.loss()),
            ("top1".to_owned(), predictions.top_k(1)),
            ("top5".to_owned(), predictions.top_k(5)),
        ]))
    }

    fn rate(&self, step: usize) -> f64 {
        self.optimisation.update(step, self.steps).rate
    }

    fn learner(&mut self) -> &mut dyn Learner {
        &mut *self.classifier
    }
}
