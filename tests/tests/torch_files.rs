//! Weights go to PyTorch and come back: its files load here and give its answers, and ours have
//! the names and shapes of its `state_dict`s, so that `load_state_dict` takes them.
//!
//! `fixtures/make_torch_files.py` wrote what is expected, and checks our files in PyTorch itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use host::backend::cpu::Cpu;
use host::backend::parameters;
use host::commands::trained::Trained;
use host::train::recipe::{Head, Network};
use serde_json::Value;
use tests::fixture;
use tests::torch::images;
use vae96::{Architecture, SIDE};

const CLASSES: usize = 10;

fn expected(part: &str) -> Result<Value> {
    let file = std::fs::read(fixture("torch-files.json"))?;
    let json: Value = serde_json::from_slice(&file)?;
    json.get(part).cloned().context("the fixture is incomplete")
}

/// Of F64, F32, BF16 and F16, with counts of batches.
#[test]
fn a_classifier_of_pytorch_gives_its_answers() -> Result<()> {
    let trained = Trained::load(&fixture("torch-classifier.safetensors"), "")?;
    assert_eq!(trained.label.network, Network::Edge);
    let (head, classes) = trained.head()?;
    assert_eq!((head, classes.len()), (Head::Conv, CLASSES));
    assert_eq!(classes[3], "class 3");

    let expected: Vec<Vec<f32>> = serde_json::from_value(expected("logits")?)?;
    let found = trained
        .classifier(&Cpu)?
        .logits(&images(expected.len(), SIDE))?;
    for (found, expected) in found.iter().zip(expected.concat()) {
        let apart = (found - expected).abs();
        assert!(apart < 1e-5, "{found} instead of {expected}");
    }
    assert_eq!(found.len(), expected.len() * CLASSES);
    Ok(())
}

#[test]
fn tensors_have_the_names_and_shapes_of_pytorch() -> Result<()> {
    let dicts: BTreeMap<String, BTreeMap<String, Vec<usize>>> =
        serde_json::from_value(expected("state_dicts")?)?;
    assert_eq!(dicts.len(), 6);
    for (name, mut expected) in dicts {
        let (network, part) = name.split_once(' ').context("network and part")?;
        let architecture = Architecture::by_name(network).context("no such network")?;
        let parameters = match part {
            "conv classifier" => parameters::classifier(architecture, vae96::Head::Conv, CLASSES),
            "dense classifier" => parameters::classifier(architecture, vae96::Head::Dense, CLASSES),
            _ => parameters::vae(&architecture.vae),
        };
        let found: BTreeMap<_, _> = (parameters.into_iter())
            .map(|parameter| (parameter.name, parameter.shape))
            .collect();
        // Where a file has no counts of batches, PyTorch begins to count.
        expected.retain(|name, _| !name.ends_with("num_batches_tracked"));
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}
