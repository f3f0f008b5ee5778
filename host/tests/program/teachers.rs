//! Classifiers that learn what others say of unlabelled images.

use std::fs;

use host::train::metrics;

use crate::photographs::{self, CLASSES};
use crate::vae96::{answer, read, refuses};

const SHORT: &str = "finetune --data data --labels-per-class 2 --epochs 1 \
    --epoch-images 64 --consistency-batch 16";

#[test]
fn two_teachers_of_different_heads() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    answer(at, &format!("{SHORT} --from scratch --out first"));
    answer(
        at,
        &format!("{SHORT} --from scratch --head dense --out second"),
    );
    let taught =
        format!("{SHORT} --from scratch --teacher first --teacher second/weights.safetensors");
    answer(at, &format!("{taught} --out whole"));
    let records = metrics::read(&at.join("whole/metrics.jsonl")).unwrap();
    let agreed = records[0].train["distilled"];
    assert!((0.0..=1.0).contains(&agreed), "{agreed}");
    let whole = read(at.join("whole/weights.safetensors"));

    // They are asked again where a run goes on, from wherever that is.
    fs::create_dir(at.join("elsewhere")).unwrap();
    fs::create_dir(at.join("part")).unwrap();
    fs::copy(at.join("whole/config.toml"), at.join("part/config.toml")).unwrap();
    answer(&at.join("elsewhere"), "finetune --resume ../part");
    assert!(read(at.join("part/weights.safetensors")) == whole);

    // What they say is what makes the difference.
    let one = format!("{SHORT} --from scratch --teacher first --out one");
    answer(at, &one);
    assert!(read(at.join("one/weights.safetensors")) != whole);
}

#[test]
fn what_cannot_teach() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let scratch = format!("{SHORT} --from scratch");
    let pretrain = "pretrain --data data --epochs 1 --side 32 --batch 16 --out vae";
    answer(at, pretrain);
    refuses(at, &format!("{scratch} --teacher vae"), &["vae", "VAE"]);
    refuses(at, &format!("{scratch} --teacher nowhere"), &["nowhere"]);
    refuses(
        at,
        &format!("{scratch} --distillation 1"),
        &["distillation is 1", "--teacher"],
    );
    refuses(
        at,
        "run --data data --distillation 1",
        &["distillation is 1", "--teacher"],
    );
    answer(at, &format!("{scratch} --out first"));
    let unheeded = format!("{scratch} --teacher first --distillation 0");
    refuses(at, &unheeded, &["distillation is 0", "1 teacher"]);
    for part in ["train", "val"] {
        let folder = data.join("supervised").join(part);
        fs::rename(folder.join(CLASSES[2]), folder.join("zebra")).unwrap();
    }
    refuses(
        at,
        &format!("{scratch} --teacher first"),
        &["first cannot teach", "zebra"],
    );
    fs::remove_dir_all(data.join("unsupervised")).unwrap();
    for part in ["train", "val"] {
        let folder = data.join("supervised").join(part);
        fs::rename(folder.join("zebra"), folder.join(CLASSES[2])).unwrap();
    }
    refuses(at, &format!("{scratch} --teacher first"), &["unsupervised"]);
}
