//! What cannot be done is said in one line that names the file, the value and what would be right.

use std::fs;
use std::path::Path;

use host::backend::{Metadata, Tensor, Weights};

use crate::photographs::{self, CLASSES};
use crate::vae96::{answer, answer_of, command, read, refusal_of, refuses};

const SCRATCH: &str = "finetune --from scratch --side 32 --epochs 1 --labels-per-class 2";

#[test]
fn folders_of_another_layout() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    refuses(
        at,
        "run --data nowhere",
        &["nowhere", "supervised/train/<class>"],
    );
    fs::create_dir_all(at.join("flat/cats")).unwrap();
    refuses(
        at,
        "run --data flat",
        &["flat", "cats/", "supervised/train/<class>"],
    );

    let data = photographs::write(at, "data");
    let train = data.join("supervised/train");
    refuses(
        at,
        "finetune --from scratch --data data --labels-per-class 9",
        &["9 labels per class", "apple (6)", "at most 6"],
    );

    fs::create_dir(train.join("empty")).unwrap();
    refuses(
        at,
        &format!("{SCRATCH} --data data"),
        &["empty", "no images"],
    );
    fs::rename(train.join("empty"), at.join("empty")).unwrap();

    fs::rename(train.join("crow"), train.join("cow")).unwrap();
    refuses(
        at,
        &format!("{SCRATCH} --data data"),
        &["differ", "cow", "crow", "supervised/val"],
    );
    fs::rename(train.join("cow"), train.join("crow")).unwrap();

    let few = data.join("unsupervised/all");
    for file in photographs::files(&few).iter().skip(9) {
        fs::remove_file(file).unwrap();
    }
    refuses(
        at,
        "pretrain --data data",
        &["9 unlabelled images", "at least 16"],
    );
    fs::remove_dir_all(&few).unwrap();
    refuses(at, "pretrain --data data", &["unsupervised", "no images"]);

    // A failure for want of images leaves no run in the way of the next try.
    refuses(at, "pretrain --data nowhere --out run", &["nowhere"]);
    refuses(at, "pretrain --data flat --out run", &["flat"]);
}

#[test]
fn unreadable_images_are_skipped_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let train = data.join("supervised/train/apple");
    let whole = read(&photographs::files(&train)[0]);
    fs::write(train.join("notes.txt"), "these are apples").unwrap();
    fs::write(train.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(train.join("empty.jpg"), "").unwrap();
    let (_, said) = answer_of(&mut command(
        at,
        &format!("{SCRATCH} --data data --out run"),
    ));
    for part in ["notes.txt", "cut.png", "empty.jpg", "skipped 3"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");

    // The images that are left decide how many labels there are.
    refuses(
        at,
        "finetune --from scratch --data data --labels-per-class 7",
        &["7 labels", "birch (6)", "at most 6"],
    );
    for file in photographs::files(&train) {
        fs::write(file, "no image").unwrap();
    }
    refuses(
        at,
        &format!("{SCRATCH} --data data"),
        &["none of the 9 files", "apple"],
    );
}

#[test]
fn values_out_of_their_range() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (line, parts) in [
        (
            "pretrain --epochs 0",
            ["pretrain.epochs is 0", "between 1 and"],
        ),
        (
            "pretrain --epochs 99999999999",
            ["pretrain.epochs is 99999999999", "between 1 and"],
        ),
        (
            "run --finetune-batch 0",
            ["finetune.batch is 0", "between 1 and"],
        ),
        (
            "run --pretrain-rate=-1",
            ["pretrain.rate is -1", "between 0 and 10"],
        ),
        (
            "pretrain --rate 1e9",
            ["pretrain.rate is 1000000000", "between 0 and 10"],
        ),
        (
            "pretrain --rate NaN",
            ["pretrain.rate is NaN", "between 0 and 10"],
        ),
        (
            "pretrain --clip inf",
            ["pretrain.clip is inf", "between 0 and"],
        ),
        (
            "pretrain --sigma2 0",
            ["pretrain.sigma2 is 0", "between 0.000001 and"],
        ),
        (
            "run --smoothing 1",
            ["finetune.smoothing is 1", "between 0 and 0.99"],
        ),
        (
            "run --finetune-side 50",
            ["finetune.side is 50", "multiple of 8"],
        ),
        (
            "run --head dense --finetune-side 32",
            ["finetune.side is 32", "need 96"],
        ),
        (
            "pretrain --unlabelled 999999999",
            ["unlabelled is 999999999", "at most 100000"],
        ),
        (
            "run --labels-per-class 999999",
            ["labels_per_class is 999999", "at most"],
        ),
        (
            "run --labels-per-class 18446744073709551615",
            ["above 9223372036854775807", ""],
        ),
        (
            "classify model.v96 image.png --top 0",
            ["--top is 0", "at least 1"],
        ),
        (
            "export run --calibration-images 0",
            ["--calibration-images is 0", "at least 1"],
        ),
    ] {
        refuses(at, line, &parts);
    }
}

#[test]
fn arguments_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (line, parts) in [
        (
            "run --seed 18446744073709551615",
            ["--seed", "18446744073709551615"],
        ),
        ("run --seed=-1", ["--seed", "-1"]),
        ("run --pretrain-epochs many", ["--pretrain-epochs", "many"]),
        ("run --network lenet", ["lenet", "edge"]),
        ("run --epochs 3", ["--epochs", "unexpected"]),
        ("finetune --data data", ["--from", "required"]),
        ("classify model.v96", ["IMAGE", "required"]),
        ("pretrain --resume run --out other", ["--resume", "--out"]),
        ("pretend", ["pretend", "pretrain"]),
    ] {
        let said = refusal_of(&mut command(at, line));
        for part in parts {
            assert!(said.contains(part), "{line}: no {part:?} in: {said}");
        }
    }
}

#[test]
fn configuration_files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (text, part) in [
        ("epoch = 3", "epoch"),
        ("[pretrain]\nepoch = 3", "epoch"),
        ("[pretrain]\nepochs = 'three'", "three"),
        ("[finetune]\nhead = 'tail'", "tail"),
        ("recipe = 'secret'", "secret"),
        ("seed = ", "seed"),
        ("[pretrain]\nrate = 11.0", "rate is 11"),
    ] {
        fs::write(at.join("my.toml"), text).unwrap();
        let said = refusal_of(&mut command(at, "run --config my.toml"));
        assert!(said.contains(part), "{text}: {said}");
        assert!(said.contains("my.toml") || said.contains("is 11"), "{said}");
    }
    refuses(at, "run --config none.toml", &["none.toml"]);
}

#[test]
fn runs_that_cannot_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    answer(at, "pretrain --data data --epochs 1 --out vae");
    refuses(at, "run --resume nowhere", &["nowhere", "no config.toml"]);
    refuses(at, "run --resume data", &["data", "no config.toml"]);
    refuses(
        at,
        "run --resume vae",
        &["`pretrain`", "vae96 pretrain --resume vae"],
    );
    refuses(
        at,
        "pretrain --resume vae --epochs 5 --seed 2",
        &["pretrain.epochs", "seed", "leave out"],
    );
    let before = read(at.join("vae/weights.safetensors"));
    refuses(
        at,
        "pretrain --data data --epochs 2 --out vae",
        &["vae", "--resume", "--out"],
    );
    assert!(read(at.join("vae/weights.safetensors")) == before);

    // Damage to a checkpoint is told from a training that has not begun.
    fs::remove_file(at.join("vae/weights.safetensors")).unwrap();
    fs::write(at.join("vae/checkpoint.safetensors"), &before[..99]).unwrap();
    refuses(at, "pretrain --resume vae", &["checkpoint.safetensors"]);
    fs::write(at.join("vae/checkpoint.safetensors"), &before).unwrap();
    refuses(
        at,
        "pretrain --resume vae",
        &["checkpoint.safetensors", "not a checkpoint"],
    );
}

/// The rule with the largest steps at the highest rate there is.
#[test]
fn a_training_that_diverges() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    refuses(
        at,
        "pretrain --data data --epochs 9 --batch 8 --optimiser sgd --rate 10 --warmup 0 \
         --schedule constant --mean-loss false --out run",
        &["pretrain", "became", "lower rate"],
    );
    // What was written before the end is still whole.
    let metrics = fs::read_to_string(at.join("run/metrics.jsonl")).unwrap();
    assert!(!metrics.contains("null"), "{metrics}");
}

#[test]
fn models_and_weights_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    answer(at, "pretrain --data data --epochs 1 --out vae");
    answer(at, &format!("{SCRATCH} --data data --out run"));
    answer(at, "export run --out model.v96");
    answer(at, "export run --no-names --out nameless.v96");
    answer(at, "export vae --out encoder.v96");
    let image = "data/unsupervised/all/000.png";

    damaged_models(at, image);

    refuses(
        at,
        "evaluate vae --data data",
        &["vae", "of a VAE", "fine-tune"],
    );
    refuses(
        at,
        "export vae --kind classifier --out x.v96",
        &["of a VAE"],
    );
    refuses(
        at,
        "evaluate encoder.v96 --data data",
        &["encoder.v96", "encoder"],
    );
    refuses(
        at,
        &format!("classify encoder.v96 {image}"),
        &["encoder.v96", "encoder"],
    );
    refuses(at, "evaluate model.v96", &["--data", "model.v96"]);
    refuses(at, "evaluate nowhere.v96 --data data", &["nowhere.v96"]);
    refuses(at, "export nowhere", &["no file or folder nowhere"]);
    refuses(at, "export data", &["data", "holds no weights"]);
    refuses(
        at,
        "export run --out no/such/folder.v96",
        &["no/such/folder.v96"],
    );
    refuses(at, "classify model.v96 my.toml", &["cannot read my.toml"]);

    // Weights of another network, and files that are no weights.
    let finetune = "finetune --data data --epochs 1 --labels-per-class 2 --from";
    refuses(
        at,
        &format!("{finetune} vae --network paper"),
        &["vae", "edge", "not paper"],
    );
    refuses(at, &format!("{finetune} nowhere"), &["nowhere"]);
    refuses(
        at,
        &format!("{finetune} model.v96"),
        &["model.v96", "safetensors"],
    );
    let trained = at.join("vae/weights.safetensors");
    foreign_weights(at, &Weights::load(&trained).unwrap().0, finetune);

    // Images of other classes than the model's.
    for part in ["train", "val"] {
        let folder = data.join("supervised").join(part);
        fs::rename(folder.join(CLASSES[2]), folder.join("zebra")).unwrap();
    }
    for subject in ["run", "model.v96"] {
        refuses(
            at,
            &format!("evaluate {subject} --data data"),
            &["other classes", "zebra", "crow"],
        );
    }
    refuses(at, "export run --out x.v96", &["zebra", "crow"]);
    for part in ["train", "val"] {
        fs::remove_dir_all(data.join("supervised").join(part).join("zebra")).unwrap();
    }
    refuses(
        at,
        "evaluate nameless.v96 --data data",
        &["2 classes", "nameless.v96 tells 3"],
    );
}

/// Files without a label whose tensors do not fit.
fn foreign_weights(at: &Path, vae: &Weights, finetune: &str) {
    let mut other = vae.clone();
    other.0.remove("conv2_bn.bias");
    other.0.remove("fc3.weight");
    let save = |weights: &Weights, name: &str| {
        weights.save(&at.join(name), &Metadata::default()).unwrap();
    };
    save(&other, "missing.safetensors");
    let conv2 = &vae.0["conv2.weight"];
    let wide = Tensor::full([64, 16, 3, 3], 0.0);
    other.0.insert("conv2.weight".to_owned(), wide);
    save(&other, "wide.safetensors");
    assert_eq!(conv2.shape, [32, 16, 3, 3]);
    for (line, parts) in [
        ("missing", ["missing.safetensors", "conv2_bn.bias", "edge"]),
        (
            "wide",
            ["\"conv2.weight\"", "[64, 16, 3, 3]", "[32, 16, 3, 3]"],
        ),
    ] {
        refuses(at, &format!("{finetune} {line}.safetensors"), &parts);
        for command in ["evaluate", "export"] {
            let nearest = [parts[0], "fit no network", "VAE of edge"];
            refuses(
                at,
                &format!("{command} {line}.safetensors --data data"),
                &nearest[1..],
            );
        }
    }
    save(vae, "vae.safetensors");
    let pretrain = "pretrain --data data --epochs 1 --init";
    refuses(
        at,
        &format!("{pretrain} missing.safetensors"),
        &["missing.safetensors", "conv2_bn.bias"],
    );
    refuses(
        at,
        &format!("{pretrain} vae.safetensors --network paper"),
        &["\"conv1.weight\"", "[16, 3, 5, 5]", "[9, 3, 5, 5]", "paper"],
    );
    refuses(
        at,
        &format!("{pretrain} vae --network paper"),
        &["vae", "edge", "not paper"],
    );
    refuses(
        at,
        &format!("{pretrain} run"),
        &["\"fc21.weight\"", "cannot begin"],
    );
    refuses(at, "evaluate vae.safetensors --data data", &["of a VAE"]);
    refuses(at, "export vae.safetensors", &["--data", "vae.safetensors"]);
}

/// Truncated, foreign, and with one byte changed.
fn damaged_models(at: &Path, image: &str) {
    let whole = read(at.join("model.v96"));
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let image_file = read(at.join(image));
    for (name, bytes) in [
        ("truncated.v96", &whole[..whole.len() - 1]),
        ("header.v96", &whole[..20]),
        ("empty.v96", &[]),
        ("foreign.v96", &image_file),
        ("changed.v96", &changed),
    ] {
        fs::write(at.join(name), bytes).unwrap();
        for line in [
            format!("inspect {name}"),
            format!("classify {name} {image}"),
            format!("evaluate {name} --data data"),
        ] {
            refuses(at, &line, &[name, "not a model file"]);
        }
    }
}
