//! Classes taught by a few images each.

use std::path::Path;

use serde_json::Value;
use vae96::Calibration;

use crate::photographs;
use crate::vae96::{answer, has_keys, number, read, refuses};

/// A pre-training of the small data set, and its encoder as `model.v96`.
fn encoder(at: &Path) {
    photographs::write(at, "data");
    answer(at, "pretrain --data data --out vae --epochs 1 --batch 8");
    answer(at, "export vae --out model.v96");
}

#[test]
fn what_is_taught_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    encoder(at);
    let apple = "data/supervised/train/apple";
    let found = answer(
        at,
        &format!(
            "teach model.v96 --class apple={apple}/000.png --class birch=data/supervised/val/birch \
             --out classes.p96"
        ),
    );
    has_keys(&found, &["file", "bytes", "calibrated", "classes"]);
    assert_eq!(found["calibrated"], false);
    let images: Vec<_> = found["classes"].as_array().unwrap().iter().collect();
    assert_eq!(images[0]["name"], "apple");
    assert_eq!(images[0]["images"], 1);
    assert_eq!(images[1]["images"], photographs::VAL);
    assert_eq!(
        read(at.join("classes.p96")).len() as f64,
        number(&found, "/bytes")
    );

    // An image is most like the class of that image alone.
    let classify = "classify model.v96 --prototypes classes.p96";
    let found = answer(at, &format!("{classify} {apple}/000.png {apple}/001.JPG"));
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    has_keys(&results[0], &["file", "top", "none"]);
    assert_eq!(results[0]["none"], Value::Null);
    has_keys(&results[0]["top"][0], &["class", "name", "similarity"]);
    assert_eq!(results[0]["top"][0]["name"], "apple");
    assert!(number(&results[0], "/top/0/similarity") > 0.999);
    let one = answer(at, &format!("{classify} {apple}/000.png --top 1"));
    assert_eq!(one["results"][0]["top"].as_array().unwrap().len(), 1);

    // A file goes on where it ended, calibrated and without the class that is removed.
    let more = "teach model.v96 --from classes.p96 --remove birch --calibrate data --out more.p96";
    let found = answer(at, more);
    assert_eq!(found["calibrated"], true);
    assert_eq!(found["classes"].as_array().unwrap().len(), 1);
    let bytes = read(at.join("more.p96"));
    assert_ne!(bytes[24..36], [0; 12], "{:?}", Calibration::default());
    let classify = "classify model.v96 --prototypes more.p96";
    let found = answer(at, &format!("{classify} {apple}/000.png"));
    assert!((0.0..=1.0).contains(&number(&found, "/results/0/none")));

    // The same draws, the same calibration.
    answer(at, &more.replace("more.p96", "again.p96"));
    assert_eq!(read(at.join("again.p96")), bytes);

    let measured = answer(
        at,
        "few-shot model.v96 --data data --ways 2 --shots 2 --draws 5 --prototypes more.p96",
    );
    has_keys(&measured, &["classes", "ways", "draws", "shots"]);
    assert_eq!(measured["classes"], photographs::CLASSES.len());
    let shots = measured["shots"].as_array().unwrap();
    assert_eq!(shots.len(), 2);
    for (row, count) in shots.iter().zip(1..) {
        has_keys(
            row,
            &[
                "shots",
                "prototypes",
                "float",
                "float_mean",
                "float_linear",
                "none",
            ],
        );
        assert_eq!(row["shots"], count);
        for classifier in ["prototypes", "float", "float_mean", "float_linear"] {
            assert!((0.0..=1.0).contains(&number(row, &format!("/{classifier}/mean"))));
            assert!(number(row, &format!("/{classifier}/deviation")) >= 0.0);
        }
        has_keys(
            &row["none"],
            &[
                "auroc",
                "true_accepts",
                "false_accepts",
                "calibration_error",
            ],
        );
    }
}

#[test]
fn what_cannot_be_taught_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    encoder(at);
    let image = "data/supervised/train/apple/000.png";
    let teach = "teach model.v96 --out classes.p96";
    refuses(at, teach, &["nothing to write", "--class", "--calibrate"]);
    refuses(
        at,
        &format!("{teach} --remove pear"),
        &["no class pear", "there are none"],
    );
    refuses(
        at,
        &format!("{teach} --class a-name-of-more-than-24-bytes={image}"),
        &["a-name-of-more-than-24-bytes", "1 to 24 bytes"],
    );
    refuses(
        at,
        &format!("{teach} --class apple=nowhere.png"),
        &["cannot read nowhere.png"],
    );
    assert!(!at.join("classes.p96").exists());

    answer(at, &format!("{teach} --class apple={image}"));
    refuses(
        at,
        &format!("classify model.v96 {image}"),
        &["encoder", "--prototypes"],
    );
    refuses(
        at,
        &format!("classify model.v96 --prototypes model.v96 {image}"),
        &["model.v96", "does not hold taught classes"],
    );
    refuses(
        at,
        "few-shot model.v96 --data data --ways 3",
        &["cannot calibrate", "there are 1"],
    );
    refuses(
        at,
        "few-shot model.v96 --data data --prototypes classes.p96",
        &["classes.p96 is not calibrated", "--calibrate"],
    );

    answer(
        at,
        "pretrain --data data --out other --epochs 1 --batch 8 --seed 1",
    );
    answer(at, "export other --out other.v96");
    refuses(
        at,
        &format!("classify other.v96 --prototypes classes.p96 {image}"),
        &["classes.p96", "taught with another model"],
    );
    answer(
        at,
        "finetune --from scratch --side 32 --epochs 1 --labels-per-class 2 --data data --out run",
    );
    answer(at, "export run --out classifier.v96");
    refuses(
        at,
        &format!("teach classifier.v96 --class apple={image} --out classes.p96"),
        &["classifier.v96", "taught with an encoder", "--kind encoder"],
    );
}
