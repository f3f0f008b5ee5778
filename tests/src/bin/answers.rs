//! Writes the 8-bit values that a model file gives for raw RGB images, image after image:
//! `answers MODEL IMAGES ANSWERS`.

use std::{env, fs};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [model, images, answers] = &arguments[..] else {
        bail!("usage: answers MODEL IMAGES ANSWERS");
    };
    let read = |path| fs::read(path).with_context(|| format!("{path:?}"));
    let values = tests::twin::answers(&read(model)?, &read(images)?)
        .with_context(|| format!("{model:?} on {images:?}"))?;
    let bytes: Vec<u8> = values.into_iter().map(|value| value as u8).collect();
    fs::write(answers, bytes).with_context(|| format!("{answers:?}"))
}
