//! Writes the frames of the firmware example, and what it should print of them with a model:
//! `frames MODEL core/examples/firmware/frames`.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use tests::frames;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [model, folder] = &arguments[..] else {
        bail!("usage: frames MODEL FOLDER");
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = Path::new(folder).join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    };
    for frame in frames::draw() {
        write(&format!("{}.rgb", frame.name), &frame.bytes)?;
    }
    let file = fs::read(model).with_context(|| format!("{model:?}"))?;
    write("report.txt", frames::report(&file)?.as_bytes())
}
