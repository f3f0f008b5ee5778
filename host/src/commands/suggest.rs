//! `vae96 suggest`: which images to label first.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::config::Config;
use super::folder::stages;
use super::source::{self, Parts};
use super::trained::Trained;
use super::{Answer, export};
use crate::backend::{self, Precision};
use crate::cli::SuggestCommand;
use crate::data::{Dataset, IMAGE_BYTES, Images, sheet};
use crate::files;
use crate::latent::choice::{choose, shares};
use crate::latent::{Rows, features};
use crate::train::progress::Progress;

/// Chooses images to label.
pub fn run(arguments: &SuggestCommand, progress: Progress) -> Result<Answer> {
    let count = arguments.count;
    ensure!(count > 0, "--count is 0; it must be at least 1");
    let trained = Trained::load(&arguments.from, stages::PRETRAIN)?;
    let backend = backend::choose(arguments.device, Some(Precision::F32), move |line| {
        progress.tell(line)
    })?;
    let vae = trained.vae(&*backend, &arguments.from)?;
    let data = source::load(&images(arguments)?, parts(arguments), progress)?;
    let pool = data.unlabelled.len();
    ensure!(
        count <= pool,
        "--count is {count}; there are {pool} unlabelled images to choose from"
    );

    let latent = trained.autoencoder()?.latent();
    let labelled = data.train.images.len();
    let bar = progress.bar("encoding", (pool + labelled) as u64, "images");
    let rows = |images: &Images| -> Result<Rows> {
        features::means(&*vae, latent, images, (0..images.len()).collect(), &bar)
    };
    let (pool, labelled) = (rows(&data.unlabelled)?, rows(&data.train.images)?);
    bar.finish_and_clear();
    ensure!(
        pool.are_finite() && labelled.are_finite(),
        "the latent space of {} has values that are not finite: its training diverged",
        arguments.from.display()
    );
    let chosen = choose(&pool, &labelled, count, arguments.method, arguments.seed);
    if let Some(file) = &arguments.sheet {
        write_sheet(file, &data.unlabelled, &chosen)?;
    }
    Ok(answer(&data, &chosen, &shares(&pool, &chosen)))
}

/// Where the images are: in the folder that is given, or where the run's were.
fn images(arguments: &SuggestCommand) -> Result<Config> {
    let config = export::config(&arguments.from);
    let mut config = match arguments.data {
        Some(_) => config.or_else(|_| Config::built_in())?,
        None => config?,
    };
    if arguments.data.is_some() {
        config.data.clone_from(&arguments.data);
    }
    if config.data.is_some() {
        // A limit spared the training time; all images may be labelled.
        config.unlabelled = 0;
    }
    // However few labels there are.
    config.finetune = None;
    Ok(config)
}

fn parts(arguments: &SuggestCommand) -> Parts {
    Parts {
        train: arguments.labelled,
        ..Parts::UNLABELLED
    }
}

/// Writes the chosen images as one picture.
fn write_sheet(file: &Path, images: &Images, chosen: &[usize]) -> Result<()> {
    let mut pixels = vec![vec![0; IMAGE_BYTES]; chosen.len()];
    for (pixels, &index) in pixels.iter_mut().zip(chosen) {
        images.read(index, pixels)?;
    }
    files::write(file, &sheet::png(&pixels, vae96::SIDE)?)
}

fn answer(data: &Dataset, chosen: &[usize], shares: &[usize]) -> Answer {
    let file = |index: usize| data.unlabelled_files.get(index).map(PathBuf::as_path);
    let line = |&index: &usize| match file(index) {
        Some(file) => file.display().to_string(),
        None => format!("scene {index}"),
    };
    let entry = |((rank, &index), &stands_for): ((usize, &usize), &usize)| -> Value {
        let (key, value) = match file(index) {
            Some(file) => ("file", json!(file.to_string_lossy())),
            None => ("scene", json!(index)),
        };
        json!({ key: value, "rank": rank, "stands_for": stands_for })
    };
    let entries = (1..).zip(chosen).zip(shares).map(entry);
    Answer {
        json: json!({ "images": entries.collect::<Vec<_>>() }),
        text: chosen.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}
