//! Checks the model file, and puts it, the encoder, and the machine's memory map where the build
//! looks for them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use vae96::plan::Method;
use vae96::{Kind, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let project = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);

    let model = input("VAE96_MODEL", "../../../tests/fixtures/edge-conv.v96");
    let bytes = read(&project.join(&model))?;
    fs::write(
        out.join("network.rs"),
        network(&bytes).map_err(|error| format!("{model}: {error}"))?,
    )?;
    fs::write(out.join("model.v96"), bytes)?;

    for (variable, default, name) in [
        ("VAE96_ENCODER", "edge-deep-encoder.v96", "encoder.v96"),
        ("VAE96_CLASSES", "edge-deep-encoder.p96", "encoder.p96"),
    ] {
        let file = input(variable, &format!("../../../tests/fixtures/{default}"));
        fs::write(out.join(name), read(&project.join(file))?)?;
    }

    let map = format!("memory/{}.x", input("VAE96_MACHINE", "board"));
    fs::write(out.join("memory.x"), read(&project.join(map))?)?;

    println!("cargo::rustc-check-cfg=cfg(cycle_counter)");
    if !env::var("TARGET")?.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=cycle_counter");
    }
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=-Tlink.x");
    // Sections need not lie on pages of their own.
    println!("cargo::rustc-link-arg=--nmagic");
    Ok(())
}

/// A setting from the environment.
fn input(variable: &str, default: &str) -> String {
    println!("cargo::rerun-if-env-changed={variable}");
    env::var(variable).unwrap_or_else(|_| default.to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The network that the model is for, as a type.
fn network(model: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut blocks = vec![0u128; model.len().div_ceil(16)];
    let aligned = &mut bytemuck::cast_slice_mut(&mut blocks)[..model.len()];
    aligned.copy_from_slice(model);
    let model = Model::parse(aligned)?;
    let head = match model.kind() {
        Kind::ConvClassifier => "",
        Kind::DenseClassifier => "Dense",
        Kind::Encoder | Kind::DeepEncoder => {
            return Err("an encoder tells no classes apart".into());
        }
    };
    let method = match model.method() {
        Method::Direct => "",
        Method::Winograd => "Winograd",
    };
    let (first, rest) = model.architecture().name.split_at(1);
    let name = format!("{}{rest}{head}{method}", first.to_uppercase());
    Ok(format!(
        "/// What the model is for.\npub type Network = vae96::{name};\n"
    ))
}
