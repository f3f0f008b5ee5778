//! Writes random weights of a network, as a file of another program that tells nothing but names
//! and shapes: `fresh edge|paper conv|dense|vae CLASSES WEIGHTS.safetensors`.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};
use host::backend::{Metadata, parameters};
use vae96::{Architecture, Head};

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [network, part, classes, path] = &arguments[..] else {
        bail!("usage: fresh edge|paper conv|dense|vae CLASSES WEIGHTS.safetensors");
    };
    let architecture = Architecture::by_name(network).context("no such network")?;
    let classes = classes.parse().context("CLASSES is no number")?;
    let parameters = match part.as_str() {
        "conv" => parameters::classifier(architecture, Head::Conv, classes),
        "dense" => parameters::classifier(architecture, Head::Dense, classes),
        "vae" => parameters::vae(&architecture.vae),
        other => bail!("{other} is no part of a network: conv, dense, vae"),
    };
    tests::random_weights(&parameters, 1).save(Path::new(path), &Metadata::default())
}
