//! Fine-tuning: a classifier on few labelled images, from a pre-trained encoder or from scratch,
//! with the unlabelled images beside them where consistency, propagation or distillation is asked for.

use std::borrow::Cow;

use anyhow::{Context, Result, ensure};
use vae96::Architecture;

use super::consistency::Labeller;
use super::distillation::{Distilled, Teacher};
use super::metrics::Measures;
use super::progress::Progress;
use super::propagation::{self, Propagated};
use super::recipe::{Finetune, Keep, Optimisation};
use super::run::{Figures, Folder, Plan, Run, Task};
use super::schedule::ramp;
use crate::backend::cpu;
use crate::backend::work::{self, Size, Steps, Work};
use crate::backend::{
    Backend, Batch, Classifier, Form, Learner, Metadata, Outcome, Pending, Target, Weights,
    parameters,
};
use crate::data::Dataset;
use crate::data::loader::{Drawing, Loaded, Loader, Samples, Source};
use crate::data::random::{Purpose, rng};
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
    /// Classifiers of the same classes that say what the unlabelled images show.
    pub teachers: &'a [Teacher<'a>],
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
        seed,
        ..
    } = *request;
    let chosen = chosen(data, settings.labels_per_class, seed)?;
    let classes = data.classes.len();
    let start = start(request, classes)?;
    let (batch, steps_per_epoch) = pass(settings, chosen.len());
    let plan = Plan {
        name: request.name.to_owned(),
        epochs: settings.epochs,
        steps_per_epoch,
        score: Some("top1"),
        keep_best: settings.keep == Keep::Best,
        patience: settings.patience,
    };
    let head = settings.head.into();
    let backend = backend.suited_to(&work(architecture, settings, classes, batch))?;
    let labelled = Samples::labelled(&data.train, chosen);
    let unlabelled = Samples::unlabelled(&data.unlabelled, (0..data.unlabelled.len()).collect());
    let whole = match unlabelled.is_empty() {
        true => &labelled,
        false => &unlabelled,
    };
    let mut rng = rng(seed, Purpose::Recalibration, 0, 0);
    let seen_in_use = whole.drawn(settings.precise_bn, &mut rng);
    let unlabelled = match settings.lessons() {
        0 => None,
        _ => Some(some(unlabelled)?),
    };
    let propagated = match &unlabelled {
        Some(unlabelled) if settings.propagation > 0.0 => Some(Propagated::new(
            propagation::Start {
                architecture,
                head,
                weights: &start.weights,
                pretrained: request.encoder.map_or(&[], |_| &start.encoder),
            },
            backend,
            [&labelled, unlabelled],
            classes,
            settings.align,
            progress,
        )?),
        _ => None,
    };
    let distilled = match &unlabelled {
        Some(unlabelled) if settings.distillation > 0.0 => {
            let teachers = request.teachers;
            Some(Distilled::new(
                teachers, backend, unlabelled, classes, progress,
            )?)
        }
        _ => None,
    };
    let mut task = FinetuneTask {
        classifier: backend.classifier(architecture, head, classes, &start.weights)?,
        settings,
        optimisation: settings.optimisation(),
        encoder: start.encoder,
        labeller: Labeller::new(classes, settings.confidence, settings.align),
        propagated,
        distilled,
        steps: plan.steps(),
        val: Samples::spread(&data.val, settings.val_images),
        seen_in_use,
        architecture,
        classes,
    };
    let mut run = Run::begin(&plan, folder, &mut task, progress)?;
    let mut sources = vec![Source {
        samples: labelled,
        drawing: Drawing {
            batch,
            side: settings.side,
            views: vec![settings.augmentation()],
            form: task.classifier.form(),
            seed,
            streams: Drawing::MAIN,
        },
    }];
    sources.extend(unlabelled.map(|samples| Source {
        samples,
        drawing: Drawing {
            batch: settings.consistency_batch,
            side: settings.side,
            views: settings.unlabelled_views(),
            form: task.classifier.form(),
            seed,
            streams: Drawing::BESIDE,
        },
    }));
    let mut loader = Loader::training(sources, run.step() as u64)?;
    run.go(&mut task, &mut loader)?;
    run.end(&mut task, metadata)
}

/// Images a step and steps an epoch, of `images` labelled images.
pub fn pass(settings: &Finetune, images: usize) -> (usize, usize) {
    let images = images.max(settings.epoch_images);
    let batch = settings.batch.min(images);
    (batch, images / batch)
}

/// What a training asks of a machine, `images` labelled images a step.
pub fn work(
    architecture: &'static Architecture,
    settings: &Finetune,
    classes: usize,
    images: usize,
) -> Work {
    let unlabelled = settings.lessons() * settings.consistency_batch;
    Work {
        network: work::Network::Classifier {
            architecture,
            head: settings.head.into(),
            classes,
        },
        steps: Some(Steps {
            batch: Size {
                count: images + unlabelled,
                side: settings.side,
            },
            contrast: false,
            corrupts: false,
            shares: settings.distillation > 0.0,
            averages: settings.average > 0.0,
        }),
        answers: evaluate::BATCH,
    }
}

/// The unlabelled images, which there have to be.
fn some(unlabelled: Samples) -> Result<Samples> {
    ensure!(
        !unlabelled.is_empty(),
        "there are no unlabelled images to learn from beside the labelled ones; --consistency 0 \
         --propagation 0 --distillation 0 does without"
    );
    Ok(unlabelled)
}

/// The labelled images that a run sees: `labels_per_class` of each class, or all of them for 0.
pub fn chosen(data: &Dataset, labels_per_class: usize, seed: u64) -> Result<Vec<usize>> {
    let wanted = (labels_per_class > 0).then_some(labels_per_class);
    Ok(split(&data.train.labels, &data.classes, wanted, 0, seed)?.train)
}

/// What a classifier begins with.
struct Start {
    weights: Weights,
    /// The layers of the encoder, from the image on: those that were pre-trained, or from scratch
    /// those that every VAE would have.
    encoder: Vec<&'static str>,
}

/// The seed's weights, with the pre-trained layers' in their place.
fn start(request: &Request<'_>, classes: usize) -> Result<Start> {
    let Request {
        architecture,
        settings,
        ..
    } = *request;
    let head = settings.head.into();
    let all = parameters::classifier(architecture, head, classes);
    let mut weights = Weights::initial(&all, request.seed);
    let autoencoder = match request.encoder {
        Some(pretrained) => parameters::pretrained(architecture, pretrained)?,
        None => &architecture.vae,
    };
    let encoder = parameters::shared_layers(architecture, head, autoencoder);
    if let Some(pretrained) = request.encoder {
        for parameter in &all {
            if encoder.iter().any(|layer| parameter.is_of(layer)) {
                let tensor = pretrained.get(&parameter.name)?.clone();
                weights.0.insert(parameter.name.clone(), tensor);
            }
        }
    }
    Ok(Start { weights, encoder })
}

struct FinetuneTask<'a> {
    classifier: Box<dyn Classifier>,
    settings: &'a Finetune,
    optimisation: Optimisation,
    /// The layers of the encoder, from the image on, and what their rates are multiplied with.
    encoder: Vec<&'static str>,
    labeller: Labeller,
    propagated: Option<Propagated>,
    distilled: Option<Distilled>,
    steps: usize,
    val: Samples,
    /// What BatchNorm's statistics are taken of in the end, if they are.
    seen_in_use: Samples,
    architecture: &'static Architecture,
    classes: usize,
}

impl FinetuneTask<'_> {
    /// The labels that the averaged network gives these slightly varied views; the weight of each
    /// image without one is 0.
    fn label(&mut self, weak: &Batch, step: usize) -> Result<Vec<Target>> {
        let settings = self.settings;
        let count = weak.count;
        let logits = self.classifier.averaged_logits(weak)?;
        let rise = (settings.consistency_warmup * self.steps as f64).round() as usize;
        let weight = settings.consistency * ramp(step, rise) / count as f64;
        let target = |label: Option<usize>| {
            let weight = label.map_or(0.0, |_| weight as f32);
            Target::class(label.unwrap_or(0), 0.0, weight)
        };
        let labels = self.labeller.labels(&logits, self.classes);
        Ok(labels.into_iter().map(target).collect())
    }

    /// The decay of the running average: shorter memories while there is little to remember.
    fn decay(&self, step: usize) -> f64 {
        self.settings
            .average
            .min((1 + step) as f64 / (10 + step) as f64)
    }
}

/// The share of unlabelled images that got a label, and of those the share that show it in their
/// strongly varied view too.
fn consistency(targets: &[Target], outcomes: &[Outcome]) -> [(&'static str, f64); 2] {
    let sure = targets
        .iter()
        .zip(outcomes)
        .filter(|(target, _)| target.weight > 0.0);
    let (sure, agreed) = sure.fold((0, 0), |(sure, agreed), (_, outcome)| {
        (sure + 1, agreed + usize::from(outcome.correct))
    });
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    [
        ("sure", share(sure, targets.len())),
        ("agreed", share(agreed, sure)),
    ]
}

/// The figures of a step on `count` labelled images, then the unlabelled ones of consistency with
/// those targets, then those of each of the `others`, by name.
fn figures(
    outcomes: &[Outcome],
    count: usize,
    targets: &[Target],
    others: &[&'static str],
) -> Figures {
    let (labelled, unlabelled) = outcomes.split_at(count);
    let (strong, rest) = unlabelled.split_at(targets.len());
    let mean = |of: &dyn Fn(&Outcome) -> f64| labelled.iter().map(of).sum::<f64>() / count as f64;
    let mut figures = vec![
        ("loss", mean(&|outcome| outcome.cross_entropy)),
        (
            "top1",
            mean(&|outcome| f64::from(u8::from(outcome.correct))),
        ),
    ];
    if !strong.is_empty() {
        figures.extend(consistency(targets, strong));
    }
    let each = (rest.len() / others.len().max(1)).max(1);
    for (name, outcomes) in others.iter().zip(rest.chunks(each)) {
        let shown = outcomes.iter().filter(|outcome| outcome.correct).count();
        figures.push((*name, shown as f64 / each as f64));
    }
    figures
}

impl Task for FinetuneTask<'_> {
    fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>> {
        let settings = self.settings;
        let (labelled, unlabelled) = loaded.split_first().context("a step without a batch")?;
        let count = labelled.batch.count;
        let mut targets = settings.targets(&labelled.labels);
        let mut batch = Cow::Borrowed(&labelled.batch);
        let mut sure = 0;
        let mut others = Vec::new();
        for Loaded {
            batch: views,
            indices,
            ..
        } in unlabelled
        {
            let each = settings.consistency_batch;
            let mut views = (0..views.count)
                .step_by(each)
                .map(|at| views.part(at..at + each));
            if settings.consistency > 0.0
                && let (Some(weak), Some(strong)) = (views.next(), views.next())
            {
                targets.extend(self.label(&weak, step)?);
                sure = each;
                batch.to_mut().append(strong)?;
            }
            let images = &indices[..each];
            if let Some(propagated) = &self.propagated
                && let Some(view) = views.next()
            {
                targets.extend(propagated.targets(images, settings.propagation));
                others.push("propagated");
                batch.to_mut().append(view)?;
            }
            if let Some(distilled) = &self.distilled
                && let Some(view) = views.next()
            {
                targets.extend(distilled.targets(images, settings.distillation));
                others.push("distilled");
                batch.to_mut().append(view)?;
            }
        }
        let rates = settings.layer_rates(&self.encoder, step, self.steps);
        let update = self.optimisation.update(step, self.steps, rates);
        let outcomes = self.classifier.learn(&batch, &targets, &update)?;
        if settings.average > 0.0 {
            let decay = self.decay(step);
            self.classifier.average(decay)?;
        }
        let mut consistent = targets.split_off(count);
        consistent.truncate(sure);
        Ok(outcomes.map(move |outcomes| figures(&outcomes, count, &consistent, &others)))
    }

    fn validate(&mut self, _epoch: usize) -> Result<Measures> {
        let classifier = &*self.classifier;
        let form = classifier.form();
        let predictions = evaluate::answers(self.classes, self.val.clone(), form, |batch| {
            classifier.averaged_logits(batch)
        })?;
        Ok(Measures::from([
            ("loss".to_owned(), predictions.loss()),
            ("top1".to_owned(), predictions.top_k(1)),
            ("top5".to_owned(), predictions.top_k(5)),
        ]))
    }

    fn rate(&self, step: usize) -> f64 {
        self.optimisation.rate(step, self.steps)
    }

    fn learner(&mut self) -> &mut dyn Learner {
        &mut *self.classifier
    }

    /// On the processor, whatever trains: it takes seconds.
    fn finish(&mut self, weights: Weights) -> Result<Weights> {
        let Size { count, side } = evaluate::BATCH;
        let images = Loader::evaluation(self.seen_in_use.clone(), count, side, Form::Values)?;
        let batches = images.map(|loaded| Ok(loaded?.batch));
        let head = self.settings.head.into();
        cpu::recalibrated(self.architecture, head, &weights, self.classes, batches)
    }

    fn state(&self) -> Weights {
        self.labeller.state()
    }

    fn set_state(&mut self, state: &Weights) -> Result<()> {
        self.labeller.set_state(state)
    }
}
