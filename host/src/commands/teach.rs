//! `vae96 teach`: classes by a few images each, in a file that a device loads.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::Answer;
use super::taught::{encoder, load, validation};
use crate::cli::TeachCommand;
use crate::data::decode;
use crate::evaluate::{Aligned, inference};
use crate::few_shot::features::{self, Features};
use crate::few_shot::{Taught, calibrate, episodes};
use crate::files;
use crate::train::progress::Progress;

/// Teaches classes.
pub fn run(arguments: &TeachCommand, progress: Progress) -> Result<Answer> {
    let path = &arguments.model;
    let file = Aligned::new(&files::read(path)?);
    let model = encoder(&file, path)?;
    let mut taught = match &arguments.from {
        Some(from) => load(&model, from)?,
        None => Box::new(Taught::of(&model)?),
    };
    for name in &arguments.remove {
        ensure!(
            taught.remove(name),
            "there is no class {name} to remove; {}",
            names(&taught)
        );
    }
    let mut buffer = inference::buffer(&model);
    for (name, path) in &arguments.class {
        for path in images(path)? {
            let image = decode(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let seen = features::one(&model, &image, &mut buffer)?;
            (taught.teach(name, &seen.row(0))).with_context(|| {
                format!("cannot teach the class {name} the image {}", path.display())
            })?;
        }
    }
    if let Some(data) = &arguments.calibrate {
        let shown = validation(data.clone(), progress)?;
        let seen = Features::of(&model, &shown.images)?;
        let of_class = episodes::of_class(&shown.labels);
        let calibration = calibrate::fit(&model, &seen, &of_class, arguments.seed)
            .context("cannot calibrate on those images")?;
        taught.calibrate(Some(calibration));
    }
    ensure!(
        !taught.is_empty() || taught.calibration().is_some(),
        "nothing to write: --class teaches a class, --calibrate prepares a file for a device that \
         will be taught"
    );
    let mut bytes = vec![0; taught.saved_bytes()];
    taught.save(&mut bytes)?;
    files::write(&arguments.out, &bytes)?;
    Ok(answer(arguments, &taught, bytes.len()))
}

/// An image, or those of a folder in the order of their names.
fn images(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = || format!("cannot read the folder {}", path.display());
    let mut images = fs::read_dir(path)
        .with_context(unreadable)?
        .map(|entry| Ok(entry.with_context(unreadable)?.path()))
        .collect::<Result<Vec<_>>>()?;
    images.sort();
    if images.is_empty() {
        bail!("the folder {} is empty", path.display());
    }
    Ok(images)
}

fn names(taught: &Taught) -> String {
    let names: Vec<_> = taught.classes().map(|(name, _)| name).collect();
    match names.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are {}", names.join(", ")),
    }
}

fn answer(arguments: &TeachCommand, taught: &Taught, bytes: usize) -> Answer {
    let classes: Vec<_> = taught
        .classes()
        .map(|(name, frames)| json!({ "name": name, "images": frames }))
        .collect();
    let mut text: Vec<_> = taught
        .classes()
        .map(|(name, frames)| format!("{name}: {frames} images"))
        .collect();
    let calibrated = if taught.calibration().is_some() {
        "calibrated"
    } else {
        "not calibrated"
    };
    text.push(format!(
        "{}: {} classes, {calibrated}, {bytes} bytes",
        arguments.out.display(),
        taught.len()
    ));
    Answer {
        json: json!({
            "file": arguments.out,
            "bytes": bytes,
            "calibrated": taught.calibration().is_some(),
            "classes": classes,
        }),
        text: text.join("\n"),
    }
}
