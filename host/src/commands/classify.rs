//! `vae96 classify`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Answer, taught};
use crate::cli::ClassifyCommand;
use crate::data::decode;
use crate::evaluate::{self, Aligned, Predictions, inference};
use crate::files;

/// A class of an image.
struct Score {
    class: usize,
    name: String,
    probability: f64,
}

/// Classifies image files.
pub fn run(arguments: &ClassifyCommand) -> Result<Answer> {
    ensure!(arguments.top > 0, "--top is 0; it must be at least 1");
    let file = Aligned::new(&files::read(&arguments.model)?);
    if let Some(classes) = &arguments.prototypes {
        return taught::classify(&file, arguments, classes);
    }
    let model = evaluate::parse(file.bytes())
        .with_context(|| format!("cannot use {}", arguments.model.display()))?;
    let classes = model.classes();
    ensure!(
        classes > 0,
        "{} is of an encoder, which tells no classes apart but those of --prototypes",
        arguments.model.display()
    );
    let mut buffer = inference::buffer(&model);
    let mut results = Vec::new();
    for path in &arguments.images {
        let image = decode(path).with_context(|| format!("cannot read {}", path.display()))?;
        let logits = evaluate::logits(&model, &image, &mut buffer)?;
        let name = |class: usize| match model.name(class) {
            Some(name) => name.to_owned(),
            None => format!("class {class}"),
        };
        results.push((path, best(&logits, arguments.top, name)));
    }
    let text: Vec<String> = results.iter().map(|(path, top)| line(path, top)).collect();
    let json = json!({ "results": results.iter().map(|(path, top)| entry(path, top)).collect::<Vec<_>>() });
    Ok(Answer {
        json,
        text: text.join("\n"),
    })
}

/// The `count` best classes, best first; of equal ones the lower class first.
fn best(logits: &[f32], count: usize, name: impl Fn(usize) -> String) -> Vec<Score> {
    let probabilities = Predictions::probabilities(logits);
    let mut scores: Vec<_> = probabilities
        .enumerate()
        .map(|(class, probability)| Score {
            class,
            name: name(class),
            probability,
        })
        .collect();
    scores.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    scores.truncate(count);
    scores
}

fn line(path: &Path, top: &[Score]) -> String {
    let scores: Vec<_> = top
        .iter()
        .map(|score| format!("{} {:.1} %", score.name, 100.0 * score.probability))
        .collect();
    format!("{}: {}", path.display(), scores.join(", "))
}

fn entry(path: &Path, top: &[Score]) -> Value {
    let score = |score: &Score| {
        json!({
            "class": score.class,
            "name": score.name,
            "probability": score.probability,
        })
    };
    json!({ "file": path, "top": top.iter().map(score).collect::<Vec<_>>() })
}
