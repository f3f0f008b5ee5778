//! The folder of a run: a new one, a given one, or that of an interrupted run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::config::{Config, Given, Stage};
use crate::cli::FolderArguments;
use crate::files;
use crate::train::run::Folder;

/// Where runs go that are given no place.
const RUNS: &str = "runs";
/// How many of a command go there.
const MOST_RUNS: usize = 9999;

/// The names of the folders that a run's stages have in its own.
pub mod stages {
    /// The VAE.
    pub const PRETRAIN: &str = "pretrain";
    /// The classifier from scratch.
    pub const BASELINE: &str = "baseline";
    /// The classifier from the pre-trained encoder.
    pub const FINETUNE: &str = "finetune";
    /// The model file.
    pub const MODEL: &str = "model.v96";
    /// The answer, as `--json` prints it.
    pub const RESULT: &str = "result.json";
}

/// The folder of a run and its options: those of the run that is resumed, or those given.
pub fn open(
    stage: Stage,
    arguments: &FolderArguments,
    given: Given<'_>,
) -> Result<(Folder, Config)> {
    if let Some(path) = &arguments.resume {
        return resume(stage, path, &given);
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
    Ok((folder.with_events(config.tensorboard), config))
}

fn resume(stage: Stage, path: &Path, given: &Given<'_>) -> Result<(Folder, Config)> {
    let names = given.names()?;
    ensure!(
        names.is_empty(),
        "--resume goes on with the options that the run began with: leave out {}",
        names.join(", ")
    );
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
    Ok((folder.with_events(config.tensorboard), config))
}

fn new(path: &Path) -> Result<Folder> {
    let folder = Folder::make(path)?;
    ensure!(
        !folder.config().exists() || nothing_but(&folder.config(), path)?,
        "{} holds a run already: go on with it by --resume {}, or choose another --out",
        path.display(),
        path.display()
    );
    Ok(folder)
}

/// Whether a folder has no other file: a run that failed for want of its images is no loss.
fn nothing_but(file: &Path, folder: &Path) -> Result<bool> {
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("cannot list the folder {}", folder.display()))?;
    Ok(entries.iter().all(|entry| entry.path() == file))
}

/// The first of `runs/run-001`, `runs/run-002`, … that is free, also for runs that begin at once.
fn numbered(stage: Stage) -> Result<Folder> {
    files::make_folder(Path::new(RUNS))?;
    for number in 1..=MOST_RUNS {
        let path = PathBuf::from(RUNS).join(format!("{}-{number:03}", stage.command()));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(Folder::at(&path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot make the folder {}", path.display()));
            }
        }
    }
    bail!("{RUNS} holds {MOST_RUNS} runs of this command; --out says where another goes")
}
