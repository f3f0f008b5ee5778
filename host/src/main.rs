//! The command line of vae96.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
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
    let answered = commands::dispatch(cli).and_then(|answer| {
        let text = if json {
            answer.json.to_string()
        } else {
            answer.text
        };
        print(&text)
    });
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is gone too, the exit status alone has to tell.
            let error = format!("error: {error:#}");
            writeln!(io::stderr(), "{}", error.trim_end()).ok();
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to stdout; a reader who has gone, as `head` does, is no error.
fn print(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}
