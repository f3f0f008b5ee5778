//! A run killed at random moments and resumed ends as one that nothing interrupted.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use host::train::{metrics, tensorboard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::photographs;
use crate::vae96::{answer, command, read};

const OPTIONS: &str = "--data data --pretrain-epochs 6 --pretrain-batch 8 --finetune-epochs 2 \
    --finetune-batch 128 --finetune-side 32 --consistency-batch 16 --average 0.9 --labels-per-class 3 --keep best --seed 2 --tensorboard";

/// Kills before the run may end.
const KILLS: usize = 6;

/// The records of a training, without what a clock measured.
fn records(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let record = |line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let object = record.as_object_mut().unwrap();
        for clock in ["seconds", "waiting", "ended"] {
            assert!(object.remove(clock).is_some(), "{clock}");
        }
        record
    };
    text.lines().map(record).collect()
}

/// Asserts that a training's file for TensorBoard tells of the records of `metrics.jsonl`, once
/// each and of nothing else.
fn same_events(run: &Path) {
    let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
    let again = run.join("again");
    tensorboard::rewrite(&again, &records).unwrap();
    // The first event says when the file was begun.
    let begin = |file: &Path| {
        let bytes = read(file);
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        bytes[length as usize + 16..].to_vec()
    };
    let found = begin(&run.join("events.out.tfevents.vae96"));
    assert!(found == begin(&again), "{}", run.display());
    fs::remove_file(again).unwrap();
}

#[test]
fn killed_at_random_moments() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    // Shown where the test fails.
    println!("seed of the moments: {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let began = Instant::now();
    answer(at, &format!("run --out whole --quiet {OPTIONS}"));
    let whole = began.elapsed();

    for _ in 0..KILLS {
        let mut child = begin_or_resume(at)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The first moments of a resumed run are the same ones again: most kills come later.
        let moment = whole.mul_f64(rng.random_range(0.0..0.5));
        println!("killed after {moment:?} of {whole:?}");
        sleep(moment);
        // It may have come to its end.
        child.kill().ok();
        child.wait().unwrap();
    }
    // What a write that was cut short leaves behind, at its worst.
    fs::create_dir_all(at.join("killed/finetune")).unwrap();
    for file in [
        "config.toml",
        "model.v96",
        "finetune/checkpoint.safetensors",
    ] {
        fs::write(at.join(format!("killed/{file}.partial")), "half a fi").unwrap();
    }
    let output = begin_or_resume(at).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let [whole, killed] = ["whole", "killed"].map(|run| at.join(run));
    let same = |file: &str| {
        assert!(
            read(whole.join(file)) == read(killed.join(file)),
            "{file} differs"
        );
    };
    for stage in ["pretrain", "baseline", "finetune"] {
        same(&format!("{stage}/weights.safetensors"));
        same(&format!("{stage}/steps.jsonl"));
        let [expected, found] = [&whole, &killed].map(|run| records(&run.join(stage)));
        assert_eq!(found, expected, "{stage}");
        same_events(&whole.join(stage));
        same_events(&killed.join(stage));
    }
    for file in [
        "originals.png",
        "reconstructions-first.png",
        "reconstructions.png",
        "samples.png",
        "latent.json",
    ] {
        same(&format!("pretrain/{file}"));
    }
    same("model.v96");
    same("config.toml");
}

/// Goes on with the run, or begins it where it was killed before its options were written.
fn begin_or_resume(at: &Path) -> std::process::Command {
    match at.join("killed/config.toml").exists() {
        true => command(at, "run --quiet --resume killed"),
        false => command(at, &format!("run --quiet --out killed {OPTIONS}")),
    }
}
