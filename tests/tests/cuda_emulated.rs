//! The GPU backend on an emulated GPU: its kernels, launches and bookkeeping against the
//! processor's backend.

use std::rc::Rc;

use anyhow::Result;
use host::backend::cuda::ops::Gpu;
use host::backend::cuda::queue::Queue;
use host::backend::cuda::{Cuda, kernels};
use host::backend::{Backend, Precision, Weights, parameters};
use tests::emulator::Emulator;
use tests::{corruption, noise, parity, views};
use vae96::EDGE;

/// Behind a queue, as a GPU is.
fn emulated(precision: Precision) -> Result<Option<Cuda>> {
    let machine = Emulator::with_precision(precision);
    Ok(Some(Cuda::on(Rc::new(Queue::new(machine)))))
}

tests::parity_tests!(emulated(Precision::F32));

mod tf32 {
    tests::parity_tests!(rounded super::emulated(super::Precision::Tf32));
}

mod bf16 {
    tests::parity_tests!(rounded super::emulated(super::Precision::Bf16));
}

/// What is launched nowhere is compared with nothing.
#[test]
fn these_comparisons_launch_every_kernel() -> Result<()> {
    let machine = Rc::new(Emulator::default());
    let gpu = Cuda::on(machine.clone());
    parity::steps_of_the_paper_vae(&gpu)?;
    parity::steps_of_the_deep_vae_with_contrast(&gpu)?;
    parity::steps_of_the_dense_classifier(&gpu)?;
    parity::steps_that_move_large_layers(&gpu)?;
    parity::a_step_with_each_rule_and_clipping(&gpu)?;
    parity::averages(&gpu)?;
    parity::steps_on_views(&gpu)?;
    // What GPUs do together is compared elsewhere.
    let mut all = kernels::names(Precision::F32);
    all.retain(|name| !["merge_moments", "norm_sums"].contains(name));
    assert_eq!(machine.launched(), all);
    Ok(())
}

/// The launches of each step but the first are those of the step before.
#[test]
fn steps_start_as_graphs() -> Result<()> {
    let machine = Rc::new(Queue::new(Emulator::default()));
    let gpu = Cuda::on(machine.clone());
    let weights = Weights::initial(&parameters::vae(&EDGE.vae), 1);
    let mut vae = gpu.vae(&EDGE.vae, &weights)?;
    let graphs: Vec<_> = (0..4)
        .map(|seed| {
            parity::train(&mut *vae, &EDGE.vae, 2, seed)?;
            Ok(machine.machine().graphs())
        })
        .collect::<Result<_>>()?;
    assert_eq!(graphs, [0, 0, 1, 2]);
    Ok(())
}

#[test]
fn views_are_those_of_the_loader() -> Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        let machine = Emulator::with_precision(precision);
        views::are_made_alike(&Gpu::new(Rc::new(machine)))?;
    }
    Ok(())
}

#[test]
fn corruption_is_that_of_the_processor() -> Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        let machine = Emulator::with_precision(precision);
        corruption::is_drawn_alike(&Gpu::new(Rc::new(machine)))?;
    }
    Ok(())
}

#[test]
fn noise_is_that_of_the_processor() -> Result<()> {
    noise::is_drawn_alike(&Gpu::new(Rc::new(Emulator::default())))
}

/// Their images come in every step.
#[test]
fn steps_on_views_without_memory_for_images() -> Result<()> {
    parity::steps_on_views(&Cuda::on(Rc::new(Emulator::with_memory(0))))
}

#[test]
fn memory_is_given_back() -> Result<()> {
    let machine = Rc::new(Emulator::default());
    let gpu = Cuda::on(machine.clone());
    let weights = Weights::initial(&parameters::vae(&EDGE.vae), 1);
    let mut vae = gpu.vae(&EDGE.vae, &weights)?;
    parity::train(&mut *vae, &EDGE.vae, 2, 0)?;
    let held = machine.pieces();
    parity::train(&mut *vae, &EDGE.vae, 2, 1)?;
    assert!(held > 0 && machine.pieces() == held, "a step kept memory");
    drop(vae);
    assert_eq!(machine.pieces(), 0);
    Ok(())
}
