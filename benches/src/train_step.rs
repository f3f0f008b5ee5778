//! Whole training steps, timed: `train_step NETWORK --batch N [--device cpu|cuda[:N]]
//! [--precision f32|tf32|bf16]`.
//!
//! After three steps of warm-up it reads numbers of steps from standard input, one a line, and
//! answers each with one JSON object: the milliseconds of those steps, and the most memory that
//! this process has held so far. Steps of a machine that works on while nobody waits follow each
//! other as in a training: each then counts as its share of the time of all.

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use host::backend::{
    Album, Backend, Batch, Device, Form, LayerRates, Learner, Noise, Optimiser, Pending, Picture,
    Pixels, Target, Update, VaeObjective, View, Viewed, Weights, choose, parameters,
};
use host::data::Images;
use host::data::random::{Purpose, stream};
use serde_json::json;
use vae96::{Architecture, Autoencoder, EDGE, Head, PAPER, SIDE};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before the clock counts.
const WARM_UP: usize = 3;

fn update() -> Update {
    Update {
        optimiser: Optimiser::AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
        },
        rate: 1e-3,
        layer_rates: LayerRates::default(),
        weight_decay: 0.01,
        clip_norm: None,
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let network = arguments.first().context("name a network")?;
    let batch = option(&arguments, "--batch")?.context("--batch N is missing")?;
    let batch = batch
        .parse()
        .with_context(|| format!("--batch {batch} is not a number"))?;
    let device = option(&arguments, "--device")?.unwrap_or("cpu");
    let precision = option(&arguments, "--precision")?.map(str::parse);
    let precision = precision.transpose()?;
    let tell = |line: &str| eprintln!("{line}");
    let backend = choose(device.parse::<Device>()?, precision, tell)?;
    eprintln!("{}", backend.name());
    match network.as_str() {
        "edge_vae" => vae(&*backend, &EDGE.vae, batch),
        "edge_classifier" => classifier(&*backend, &EDGE, 10, batch),
        "paper_vae" => vae(&*backend, &PAPER.vae, batch),
        "paper_classifier" => classifier(&*backend, &PAPER, 1000, batch),
        _ => {
            bail!("{network} is none of edge_vae, edge_classifier, paper_vae and paper_classifier")
        }
    }
}

/// The value of an option, if it is given.
fn option<'a>(arguments: &'a [String], name: &str) -> Result<Option<&'a str>> {
    let Some(index) = arguments.iter().position(|argument| argument == name) else {
        return Ok(None);
    };
    let value = arguments.get(index + 1);
    let value = value.with_context(|| format!("{name} is without a value"))?;
    Ok(Some(value))
}

fn vae(backend: &dyn Backend, autoencoder: &'static Autoencoder, count: usize) -> Result<()> {
    let weights = Weights::initial(&parameters::vae(autoencoder), 1);
    let mut vae = backend.vae(autoencoder, &weights)?;
    drop(weights);
    let batch = images(&*vae, count);
    let objective = VaeObjective {
        reconstruction_weight: 1.0,
        beta: 1.0,
        free_bits: 0.0,
        contrast: None,
        scale: 1.0 / count as f64,
    };
    let update = update();
    let mut steps = 0..;
    serve(|| {
        let step = steps.next().unwrap_or_default();
        let noise = Noise::Drawn(stream(1, Purpose::Noise, 0, step));
        let loss = vae.learn(&batch, &batch, noise, objective, &update)?;
        Ok(loss.map(|_| ()))
    })
}

fn classifier(
    backend: &dyn Backend,
    architecture: &'static Architecture,
    classes: usize,
    count: usize,
) -> Result<()> {
    let parameters = parameters::classifier(architecture, Head::Conv, classes);
    let weights = Weights::initial(&parameters, 1);
    let mut classifier = backend.classifier(architecture, Head::Conv, classes, &weights)?;
    drop(weights);
    let batch = images(&*classifier, count);
    let target = |image: usize| Target::class(image % classes, 0.1, 1.0 / count as f32);
    let targets: Vec<Target> = (0..count).map(target).collect();
    let update = update();
    serve(|| {
        let outcomes = classifier.learn(&batch, &targets, &update)?;
        Ok(outcomes.map(|_| ()))
    })
}

/// Answers each number of steps.
fn serve(mut step: impl FnMut() -> Result<Pending<()>>) -> Result<()> {
    for _ in 0..WARM_UP {
        step()?.get()?;
    }
    for line in stdin().lock().lines() {
        let line = line?;
        let steps: usize = line
            .trim()
            .parse()
            .with_context(|| format!("{line} is not a number of steps"))?;
        let times = time(&mut step, steps)?;
        println!("{}", json!({ "ms": times, "peak_mb": peak_megabytes() }));
    }
    Ok(())
}

/// The milliseconds of each step.
fn time(step: &mut impl FnMut() -> Result<Pending<()>>, steps: usize) -> Result<Vec<f64>> {
    let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let begin = Instant::now();
    let mut times = Vec::with_capacity(steps);
    let mut owed = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        let done = step()?;
        times.push(milliseconds(start));
        if !done.is_known() {
            owed.push(done);
        }
    }
    if !owed.is_empty() {
        owed.into_iter().try_for_each(Pending::get)?;
        times.fill(milliseconds(begin) / steps as f64);
    }
    Ok(times)
}

/// The most memory that this process has held, where Linux tells.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// Images in the form in which a training brings them to that learner, which has seen them before.
fn images(learner: &dyn Learner, count: usize) -> Batch {
    let image = SIDE * SIDE * 3;
    let values = pattern(count * image);
    if learner.form() == Form::Values {
        return Batch::new(count, SIDE, values);
    }
    let bytes = values.iter().map(|value| (value * 256.0) as u8);
    let album: Arc<dyn Album> = Arc::new(Images::from_bytes(bytes.collect()));
    let viewed = |index| Viewed {
        image: Picture::of(Arc::clone(&album), index),
        view: View::WHOLE,
    };
    Batch {
        count,
        side: SIDE,
        pixels: Pixels::Views((0..count).map(viewed).collect()),
    }
}

/// Values in [0, 1) without a visible period (the golden ratio's multiples).
fn pattern(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i as f64 * 0.618_033_988_75).fract() as f32)
        .collect()
}
