//! Writes the values that a model gives for raw RGB images, image after image: bytes of a model
//! file, f32 of a weights file. `answers MODEL.v96|WEIGHTS.safetensors IMAGES ANSWERS`.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [model, images, answers] = &arguments[..] else {
        bail!("usage: answers MODEL.v96|WEIGHTS.safetensors IMAGES ANSWERS");
    };
    let read = |path| fs::read(path).with_context(|| format!("{path:?}"));
    let pixels = read(images)?;
    let on = || format!("{model:?} on {images:?}");
    let bytes: Vec<u8> = if Path::new(model)
        .extension()
        .is_some_and(|e| e == "safetensors")
    {
        let values = tests::twin::float_answers(model.as_ref(), &pixels).with_context(on)?;
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    } else {
        let values = tests::twin::answers(&read(model)?, &pixels).with_context(on)?;
        values.iter().map(|&value| value as u8).collect()
    };
    fs::write(answers, bytes).with_context(|| format!("{answers:?}"))
}
