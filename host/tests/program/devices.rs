//! Where a training runs, and what is said where it cannot.

use std::fs;

use host::backend::cuda::group;

use crate::vae96::{answer, answer_of, command, refuses};

const PRETRAIN: &str = "pretrain --unlabelled 32 --epochs 1 --batch 16";

/// No computer has so many: the line is there with a GPU and without.
#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for training in [
        PRETRAIN,
        "finetune --from scratch --labels-per-class 2 --epochs 1",
        "run",
        "reproduce",
    ] {
        refuses(
            folder.path(),
            &format!("{training} --device cuda:99"),
            &["cannot use the device cuda:99", "driver"],
        );
    }
}

/// Where there is none; where there are some, the next test's training would be theirs.
#[test]
fn all_gpus_are_refused_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    match group::gpus() {
        Ok(gpus) => println!("skipped: this computer has {gpus}"),
        Err(why) => refuses(
            folder.path(),
            &format!("{PRETRAIN} --device cuda:all"),
            &["cannot use the device cuda:all", &format!("{why:#}")],
        ),
    }
}

#[test]
fn a_device_of_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &format!("{PRETRAIN} --device gpu"));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("\"gpu\"") && said.contains("cuda:N"),
        "{said}"
    );
}

#[test]
fn auto_says_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (_, said) = answer_of(&mut command(folder.path(), PRETRAIN));
    let taken: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("training on "))
        .collect();
    let without: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("no GPU: "))
        .collect();
    match (&*taken, &*without) {
        ([taken], []) => assert!(taken.contains("GPU"), "{taken}"),
        ([taken], [why]) => assert!(taken.contains("CPU") && why.len() > 20, "{said}"),
        _ => panic!("{said}"),
    }
}

#[test]
fn the_processor_needs_no_reason() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{PRETRAIN} --device cpu");
    let (_, said) = answer_of(&mut command(folder.path(), &line));
    assert!(
        !said.contains("GPU") && said.contains("training on CPU"),
        "{said}"
    );
}

/// And the run's options tell what was done.
#[test]
fn the_processor_says_that_its_precision_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (precision, out) in [("bf16", "other"), ("f32", "own")] {
        let line = format!("{PRETRAIN} --device cpu --precision {precision} --out {out}");
        let (_, said) = answer_of(&mut command(at, &line));
        let told = said.contains("the CPU computes in f32, not in bf16");
        assert_eq!(told, precision == "bf16", "{said}");
        let config = fs::read_to_string(at.join(out).join("config.toml")).unwrap();
        assert!(config.contains("precision = \"f32\""), "{config}");
    }
}

#[test]
fn a_run_from_a_computer_with_more_gpus_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    answer(
        at,
        "finetune --from scratch --labels-per-class 2 --epochs 1 --side 32 --device cpu --out run",
    );
    let before = answer(at, "evaluate run");
    let config = at.join("run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let moved = text.replace("device = \"cpu\"", "device = \"cuda:99\"");
    assert_ne!(moved, text);
    fs::write(&config, moved).unwrap();
    let after = answer(at, "evaluate run");
    assert_eq!(after["images"], before["images"]);
}
