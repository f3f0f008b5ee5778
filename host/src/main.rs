//! The command line of vae96.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
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
    let answered = caught(|| commands::dispatch(cli)).and_then(|answer| {
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

/// Runs the program; a defect of it, a panic on any thread, becomes an error that tells its place.
fn caught<T>(program: impl FnOnce() -> Result<T>) -> Result<T> {
    static LAST: Mutex<String> = Mutex::new(String::new());
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    panic::set_hook(Box::new(move |panic| *last() = panic.to_string()));
    match panic::catch_unwind(AssertUnwindSafe(program)) {
        Ok(result) => result,
        Err(_) => bail!("vae96 has a defect, please report it: {}", last()),
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
