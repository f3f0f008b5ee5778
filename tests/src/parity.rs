//! What a GPU must have in common with the processor's backend: whole steps of both networks on
//! random images, and what follows from many. [`parity_tests!`](crate::parity_tests) makes tests of
//! them for a backend.

use anyhow::{Result, ensure};
use host::backend::cpu::Cpu;
use host::backend::parameters;
use host::backend::{
    Answer, Backend, Batch, Classifier, Contrast, Corruption, Form, Latent, LayerRates, Learner,
    Noise, Optimiser, Outcome, Precision, Target, Tensor, Update, Vae, VaeLoss, VaeObjective,
    Weights,
};
use host::data::Images;
use host::data::loader::{Drawing, Loader, Samples, Source};
use host::data::random::{Purpose, stream};
use host::train::recipe::{Depth, Pretrain, Recipe};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae96::{
    Activation, Architecture, Autoencoder, EDGE, Features, Head, Layer, Op, PAPER, SIDE, Window,
};

use crate::{random_weights, scenes, targets};

/// The most that the two may differ in f32, relative to the norm of a tensor.
const TOLERANCE: f64 = 1e-4;

/// How far the losses of a step may be off, what it leaves, and inference by equal weights.
fn tolerance(gpu: &dyn Backend) -> f64 {
    match gpu.precision() {
        Precision::F32 => TOLERANCE,
        Precision::Tf32 | Precision::Bf16 => 1e-2,
    }
}

/// The same after steps that have carried the differences of those before on.
const TOLERANCE_OF_MANY: f64 = 1e-3;

const CLASSES: usize = 7;

/// Gradients, unchanged, are what it keeps as its velocity.
pub const PLAIN: Optimiser = Optimiser::Sgd { momentum: 0.0 };

/// Adam's own ε makes whole steps of gradients that are nothing but rounding, by which two runs on
/// one processor part too, if their weights differ in the last bit.
const CALM_ADAMW: Optimiser = Optimiser::AdamW {
    betas: [0.9, 0.999],
    epsilon: 1e-4,
};

const ADAMW: Optimiser = Optimiser::AdamW {
    betas: [0.9, 0.999],
    epsilon: 1e-8,
};

const OBJECTIVE: VaeObjective = VaeObjective {
    reconstruction_weight: 1.0,
    beta: 0.7,
    free_bits: 0.0,
    contrast: None,
    scale: 0.25,
};

const COMPARED: VaeObjective = VaeObjective {
    free_bits: 0.03,
    contrast: Some(Contrast {
        weight: 0.8,
        temperature: 0.3,
    }),
    ..OBJECTIVE
};

const DEEP: &Autoencoder = EDGE.deep_vae.as_ref().unwrap();

/// The VAE of `paper` with few features, so that its 145 M weights are some thousands a layer: all
/// its planes, windows and kinds of layers.
static SLIM_PAPER: Autoencoder = Autoencoder {
    encoder: PAPER.encoder,
    bottleneck: &[Layer::hidden("fc1", 12).with_bias()],
    mean: Layer::linear("fc21", Features::Fixed(6)),
    log_variance: Layer::linear("fc22", Features::Fixed(6)),
    decoder: &[
        Layer::hidden("fc2", 88 * 88 * 9).with_bias(),
        Layer::new("plane", Op::square(88)),
        Layer::conv_transposed("conv3", Window::new(5, 1, 0), 9).with_bias(),
        Layer::conv_transposed("conv4", Window::new(5, 1, 0), 3).ending_in(Activation::Relu),
    ],
    projector: &[],
};

/// Makes tests of the comparisons; `$backend` is an expression that gives a
/// `Result<Option<impl Backend>>`, `None` where there is no machine, having said so.
#[macro_export]
macro_rules! parity_tests {
    ($backend:expr; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() -> anyhow::Result<()> {
            match $backend? {
                Some(backend) => $crate::parity::$name(&backend),
                None => Ok(()),
            }
        }
    )*};
    // Of a backend on matrix cores.
    (rounded $backend:expr) => {
        $crate::parity_tests! {
            $backend;
            steps_of_the_shallow_vae,
            steps_of_the_deep_vae_with_contrast,
            steps_of_the_paper_vae,
            steps_of_the_convolutional_classifier,
            steps_of_the_dense_classifier,
            steps_of_the_paper_classifier,
            steps_that_move_large_layers,
            equal_runs_are_equal_to_the_bit,
            a_resumed_run_is_equal_to_the_bit,
        }
    };
    ($backend:expr) => {
        $crate::parity_tests! {
            $backend;
            steps_of_the_shallow_vae,
            steps_of_the_deep_vae_with_contrast,
            steps_of_a_vae_that_decodes_nothing,
            steps_of_the_paper_vae,
            steps_of_the_convolutional_classifier,
            steps_of_the_dense_classifier,
            steps_of_the_paper_classifier,
            steps_that_move_large_layers,
            frozen_layers_and_rates_of_layers,
            a_step_with_each_rule_and_clipping,
            twenty_steps_of_a_vae,
            twenty_steps_of_a_classifier,
            state_goes_both_ways,
            equal_runs_are_equal_to_the_bit,
            a_resumed_run_is_equal_to_the_bit,
            losses_that_are_asked_for_late_are_equal_to_the_bit,
            targets_that_are_the_inputs_are_equal_to_a_copy,
            what_is_wrong_is_said_alike,
            averages,
            steps_on_views,
        }
    };
}

/// A usual update by that rule.
pub fn update(optimiser: Optimiser) -> Update {
    Update {
        optimiser,
        rate: 1e-3,
        layer_rates: LayerRates::default(),
        weight_decay: 0.01,
        clip_norm: None,
    }
}

fn random(len: usize, seed: u64) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(move |_| rng.random())
}

fn images(count: usize, side: usize, seed: u64) -> Batch {
    let values = random(count * side * side * 3, seed).collect();
    Batch::new(count, side, values)
}

/// Values of a mean of 0 and a variance of 1.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    random(len, seed)
        .map(|value| (value - 0.5) * 12f32.sqrt())
        .collect()
}

fn labels(count: usize, step: u64) -> Vec<usize> {
    (0..count)
        .map(|image| (3 * image + step as usize) % CLASSES)
        .collect()
}

/// The distance of two arrays, relative to the norm of the second.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = found.iter().zip(expected);
    let off = square(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let norm = square(&mut expected.iter().map(|v| f64::from(*v)));
    if off == 0.0 { 0.0 } else { (off / norm).sqrt() }
}

/// An error that names the values if they are further off than `tolerance` of their norm.
pub fn near(what: &str, found: &[f32], expected: &[f32], tolerance: f64) -> Result<()> {
    ensure!(
        found.len() == expected.len(),
        "{what}: {} values, not {}",
        found.len(),
        expected.len()
    );
    let off = distance(found, expected);
    ensure!(
        off <= tolerance,
        "{what} is {off:.2e} off, not {tolerance:.0e}"
    );
    Ok(())
}

fn near_numbers(what: &str, found: f64, expected: f64, tolerance: f64) -> Result<()> {
    let off = (found - expected).abs() / expected.abs().max(1e-3);
    ensure!(
        off <= tolerance,
        "{what} is {found}, not {expected}: {off:.2e} off"
    );
    Ok(())
}

fn near_tensors(what: &str, found: &Weights, expected: &Weights, tolerance: f64) -> Result<()> {
    ensure!(
        found.0.keys().eq(expected.0.keys()),
        "{what} are of {:?}, not of {:?}",
        found.0.keys(),
        expected.0.keys()
    );
    for (name, tensor) in &found.0 {
        let other = &expected.0[name];
        ensure!(
            tensor.shape == other.shape,
            "{what}: {name} has another shape"
        );
        near(
            &format!("{what}: {name}"),
            &tensor.data,
            &other.data,
            tolerance,
        )?;
    }
    Ok(())
}

/// Weights, statistics and the optimiser's state of both.
fn near_learners(found: &dyn Learner, expected: &dyn Learner, tolerance: f64) -> Result<()> {
    near_tensors(
        "weights",
        &found.weights()?,
        &expected.weights()?,
        tolerance,
    )?;
    let (state, other) = (found.optimiser_state()?, expected.optimiser_state()?);
    near_tensors("the optimiser's state", &state, &other, tolerance)
}

/// What a step leaves: in f32 each tensor and each gradient, else all weights together. Of the
/// gradients that reach the first layers of an untrained network on noise, BatchNorm leaves next to
/// nothing, and rounded factors even less: with PyTorch's bf16 autocast, too, those of `edge`'s
/// first layer are 13 to 18 % off. Products alone are compared one by one elsewhere.
fn near_after_a_step(gpu: &dyn Backend, found: &dyn Learner, expected: &dyn Learner) -> Result<()> {
    if gpu.precision() == Precision::F32 {
        return near_learners(found, expected, TOLERANCE);
    }
    let weights = |learner: &dyn Learner| -> Result<Vec<f32>> {
        let tensors = learner.weights()?.0.into_values();
        Ok(tensors.flat_map(|tensor| tensor.data).collect())
    };
    let (found, expected) = (weights(found)?, weights(expected)?);
    near("weights", &found, &expected, tolerance(gpu))
}

fn near_losses(found: VaeLoss, expected: VaeLoss, tolerance: f64) -> Result<()> {
    for (what, found, expected) in [
        (
            "reconstruction",
            found.reconstruction,
            expected.reconstruction,
        ),
        ("KL", found.kl, expected.kl),
        ("contrast", found.contrast, expected.contrast),
    ] {
        near_numbers(what, found, expected, tolerance)?;
    }
    Ok(())
}

fn near_outcomes(found: &[Outcome], expected: &[Outcome], tolerance: f64) -> Result<()> {
    ensure!(found.len() == expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let (a, b) = (found.cross_entropy, expected.cross_entropy);
        near_numbers("a cross-entropy", a, b, tolerance)?;
        ensure!(
            found.correct == expected.correct,
            "one image is right in one"
        );
    }
    Ok(())
}

fn vaes(gpu: &dyn Backend, autoencoder: &'static Autoencoder) -> Result<[Box<dyn Vae>; 2]> {
    let weights = random_weights(&parameters::vae(autoencoder), 3);
    Ok([
        gpu.vae(autoencoder, &weights)?,
        Cpu.vae(autoencoder, &weights)?,
    ])
}

fn classifiers(
    gpu: &dyn Backend,
    architecture: &'static Architecture,
    head: Head,
) -> Result<[Box<dyn Classifier>; 2]> {
    let weights = random_weights(&parameters::classifier(architecture, head, CLASSES), 3);
    Ok([
        gpu.classifier(architecture, head, CLASSES, &weights)?,
        Cpu.classifier(architecture, head, CLASSES, &weights)?,
    ])
}

/// One step, its inputs noisy.
fn step(
    vae: &mut dyn Vae,
    [count, side, latent]: [usize; 3],
    objective: VaeObjective,
    update: &Update,
    seed: u64,
) -> Result<VaeLoss> {
    let targets = images(count, side, seed);
    let values = targets.values()?;
    let inputs = (values.iter())
        .zip(random(values.len(), seed + 1))
        .map(|(pixel, other)| 0.8 * pixel + 0.2 * other);
    let inputs = Batch::new(count, side, inputs.collect());
    let noise = noise(count * latent, seed + 2);
    vae.step(&inputs, &targets, Noise::Values(&noise), objective, update)
}

/// One step of a usual training on `count` random images.
pub fn train(vae: &mut dyn Vae, autoencoder: &Autoencoder, count: usize, seed: u64) -> Result<()> {
    let sizes = [count, SIDE, autoencoder.latent()];
    step(vae, sizes, OBJECTIVE, &update(ADAMW), seed).map(|_| ())
}

/// Losses, gradients, statistics, and inference after the step.
fn vae_steps(
    gpu: &dyn Backend,
    autoencoder: &'static Autoencoder,
    [count, side]: [usize; 2],
    objective: VaeObjective,
) -> Result<()> {
    let tolerance = tolerance(gpu);
    let [mut found, mut expected] = vaes(gpu, autoencoder)?;
    let latent = autoencoder.latent();
    let update = update(PLAIN);
    let run = |vae: &mut dyn Vae| step(vae, [count, side, latent], objective, &update, 5);
    near_losses(run(&mut *found)?, run(&mut *expected)?, tolerance)?;
    near_after_a_step(gpu, &*found, &*expected)?;
    found.set_weights(&expected.weights()?)?;
    let batch = images(count + 1, side, 9);
    let encode = |vae: &dyn Vae| vae.encode(&batch);
    let (Latent { mean, log_variance }, other) = (encode(&*found)?, encode(&*expected)?);
    near("μ", &mean, &other.mean, tolerance)?;
    near("log σ²", &log_variance, &other.log_variance, tolerance)?;
    let (images, other) = (found.decode(&other.mean)?, expected.decode(&other.mean)?);
    ensure!((images.count, images.side) == (other.count, other.side));
    near("images", images.values()?, other.values()?, tolerance)
}

/// Targets of two kinds in turn: a class, and shares of all.
fn mixed_targets(count: usize) -> Vec<Target> {
    let mut targets = targets(&labels(count, 1), 0.1);
    for (image, target) in targets.iter_mut().enumerate().skip(1).step_by(2) {
        let part = |class: usize| (1 + (class * 7 + image * 3) % 11) as f32;
        let sum: f32 = (0..CLASSES).map(part).sum();
        target.answer = Answer::Shares((0..CLASSES).map(|class| part(class) / sum).collect());
    }
    targets
}

/// Outcomes, gradients, statistics, and logits after the step.
fn classifier_steps(
    gpu: &dyn Backend,
    architecture: &'static Architecture,
    head: Head,
    [count, side]: [usize; 2],
    update: &Update,
) -> Result<()> {
    let tolerance = tolerance(gpu);
    let [mut found, mut expected] = classifiers(gpu, architecture, head)?;
    let batch = images(count, side, 5);
    let targets = mixed_targets(count);
    let outcomes = found.step(&batch, &targets, update)?;
    near_outcomes(
        &outcomes,
        &expected.step(&batch, &targets, update)?,
        tolerance,
    )?;
    near_after_a_step(gpu, &*found, &*expected)?;
    found.set_weights(&expected.weights()?)?;
    let (logits, other) = (found.logits(&batch)?, expected.logits(&batch)?);
    near("logits", &logits, &other, tolerance)
}

/// The shallow VAE of `edge`.
pub fn steps_of_the_shallow_vae(gpu: &dyn Backend) -> Result<()> {
    vae_steps(gpu, &EDGE.vae, [3, SIDE], OBJECTIVE)
}

/// The shallow VAE of `edge` by Adam without clipping: the weights of its linear layers are so many that
/// a GPU moves them while it makes their gradient. With a limit that no norm reaches it makes all
/// gradients first.
pub fn steps_that_move_large_layers(gpu: &dyn Backend) -> Result<()> {
    let [mut found, mut expected] = vaes(gpu, &EDGE.vae)?;
    let [mut later, _] = vaes(gpu, &EDGE.vae)?;
    let sizes = [3, SIDE, EDGE.vae.latent()];
    let at_once = update(CALM_ADAMW);
    let limited = Update {
        clip_norm: Some(1e12),
        ..at_once.clone()
    };
    let run = |vae: &mut dyn Vae, update, seed| step(vae, sizes, OBJECTIVE, update, seed);
    let loss = run(&mut *found, &at_once, 1)?;
    near_losses(loss, run(&mut *expected, &at_once, 1)?, tolerance(gpu))?;
    match gpu.precision() {
        Precision::F32 => near_learners(&*found, &*expected, TOLERANCE_OF_MANY)?,
        _ => near_after_a_step(gpu, &*found, &*expected)?,
    }
    run(&mut *later, &limited, 1)?;
    near_learners(&*found, &*later, 1e-6)?;
    // By the weights and moments that those before have left.
    for seed in [11, 21] {
        let loss = run(&mut *found, &at_once, seed)?;
        near_losses(loss, run(&mut *later, &limited, seed)?, TOLERANCE)?;
    }
    Ok(())
}

/// The deep VAE of `edge`, whose targets are shrunk, with views told apart and free bits.
pub fn steps_of_the_deep_vae_with_contrast(gpu: &dyn Backend) -> Result<()> {
    vae_steps(gpu, DEEP, [6, SIDE], COMPARED)
}

/// The deep VAE of `edge`, with views told apart and nothing decoded. The divergence keeps its
/// weight: without it the gradient of μ's bias is rounding alone.
pub fn steps_of_a_vae_that_decodes_nothing(gpu: &dyn Backend) -> Result<()> {
    let objective = VaeObjective {
        reconstruction_weight: 0.0,
        ..COMPARED
    };
    vae_steps(gpu, DEEP, [6, 64], objective)
}

/// A VAE of `paper`'s planes.
pub fn steps_of_the_paper_vae(gpu: &dyn Backend) -> Result<()> {
    vae_steps(gpu, &SLIM_PAPER, [4, SIDE], OBJECTIVE)
}

/// `edge` with its convolutional head, on images whose planes leave a remainder in the pool.
pub fn steps_of_the_convolutional_classifier(gpu: &dyn Backend) -> Result<()> {
    classifier_steps(gpu, &EDGE, Head::Conv, [5, 44], &update(PLAIN))
}

/// `edge` with its dense head.
pub fn steps_of_the_dense_classifier(gpu: &dyn Backend) -> Result<()> {
    classifier_steps(gpu, &EDGE, Head::Dense, [3, SIDE], &update(PLAIN))
}

/// `paper` with its convolutional head.
pub fn steps_of_the_paper_classifier(gpu: &dyn Backend) -> Result<()> {
    classifier_steps(gpu, &PAPER, Head::Conv, [3, SIDE], &update(PLAIN))
}

/// A frozen encoder, a slower layer, and a frozen one between layers that learn.
pub fn frozen_layers_and_rates_of_layers(gpu: &dyn Backend) -> Result<()> {
    for rates in [
        [("conv1", 0.0), ("conv2", 0.0), ("conv3", 0.5)],
        [("conv1", 0.3), ("conv2", 0.0), ("conv3", 1.0)],
    ] {
        let update = Update {
            layer_rates: LayerRates::new(rates),
            ..update(PLAIN)
        };
        classifier_steps(gpu, &EDGE, Head::Conv, [4, 32], &update)?;
    }
    Ok(())
}

/// Every rule, with decay and a norm that is clipped; a change of rule forgets the memories.
pub fn a_step_with_each_rule_and_clipping(gpu: &dyn Backend) -> Result<()> {
    let [mut found, mut expected] = classifiers(gpu, &EDGE, Head::Conv)?;
    let momentum = Optimiser::Sgd { momentum: 0.9 };
    for (seed, optimiser) in [PLAIN, momentum, momentum, ADAMW, ADAMW, momentum]
        .into_iter()
        .enumerate()
    {
        let update = Update {
            clip_norm: Some(0.1),
            ..update(optimiser)
        };
        let batch = images(4, 32, seed as u64);
        let targets = targets(&labels(4, seed as u64), 0.0);
        let outcomes = found.step(&batch, &targets, &update)?;
        let other = expected.step(&batch, &targets, &update)?;
        near_outcomes(&outcomes, &other, TOLERANCE_OF_MANY)?;
        near_learners(&*found, &*expected, TOLERANCE_OF_MANY)?;
    }
    Ok(())
}

/// Losses and weights of the deep VAE after each of twenty steps of a usual training.
pub fn twenty_steps_of_a_vae(gpu: &dyn Backend) -> Result<()> {
    let [mut found, mut expected] = vaes(gpu, DEEP)?;
    let update = Update {
        clip_norm: Some(10.0),
        ..update(CALM_ADAMW)
    };
    let objective = VaeObjective {
        free_bits: 0.0,
        ..COMPARED
    };
    for seed in 0..20 {
        let sizes = [6, 32, DEEP.latent()];
        let run = |vae: &mut dyn Vae| step(vae, sizes, objective, &update, 10 * seed);
        near_losses(run(&mut *found)?, run(&mut *expected)?, TOLERANCE)?;
    }
    near_tensors(
        "weights",
        &found.weights()?,
        &expected.weights()?,
        TOLERANCE,
    )
}

/// The same of a classifier.
pub fn twenty_steps_of_a_classifier(gpu: &dyn Backend) -> Result<()> {
    let [mut found, mut expected] = classifiers(gpu, &EDGE, Head::Conv)?;
    for seed in 0..20 {
        let batch = images(6, 32, seed);
        let targets = targets(&labels(6, seed), 0.1);
        let outcomes = found.step(&batch, &targets, &update(CALM_ADAMW))?;
        let other = expected.step(&batch, &targets, &update(CALM_ADAMW))?;
        near_outcomes(&outcomes, &other, TOLERANCE)?;
    }
    near_tensors(
        "weights",
        &found.weights()?,
        &expected.weights()?,
        TOLERANCE,
    )
}

/// A training that changes its machine after two steps goes on as on the first.
pub fn state_goes_both_ways(gpu: &dyn Backend) -> Result<()> {
    let sizes = [4, 32, DEEP.latent()];
    let run = |vae: &mut dyn Vae, seed| step(vae, sizes, OBJECTIVE, &update(ADAMW), seed);
    for swap in [false, true] {
        let [mut first, mut second] = vaes(gpu, DEEP)?;
        if swap {
            std::mem::swap(&mut first, &mut second);
        }
        for seed in [1, 2] {
            run(&mut *first, seed)?;
        }
        second.set_weights(&first.weights()?)?;
        second.set_optimiser_state(&first.optimiser_state()?)?;
        ensure!(
            second.weights()? == first.weights()?,
            "weights changed on their way"
        );
        ensure!(
            second.optimiser_state()? == first.optimiser_state()?,
            "the optimiser's state changed on its way"
        );
        near_losses(run(&mut *second, 3)?, run(&mut *first, 3)?, TOLERANCE)?;
        near_learners(&*second, &*first, TOLERANCE_OF_MANY)?;
    }
    Ok(())
}

/// The same steps three times on one machine: one that makes graphs has none of them the first
/// time, and changes those of the second time in the third.
pub fn equal_runs_are_equal_to_the_bit(gpu: &dyn Backend) -> Result<()> {
    let run = || -> Result<(Weights, Weights, VaeLoss)> {
        let [mut vae, _] = vaes(gpu, DEEP)?;
        let sizes = [4, 32, DEEP.latent()];
        step(&mut *vae, sizes, COMPARED, &update(ADAMW), 1)?;
        let loss = step(&mut *vae, sizes, COMPARED, &update(ADAMW), 2)?;
        Ok((vae.weights()?, vae.optimiser_state()?, loss))
    };
    let first = run()?;
    for _ in 0..2 {
        ensure!(run()? == first, "two runs differ");
    }
    Ok(())
}

/// Images that are to be made as they are, told by being the same or by equal pixels.
pub fn targets_that_are_the_inputs_are_equal_to_a_copy(gpu: &dyn Backend) -> Result<()> {
    for (autoencoder, side) in [(&EDGE.vae, SIDE), (DEEP, 32)] {
        let [mut first, _] = vaes(gpu, autoencoder)?;
        let [mut second, _] = vaes(gpu, autoencoder)?;
        let (batch, noise) = (images(2, side, 1), noise(2 * autoencoder.latent(), 2));
        let update = update(PLAIN);
        let loss = first.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update)?;
        let other = second.step(
            &batch.clone(),
            &batch,
            Noise::Values(&noise),
            OBJECTIVE,
            &update,
        )?;
        ensure!(loss == other, "losses differ");
        ensure!(first.weights()? == second.weights()?, "weights differ");
    }
    Ok(())
}

/// Steps that begin before the losses of others are asked for leave these as they are.
pub fn losses_that_are_asked_for_late_are_equal_to_the_bit(gpu: &dyn Backend) -> Result<()> {
    let count = 4;
    let [mut at_once, _] = vaes(gpu, DEEP)?;
    let [mut late, _] = vaes(gpu, DEEP)?;
    let (mut losses, mut owed) = (Vec::new(), Vec::new());
    for (seed, objective) in (0..).zip([COMPARED, OBJECTIVE, COMPARED]) {
        let batch = images(count, 32, seed);
        let noise = noise(count * DEEP.latent(), seed);
        let update = update(ADAMW);
        losses.push(at_once.step(&batch, &batch, Noise::Values(&noise), objective, &update)?);
        owed.push(late.learn(&batch, &batch, Noise::Values(&noise), objective, &update)?);
    }
    for (loss, owed) in losses.into_iter().zip(owed) {
        ensure!(owed.get()? == loss, "a loss changed");
    }
    let [mut at_once, _] = classifiers(gpu, &EDGE, Head::Conv)?;
    let [mut late, _] = classifiers(gpu, &EDGE, Head::Conv)?;
    let (mut outcomes, mut owed) = (Vec::new(), Vec::new());
    for seed in 0..3 {
        let (batch, targets) = (images(count, 32, seed), targets(&labels(count, seed), 0.1));
        let update = update(ADAMW);
        outcomes.push(at_once.step(&batch, &targets, &update)?);
        owed.push(late.learn(&batch, &targets, &update)?);
    }
    for (outcomes, owed) in outcomes.into_iter().zip(owed) {
        ensure!(owed.get()? == outcomes, "an outcome changed");
    }
    Ok(())
}

/// A training that is stopped after two steps, and goes on from its files.
pub fn a_resumed_run_is_equal_to_the_bit(gpu: &dyn Backend) -> Result<()> {
    let sizes = [4, 32, DEEP.latent()];
    let run = |vae: &mut dyn Vae, seed| step(vae, sizes, COMPARED, &update(ADAMW), seed);
    let [mut whole, _] = vaes(gpu, DEEP)?;
    run(&mut *whole, 1)?;
    run(&mut *whole, 2)?;
    let mut resumed = gpu.vae(DEEP, &whole.weights()?)?;
    resumed.set_optimiser_state(&whole.optimiser_state()?)?;
    ensure!(
        run(&mut *whole, 3)? == run(&mut *resumed, 3)?,
        "losses differ"
    );
    ensure!(whole.weights()? == resumed.weights()?, "weights differ");
    let states = (whole.optimiser_state()?, resumed.optimiser_state()?);
    ensure!(states.0 == states.1, "states differ");
    Ok(())
}

/// Wrong weights, states and batches: each an error, in the words of the processor's backend, and
/// nothing changes.
pub fn what_is_wrong_is_said_alike(gpu: &dyn Backend) -> Result<()> {
    let whole = Weights::initial(&parameters::vae(DEEP), 1);
    let with = |name: &str, shape: &[usize]| {
        let mut weights = whole.clone();
        let tensor = Tensor::full(shape.to_vec(), 0.0);
        weights.0.insert(name.to_owned(), tensor);
        weights
    };
    let mut lacking = whole.clone();
    lacking.0.remove("fc2_bn.running_var");
    let weights = [
        lacking,
        with("conv9.weight", &[2]),
        with("conv1.weight", &[16, 5, 5, 3]),
    ];
    let states = [
        "conv9.weight.exp_avg",
        "conv1.weight.exp_avg",
        "conv1.weight.gamma",
        "step",
    ];
    let all = |backend: &dyn Backend| -> Result<Vec<String>> {
        let mut said = Vec::new();
        let mut say = |result: Result<()>| match result {
            Ok(()) => said.push("nothing".to_owned()),
            Err(error) => said.push(format!("{error:#}")),
        };
        for weights in &weights {
            say(backend.vae(DEEP, weights).map(|_| ()));
        }
        let mut vae = backend.vae(DEEP, &whole)?;
        for name in states {
            let state = Weights([(name.to_owned(), Tensor::full([1], 0.0))].into());
            say(vae.set_optimiser_state(&state));
        }
        let update = update(ADAMW);
        let (two, three) = (images(2, 32, 1), images(3, 32, 1));
        let noise = noise(3 * DEEP.latent(), 1);
        say(vae
            .step(&two, &three, Noise::Values(&noise), OBJECTIVE, &update)
            .map(|_| ()));
        say(vae
            .step(&two, &two, Noise::Values(&noise), OBJECTIVE, &update)
            .map(|_| ()));
        say(vae
            .step(&three, &three, Noise::Values(&noise), COMPARED, &update)
            .map(|_| ()));
        say(vae.encode(&images(1, 1, 1)).map(|_| ()));
        say(vae.decode(&[0.0; 3]).map(|_| ()));
        ensure!(vae.weights()? == whole, "an error changed the weights");
        let weights = Weights::initial(&parameters::classifier(&EDGE, Head::Conv, CLASSES), 1);
        let mut classifier = backend.classifier(&EDGE, Head::Conv, CLASSES, &weights)?;
        say(classifier
            .step(&two, &targets(&[0], 0.0), &update)
            .map(|_| ()));
        say(classifier
            .step(&two, &targets(&[0, CLASSES], 0.0), &update)
            .map(|_| ()));
        let mut narrow = targets(&[0, 0], 0.0);
        narrow[1].answer = Answer::Shares([1.0].into());
        say(classifier.step(&two, &narrow, &update).map(|_| ()));
        let values = two.values()?;
        let short = Batch::new(2, 32, values[1..].to_vec());
        say(classifier.logits(&short).map(|_| ()));
        Ok(said)
    };
    let (found, expected) = (all(gpu)?, all(&Cpu)?);
    for (found, expected) in found.iter().zip(&expected) {
        ensure!(expected != "nothing", "the processor's backend takes it");
        ensure!(found == expected, "{found:?} instead of {expected:?}");
    }
    Ok(())
}

/// Averages of weights, there and back, and logits by them.
pub fn averages(gpu: &dyn Backend) -> Result<()> {
    let [mut found, mut expected] = classifiers(gpu, &EDGE, Head::Conv)?;
    let batch = images(4, 32, 7);
    for classifier in [&mut found, &mut expected] {
        ensure!(classifier.averaged()?.is_none(), "averages of nothing");
        let targets = targets(&labels(4, 0), 0.0);
        for _ in 0..3 {
            classifier.average(0.75)?;
            classifier.step(&batch, &targets, &update(PLAIN))?;
        }
    }
    let [of_found, of_expected] = [found.averaged()?, expected.averaged()?];
    let (Some(of_found), Some(of_expected)) = (of_found, of_expected) else {
        anyhow::bail!("no averages");
    };
    near_tensors("averages", &of_found, &of_expected, TOLERANCE)?;
    found.set_averaged(&of_expected)?;
    ensure!(
        found.averaged()?.as_ref() == Some(&of_expected),
        "averages changed on their way"
    );
    let logits = found.averaged_logits(&batch)?;
    near(
        "logits",
        &logits,
        &expected.averaged_logits(&batch)?,
        TOLERANCE,
    )
}

/// Steps and answers on views and noise that the GPU makes, and those on values that the loader and
/// the processor make of the same draws: where targets are the inputs, where they are other views, and
/// where inputs are corrupted. A batch of two parts has views of the images of both.
pub fn steps_on_views(gpu: &dyn Backend) -> Result<()> {
    let images = Images::from_bytes(scenes(8, 1).concat());
    let settings = Pretrain::defaults(Recipe::Default, Depth::Deep);
    let loaded = |form| -> Result<Vec<Batch>> {
        let source = Source {
            samples: Samples::unlabelled(&images, (0..8).collect()),
            drawing: Drawing {
                batch: 4,
                side: 32,
                views: settings.views(),
                form,
                seed: 1,
                streams: Drawing::MAIN,
            },
        };
        let loader = Loader::training(vec![source], 0)?;
        let steps = loader.take(3).map(|step| Ok(step?.swap_remove(0).batch));
        steps.collect()
    };
    let [mut found, mut expected] = vaes(gpu, DEEP)?;
    let (told, made) = (loaded(found.form())?, loaded(Form::Values)?);
    let noise = Noise::Drawn(stream(1, Purpose::Noise, 0, 1));
    let run = |vae: &mut dyn Vae, inputs: &Batch, targets: &Batch| {
        vae.step(inputs, targets, noise, COMPARED, &update(PLAIN))
    };
    let loss = run(&mut *found, &told[0], &told[0])?;
    let other = run(&mut *expected, &made[0], &made[0])?;
    near_losses(loss, other, TOLERANCE)?;
    near_learners(&*found, &*expected, TOLERANCE)?;
    let [mut found, mut expected] = vaes(gpu, DEEP)?;
    let loss = run(&mut *found, &told[1], &told[2])?;
    let other = run(&mut *expected, &made[1], &made[2])?;
    near_losses(loss, other, TOLERANCE)?;
    near_learners(&*found, &*expected, TOLERANCE)?;
    // Targets are what the inputs were before they were corrupted.
    let corruption = Corruption {
        mask: 0.4,
        noise: 0.1,
    };
    let [mut found, mut expected] = vaes(gpu, DEEP)?;
    let corrupted = |batch| corruption.apply(batch, 1, 2);
    let loss = run(&mut *found, &corrupted(&told[1]), &told[1])?;
    let other = run(&mut *expected, &corrupted(&made[1]), &made[1])?;
    near_losses(loss, other, TOLERANCE)?;
    near_learners(&*found, &*expected, TOLERANCE)?;

    let both = |batches: &[Batch]| -> Result<Batch> {
        let half = made[0].count / 2;
        let mut batch = batches[1].part(0..half);
        batch.append(batches[2].part(half..2 * half))?;
        Ok(batch)
    };
    let (told, made) = (both(&told)?, both(&made)?);
    let [mut found, mut expected] = classifiers(gpu, &EDGE, Head::Conv)?;
    let logits = found.averaged_logits(&told)?;
    near(
        "logits",
        &logits,
        &expected.averaged_logits(&made)?,
        TOLERANCE,
    )?;
    let targets = targets(&labels(made.count, 1), 0.1);
    let outcomes = found.step(&told, &targets, &update(PLAIN))?;
    near_outcomes(
        &outcomes,
        &expected.step(&made, &targets, &update(PLAIN))?,
        TOLERANCE,
    )?;
    near_learners(&*found, &*expected, TOLERANCE)
}
