//! The machine that a run trains on.

use anyhow::Result;

use super::config::Config;
use crate::backend::{self, Backend};
use crate::train::progress::Progress;
use crate::train::run::Folder;

/// The machine that the options ask for. They, and the run's `config.toml`, then tell the precision
/// that it computes in.
pub fn of(config: &mut Config, folder: &Folder, progress: Progress) -> Result<Box<dyn Backend>> {
    let tell = move |line: &str| progress.tell(line);
    let backend = backend::choose(config.device, config.precision, tell)?;
    let precision = Some(backend.precision());
    if config.precision != precision {
        config.precision = precision;
        config.save(&folder.config())?;
    }
    Ok(backend)
}
