//! How long a reproduction takes: measured by a few real steps of each kind of training before it
//! begins, and corrected by every training that ends.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use vae96::SIDE;

use super::{Finished, Reproduction};
use crate::backend::{Form, LayerRates, Noise, Weights, parameters};
use crate::commands::folder::stages;
use crate::data::loader::{Drawing, Loaded, Loader, Samples, Source};
use crate::data::random::{Purpose, stream};
use crate::train::reproduction::{Setting, Training};
use crate::train::run::{Folder, only};
use crate::train::{finetune, metrics, pretrain};

/// Steps that are timed, after one that is not.
pub const STEPS: usize = 3;
/// Images that are evaluated together.
const EVALUATED: usize = 100;

/// Trainings whose steps cost the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The VAE.
    Vae,
    /// A classifier: whether its head is convolutional, and whether its encoder learns.
    Classifier {
        /// The setting that stands for all such.
        setting: Setting,
    },
}

impl From<Training> for Kind {
    fn from(training: Training) -> Self {
        let alike = Setting::ALL.into_iter().find(|setting| {
            (setting.head(), setting.encoder())
                == (training.setting.head(), training.setting.encoder())
        });
        Self::Classifier {
            setting: alike.unwrap_or(training.setting),
        }
    }
}

impl Kind {
    /// Bytes of the weights of one such.
    pub fn weight_bytes(self, of: &Reproduction<'_>) -> Result<usize> {
        let parameters = match self {
            Self::Vae => parameters::vae(of.config.autoencoder()?),
            Self::Classifier { setting } => {
                let architecture = of.config.network.architecture();
                let classes = of.data.classes.len();
                parameters::classifier(architecture, setting.head().into(), classes)
            }
        };
        let values = parameters.iter().map(|p| p.shape.iter().product::<usize>());
        Ok(values.sum::<usize>() * size_of::<f32>())
    }
}

/// Seconds an image.
#[derive(Clone, Copy, Debug)]
struct Pace {
    trained: f64,
    evaluated: f64,
}

/// Images that a training has still before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    trained: f64,
    evaluated: f64,
}

impl Pace {
    fn seconds(self, work: Work) -> f64 {
        self.trained * work.trained + self.evaluated * work.evaluated
    }
}

/// The pace of every kind of training that is left.
pub struct Estimate(BTreeMap<Kind, Pace>);

/// A training under the clock.
pub struct Timed {
    kind: Kind,
    expected: f64,
    began: Instant,
}

impl Estimate {
    /// Does a few steps of every kind of training that is left.
    pub fn measure(of: &Reproduction<'_>) -> Result<Self> {
        let mut paces = BTreeMap::new();
        if !of.vae_folder().is_complete() {
            paces.insert(Kind::Vae, vae(of)?);
        }
        for &training in &of.trainings {
            let kind = Kind::from(training);
            if !paces.contains_key(&kind) && Finished::load(&of.folder_of(training))?.is_none() {
                paces.insert(kind, classifier(of, training)?);
            }
        }
        Ok(Self(paces))
    }

    /// The time that is left, in words.
    pub fn left(&self, of: &Reproduction<'_>) -> Result<String> {
        let mut seconds = self.seconds(Kind::Vae, of.vae_work()?);
        for &training in &of.trainings {
            seconds += self.seconds(training.into(), of.work(training)?);
        }
        Ok(about(seconds))
    }

    /// Starts the clock for a training that has that work before it.
    pub fn begin(&self, kind: Kind, work: Work) -> Timed {
        Timed {
            kind,
            expected: self.seconds(kind, work),
            began: Instant::now(),
        }
    }

    /// Corrects the pace by what a training took.
    pub fn end(&mut self, timed: Timed) {
        let Some(pace) = self.0.get_mut(&timed.kind) else {
            return;
        };
        if timed.expected > 0.0 {
            let ratio = timed.began.elapsed().as_secs_f64() / timed.expected;
            pace.trained *= ratio;
            pace.evaluated *= ratio;
        }
    }

    fn seconds(&self, kind: Kind, work: Work) -> f64 {
        self.0.get(&kind).map_or(0.0, |pace| pace.seconds(work))
    }
}

impl Reproduction<'_> {
    fn vae_folder(&self) -> Folder {
        Folder::at(&self.folder.file(stages::PRETRAIN))
    }

    /// What is left of pre-training.
    pub(super) fn vae_work(&self) -> Result<Work> {
        let folder = self.vae_folder();
        if folder.is_complete() {
            return Ok(Work::default());
        }
        let settings = self.config.pretrain()?;
        let images = self.data.unlabelled.len();
        let held_out = pretrain::held_out(images).min(images);
        let (batch, steps) = pretrain::pass(settings, images - held_out);
        let epochs = epochs_left(&folder, settings.epochs)?;
        Ok(Work {
            trained: epochs * (steps * batch) as f64,
            evaluated: epochs * held_out as f64,
        })
    }

    /// What is left of a classifier's training and evaluation.
    pub(super) fn work(&self, training: Training) -> Result<Work> {
        let folder = self.folder_of(training);
        if Finished::load(&folder)?.is_some() {
            return Ok(Work::default());
        }
        let settings = self.config.finetune()?;
        let val = self.data.val.labels.len();
        let looked_at = match settings.val_images {
            0 => val,
            some => some.min(val),
        };
        let labelled = training.labels * self.data.classes.len();
        let (batch, steps) = finetune::pass(settings, labelled);
        let epochs = match folder.is_complete() {
            true => 0.0,
            false => epochs_left(&folder, settings.epochs)?,
        };
        Ok(Work {
            trained: epochs * (steps * batch) as f64,
            evaluated: epochs * looked_at as f64 + val as f64,
        })
    }
}

fn epochs_left(folder: &Folder, epochs: usize) -> Result<f64> {
    let done = match folder.metrics().exists() {
        true => metrics::read(&folder.metrics())?.len(),
        false => 0,
    };
    Ok(epochs.saturating_sub(done) as f64)
}

/// Times the VAE's steps and its way through images held out.
fn vae(of: &Reproduction<'_>) -> Result<Pace> {
    let (config, images) = (of.config, &of.data.unlabelled);
    let settings = config.pretrain()?;
    let autoencoder = config.autoencoder()?;
    let weights = Weights::initial(&parameters::vae(autoencoder), config.seed);
    let all: Vec<usize> = (0..images.len()).collect();
    let (batch, _) = pretrain::pass(settings, images.len());
    let work = pretrain::work(autoencoder, settings, batch);
    let backend = of.backend.suited_to(&work)?;
    let mut vae = backend.vae(autoencoder, &weights)?;
    drop(weights);
    let drawing = Drawing {
        batch,
        side: settings.side,
        views: settings.views(),
        form: vae.form(),
        seed: config.seed,
        streams: Drawing::MAIN,
    };
    let views = batch * drawing.views.len();
    let objective = settings.objective(0, 1, views);
    let noise = Noise::Drawn(stream(config.seed, Purpose::Noise, 0, 0));
    let samples = Samples::unlabelled(images, all);
    let update = settings.optimisation().update(0, 1, LayerRates::default());
    let trained = timed(samples.clone(), drawing, |loaded| {
        vae.step(&loaded.batch, &loaded.batch, noise, objective, &update)?;
        Ok(())
    })?;
    let loaded = first(samples, Form::Values)?;
    let began = Instant::now();
    let latent = vae.encode(&loaded.batch)?;
    vae.decode(&latent.mean)?;
    Ok(Pace {
        trained,
        evaluated: began.elapsed().as_secs_f64() / loaded.batch.count as f64,
    })
}

/// Times a classifier's steps and its answers.
fn classifier(of: &Reproduction<'_>, training: Training) -> Result<Pace> {
    let (config, data) = (of.config_of(training)?, of.data);
    let settings = config.finetune()?;
    let architecture = config.network.architecture();
    let (head, classes) = (settings.head.into(), data.classes.len());
    let all = parameters::classifier(architecture, head, classes);
    let weights = Weights::initial(&all, config.seed);
    let chosen = finetune::chosen(data, training.labels, training.seed)?;
    let (batch, _) = finetune::pass(settings, chosen.len());
    let work = finetune::work(architecture, settings, classes, batch);
    let backend = of.backend.suited_to(&work)?;
    let mut classifier = backend.classifier(architecture, head, classes, &weights)?;
    drop(weights);
    let drawing = Drawing {
        batch,
        side: settings.side,
        views: vec![settings.augmentation()],
        form: classifier.form(),
        seed: config.seed,
        streams: Drawing::MAIN,
    };
    let encoder = parameters::shared_layers(architecture, head, &architecture.vae);
    let rates = settings.layer_rates(&encoder, 0, 1);
    let update = settings.optimisation().update(0, 1, rates);
    let samples = Samples::labelled(&data.train, chosen);
    let trained = timed(samples, drawing, |loaded| {
        let targets = settings.targets(&loaded.labels);
        classifier.step(&loaded.batch, &targets, &update)?;
        Ok(())
    })?;
    let loaded = first(Samples::spread(&data.val, EVALUATED), classifier.form())?;
    let began = Instant::now();
    classifier.logits(&loaded.batch)?;
    Ok(Pace {
        trained,
        evaluated: began.elapsed().as_secs_f64() / loaded.batch.count as f64,
    })
}

/// Seconds an image of a step and of its images' way to it. The first step is not timed: it makes
/// what the others find.
fn timed(
    samples: Samples,
    drawing: Drawing,
    mut step: impl FnMut(&Loaded) -> Result<()>,
) -> Result<f64> {
    let images = (STEPS * drawing.batch) as f64;
    let loader = Loader::training(vec![Source { samples, drawing }], 0)?;
    let mut began = Instant::now();
    for (index, loaded) in loader.take(1 + STEPS).enumerate() {
        step(only(&loaded?)?)?;
        if index == 0 {
            began = Instant::now();
        }
    }
    Ok(began.elapsed().as_secs_f64() / images)
}

fn first(samples: Samples, form: Form) -> Result<Loaded> {
    let mut loader = Loader::evaluation(samples, EVALUATED, SIDE, form)?;
    loader
        .next()
        .context("there are no images to evaluate on")?
}

/// A time to plan by: no more digits than it deserves.
fn about(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 | 1 => "about a minute".to_owned(),
        2..60 => format!("about {minutes} minutes"),
        60..2880 => format!("about {} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("about {:.1} days", minutes as f64 / 1440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_read_well() {
        let found = [0.0, 100.0, 3600.0 * 5.1, 3600.0 * 24.0 * 3.5].map(about);
        let wanted = [
            "about a minute",
            "about 2 minutes",
            "about 5 h 06 min",
            "about 3.5 days",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_a_training_took_corrects_its_kind_alone() {
        let pace = Pace {
            trained: 1.0,
            evaluated: 0.5,
        };
        let [learn, freeze] =
            [Setting::ConvLearn, Setting::ConvFreeze].map(|setting| Kind::Classifier { setting });
        let mut estimate = Estimate(BTreeMap::from([(learn, pace), (freeze, pace)]));
        let work = Work {
            trained: 100.0,
            evaluated: 200.0,
        };
        assert_eq!(estimate.seconds(learn, work), 200.0);
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        estimate.end(Timed {
            kind: learn,
            expected: 5.0,
            began,
        });
        let corrected = estimate.seconds(learn, work);
        assert!((400.0..410.0).contains(&corrected), "{corrected}");
        assert_eq!(estimate.seconds(freeze, work), 200.0);
        assert_eq!(estimate.seconds(Kind::Vae, work), 0.0);
    }

    #[test]
    fn a_baseline_costs_what_a_learning_encoder_costs() {
        let training = |setting| Training {
            setting,
            labels: 1,
            seed: 0,
        };
        let kind = |setting| Kind::from(training(setting));
        assert_eq!(kind(Setting::Baseline), kind(Setting::ConvLearn));
        assert_ne!(kind(Setting::ConvFreeze), kind(Setting::ConvLearn));
    }
}
