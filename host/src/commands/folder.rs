//! The folder of a run: a new one, a given one, or that of an interrupted run.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::config::{Config, Given, Stage};
use crate::cli::FolderArguments;
use crate::train::run::Folder;

/// Where runs go that are given no place.
const RUNS: &str = "runs";

/// The folder of a run and its options: those of the run that is resumed, or those given.
pub fn open(
    stage: Stage,
    arguments: &FolderArguments,
    given: Given<'_>,
) -> Result<(Folder, Config)> {
    if let Some(path) = &arguments.resume {
        return resume(stage, path);
    }
    let config = Config::resolve(
        stage,
        &Given {
            file: arguments.config.as_deref(),
            ..given
        },
    )?;
    let folder = match &arguments.out {
        Some(path) => new(path)?,
        None => numbered(stage)?,
    };
    config.save(&folder.config())?;
    Ok((folder, config))
}

fn resume(stage: Stage, path: &Path) -> Result<(Folder, Config)> {
    let folder = Folder::at(path);
    ensure!(
        folder.config().exists(),
        "{} is not the folder of a run: it has no config.toml",
        path.display()
    );
    let config = Config::load(&folder.config())?;
    ensure!(
        config.stage == stage,
        "{} is a run of `{}`: resume it with `vae96 {} --resume {}`",
        path.display(),
        config.stage.command(),
        config.stage.command(),
        path.display()
    );
    Ok((folder, config))
}

fn new(path: &Path) -> Result<Folder> {
    if path.join("config.toml").exists() {
        bail!(
            "{} holds a run already: go on with it by --resume {}, or choose another --out",
            path.display(),
            path.display()
        );
    }
    Folder::make(path)
}

/// The first of `runs/run-001`, `runs/run-002`, … that is free.
fn numbered(stage: Stage) -> Result<Folder> {
    let path = |number: usize| PathBuf::from(RUNS).join(format!("{}-{number:03}", stage.command()));
    let free = (1..).map(path).find(|path| !path.exists());
    match free {
        Some(path) => Folder::make(&path),
        None => bail!("no number is left for a run in {RUNS}"),
    }
}
