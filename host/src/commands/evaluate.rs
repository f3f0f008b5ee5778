//! `vae96 evaluate`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::config::Config;
use super::folder::stages;
use super::source::{self, Parts};
use super::trained::{Trained, same_classes};
use super::{Answer, export};
use crate::backend::{self, Precision};
use crate::cli::EvaluateCommand;
use crate::data::loader::Samples;
use crate::evaluate::{self, Predictions};
use crate::files;
use crate::train::progress::Progress;

/// What is evaluated.
enum Subject {
    Trained(Box<Trained>),
    Model(Vec<u8>),
}

impl Subject {
    /// The classifier at `path`, checked before any image is read.
    fn load(path: &Path) -> Result<Self> {
        let unusable = || format!("cannot evaluate {}", path.display());
        if path.is_dir() || path.extension().is_some_and(|e| e == "safetensors") {
            let trained = Trained::load(path, stages::FINETUNE)?;
            trained.head().with_context(unusable)?;
            Ok(Self::Trained(Box::new(trained)))
        } else {
            let file = files::read(path)?;
            let aligned = evaluate::Aligned::new(&file);
            let model = evaluate::parse(aligned.bytes()).with_context(unusable)?;
            ensure!(
                model.classes() > 0,
                "{} is of an encoder, which tells no classes apart",
                path.display()
            );
            Ok(Self::Model(file))
        }
    }
}

/// Evaluates a run's classifier, or a model file.
pub fn run(arguments: &EvaluateCommand, progress: Progress) -> Result<Answer> {
    let path = &arguments.model;
    let subject = Subject::load(path)?;
    // A model file alone names its classes, but not where images of them are.
    let config = match (&arguments.data, export::config(path)) {
        (Some(data), config) => Config {
            data: Some(data.clone()),
            ..config.or_else(|_| Config::built_in())?
        },
        (None, Ok(config)) => config,
        (None, Err(_)) => bail!(
            "--data says which images to evaluate {} on; only a model in its run's folder can do \
             without",
            path.display()
        ),
    };
    let data = source::load(&config, Parts::VAL, progress)?;
    let began = Instant::now();
    let predictions = match &subject {
        Subject::Trained(trained) => {
            let (_, classes) = trained.head()?;
            trained.check_classes(&data.classes)?;
            let device = config.device.or_any();
            let backend = backend::choose(device, Some(Precision::F32), move |line| {
                progress.tell(line)
            })?;
            let classifier = trained.classifier(&*backend)?;
            evaluate::classifier(&*classifier, classes.len(), Samples::spread(&data.val, 0))?
        }
        Subject::Model(file) => {
            let aligned = evaluate::Aligned::new(file);
            let model = evaluate::parse(aligned.bytes())?;
            let names: Vec<String> = model.names().map(str::to_owned).collect();
            if names.is_empty() {
                ensure!(
                    data.classes.len() == model.classes(),
                    "the images are of {} classes; {} tells {} apart",
                    data.classes.len(),
                    path.display(),
                    model.classes()
                );
            } else {
                same_classes(&data.classes, &names)?;
            }
            evaluate::model(file, &data.val)?
        }
    };
    Ok(answer(&predictions, began.elapsed().as_secs_f64()))
}

fn answer(predictions: &Predictions, seconds: f64) -> Answer {
    let images = predictions.images();
    let (top1, top5, loss) = (
        predictions.top_k(1),
        predictions.top_k(5),
        predictions.loss(),
    );
    let rate = images as f64 / seconds.max(1e-9);
    let text = format!(
        "top-1 {:.2} %, top-5 {:.2} %, loss {loss:.4} of {images} images, {rate:.0} images/s",
        100.0 * top1,
        100.0 * top5
    );
    let json = json!({
        "images": images,
        "top1": top1,
        "top5": top5,
        "loss": loss,
        "images_per_second": rate,
    });
    Answer { json, text }
}
