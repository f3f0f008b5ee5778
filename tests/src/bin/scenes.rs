//! Writes the scenes that models are compared on: `scenes IMAGES`, the file as raw RGB.

use std::{env, fs};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let path = env::args_os().nth(1).context("usage: scenes IMAGES")?;
    fs::write(&path, tests::twin::images()).with_context(|| path.display().to_string())
}
