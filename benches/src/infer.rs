//! One image after another through a model file, on one thread, timed: `infer MODEL [--portable]`.
//!
//! It reads numbers of images from standard input, one a line, and answers each with one JSON
//! object: the milliseconds of each image.

use std::io::{BufRead, stdin};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use host::evaluate::{Aligned, inference, parse};
use serde_json::json;
use vae96::{INPUT, Interleaved, Interpreter, Line};

/// Images before the clock counts.
const WARM_UP: usize = 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, portable) = match arguments.as_slice() {
        [path] => (path, false),
        [path, option] if option == "--portable" => (path, true),
        _ => bail!("usage: infer MODEL [--portable]"),
    };
    let file = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    let file = Aligned::new(&file);
    let model = parse(file.bytes())?;
    let mut lines = vec![Line::ZERO; Interleaved::lines(&model)];
    let weights = Interleaved::of(&model, &mut lines).map_err(|error| anyhow!("{error}"))?;
    let mut buffer = inference::buffer(&model);
    let network = match portable {
        true => Interpreter::of(&model, &mut buffer),
        false => Interpreter::interleaved(&model, weights, &mut buffer),
    };
    let mut network = network.map_err(|error| anyhow!("{error}"))?;
    // Values without a visible period.
    let image: Vec<u8> = (0..INPUT.len()).map(|i| (i * 167 % 251) as u8).collect();
    let mut classify = || -> Result<f64> {
        let start = Instant::now();
        for row in image.chunks_exact(INPUT.row()) {
            network.push(row)?;
        }
        std::hint::black_box(network.finish()?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for _ in 0..WARM_UP {
        classify()?;
    }
    for line in stdin().lock().lines() {
        let line = line?;
        let images: usize =
            (line.trim().parse()).with_context(|| format!("{line} is not a number of images"))?;
        let times = (0..images)
            .map(|_| classify())
            .collect::<Result<Vec<_>>>()?;
        println!("{}", json!({ "ms": times, "peak_mb": null }));
    }
    Ok(())
}
