//! Writes the frames of the firmware examples, and what they should print of them with the models of
//! the fixtures: `frames tests/fixtures core/examples/firmware/frames`.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use tests::frames;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [fixtures, folder] = &arguments[..] else {
        bail!("usage: frames FIXTURES FOLDER");
    };
    let read = |name: &str| {
        let path = Path::new(fixtures).join(name);
        fs::read(&path).with_context(|| path.display().to_string())
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = Path::new(folder).join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    };
    for frame in frames::draw() {
        write(&format!("{}.rgb", frame.name), &frame.bytes)?;
    }
    let report = frames::report(&read("edge-conv.v96")?)?;
    write("report.txt", report.as_bytes())?;
    let encoder = read("edge-deep-encoder.v96")?;
    let taught = frames::taught_report(&encoder, &read("edge-deep-encoder.p96")?)?;
    write("taught.txt", taught.as_bytes())
}
