//! `vae96 export`: a run's network as a model file, or as a file of another format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vae96::INPUT;
use vae96::model::WeightLayout;
use vae96::network::{Description, Kind};

use super::config::Config;
use super::folder::stages;
use super::source::{self, Parts};
use super::trained::Trained;
use super::{Answer, inspect};
use crate::backend::Form;
use crate::cli::{ExportCommand, ExportKind, Target};
use crate::data::loader::{Loader, Samples};
use crate::data::{Dataset, Images};
use crate::evaluate::Aligned;
use crate::export::{Format, Subject, onnx, tflite};
use crate::files;
use crate::quantise::integers::Integers;
use crate::quantise::{self, calibrate::Method, fold::fold, pack::pack};
use crate::train::finetune::chosen;
use crate::train::progress::Progress;

/// How a file is made.
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
    let (format, out) = destination(arguments);
    ensure!(
        format == Format::V96 || arguments.target == Target::Portable,
        "--target orders the weights of a .v96 file; {} has no such order",
        format.name()
    );
    let stage = match arguments.kind {
        Some(ExportKind::Encoder) => stages::PRETRAIN,
        _ => stages::FINETUNE,
    };
    let trained = Trained::load(&arguments.run, stage)?;
    let export = Export::of(&trained, arguments.kind, options)?;
    let of_run = find_config(&arguments.run)?;
    let integers = || {
        let config = calibration(arguments, of_run.as_ref())?;
        export.integers(&export.images(&config, progress)?)
    };
    let subject = Subject {
        network: export.network,
        notes: export.notes(of_run.as_ref())?,
    };
    let mut note = "";
    let file = match format {
        Format::V96 => {
            let file = export.model(&integers()?)?;
            let (file, said) = ordered(file, arguments.target)?;
            note = said;
            file
        }
        Format::Tflite => tflite::file(&subject, &integers()?)?,
        Format::Onnx => {
            let (layers, classes) = (export.network.layers, export.classes.len());
            let layers = fold(layers, INPUT, classes, &trained.weights)?;
            onnx::float(&subject, &layers)?
        }
        Format::OnnxInt8 => onnx::int8(&subject, &integers()?)?,
    };
    files::write(&out, &file)?;
    match format {
        Format::V96 => answer_of_model(&out, &file, note),
        _ => Ok(export.answer(format, &out, &file)),
    }
}

/// The file's format and place.
fn destination(arguments: &ExportCommand) -> (Format, PathBuf) {
    let said = arguments.out.as_deref().map(Format::of);
    let format = arguments.format.or(said).unwrap_or(Format::V96);
    let default = || Path::new("model").with_extension(format.ending());
    (format, arguments.out.clone().unwrap_or_else(default))
}

/// Where the images to calibrate on are: the run's, or those that are given. Weights of no run
/// say nothing of labels: all of them may be used then.
fn calibration(arguments: &ExportCommand, of_run: Option<&Config>) -> Result<Config> {
    let mut config = match (of_run, &arguments.data) {
        (Some(config), _) => config.clone(),
        (None, Some(_)) => {
            let mut config = Config::built_in()?;
            if let Some(finetune) = &mut config.finetune {
                finetune.labels_per_class = 0;
            }
            config
        }
        (None, None) => anyhow::bail!(
            "--data says which images to calibrate {} on; only weights in their run's folder can \
             do without",
            arguments.run.display()
        ),
    };
    if let Some(data) = &arguments.data {
        config.data = Some(data.clone());
    }
    Ok(config)
}

/// The file with its weights as the target's kernels take them, and a note where they cannot.
fn ordered(file: Vec<u8>, target: Target) -> Result<(Vec<u8>, &'static str)> {
    let layout = match target {
        Target::Portable => return Ok((file, "")),
        Target::CortexM4 => WeightLayout::Packed,
        Target::CortexM4Winograd => WeightLayout::Winograd,
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
    find_config(path)?.with_context(|| {
        format!(
            "{} is not in the folder of a run: no config.toml in it or above it",
            path.display()
        )
    })
}

fn find_config(path: &Path) -> Result<Option<Config>> {
    let mut files = (path.ancestors().take(3)).map(|folder| folder.join("config.toml"));
    let found = files.find(|file| file.exists());
    found.map(|file| Config::load(&file)).transpose()
}

/// The model file of a classifier, calibrated on the labelled images it was trained on.
pub fn classifier(
    trained: &Trained,
    config: &Config,
    data: &Dataset,
    options: &Options,
) -> Result<Vec<u8>> {
    let export = Export::of(trained, Some(ExportKind::Classifier), *options)?;
    let images = export.labelled(config, data)?;
    export.model(&export.integers(&images)?)
}

/// Which network of a training's is exported.
struct Export<'a> {
    trained: &'a Trained,
    network: &'static Description,
    /// The classes; none for an encoder.
    classes: &'a [String],
    options: Options,
}

impl<'a> Export<'a> {
    /// The network of that kind, or the classifier where there is one.
    fn of(trained: &'a Trained, kind: Option<ExportKind>, options: Options) -> Result<Self> {
        let classifier = match kind {
            Some(kind) => kind == ExportKind::Classifier,
            None => trained.label.classifier.is_some(),
        };
        let (kind, classes) = match classifier {
            true => {
                let (head, classes) = trained.head()?;
                (Kind::classifier(head.into()), classes)
            }
            false => (trained.encoder_kind()?, Default::default()),
        };
        let architecture = trained.label.network.architecture();
        let network = Description::of(architecture, kind)
            .with_context(|| format!("no device runs the {kind} of {}", architecture.name))?;
        Ok(Self {
            trained,
            network,
            classes,
            options,
        })
    }

    /// The classes' names, where there are any and the file is to have them.
    fn names(&self) -> Vec<&str> {
        match self.options.names && !self.trained.label.numbered {
            true => self.classes.iter().map(String::as_str).collect(),
            false => Vec::new(),
        }
    }

    /// What a file says of the network by name: the classes, and the options of the run.
    fn notes(&self, of_run: Option<&Config>) -> Result<Vec<(String, String)>> {
        let mut notes = Vec::new();
        let names = self.names();
        if !names.is_empty() {
            notes.push(("classes".to_owned(), serde_json::to_string(&names)?));
        }
        if let Some(config) = of_run {
            notes.push(("options".to_owned(), config.without_paths()?));
        }
        Ok(notes)
    }

    /// The images to calibrate on.
    fn images(&self, config: &Config, progress: Progress) -> Result<Vec<Vec<f32>>> {
        if self.network.kind.is_classifier() {
            return self.labelled(config, &source::load(config, Parts::TRAIN, progress)?);
        }
        let images = source::load(config, Parts::UNLABELLED, progress)?.unlabelled;
        let all: Vec<usize> = (0..images.len()).collect();
        self.spread(&images, &all)
    }

    /// Of the labelled images that the classifier was trained on.
    fn labelled(&self, config: &Config, data: &Dataset) -> Result<Vec<Vec<f32>>> {
        self.trained.check_classes(&data.classes)?;
        let labels = config.finetune()?.labels_per_class;
        let chosen = chosen(data, labels, config.seed)?;
        self.spread(&data.train.images, &chosen)
    }

    /// As many of the images as the options say, spread evenly over all of them.
    fn spread(&self, images: &Images, indices: &[usize]) -> Result<Vec<Vec<f32>>> {
        let step = indices.len().div_ceil(self.options.images).max(1);
        let some = indices.iter().copied().step_by(step).collect();
        let samples = Samples::unlabelled(images, some);
        Loader::evaluation(samples, 1, vae96::SIDE, Form::Values)?
            .map(|loaded| Ok(loaded?.batch.values()?.to_vec()))
            .collect()
    }

    fn integers(&self, images: &[Vec<f32>]) -> Result<Vec<Integers>> {
        let (classes, weights) = (self.classes.len(), &self.trained.weights);
        quantise::layers(self.network, classes, weights, images, self.options.method)
    }

    fn model(&self, layers: &[Integers]) -> Result<Vec<u8>> {
        pack(self.network, layers, self.classes.len(), &self.names())
    }

    fn answer(&self, format: Format, out: &Path, file: &[u8]) -> Answer {
        let macs = self.network.macs(self.classes.len());
        let text = format!(
            "{}: {}, {} {}, {} bytes, {:.1} M MACs",
            out.display(),
            format.name(),
            self.network.architecture.name,
            self.network.kind,
            file.len(),
            macs as f64 / 1e6
        );
        let json = json!({
            "model": out,
            "format": format.name(),
            "bytes": file.len(),
            "macs": macs,
        });
        Answer { json, text }
    }
}

fn answer_of_model(out: &Path, file: &[u8], note: &str) -> Result<Answer> {
    let needs = crate::evaluate::needs(file)?;
    let text = format!("{}: {}{note}", out.display(), inspect::summary(&needs));
    let json = json!({
        "model": out,
        "layout": needs.layout,
        "flash_bytes": needs.flash_bytes,
        "ram_bytes": needs.ram_bytes,
        "macs": needs.macs,
    });
    Ok(Answer { json, text })
}
