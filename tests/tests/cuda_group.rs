//! Several emulated GPUs that share every batch, against the processor's backend, which takes it
//! whole.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail, ensure};
use host::backend::cuda::group::Group;
use host::backend::cuda::{Cuda, TooLittle};
use host::backend::work::{Network, Size, Steps, Work};
use host::backend::{
    Album, Backend, Batch, Picture, Pixels, Precision, View, Viewed, Weights, parameters,
};
use tests::emulator::{self, Emulator};
use tests::parity;
use vae96::{EDGE, Head, SIDE};

fn group(ranks: usize, precision: Precision) -> Result<Option<Group>> {
    emulator::group(ranks, move |_| Emulator::with_precision(precision)).map(Some)
}

// Batches of 2 to 6 images: even and uneven shares, and fewer images than GPUs.
tests::parity_tests!(group(3, Precision::F32));

mod two {
    use super::{Precision, group};

    tests::parity_tests! {
        group(2, Precision::F32);
        steps_of_the_deep_vae_with_contrast,
        twenty_steps_of_a_classifier,
        equal_runs_are_equal_to_the_bit,
    }
}

mod bf16 {
    use super::{Precision, group};

    tests::parity_tests! {
        group(2, Precision::Bf16);
        steps_of_the_deep_vae_with_contrast,
        steps_of_the_paper_classifier,
        equal_runs_are_equal_to_the_bit,
    }
}

fn error<T>(result: Result<T>) -> Result<Error> {
    match result {
        Ok(_) => bail!("no error"),
        Err(error) => Ok(error),
    }
}

#[test]
fn gpus_of_two_kinds_are_no_group() -> Result<()> {
    let error = error(emulator::group(2, |rank| {
        Emulator::with_precision([Precision::F32, Precision::Bf16][rank])
    }))?;
    for part in ["one kind", "f32", "bf16"] {
        ensure!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn a_gpu_that_does_not_open_is_said() -> Result<()> {
    let error = error(Group::on(3, |rank| bail!("there is no GPU number {rank}")))?;
    ensure!(error.to_string().contains("no GPU number"), "{error}");
    Ok(())
}

/// The memory that counts is each one's for its share.
#[test]
fn a_work_that_one_gpu_has_no_memory_for_is_refused_and_a_smaller_one_is_not() -> Result<()> {
    let work = |count| Work {
        network: Network::Vae(&EDGE.vae),
        steps: Some(Steps {
            batch: Size { count, side: SIDE },
            contrast: false,
            corrupts: false,
            shares: false,
            averages: false,
        }),
        answers: Size {
            count: 1,
            side: SIDE,
        },
    };
    let wanted = |backend: &dyn Backend, count| -> Result<usize> {
        let refused = backend.suited_to(&work(count)).map(|_| ());
        Ok(error(refused)?.downcast::<TooLittle>()?.wanted)
    };
    let small = |bytes: usize| emulator::group(2, move |_| Emulator::with_memory(bytes));
    let one = Cuda::on(Rc::new(Emulator::with_memory(0)));
    let (alone, shared) = (wanted(&one, 64)?, wanted(&small(0)?, 64)?);
    ensure!(shared < alone * 3 / 4, "{shared} of {alone} bytes");
    let uneven = emulator::group(2, move |rank| {
        Emulator::with_memory([4 * shared, shared][rank])
    })?;
    uneven.suited_to(&work(64))?;
    ensure!(wanted(&uneven, 66)? > shared);
    uneven.suited_to(&work(64))?;
    Ok(())
}

/// Images of which some cannot be read.
struct Damaged;

impl Album for Damaged {
    fn number(&self) -> u64 {
        u64::MAX
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<()> {
        ensure!(index < 3, "image {index} is gone");
        out.fill(index as u8);
        Ok(())
    }
}

/// The others wait for its sums for ever, and its weights are no longer theirs.
#[test]
fn a_gpu_that_fails_alone_ends_the_training() -> Result<()> {
    let group = group(2, Precision::F32)?.context("no group")?;
    let weights = Weights::initial(&parameters::classifier(&EDGE, Head::Conv, 3), 1);
    let mut classifier = group.classifier(&EDGE, Head::Conv, 3, &weights)?;
    let album: Arc<dyn Album> = Arc::new(Damaged);
    let views = (0..4).map(|index| Viewed {
        image: Picture::of(Arc::clone(&album), index),
        view: View::WHOLE,
    });
    let batch = Batch {
        count: 4,
        side: 32,
        pixels: Pixels::Views(views.collect()),
    };
    let update = parity::update(parity::PLAIN);
    let targets = tests::targets(&[0, 1, 2, 0], 0.0);
    let said = format!("{:#}", error(classifier.step(&batch, &targets, &update))?);
    for part in ["GPU 1", "image 3 is gone"] {
        ensure!(said.contains(part), "{said}");
    }
    let said = error(classifier.weights())?.to_string();
    ensure!(said.contains("failed before"), "{said}");
    Ok(())
}
