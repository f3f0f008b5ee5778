//! Whole trainings on an emulated GPU, by the loops that know nothing of it: they end where those
//! of the processor end.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context, Result};
use host::backend::cpu::Cpu;
use host::backend::cuda::queue::Queue;
use host::backend::cuda::{Cuda, TooLittle};
use host::backend::{Auto, Backend, Metadata, Precision, Weights, parameters};
use host::data::{Dataset, scenes};
use host::train::distillation::Teacher;
use host::train::finetune;
use host::train::metrics;
use host::train::pretrain;
use host::train::progress::Progress;
use host::train::recipe::{Depth, Finetune, Pretrain, Recipe};
use host::train::run::Folder;
use tests::emulator::{self, Emulator};
use tests::parity;
use vae96::{EDGE, Head};

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

fn emulated(precision: Precision) -> Cuda {
    let machine = Emulator::with_precision(precision);
    Cuda::on(Rc::new(Queue::new(machine)))
}

/// Machines that must end where the processor ends: a GPU, and two that share every batch.
fn gpus() -> Result<[Box<dyn Backend>; 2]> {
    let group = emulator::group(2, |_| Emulator::default())?;
    Ok([Box::new(emulated(Precision::F32)), Box::new(group)])
}

/// What `train` makes of GPUs, and of the processor.
fn runs<T>(
    gpus: &[Box<dyn Backend>],
    train: impl Fn(&dyn Backend, &Folder) -> Result<T>,
) -> Result<(Vec<T>, T)> {
    let run = |backend: &dyn Backend| {
        let folder = tempfile::tempdir()?;
        train(backend, &Folder::make(folder.path())?)
    };
    let found = gpus.iter().map(|gpu| run(&**gpu)).collect::<Result<_>>()?;
    Ok((found, run(&Cpu)?))
}

fn near(found: &Weights, expected: &Weights) -> Result<()> {
    assert!(found.0.keys().eq(expected.0.keys()));
    let values = |weights: &Weights| -> Vec<f32> {
        let tensors = weights.0.values();
        tensors.flat_map(|tensor| tensor.data.clone()).collect()
    };
    parity::near("weights", &values(found), &values(expected), TOLERANCE)
}

fn a_short_pre_training() -> Pretrain {
    Pretrain {
        epochs: 1,
        batch: 8,
        side: 32,
        ..Pretrain::defaults(Recipe::Default, Depth::Deep)
    }
}

fn pre_train(data: &Dataset, backend: &dyn Backend, folder: &Folder) -> Result<Weights> {
    let request = pretrain::Request {
        autoencoder: EDGE.deep_vae.as_ref().unwrap(),
        settings: &a_short_pre_training(),
        seed: 1,
        init: None,
        images: &data.unlabelled,
    };
    pretrain::train(&request, backend, folder, &Metadata::default(), QUIET)
}

#[test]
fn a_pre_training_ends_as_on_the_processor() -> Result<()> {
    let data = data();
    let (found, expected) = runs(&gpus()?, |backend, folder| {
        pre_train(&data, backend, folder)
    })?;
    found.iter().try_for_each(|found| near(found, &expected))
}

/// Weights part where factors are rounded; what has been learnt does not.
#[test]
fn a_pre_training_on_matrix_cores_ends_with_the_same_losses() -> Result<()> {
    let data = data();
    let precisions = [Precision::Tf32, Precision::Bf16];
    let gpus = precisions.map(|precision| -> Box<dyn Backend> { Box::new(emulated(precision)) });
    let (found, expected) = runs(&gpus, |backend, folder| {
        pre_train(&data, backend, folder)?;
        let records = metrics::read(&folder.metrics())?;
        let last = records.last().context("no epoch")?;
        Ok([last.train.clone(), last.val.clone()])
    })?;
    for (precision, found) in precisions.iter().zip(found) {
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.keys().eq(expected.keys()) && found.contains_key("loss"));
            for (name, value) in found {
                let off = (value / expected[name] - 1.0).abs();
                let limit = if name == "loss" { 1e-3 } else { 5e-2 };
                assert!(off < limit, "{precision}: {name} is {value}: {off} off");
            }
        }
    }
    Ok(())
}

#[test]
fn a_fine_tuning_with_unlabelled_images_ends_as_on_the_processor() -> Result<()> {
    let data = data();
    let settings = Finetune {
        labels_per_class: 2,
        epochs: 1,
        side: 32,
        consistency_batch: 8,
        propagation: 1.0,
        distillation: 1.0,
        ..Finetune::defaults(Recipe::Default)
    };
    let autoencoder = EDGE.deep_vae.as_ref().unwrap();
    let encoder = Weights::initial(&parameters::vae(autoencoder), 2);
    let classes = data.classes.len();
    let taught = Weights::initial(&parameters::classifier(&EDGE, Head::Conv, classes), 4);
    let teacher = Teacher {
        architecture: &EDGE,
        head: Head::Conv,
        weights: &taught,
    };
    let request = finetune::Request {
        name: "classifier",
        architecture: &EDGE,
        settings: &settings,
        seed: 1,
        encoder: Some(&encoder),
        teachers: &[teacher],
        data: &data,
    };
    let (found, (expected, val)) = runs(&gpus()?, |backend, folder| {
        let weights = finetune::train(&request, backend, folder, &Metadata::default(), QUIET)?;
        let records = metrics::read(&folder.metrics())?;
        Ok((weights, records.last().context("no epoch")?.val.clone()))
    })?;
    for (found, seen) in found {
        near(&found, &expected)?;
        let (seen, other) = (seen["loss"], val["loss"]);
        assert!((seen / other - 1.0).abs() < 1e-3, "{seen}, not {other}");
    }
    Ok(())
}

/// The whole training, whose files are then those of the processor; on a GPU that was asked for it
/// is an error instead.
#[test]
fn what_a_gpu_has_no_memory_for_goes_on_with_the_processor() -> Result<()> {
    let data = data();
    let train = |backend: &dyn Backend| {
        let folder = tempfile::tempdir()?;
        pre_train(&data, backend, &Folder::make(folder.path())?)
    };
    let machine = Rc::new(Emulator::with_memory(5 << 20));
    let said = Rc::new(RefCell::new(Vec::new()));
    let auto = Auto::new(Cuda::on(machine.clone()), {
        let said = Rc::clone(&said);
        move |line| said.borrow_mut().push(line.to_owned())
    });
    assert!(train(&auto)? == train(&Cpu)?);
    assert!(machine.launched().is_empty() && machine.pieces() == 0);
    train(&auto)?;
    let said = said.take();
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["VAE", "batches of 16", "5 of 5 MiB", "smaller", "CPU"] {
        assert!(said[0].contains(part), "{part}: {said:?}");
    }

    let error = train(&Cuda::on(machine)).unwrap_err();
    assert!(error.is::<TooLittle>(), "{error:#}");
    // As much as it says does.
    let wanted = error.downcast::<TooLittle>()?.wanted;
    train(&Cuda::on(Rc::new(Emulator::with_memory(wanted))))?;
    let less = Cuda::on(Rc::new(Emulator::with_memory(wanted - 1)));
    assert!(train(&less).unwrap_err().is::<TooLittle>());
    Ok(())
}
