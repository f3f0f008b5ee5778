//! What the commands on taught classes have in common, and `vae96 classify --prototypes`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use vae96::Match;
use vae96::model::Model;
use vae96::prototypes::ONE;

use super::Answer;
use super::config::Config;
use super::source::{self, Parts};
use crate::cli::ClassifyCommand;
use crate::data::{Labelled, decode};
use crate::evaluate::{self, Aligned, inference};
use crate::few_shot::features::{self, one};
use crate::few_shot::{MAX_CLASSES, Taught};
use crate::files;
use crate::train::progress::Progress;

/// The model of a file, which must be of an encoder.
pub fn encoder<'f>(file: &'f Aligned, path: &Path) -> Result<Model<'f>> {
    let model = evaluate::parse(file.bytes());
    let checked = model.and_then(|model| features::check(&model).map(|()| model));
    checked.with_context(|| format!("cannot use {}", path.display()))
}

/// The classes of a file that were taught with `model`.
pub fn load(model: &Model<'_>, path: &Path) -> Result<Box<Taught>> {
    let mut taught = Box::new(Taught::of(model)?);
    (taught.load(&files::read(path)?)).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(taught)
}

/// The labelled validation images of a folder, or of the built-in scenes.
pub fn validation(data: Option<PathBuf>, progress: Progress) -> Result<Labelled> {
    let config = Config {
        data,
        finetune: None,
        ..Config::built_in()?
    };
    Ok(source::load(&config, Parts::VAL, progress)?.val)
}

/// Classifies image files by the classes of a file.
pub fn classify(file: &Aligned, arguments: &ClassifyCommand, classes: &Path) -> Result<Answer> {
    let model = encoder(file, &arguments.model)?;
    let taught = load(&model, classes)?;
    let mut buffer = inference::buffer(&model);
    let (mut entries, mut lines) = (Vec::new(), Vec::new());
    for path in &arguments.images {
        let image = decode(path).with_context(|| format!("cannot read {}", path.display()))?;
        let seen = one(&model, &image, &mut buffer)?;
        let compared = taught.compare(&seen.row(0))?;
        let mut top = compared.top_k::<MAX_CLASSES>();
        top.truncate(arguments.top);
        let none = compared.none_of_these().map(real);
        entries.push(entry(path, &top, none));
        lines.push(line(path, &top, none));
    }
    Ok(Answer {
        json: json!({ "results": entries }),
        text: lines.join("\n"),
    })
}

/// A similarity or a probability.
fn real(value: i32) -> f64 {
    f64::from(value) / f64::from(ONE)
}

fn line(path: &Path, top: &[Match<'_>], none: Option<f64>) -> String {
    let mut parts: Vec<_> = (top.iter())
        .map(|found| format!("{} {:.3}", found.name, real(found.similarity)))
        .collect();
    parts.extend(none.map(|none| format!("none of these {:.1} %", 100.0 * none)));
    format!("{}: {}", path.display(), parts.join(", "))
}

fn entry(path: &Path, top: &[Match<'_>], none: Option<f64>) -> Value {
    let class = |found: &Match<'_>| {
        json!({
            "class": found.class,
            "name": found.name,
            "similarity": real(found.similarity),
        })
    };
    json!({ "file": path, "top": top.iter().map(class).collect::<Vec<_>>(), "none": none })
}
