//! Which images to label first.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::photographs::{self, UNLABELLED};
use crate::vae96::{answer, answer_of, command, has_keys, number, read, refuses};

const METHODS: [&str; 3] = ["k-means", "typical", "core-set"];

fn files(answer: &Value) -> Vec<String> {
    let images = answer["images"].as_array().unwrap();
    let file = |image: &Value| image["file"].as_str().unwrap().to_owned();
    images.iter().map(file).collect()
}

#[test]
fn images_are_chosen_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    answer(at, "pretrain --data data --out vae --epochs 1 --batch 8");
    fs::write(data.join("unsupervised/all/000.txt"), "no image").unwrap();
    for method in METHODS {
        let line = format!("suggest --from vae --data data --count 12 --method {method}");
        let (found, said) = answer_of(&mut command(at, &format!("{line} --sheet sheet.png")));
        assert!(
            said.contains("skipped data/unsupervised/all/000.txt"),
            "{said}"
        );
        has_keys(&found, &["images"]);
        let mut stands_for = 0.0;
        for (rank, image) in found["images"].as_array().unwrap().iter().enumerate() {
            has_keys(image, &["file", "rank", "stands_for"]);
            assert_eq!(image["rank"], rank + 1);
            stands_for += number(image, "/stands_for");
        }
        assert_eq!(stands_for, UNLABELLED as f64);
        let chosen = files(&found);
        assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 12);
        for file in &chosen {
            assert!(file.starts_with("data/unsupervised/all/") && at.join(file).exists());
        }
        let text = command(at, &line).output().unwrap().stdout;
        assert!(String::from_utf8(text).unwrap().lines().eq(&chosen));

        // The sheet shows the very images: each tile is the file that has its rank.
        let sheet = image::open(at.join("sheet.png")).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (996, 196));
        for (rank, file) in chosen.iter().enumerate() {
            let (left, top) = (rank % 10 * 100, rank / 10 * 100);
            let image = host::data::decode(&at.join(file)).unwrap();
            for (x, y) in [(0, 0), (95, 0), (17, 80)] {
                let pixel = sheet.get_pixel((left + x) as u32, (top + y) as u32);
                assert_eq!(pixel.0, image[(y * 96 + x) * 3..][..3], "{file}");
            }
        }
    }
    // All of them, none twice; the run knows where its images are.
    let all = answer(at, &format!("suggest --from vae --count {UNLABELLED}"));
    assert_eq!(
        files(&all).iter().collect::<BTreeSet<_>>().len(),
        UNLABELLED
    );
}

#[test]
fn what_is_labelled_is_covered() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    answer(at, "pretrain --data data --out vae --epochs 1 --batch 8");
    let line = "suggest --from vae --data data --method core-set --count 6";
    let first = files(&answer(at, line));
    // Labelled now: copies of them, of one class; the other classes have no images yet.
    for class in photographs::CLASSES {
        for file in photographs::files(&data.join("supervised/train").join(class)) {
            fs::remove_file(file).unwrap();
        }
    }
    for file in &first {
        let name = Path::new(file).file_name().unwrap();
        fs::copy(
            at.join(file),
            data.join("supervised/train/birch").join(name),
        )
        .unwrap();
    }
    let next = files(&answer(at, &format!("{line} --labelled")));
    assert!(next.iter().all(|file| !first.contains(file)), "{next:?}");
    assert_eq!(files(&answer(at, line)), first);
}

#[test]
fn classes_without_labels_are_trained_on_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let train = data.join("supervised/train");
    for file in photographs::files(&train.join("apple")) {
        fs::remove_file(file).unwrap();
    }
    fs::remove_dir_all(train.join("birch")).unwrap();
    let (_, said) = answer_of(&mut command(
        at,
        "finetune --from scratch --data data --labels-per-class 0 --side 32 --epochs 1 --out run",
    ));
    assert!(said.contains("2 of 3 classes: apple, birch"), "{said}");
    // The classifier tells all three apart, on a device and on validation images.
    answer(at, "export run --out model.v96");
    assert_eq!(answer(at, "inspect model.v96")["classes"], 3);
    let [float, int8] =
        ["run", "model.v96 --data data"].map(|of| answer(at, &format!("evaluate {of}")));
    assert_eq!(float["images"], int8["images"]);
    for folder in ["apple", "birch"] {
        fs::create_dir_all(train.join(folder)).unwrap();
    }
    refuses(
        at,
        "finetune --from scratch --data data --labels-per-class 1",
        &["apple", "no images"],
    );
}

#[test]
fn scenes_have_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    answer(
        at,
        "pretrain --unlabelled 64 --epochs 1 --batch 16 --out vae",
    );
    let found = answer(at, "suggest --from vae --count 3");
    for image in found["images"].as_array().unwrap() {
        has_keys(image, &["scene", "rank", "stands_for"]);
        assert!(number(image, "/scene") < 64.0);
    }
    let text = command(at, "suggest --from vae --count 1")
        .output()
        .unwrap()
        .stdout;
    assert!(String::from_utf8(text).unwrap().starts_with("scene "));
    assert!(!read(at.join("vae/report.html")).is_empty());
}

#[test]
fn what_cannot_be_chosen_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    answer(at, "pretrain --data data --out vae --epochs 1 --batch 8");
    answer(
        at,
        "finetune --from vae --data data --labels-per-class 2 --side 32 --epochs 1 --out run",
    );
    for (line, parts) in [
        ("--from vae --count 0", ["--count is 0", "at least 1"]),
        ("--from vae --count 33", ["--count is 33", "32 unlabelled"]),
        (
            "--from run --count 3",
            ["run is a classifier", "pre-training"],
        ),
        ("--from nowhere --count 3", ["no file or folder", "nowhere"]),
        (
            "--from vae --data nowhere --count 3",
            ["cannot list", "nowhere"],
        ),
    ] {
        refuses(at, &format!("suggest {line}"), &parts);
    }
}
