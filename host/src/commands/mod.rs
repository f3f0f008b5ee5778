//! The commands: each ties stages together, answers, and knows nothing of how a stage works.

mod classify;
pub mod config;
mod evaluate;
mod export;
mod few_shot;
mod finetune;
mod folder;
mod infer;
mod inspect;
mod latent_space;
mod machine;
mod pretrain;
mod report;
mod reproduce;
mod run;
mod source;
mod suggest;
mod taught;
mod teach;
pub mod trained;

use anyhow::Result;
use serde_json::Value;

use crate::cli::{Cli, Command};
use crate::train::progress::Progress;

/// What a command found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// For programs: one object.
    pub json: Value,
    /// For people.
    pub text: String,
}

/// Does what the command line says.
///
/// # Errors
/// That say what was found and what would be right.
pub fn dispatch(cli: Cli) -> Result<Answer> {
    let progress = Progress {
        quiet: cli.output.quiet,
    };
    match cli.command {
        None => run::run(&cli.run, progress),
        Some(Command::Run(arguments)) => run::run(&arguments, progress),
        Some(Command::Pretrain(arguments)) => pretrain::run(&arguments, progress),
        Some(Command::Finetune(arguments)) => finetune::run(&arguments, progress),
        Some(Command::Suggest(arguments)) => suggest::run(&arguments, progress),
        Some(Command::Reproduce(arguments)) => reproduce::run(&arguments, progress),
        Some(Command::Export(arguments)) => export::run(&arguments, progress),
        Some(Command::Evaluate(arguments)) => evaluate::run(&arguments, progress),
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Teach(arguments)) => teach::run(&arguments, progress),
        Some(Command::FewShot(arguments)) => few_shot::run(&arguments, progress),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
    }
}
