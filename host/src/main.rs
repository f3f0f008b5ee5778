//! The command line of vae96.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use host::cli::Cli;
use host::commands;

/// Training allocates and frees large tensors all the time; this allocator keeps their pages
/// instead of handing them back to the system at every step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.output.json;
    match commands::dispatch(cli) {
        Ok(answer) if json => println!("{}", answer.json),
        Ok(answer) => println!("{}", answer.text),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
