//! What a learner promises: exact weights and state, the same bits on any number of threads, and
//! errors that name what is wrong.

use anyhow::Result;
use host::backend::cpu::{Cpu, recalibrated};
use host::backend::{
    Backend, Batch, Classifier, Contrast, LayerRates, Noise, Optimiser, Tensor, Update, Vae,
    VaeObjective, Weights, parameters,
};
use tests::{loss, targets};
use vae96::{Autoencoder, EDGE, Head, SIDE};

const CLASSES: usize = 7;

const OBJECTIVE: VaeObjective = VaeObjective {
    reconstruction_weight: 1.0,
    beta: 1.0,
    free_bits: 0.0,
    contrast: None,
    scale: 0.25,
};

const ADAMW: Optimiser = Optimiser::AdamW {
    betas: [0.9, 0.999],
    epsilon: 1e-8,
};

const SGD: Optimiser = Optimiser::Sgd { momentum: 0.9 };

fn encoder_rate(rate: f64) -> LayerRates {
    LayerRates::new([("conv1", rate), ("conv2", rate)])
}

fn update(optimiser: Optimiser) -> Update {
    Update {
        optimiser,
        rate: 1e-2,
        layer_rates: encoder_rate(0.5),
        weight_decay: 0.01,
        clip_norm: Some(1.0),
    }
}

fn pattern(len: usize, start: f64) -> Vec<f32> {
    (0..len)
        .map(|i| (start + i as f64 * 0.618_033_988_75).fract() as f32)
        .collect()
}

fn images(count: usize, side: usize, start: f64) -> Batch {
    Batch::new(count, side, pattern(count * side * side * 3, start))
}

fn vae(autoencoder: &'static Autoencoder) -> Result<Box<dyn Vae>> {
    Cpu.vae(
        autoencoder,
        &Weights::initial(&parameters::vae(autoencoder), 3),
    )
}

const DEEP: &Autoencoder = EDGE.deep_vae.as_ref().unwrap();

fn classifier(head: Head) -> Result<Box<dyn Classifier>> {
    let weights = Weights::initial(&parameters::classifier(&EDGE, head, CLASSES), 3);
    Cpu.classifier(&EDGE, head, CLASSES, &weights)
}

fn train(vae: &mut dyn Vae, steps: std::ops::Range<usize>, optimiser: Optimiser) -> Result<()> {
    for step in steps {
        let noise = pattern(4 * EDGE.vae.latent(), step as f64 * 0.37);
        let batch = images(4, SIDE, step as f64 * 0.1);
        vae.step(
            &batch,
            &batch,
            Noise::Values(&noise),
            OBJECTIVE,
            &update(optimiser),
        )?;
    }
    Ok(())
}

fn train_classifier(classifier: &mut dyn Classifier, side: usize, steps: usize) -> Result<()> {
    for step in 0..steps {
        let batch = images(5, side, step as f64 * 0.1);
        let labels: Vec<usize> = (0..5).map(|image| (image + step) % CLASSES).collect();
        classifier.step(&batch, &targets(&labels, 0.1), &update(ADAMW))?;
    }
    Ok(())
}

fn message(result: Result<impl Sized>) -> String {
    match result {
        Ok(_) => panic!("this should have been an error"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn weights_come_back_exactly() -> Result<()> {
    let weights = Weights::initial(&parameters::vae(&EDGE.vae), 5);
    assert_eq!(Cpu.vae(&EDGE.vae, &weights)?.weights()?, weights);
    for head in [Head::Conv, Head::Dense] {
        let weights = Weights::initial(&parameters::classifier(&EDGE, head, CLASSES), 5);
        let classifier = Cpu.classifier(&EDGE, head, CLASSES, &weights)?;
        assert_eq!(classifier.weights()?, weights);
    }
    Ok(())
}

#[test]
fn training_resumes_to_the_bit() -> Result<()> {
    for optimiser in [ADAMW, SGD] {
        let mut whole = vae(&EDGE.vae)?;
        train(whole.as_mut(), 0..4, optimiser)?;

        let mut first = vae(&EDGE.vae)?;
        train(first.as_mut(), 0..2, optimiser)?;
        let mut second = Cpu.vae(&EDGE.vae, &first.weights()?)?;
        second.set_optimiser_state(&first.optimiser_state()?)?;
        assert_eq!(second.optimiser_state()?, first.optimiser_state()?);
        train(second.as_mut(), 2..4, optimiser)?;
        assert_eq!(second.weights()?, whole.weights()?);
    }
    Ok(())
}

#[test]
fn threads_do_not_change_a_bit() -> Result<()> {
    let run = |threads: usize| -> Result<(Weights, Weights)> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        pool.install(|| {
            let mut vae = vae(&EDGE.vae)?;
            train(vae.as_mut(), 0..2, ADAMW)?;
            let mut classifier = classifier(Head::Conv)?;
            train_classifier(classifier.as_mut(), SIDE, 2)?;
            Ok((vae.weights()?, classifier.weights()?))
        })
    };
    let one = run(1)?;
    assert!(run(2)? == one, "two threads");
    assert!(run(5)? == one, "five threads");
    Ok(())
}

#[test]
fn a_frozen_encoder_keeps_its_weights_and_moves_its_statistics() -> Result<()> {
    let mut classifier = classifier(Head::Conv)?;
    let before = classifier.weights()?;
    let frozen = Update {
        layer_rates: encoder_rate(0.0),
        ..update(ADAMW)
    };
    classifier.step(
        &images(5, SIDE, 0.0),
        &targets(&[0, 1, 2, 3, 4], 0.0),
        &frozen,
    )?;
    let after = classifier.weights()?;
    for (name, tensor) in &before.0 {
        let encoder = name.starts_with("conv1") || name.starts_with("conv2");
        let moved = after.0[name] != *tensor;
        assert_eq!(moved, !encoder || name.contains("running"), "{name}");
    }
    let state = classifier.optimiser_state()?;
    assert!(state.0.keys().all(|name| !name.starts_with("conv1")));
    Ok(())
}

#[test]
fn smaller_images_fit_a_global_average_alone() -> Result<()> {
    let mut conv = classifier(Head::Conv)?;
    train_classifier(conv.as_mut(), 64, 1)?;
    assert_eq!(conv.logits(&images(2, 64, 0.0))?.len(), 2 * CLASSES);
    let mut dense = classifier(Head::Dense)?;
    let error = message(train_classifier(dense.as_mut(), 64, 1));
    assert!(
        error.contains("fc1") && error.contains("64×64×3"),
        "{error}"
    );
    let error = message(vae(&EDGE.vae)?.encode(&images(1, 64, 0.0)));
    assert!(
        error.contains("64×64×3") && error.contains("fc1"),
        "{error}"
    );
    let error = message(conv.logits(&images(1, 1, 0.0)));
    assert!(error.contains("pool1"), "{error}");
    Ok(())
}

#[test]
fn errors_name_tensors_and_shapes() -> Result<()> {
    let whole = Weights::initial(&parameters::vae(&EDGE.vae), 1);

    let mut lacking = whole.clone();
    lacking.0.remove("fc1_bn.running_var");
    let error = message(Cpu.vae(&EDGE.vae, &lacking));
    assert!(
        error.contains("fc1_bn.running_var") && error.contains("[128]"),
        "{error}"
    );

    let mut extra = whole.clone();
    extra
        .0
        .insert("conv9.weight".into(), Tensor::full([2], 0.0));
    let error = message(Cpu.vae(&EDGE.vae, &extra));
    assert!(error.contains("conv9.weight"), "{error}");

    let mut wrong = whole.clone();
    wrong
        .0
        .insert("conv1.weight".into(), Tensor::full([16, 5, 5, 3], 0.0));
    let error = message(Cpu.vae(&EDGE.vae, &wrong));
    let named = ["conv1.weight", "[16, 5, 5, 3]", "[16, 3, 5, 5]"];
    assert!(named.iter().all(|part| error.contains(part)), "{error}");
    Ok(())
}

#[test]
fn a_refused_tensor_changes_nothing() -> Result<()> {
    let mut vae = vae(&EDGE.vae)?;
    let before = vae.weights()?;
    let mut weights = Weights::default();
    weights
        .0
        .insert("conv1_bn.bias".into(), Tensor::full([16], 9.0));
    weights
        .0
        .insert("conv1_bn.weight".into(), Tensor::full([17], 9.0));
    assert!(vae.set_weights(&weights).is_err());
    assert_eq!(vae.weights()?, before);
    weights.0.remove("conv1_bn.weight");
    vae.set_weights(&weights)?;
    assert_eq!(vae.weights()?.0["conv1_bn.bias"].data, [9.0; 16]);
    assert_eq!(vae.weights()?.0["conv1.weight"], before.0["conv1.weight"]);
    Ok(())
}

#[test]
fn wrong_batches_are_errors() -> Result<()> {
    let mut classifier = classifier(Head::Conv)?;
    let short = Batch::new(2, SIDE, pattern(2 * SIDE * SIDE * 3 - 1, 0.0));
    let error = message(classifier.logits(&short));
    assert!(
        error.contains("55296") && error.contains("55295"),
        "{error}"
    );
    let batch = images(2, SIDE, 0.0);
    let error = message(classifier.step(&batch, &targets(&[0], 0.0), &update(SGD)));
    assert!(error.contains("2 images have 1 labels"), "{error}");
    let error = message(classifier.step(&batch, &targets(&[0, CLASSES], 0.0), &update(SGD)));
    assert!(error.contains("a label is 7"), "{error}");
    let mut vae = vae(&EDGE.vae)?;
    let error = message(vae.step(
        &batch,
        &batch,
        Noise::Values(&[0.0; 3]),
        OBJECTIVE,
        &update(SGD),
    ));
    assert!(error.contains("128 values, not 3"), "{error}");
    assert!(vae.decode(&[0.0; 65]).is_err());
    Ok(())
}

#[test]
fn a_foreign_optimiser_state_is_an_error() -> Result<()> {
    let mut vae = vae(&EDGE.vae)?;
    for (name, shape) in [
        ("conv9.weight.exp_avg", vec![1]),
        ("conv1.weight.exp_avg", vec![1]),
        ("conv1.weight.gamma", vec![16, 3, 5, 5]),
        ("step", vec![]),
    ] {
        let state = Weights([(name.to_owned(), Tensor::full(shape, 0.0))].into());
        let error = message(vae.set_optimiser_state(&state));
        assert!(error.contains(name), "{error}");
    }
    Ok(())
}

/// Losses fall on a batch that is shown again and again.
#[test]
fn learners_learn() -> Result<()> {
    let batch = images(8, SIDE, 0.0);
    let update = Update {
        rate: 3e-3,
        layer_rates: LayerRates::default(),
        ..update(ADAMW)
    };
    let mut classifier = classifier(Head::Conv)?;
    let labels: Vec<usize> = (0..8).map(|image| image % CLASSES).collect();
    let mut step = || {
        anyhow::Ok(loss(&classifier.step(
            &batch,
            &targets(&labels, 0.0),
            &update,
        )?))
    };
    let first = step()?;
    let mut last = first;
    for _ in 0..30 {
        last = step()?;
    }
    assert!(last < 0.5 * first, "{first} {last}");
    Ok(())
}

/// The deep VAE learns from two views, hidden in part, to tell images apart.
#[test]
fn a_deep_vae_learns_to_tell_images_apart() -> Result<()> {
    let mut deep = vae(DEEP)?;
    let whole = images(8, 64, 0.0);
    let mut views = whole.clone();
    views.append(whole)?;
    let mut inputs = views.values()?.to_vec();
    inputs.iter_mut().step_by(7).for_each(|v| *v = 0.5);
    let inputs = Batch::new(views.count, views.side, inputs);
    let noise = pattern(16 * DEEP.latent(), 0.0);
    let objective = VaeObjective {
        contrast: Some(Contrast {
            weight: 10.0,
            temperature: 0.2,
        }),
        scale: 1.0 / 16.0,
        ..OBJECTIVE
    };
    let update = Update {
        rate: 3e-3,
        layer_rates: LayerRates::default(),
        ..update(ADAMW)
    };
    let mut step = || deep.step(&inputs, &views, Noise::Values(&noise), objective, &update);
    let first = step()?;
    let mut last = first;
    for _ in 0..30 {
        last = step()?;
    }
    assert!(last.contrast < 0.7 * first.contrast, "{first:?} {last:?}");
    assert!(
        last.reconstruction < 0.7 * first.reconstruction,
        "{first:?} {last:?}"
    );
    let decoded = deep.decode(&deep.encode(&images(3, SIDE, 0.0))?.mean)?;
    assert_eq!((decoded.count, decoded.side), (3, 32));
    Ok(())
}

/// Without a contrastive term nothing depends on the projector, and with it alone nothing on the
/// decoder: they stay as they are.
#[test]
fn weights_that_the_loss_does_not_depend_on_stay() -> Result<()> {
    let contrast = VaeObjective {
        reconstruction_weight: 0.0,
        beta: 0.0,
        contrast: Some(Contrast {
            weight: 1.0,
            temperature: 0.2,
        }),
        ..OBJECTIVE
    };
    // Nor on the log variances, whose weights still decay.
    let decoder = ["fc2.", "fc2_bn.", "deconv", "fc22.bias"].as_slice();
    for (objective, still) in [(OBJECTIVE, ["proj"].as_slice()), (contrast, decoder)] {
        let mut deep = vae(DEEP)?;
        let before = deep.weights()?;
        let batch = images(4, 64, 0.0);
        let noise = pattern(4 * DEEP.latent(), 0.0);
        let loss = deep.step(
            &batch,
            &batch,
            Noise::Values(&noise),
            objective,
            &update(ADAMW),
        )?;
        assert_eq!(loss.reconstruction > 0.0, objective.decodes());
        for (name, tensor) in deep.weights()?.0 {
            let stays = still.iter().any(|layer| name.starts_with(layer));
            assert_eq!(tensor == before.0[&name], stays, "{name}");
        }
    }
    Ok(())
}

#[test]
fn views_come_in_pairs_and_targets_fit_their_inputs() -> Result<()> {
    let mut deep = vae(DEEP)?;
    let noise = pattern(3 * DEEP.latent(), 0.0);
    let contrast = VaeObjective {
        contrast: Some(Contrast {
            weight: 1.0,
            temperature: 0.2,
        }),
        ..OBJECTIVE
    };
    let three = images(3, 64, 0.0);
    let error = message(deep.step(
        &three,
        &three,
        Noise::Values(&noise),
        contrast,
        &update(SGD),
    ));
    assert!(
        error.contains("3 images") && error.contains("two views"),
        "{error}"
    );
    let small = images(3, 32, 0.0);
    let error = message(deep.step(
        &three,
        &small,
        Noise::Values(&noise),
        OBJECTIVE,
        &update(SGD),
    ));
    assert!(
        error.contains("64×64") && error.contains("32×32"),
        "{error}"
    );
    let odd = images(3, 80, 0.0);
    let error = message(deep.step(&odd, &odd, Noise::Values(&noise), OBJECTIVE, &update(SGD)));
    assert!(
        error.contains("80×80×3") && error.contains("32×32×3"),
        "{error}"
    );
    Ok(())
}

#[test]
fn averages_follow_the_weights_and_come_back() -> Result<()> {
    let mut classifier = classifier(Head::Conv)?;
    assert_eq!(classifier.averaged()?, None);
    let start = classifier.weights()?;
    classifier.average(0.9)?;
    assert_eq!(classifier.averaged()?, Some(start.clone()));
    train_classifier(classifier.as_mut(), SIDE, 1)?;
    let moved = classifier.weights()?;
    classifier.average(0.75)?;
    let averaged = classifier.averaged()?.unwrap();
    for (name, average) in &averaged.0 {
        let (start, moved) = (&start.0[name].data, &moved.0[name].data);
        for ((average, start), moved) in average.data.iter().zip(start).zip(moved) {
            let expected = 0.75 * start + 0.25 * moved;
            assert!(
                (average - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{name}"
            );
        }
    }
    assert_eq!(classifier.weights()?, moved);

    let batch = images(2, SIDE, 0.3);
    let mut other = Cpu.classifier(&EDGE, Head::Conv, CLASSES, &averaged)?;
    assert_eq!(classifier.averaged_logits(&batch)?, other.logits(&batch)?);
    assert_eq!(other.averaged_logits(&batch)?, other.logits(&batch)?);
    other.set_averaged(&moved)?;
    assert_eq!(other.averaged()?, Some(moved));
    assert_eq!(other.weights()?, averaged);
    let part = Weights([("fc1.bias".to_owned(), Tensor::full([CLASSES], 0.0))].into());
    assert!(other.set_averaged(&part).is_err());
    Ok(())
}

/// The running statistics are of what is there, the rest stays; batches count by their images.
#[test]
fn statistics_are_taken_anew() -> Result<()> {
    let classifier = classifier(Head::Conv)?;
    let before = classifier.weights()?;
    let again = |batches: Vec<Batch>| {
        let batches = batches.into_iter().map(Ok);
        recalibrated(&EDGE, Head::Conv, &before, CLASSES, batches)
    };
    assert_eq!(again(Vec::new())?, before);
    let side = 12;
    let parts = [images(3, side, 0.1), images(1, side, 0.7)];
    let after = again(parts.to_vec())?;
    for (name, tensor) in &after.0 {
        assert_eq!(
            *tensor != before.0[name],
            name.contains("running"),
            "{name}"
        );
    }

    // Those of the first convolution, 5×5 with stride 2, by plain loops.
    let kernels = &before.0["conv1.weight"];
    let [channels, 3, 5, 5] = kernels.shape[..] else {
        panic!("{:?}", kernels.shape)
    };
    for channel in 0..channels {
        let mut sums = [0.0; 2];
        for part in &parts {
            let values = part.values()?;
            let outputs: Vec<f64> = (0..part.count * side / 2 * side / 2)
                .map(|output| {
                    let (row, column) = (output / (side / 2), output % (side / 2));
                    let (image, row) = (row / (side / 2), row % (side / 2));
                    let mut sum = 0.0;
                    for tap in 0..25 {
                        let at = |pixel: usize, tap: usize| (2 * pixel + tap).checked_sub(2);
                        let inner = at(row, tap / 5).zip(at(column, tap % 5));
                        let Some((y, x)) = inner.filter(|&(y, x)| y < side && x < side) else {
                            continue;
                        };
                        for c in 0..3 {
                            let value = values[((image * side + y) * side + x) * 3 + c];
                            let weight = kernels.data[(channel * 3 + c) * 25 + tap];
                            sum += f64::from(value) * f64::from(weight);
                        }
                    }
                    sum
                })
                .collect();
            let count = outputs.len() as f64;
            let mean = outputs.iter().sum::<f64>() / count;
            let squares: f64 = outputs.iter().map(|y| (y - mean) * (y - mean)).sum();
            let share = part.count as f64 / 4.0;
            sums[0] += share * mean;
            sums[1] += share * squares / (count - 1.0);
        }
        for (name, expected) in ["mean", "var"].iter().zip(sums) {
            let found = f64::from(after.0[&format!("conv1_bn.running_{name}")].data[channel]);
            let near = (found - expected).abs() <= 1e-5 * (1.0 + expected.abs());
            assert!(near, "{name} of {channel}: {found}, not {expected}");
        }
    }
    let wrong = images(1, 3, 0.0);
    assert!(again(vec![wrong]).is_err());
    Ok(())
}
