//! Whole trainings on an emulated GPU, by the loops that know nothing of it: they end where those
//! of the processor end.

use std::rc::Rc;

use anyhow::Result;
use host::backend::cpu::Cpu;
use host::backend::cuda::Cuda;
use host::backend::{Backend, Metadata, Weights};
use host::data::{Dataset, scenes};
use host::train::finetune;
use host::train::pretrain;
use host::train::progress::Progress;
use host::train::recipe::{Depth, Finetune, Pretrain, Recipe};
use host::train::run::Folder;
use tests::emulator::Emulator;
use tests::parity;
use vae96::EDGE;

/// How far all weights together may end apart. A single tensor may end further: Adam makes whole
/// steps of gradients that are rounding alone.
const TOLERANCE: f64 = 1e-2;

const QUIET: Progress = Progress { quiet: true };

fn data() -> Dataset {
    scenes::dataset(&scenes::Options {
        seed: 1,
        train_per_class: 2,
        val_per_class: 1,
        unlabelled: 32,
    })
}

/// What `train` makes of both machines.
fn both(train: impl Fn(&dyn Backend, &Folder) -> Result<Weights>) -> Result<[Weights; 2]> {
    let run = |backend: &dyn Backend| {
        let folder = tempfile::tempdir()?;
        train(backend, &Folder::make(folder.path())?)
    };
    Ok([run(&Cuda::on(Rc::new(Emulator::default())))?, run(&Cpu)?])
}

fn near(found: &Weights, expected: &Weights) -> Result<()> {
    assert!(found.0.keys().eq(expected.0.keys()));
    let values = |weights: &Weights| -> Vec<f32> {
        let tensors = weights.0.values();
        tensors.flat_map(|tensor| tensor.data.clone()).collect()
    };
    parity::near("weights", &values(found), &values(expected), TOLERANCE)
}

#[test]
fn a_pre_training_ends_as_on_the_processor() -> Result<()> {
    let data = data();
    let settings = Pretrain {
        epochs: 1,
        batch: 8,
        side: 32,
        ..Pretrain::defaults(Recipe::Default, Depth::Deep)
    };
    let request = pretrain::Request {
        autoencoder: EDGE.deep_vae.as_ref().unwrap(),
        settings: &settings,
        seed: 1,
        init: None,
        images: &data.unlabelled,
    };
    let [found, expected] = both(|backend, folder| {
        pretrain::train(&request, backend, folder, &Metadata::default(), QUIET)
    })?;
    near(&found, &expected)
}

#[test]
fn a_fine_tuning_ends_as_on_the_processor() -> Result<()> {
    let data = data();
    let settings = Finetune {
        labels_per_class: 2,
        epochs: 1,
        side: 32,
        consistency_batch: 16,
        ..Finetune::defaults(Recipe::Default)
    };
    let request = finetune::Request {
        name: "classifier",
        architecture: &EDGE,
        settings: &settings,
        seed: 1,
        encoder: None,
        data: &data,
    };
    let [found, expected] = both(|backend, folder| {
        finetune::train(&request, backend, folder, &Metadata::default(), QUIET)
    })?;
    near(&found, &expected)
}
