//! Times whole training steps: `train_step edge_vae|edge_classifier --batch N --steps N`.
//!
//! Prints one JSON object: the milliseconds of each step and their median, after three steps of warm-up.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use host::backend::cpu::Cpu;
use host::backend::{
    Backend, Batch, LayerRates, Optimiser, Target, Update, VaeObjective, Weights, parameters,
};
use serde_json::json;
use vae96::{EDGE, Head, SIDE};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before the clock counts.
const WARM_UP: usize = 3;

/// Classes of the timed classifier.
const CLASSES: usize = 10;

fn update() -> Update {
    Update {
        optimiser: Optimiser::AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
        },
        rate: 1e-3,
        weight_decay: 0.01,
        clip_norm: None,
        layer_rates: LayerRates::default(),
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let network = arguments.first().context("name a network")?;
    let (batch, steps) = (
        option(&arguments, "--batch")?,
        option(&arguments, "--steps")?,
    );
    let times = match network.as_str() {
        "edge_vae" => vae(batch, steps)?,
        "edge_classifier" => classifier(batch, steps)?,
        _ => bail!("{network} is neither edge_vae nor edge_classifier"),
    };
    let mut sorted = times.clone();
    sorted.sort_by(f64::total_cmp);
    let summary = json!({
        "network": network,
        "batch": batch,
        "steps": steps,
        "median_ms": sorted[sorted.len() / 2],
        "ms": times,
    });
    println!("{summary}");
    Ok(())
}

fn option(arguments: &[String], name: &str) -> Result<usize> {
    let index = arguments.iter().position(|argument| argument == name);
    let value = index.and_then(|index| arguments.get(index + 1));
    let value = value.with_context(|| format!("{name} N is missing"))?;
    value
        .parse()
        .with_context(|| format!("{name} {value} is not a number"))
}

fn vae(count: usize, steps: usize) -> Result<Vec<f64>> {
    let mut vae = Cpu.vae(&EDGE.vae, &Weights::initial(&parameters::vae(&EDGE.vae), 1))?;
    let batch = images(count);
    let update = update();
    let noise = pattern(count * EDGE.vae.latent());
    let objective = VaeObjective {
        reconstruction_weight: 1.0,
        beta: 1.0,
        free_bits: 0.0,
        contrast: None,
        scale: 1.0 / count as f64,
    };
    time(steps, || {
        vae.step(&batch, &batch, &noise, objective, &update)?;
        Ok(())
    })
}

fn classifier(count: usize, steps: usize) -> Result<Vec<f64>> {
    let weights = Weights::initial(&parameters::classifier(&EDGE, Head::Conv, CLASSES), 1);
    let mut classifier = Cpu.classifier(&EDGE, Head::Conv, CLASSES, &weights)?;
    let batch = images(count);
    let target = |image: usize| Target {
        class: image % CLASSES,
        smoothing: 0.1,
        weight: 1.0 / count as f32,
    };
    let targets: Vec<Target> = (0..count).map(target).collect();
    let update = update();
    time(steps, || {
        classifier.step(&batch, &targets, &update)?;
        Ok(())
    })
}

/// The milliseconds of each step.
fn time(steps: usize, mut step: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    for _ in 0..WARM_UP {
        step()?;
    }
    (0..steps.max(1))
        .map(|_| {
            let start = Instant::now();
            step()?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

fn images(count: usize) -> Batch {
    Batch {
        count,
        side: SIDE,
        pixels: pattern(count * SIDE * SIDE * 3),
    }
}

/// Values in [0, 1) without a visible period (the golden ratio's multiples).
fn pattern(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i as f64 * 0.618_033_988_75).fract() as f32)
        .collect()
}
