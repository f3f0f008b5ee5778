//! Writes what the firmware example `teach` should say of raw RGB images:
//! `taught ENCODER.v96 CLASSES.p96 IMAGES ANSWERS`.

use std::{env, fs};

use anyhow::{Context, Result, bail};
use host::evaluate::Aligned;
use tests::lesson::Lesson;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [model, classes, images, answers] = &arguments[..] else {
        bail!("usage: taught ENCODER.v96 CLASSES.p96 IMAGES ANSWERS");
    };
    let read = |path| fs::read(path).with_context(|| format!("{path:?}"));
    let model = Aligned::new(&read(model)?);
    let lesson = Lesson::new(model.bytes(), &read(classes)?)?;
    fs::write(answers, lesson.answers(&read(images)?)?).with_context(|| format!("{answers:?}"))
}
