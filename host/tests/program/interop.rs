//! Files of other programs, in and out.

use std::fs;
use std::path::Path;

use host::backend::{Metadata, Weights};

use crate::photographs::{self, CLASSES};
use crate::vae96::{answer, has_keys, number, read, refuses};

/// Writes the weights of a run as another program would: without a label.
fn unlabel(run: &Path, file: &Path) -> Weights {
    let weights = Weights::load(&run.join("weights.safetensors")).unwrap().0;
    weights.save(file, &Metadata::default()).unwrap();
    weights
}

#[test]
fn a_vae_of_another_program_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    answer(at, "pretrain --data data --epochs 1 --out vae");
    let vae = unlabel(&at.join("vae"), &at.join("foreign.safetensors"));

    // Steps of no length leave the weights as they were given, of another seed too.
    let still = "pretrain --data data --epochs 1 --rate 0 --seed 5";
    answer(at, &format!("{still} --init foreign.safetensors --out on"));
    answer(at, &format!("{still} --init vae --out on-too"));
    let on = Weights::load(&at.join("on/weights.safetensors")).unwrap().0;
    for (name, tensor) in &vae.0 {
        let moves = name.contains("running");
        assert_eq!(on.0[name] != *tensor, moves, "{name}");
    }
    assert!(read(at.join("on/weights.safetensors")) == read(at.join("on-too/weights.safetensors")));
    let kept = fs::read_to_string(at.join("on/config.toml")).unwrap();
    assert!(kept.contains("init = ") && kept.contains("foreign.safetensors"));

    // A file is as good a start as the run it came from.
    let finetune = "finetune --data data --labels-per-class 2 --epochs 1 --side 32 --from";
    answer(at, &format!("{finetune} vae --out labelled"));
    answer(
        at,
        &format!("{finetune} foreign.safetensors --out unlabelled"),
    );
    let of = |run: &str| read(at.join(run).join("weights.safetensors"));
    assert!(of("labelled") == of("unlabelled"));
}

#[test]
fn a_classifier_of_another_program_is_evaluated_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let scratch = "finetune --data data --from scratch --labels-per-class 2 --epochs 1";
    answer(at, &format!("{scratch} --side 32 --out conv"));
    answer(
        at,
        &format!("{scratch} --head dense --batch 320 --out dense"),
    );
    for run in ["conv", "dense"] {
        let file = format!("{run}.safetensors");
        unlabel(&at.join(run), &at.join(&file));
        let own = answer(at, &format!("evaluate {run}"));
        let foreign = answer(at, &format!("evaluate {file} --data data"));
        assert_eq!(foreign["loss"], own["loss"], "{run}");
        refuses(at, &format!("evaluate {file}"), &["--data", &file]);

        // In the run's folder it is calibrated as the run is; elsewhere on all labels.
        unlabel(&at.join(run), &at.join(run).join("foreign.safetensors"));
        answer(at, &format!("export {run} --no-names --out own.v96"));
        answer(
            at,
            &format!("export {run}/foreign.safetensors --out foreign.v96"),
        );
        assert!(
            read(at.join("own.v96")) == read(at.join("foreign.v96")),
            "{run}"
        );
        answer(at, &format!("export {file} --data data --out other.v96"));
        let int8 = answer(at, "evaluate other.v96 --data data");
        let apart = number(&own, "/loss") - number(&int8, "/loss");
        assert!(apart.abs() < 0.1, "{run}: {own}, {int8}");
    }
    let image = "data/unsupervised/all/000.png";
    let found = answer(at, &format!("classify other.v96 {image}"));
    let name = found["results"][0]["top"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("class "), "{name}");
}

#[test]
fn other_formats_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    answer(at, "pretrain --data data --epochs 1 --out vae");
    answer(
        at,
        "finetune --data data --from vae --labels-per-class 2 --epochs 1 --side 32 --out conv",
    );
    for (line, format, file) in [
        ("conv --out a.tflite", "tflite", "a.tflite"),
        ("conv --out a.onnx", "onnx", "a.onnx"),
        (
            "conv --out b.onnx --format onnx-int8",
            "onnx-int8",
            "b.onnx",
        ),
        ("conv --format onnx", "onnx", "model.onnx"),
        ("vae --format tflite", "tflite", "model.tflite"),
    ] {
        let found = answer(at, &format!("export {line}"));
        has_keys(&found, &["model", "format", "bytes", "macs"]);
        assert_eq!(
            (&found["format"], &found["model"]),
            (&format.into(), &file.into())
        );
        let bytes = read(at.join(file));
        assert_eq!(number(&found, "/bytes"), bytes.len() as f64, "{file}");
        // What a run says of its images is there, but for where they lie.
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(
            has("labels_per_class = 2") == line.starts_with("conv"),
            "{file}"
        );
        assert!(has(CLASSES[2]) == line.starts_with("conv"), "{file}");
        assert!(
            !has(at.to_str().unwrap()),
            "{file} names a folder of this machine"
        );
    }
    assert!(read(at.join("a.onnx")) == read(at.join("model.onnx")));
    assert_eq!(read(at.join("a.tflite"))[4..8], *b"TFL3");
    assert_eq!(read(at.join("a.tflite")).len() % 16, 0);
    // A float network needs no images.
    unlabel(&at.join("conv"), &at.join("foreign.safetensors"));
    answer(at, "export foreign.safetensors --out foreign.onnx");
    refuses(
        at,
        "export foreign.safetensors --out foreign.tflite",
        &["--data"],
    );
}
