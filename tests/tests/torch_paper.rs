//! The paper's networks at full size against PyTorch's modules of the authors' names.
//!
//! `fixtures/make_torch_paper.py` wrote what is expected; weights, images and noise come from a
//! formula that both sides know, so that half a gigabyte of weights need not be kept.

use std::collections::BTreeMap;

use anyhow::Result;
use host::backend::cpu::Cpu;
use host::backend::parameters::{self, Parameter};
use host::backend::{Backend, LayerRates, Noise, Optimiser, Update, VaeObjective, Weights};
use tests::fixture;
use tests::torch::{Expected, images, initial, noise};
use vae96::{Head, PAPER, SIDE};

const COUNT: usize = 3;
const CLASSES: usize = 1000;

fn expected(case: &'static str) -> Result<Expected> {
    Expected::of("torch-paper.safetensors", case)
}

/// Names and shapes are PyTorch's, all of them: its `load_state_dict` takes our weights, and
/// theirs load here.
fn check_names(expected: &Expected, parameters: &[Parameter]) -> Result<()> {
    let theirs: BTreeMap<String, Vec<usize>> = serde_json::from_str(&expected.note()?)?;
    let ours: BTreeMap<_, _> = parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), parameter.shape.clone()))
        .collect();
    assert_eq!(ours, theirs);
    Ok(())
}

/// A step that moves no weights.
fn still() -> Update {
    Update {
        optimiser: Optimiser::Sgd { momentum: 0.0 },
        rate: 0.0,
        layer_rates: LayerRates::default(),
        weight_decay: 0.0,
        clip_norm: None,
    }
}

fn check_classifier(case: &'static str, head: Head) -> Result<()> {
    let expected = expected(case)?;
    let parameters = parameters::classifier(&PAPER, head, CLASSES);
    check_names(&expected, &parameters)?;
    let mut classifier = Cpu.classifier(&PAPER, head, CLASSES, &initial(&parameters))?;
    let batch = images(COUNT, SIDE);
    expected.check("logits", &classifier.logits(&batch)?)?;
    let labels: Vec<usize> = (0..COUNT).map(|image| image * 7).collect();
    let loss = classifier.step(&batch, &tests::targets(&labels, 0.0), &still())?;
    expected.check_losses(&[tests::loss(&loss)])
}

/// One after the other: the dense head alone has 285 million weights.
#[test]
fn full_size() -> Result<()> {
    check_vae()?;
    check_classifier("conv", Head::Conv)?;
    check_classifier("dense", Head::Dense)
}

fn check_vae() -> Result<()> {
    let expected = expected("vae")?;
    let parameters = parameters::vae(&PAPER.vae);
    check_names(&expected, &parameters)?;
    let mut vae = Cpu.vae(&PAPER.vae, &initial(&parameters))?;
    let batch = images(COUNT, SIDE);
    let latent = vae.encode(&batch)?;
    expected.check("mean", &latent.mean)?;
    expected.check("log_variance", &latent.log_variance)?;
    let noise = noise(COUNT, PAPER.vae.latent());
    expected.check("decoded", vae.decode(&noise)?.values()?)?;
    // The authors' loss: sums over the batch.
    let objective = VaeObjective {
        reconstruction_weight: 1.0,
        beta: 1.0,
        free_bits: 0.0,
        contrast: None,
        scale: 1.0,
    };
    let loss = vae.step(&batch, &batch, Noise::Values(&noise), objective, &still())?;
    expected.check_losses(&[loss.reconstruction, loss.kl])
}

/// A file that PyTorch saved, whole, with the counts of batches that its BatchNorm keeps.
#[test]
fn a_file_of_torch_is_read() -> Result<()> {
    let (weights, _) = Weights::load(&fixture("torch-paper-encoder.safetensors"))?;
    assert_eq!(weights, initial(&parameters::encoder(&PAPER.vae)));
    Ok(())
}
