//! Every command, each on what the one before it made.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use host::backend::Weights;
use host::backend::parameters::{self, Parameter};
use serde_json::Value;
use vae96::{EDGE, Head};

use crate::photographs::{self, CLASSES, UNLABELLED, VAL};
use crate::vae96::{SHORT, answer, answer_of, command, has_keys, number, read};

const IMAGES: f64 = (CLASSES.len() * VAL) as f64;

const EVALUATION: [&str; 5] = ["images", "top1", "top5", "loss", "images_per_second"];

/// A share of all images.
fn is_share(value: f64, images: f64) {
    assert!((0.0..=1.0).contains(&value), "{value}");
    let count = value * images;
    assert!((count - count.round()).abs() < 1e-9, "{value} of {images}");
}

fn weights(run: &Path) -> Weights {
    Weights::load(&run.join("weights.safetensors")).unwrap().0
}

#[test]
fn the_whole_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let (found, progress) = answer_of(&mut command(
        at,
        &format!("run --data data --out run {SHORT}"),
    ));
    assert!(
        progress.contains("baseline") && progress.contains("epoch"),
        "{progress}"
    );
    has_keys(&found, &["run", "baseline", "finetuned", "int8", "model"]);
    assert_eq!(found["run"], "run");
    for stage in ["baseline", "finetuned", "int8"] {
        has_keys(&found[stage], &["top1", "top5"]);
        is_share(number(&found, &format!("/{stage}/top1")), IMAGES);
        // There are but three classes.
        assert_eq!(found[stage]["top5"], 1.0);
    }
    has_keys(&found["model"], &["flash_bytes", "ram_bytes", "macs"]);

    let run = at.join("run");
    for file in [
        "config.toml",
        "pretrain/metrics.jsonl",
        "pretrain/weights.safetensors",
        "pretrain/originals.png",
        "pretrain/reconstructions.png",
        "baseline/metrics.jsonl",
        "baseline/weights.safetensors",
        "finetune/metrics.jsonl",
        "finetune/weights.safetensors",
    ] {
        assert!(!read(run.join(file)).is_empty(), "{file}");
    }
    let model = read(run.join("model.v96"));
    assert_eq!(number(&found, "/model/flash_bytes"), model.len() as f64);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("fine-tuned int8"));
    for elsewhere in ["src=\"http", "href=\"http", "@import", "<script src"] {
        assert!(!page.contains(elsewhere), "the page needs {elsewhere}");
    }
    let kept: Value = serde_json::from_slice(&read(run.join("result.json"))).unwrap();
    assert_eq!(kept, found);

    // What the run says of its model is what the other commands say of it.
    let float = answer(at, "evaluate run");
    let int8 = answer(at, "evaluate run/model.v96 --data data");
    let inside = answer(at, "evaluate run/model.v96");
    for (evaluated, stage) in [(&float, "finetuned"), (&int8, "int8"), (&inside, "int8")] {
        has_keys(evaluated, &EVALUATION);
        assert_eq!(evaluated["images"], IMAGES);
        assert_eq!(evaluated["top1"], found[stage]["top1"]);
        assert!(number(evaluated, "/images_per_second") > 0.0);
    }
    let apart = number(&float, "/loss") - number(&int8, "/loss");
    assert!(apart.abs() < 0.05, "float {float}, int8 {int8}");
    answer(at, "export run --out again.v96");
    assert!(
        read(at.join("again.v96")) == model,
        "export is not the run's"
    );
    answer(at, "export run/baseline --out baseline.v96");
    let baseline = answer(at, "evaluate run/baseline");
    assert_eq!(baseline["top1"], found["baseline"]["top1"]);

    // A complete run that is resumed answers again, and changes nothing.
    assert_eq!(answer(at, "run --resume run"), found);
    assert!(read(run.join("model.v96")) == model);
}

#[test]
fn each_command_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let vae = answer(
        at,
        "pretrain --data data --out vae --epochs 2 --batch 8 --seed 3",
    );
    has_keys(
        &vae,
        &["run", "images", "epochs", "loss", "reconstruction", "kl"],
    );
    assert_eq!(vae["images"], UNLABELLED);
    assert_eq!(vae["epochs"], 2);
    assert!(at.join("vae/report.html").exists());

    let pretrained = weights(&at.join("vae"));
    let deep = EDGE.deep_vae.as_ref().unwrap();
    for (head, of_head, encoder, more) in [
        (
            "conv",
            Head::Conv,
            "learn",
            "--side 32 --consistency-batch 16",
        ),
        ("conv", Head::Conv, "freeze", "--side 32 --consistency 0"),
        (
            "dense",
            Head::Dense,
            "freeze",
            "--batch 320 --consistency 0",
        ),
    ] {
        let run = format!("{head}-{encoder}");
        let found = answer(
            at,
            &format!(
                "finetune --data data --from vae --head {head} --encoder {encoder} \
                 --labels-per-class 2 --epochs 1 --seed 3 --out {run} {more}"
            ),
        );
        has_keys(&found, &["run", "images", "top1", "top5", "loss"]);
        is_share(number(&found, "/top1"), IMAGES);
        let learned = weights(&at.join(&run));
        let shared = parameters::shared_layers(&EDGE, of_head, deep);
        let of_encoder = |parameter: &Parameter| shared.iter().any(|layer| parameter.is_of(layer));
        let parameters = parameters::classifier(&EDGE, of_head, CLASSES.len());
        for parameter in parameters.into_iter().filter(of_encoder) {
            let name = &parameter.name;
            // BatchNorm's statistics follow the data even where the weights stay.
            let moves = encoder == "learn" || name.contains("running");
            let moved = learned.0[name] != pretrained.0[name];
            assert_eq!(moved, moves, "{run}: {name}");
        }

        let float = answer(at, &format!("evaluate {run}"));
        assert_eq!(float["top1"], found["top1"], "{run}");
        assert_eq!(float["loss"], found["loss"], "{run}");
        let exported = answer(at, &format!("export {run} --out {run}.v96"));
        has_keys(
            &exported,
            &["model", "layout", "flash_bytes", "ram_bytes", "macs"],
        );
        let int8 = answer(at, &format!("evaluate {run}.v96 --data data"));
        let apart = number(&float, "/loss") - number(&int8, "/loss");
        assert!(apart.abs() < 0.1, "{run}: float {float}, int8 {int8}");

        let inspected = answer(at, &format!("inspect {run}.v96"));
        assert_eq!(inspected["network"], "edge");
        assert_eq!(inspected["kind"], format!("{head} classifier"));
        assert_eq!(inspected["classes"], CLASSES.len());
        for figure in ["flash_bytes", "ram_bytes", "macs"] {
            assert_eq!(inspected[figure], exported[figure], "{run}: {figure}");
        }
    }

    classify(at);
    inspect(at);

    // The encoder alone.
    answer(at, "export vae --out encoder.v96");
    answer(at, "export vae --kind encoder --out same.v96");
    assert!(read(at.join("encoder.v96")) == read(at.join("same.v96")));
    let encoder = answer(at, "inspect encoder.v96");
    assert_eq!(encoder["kind"], "deep encoder");
    assert_eq!(encoder["classes"], 0);

    // The paper's two layers alone.
    answer(
        at,
        "pretrain --data data --out shallow --depth shallow --contrast 0 --epochs 1 --batch 8",
    );
    answer(at, "export shallow --out shallow.v96");
    assert_eq!(answer(at, "inspect shallow.v96")["kind"], "encoder");
}

fn classify(at: &Path) {
    let names = photographs::files(&at.join("data/supervised/val/birch"));
    let found = answer_of(command(at, "classify conv-learn.v96 --top 2").args(&names)).0;
    has_keys(&found, &["results"]);
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), names.len());
    for (result, name) in results.iter().zip(&names) {
        has_keys(result, &["file", "top"]);
        assert_eq!(result["file"], name.to_str().unwrap());
        let top = result["top"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        for score in top {
            has_keys(score, &["class", "name", "probability"]);
            let class = number(score, "/class") as usize;
            assert_eq!(score["name"], CLASSES[class]);
        }
        let [first, second] = [0, 1].map(|i| number(&top[i], "/probability"));
        assert!(first >= second && first + second <= 1.0 + 1e-6);
    }
    // More classes than there are: all of them, and their probabilities are one.
    let image = "data/unsupervised/all/000.png";
    let all = answer(at, &format!("classify conv-learn.v96 {image} --top 9"));
    let probabilities = (0..3).map(|i| number(&all, &format!("/results/0/top/{i}/probability")));
    assert!((probabilities.sum::<f64>() - 1.0).abs() < 1e-6, "{all}");

    answer(at, "export conv-learn --no-names --out nameless.v96");
    let nameless = answer(at, &format!("classify nameless.v96 {image}"));
    let [named, nameless] = [&all, &nameless].map(|found| &found["results"][0]["top"]);
    assert_eq!(named[0]["class"], nameless[0]["class"]);
    assert_eq!(
        nameless[0]["name"],
        format!("class {}", nameless[0]["class"])
    );
}

fn inspect(at: &Path) {
    let found = answer(at, "inspect conv-learn.v96");
    has_keys(
        &found,
        &[
            "network",
            "kind",
            "classes",
            "layout",
            "flash_bytes",
            "ram_bytes",
            "fits_on_chip",
            "macs",
            "layers",
            "estimates",
            "estimate_model",
        ],
    );
    assert_eq!(found["fits_on_chip"], true);
    let layers = found["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 7);
    let of = |layer: usize, figure: &str| number(&layers[layer], &format!("/{figure}"));
    // By hand: 48 × 48 pixels of 16 channels, each from 5 × 5 pixels of 3.
    assert_eq!(of(0, "macs"), f64::from(48 * 48 * 16 * 75));
    assert_eq!(of(0, "weights"), 1200.0);
    assert_eq!(layers[0]["out"], "48×48×16");
    let macs: f64 = (0..layers.len()).map(|layer| of(layer, "macs")).sum();
    assert_eq!(macs, number(&found, "/macs"));
    assert!(number(&found, "/ram_bytes") <= 16.0 * 1024.0);
    for estimate in found["estimates"].as_array().unwrap() {
        let cycles = macs * number(estimate, "/cycles_per_mac");
        let milliseconds = cycles / (number(estimate, "/mhz") * 1e3);
        assert!((milliseconds / number(estimate, "/milliseconds") - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_configuration_file_gives_options_and_the_command_line_overrides_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    fs::write(
        at.join("my.toml"),
        "data = 'data'\nseed = 7\n[pretrain]\nepochs = 3\nbatch = 8\n",
    )
    .unwrap();
    let found = answer(at, "pretrain --config my.toml --epochs 2 --out first");
    assert_eq!(found["epochs"], 2);
    let kept = fs::read_to_string(at.join("first/config.toml")).unwrap();
    for line in ["seed = 7", "epochs = 2", "batch = 8"] {
        assert!(kept.lines().any(|kept| kept == line), "{line} in {kept}");
    }
    // What a run keeps of its options makes the same run again.
    answer(at, "pretrain --config first/config.toml --out second");
    assert_eq!(weights(&at.join("first")), weights(&at.join("second")));
    answer(
        at,
        "pretrain --config first/config.toml --seed 8 --out third",
    );
    assert_ne!(weights(&at.join("first")), weights(&at.join("third")));
}

#[test]
fn without_an_out_runs_are_numbered_and_quiet_ones_say_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    for number in 1..=2 {
        let (found, said) = answer_of(&mut command(at, "pretrain --data data --epochs 1 --quiet"));
        assert_eq!(found["run"], format!("runs/pretrain-00{number}"));
        assert_eq!(said, "");
    }
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let mut child = command(at, "pretrain --data data --epochs 2 --out run")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().unwrap().success());
    assert!(at.join("run/weights.safetensors").exists());
}
