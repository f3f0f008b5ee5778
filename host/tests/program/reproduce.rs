//! The paper's experiments in one command: resumable, each row on its own labels alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use host::data::folder::{self, Options};
use host::data::{Dataset, IMAGE_BYTES, Labelled};
use image::RgbImage;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::photographs::{self, CLASSES, TRAIN, VAL};
use crate::vae96::{answer, answer_of, command, has_keys, number, read, refuses};

const OPTIONS: &str = "--data data --pretrain-epochs 1 --pretrain-batch 8 --finetune-epochs 2 \
    --finetune-batch 6 --epoch-images 6 --finetune-side 32 --seed 4";

const LABELS: [usize; 3] = [1, 2, 4];

fn reproduce(at: &Path, out: &str, more: &str) -> Value {
    answer(at, &format!("reproduce --out {out} {OPTIONS} {more}"))
}

fn weights(run: &Path, training: &str) -> Vec<u8> {
    read(run.join(training).join("weights.safetensors"))
}

/// The indices of the labelled images that a training was given.
fn labelled(run: &Path, training: &str) -> BTreeSet<usize> {
    let indices = read(run.join(training).join("labelled.json"));
    let indices: Vec<usize> = serde_json::from_slice(&indices).unwrap();
    let distinct: BTreeSet<_> = indices.iter().copied().collect();
    assert_eq!(distinct.len(), indices.len(), "{training}: an image twice");
    distinct
}

fn dataset(data: &Path) -> Dataset {
    let options = Options {
        unlabelled: false,
        ..Options::default()
    };
    folder::read(data, &options, &ProgressBar::hidden()).unwrap()
}

fn pixels(from: &Labelled, index: usize) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE_BYTES];
    from.images.read(index, &mut bytes).unwrap();
    bytes
}

#[test]
fn all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let line = format!("reproduce --out run {OPTIONS} --labels 8,4,1 --seeds 2");
    let (found, said) = answer_of(&mut command(at, &line));
    // A VAE; with either seed four settings and a baseline, and two at the fewer labels.
    assert_eq!(found["trainings"]["all"], 1 + 2 * (5 + 2));
    assert_eq!(found["trainings"]["done"], found["trainings"]["all"]);
    for part in [
        "left out: 8 labels a class",
        "as 3 steps of each kind take here",
        "training 1 of 15: the VAE",
        "training 15 of 15: baseline, labels a class 1, seed 5",
    ] {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
    assert_eq!(number(&found, "/images"), (CLASSES.len() * VAL) as f64);

    // What the answer says is what the trainings' classifiers say.
    let run = at.join("run");
    let rows = found["table1"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, labels) in rows.iter().zip([1, 4]) {
        assert_eq!(row["labels"], labels);
        assert_eq!(row["paper_table"]["impossible"], true);
        for (name, setting) in [("pretrained", "conv-learn"), ("baseline", "baseline")] {
            let top1 = &row[name]["top1"];
            let of_seed = |seed: u64, index: usize| {
                let training = format!("run/{setting}-{labels}-labels-seed-{seed}");
                let evaluated = answer(at, &format!("evaluate {training}"));
                assert_eq!(evaluated["top1"], top1["seeds"][index], "{training}");
                number(&evaluated, "/top1")
            };
            let [a, b] = [of_seed(4, 0), of_seed(5, 1)];
            assert!((number(top1, "/mean") - (a + b) / 2.0).abs() < 1e-12);
            let deviation = (a - b).abs() / 2f64.sqrt();
            assert!((number(top1, "/deviation") - deviation).abs() < 1e-12);
        }
    }
    for setting in found["settings"].as_array().unwrap() {
        has_keys(setting, &["setting", "accuracy", "paper_top1"]);
        let name = setting["setting"].as_str().unwrap();
        let curve = found["figure3"][name].as_array().unwrap();
        assert_eq!(curve.len(), 2, "{name}");
    }
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "Table 1",
        "Figure 1",
        "Figure 2",
        "Figure 3",
        "Figure 4",
        "<s>8.4</s>",
    ] {
        assert!(page.contains(part), "no {part} in the page");
    }
    for (file, lines) in [
        ("table1.csv", 1 + 2),
        ("settings.csv", 1 + 5),
        ("trainings.csv", 1 + 14),
        ("figure1.csv", 1 + 1),
        ("figure3.csv", 1 + 5 * 2),
    ] {
        let text = fs::read_to_string(run.join(file)).unwrap();
        let mut fields = text.lines().map(|line| line.split(',').count());
        let columns = fields.next().unwrap();
        assert!(fields.all(|count| count == columns), "{file}: {text}");
        assert_eq!(text.lines().count(), lines, "{file}");
    }

    subsets(&run, &dataset(&data));

    // A frozen encoder stays what pre-training made of it, but for its statistics.
    let of = |file: &str| host::backend::Weights::load(&run.join(file)).unwrap().0;
    let vae = of("pretrain/weights.safetensors");
    for (setting, same) in [
        ("conv-freeze", true),
        ("dense-freeze", true),
        ("conv-learn", false),
    ] {
        let trained = of(&format!("{setting}-4-labels-seed-4/weights.safetensors"));
        for name in ["conv1.weight", "conv2_bn.bias"] {
            assert_eq!(trained.0[name] == vae.0[name], same, "{setting}: {name}");
        }
        let statistics = "conv1_bn.running_mean";
        assert_ne!(trained.0[statistics], vae.0[statistics], "{setting}");
    }

    // Nothing is done again, and what is missing is done to the same result.
    let expected = weights(&run, "baseline-1-labels-seed-5");
    for lost in ["result.json", "weights.safetensors"] {
        fs::remove_file(run.join("baseline-1-labels-seed-5").join(lost)).unwrap();
    }
    let kept = weights(&run, "conv-learn-4-labels-seed-4");
    let (again, said) = answer_of(&mut command(at, "reproduce --resume run"));
    assert_eq!(again, found);
    assert!(
        !said.contains("seed 4") && said.contains("training 15 of 15"),
        "{said}"
    );
    assert!(weights(&run, "baseline-1-labels-seed-5") == expected);
    assert!(weights(&run, "conv-learn-4-labels-seed-4") == kept);
}

/// Each training was given as many images of each class as it says, those of a smaller number
/// among those of a larger, and none that is validated on.
fn subsets(run: &Path, data: &Dataset) {
    let val: Vec<_> = (0..data.val.labels.len())
        .map(|i| pixels(&data.val, i))
        .collect();
    for seed in [4, 5] {
        let of = |setting: &str, labels: usize| {
            labelled(run, &format!("{setting}-{labels}-labels-seed-{seed}"))
        };
        for labels in [1, 4] {
            let given = of("conv-learn", labels);
            assert_eq!(given, of("baseline", labels));
            for class in 0..CLASSES.len() {
                let of_class = given.iter().filter(|&&i| data.train.labels[i] == class);
                assert_eq!(of_class.count(), labels);
            }
            for &index in &given {
                let image = pixels(&data.train, index);
                assert!(val.iter().all(|other| *other != image), "image {index}");
            }
        }
        assert!(of("baseline", 1).is_subset(&of("baseline", 4)));
        for setting in ["conv-freeze", "dense-learn", "dense-freeze"] {
            assert_eq!(of(setting, 4), of("conv-learn", 4), "{setting}");
        }
    }
    let seeds = [4, 5].map(|seed| labelled(run, &format!("baseline-4-labels-seed-{seed}")));
    assert_ne!(seeds[0], seeds[1], "every seed draws the same images");
}

/// The pixels of images outside of a row's labels, and those of validation, change no bit of the
/// row's weights.
#[test]
fn each_row_sees_its_own_labels_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let options = "--labels 1,2,4 --seeds 1";
    reproduce(at, "run", options);
    let run = at.join("run");
    let files: Vec<PathBuf> = (CLASSES.iter())
        .flat_map(|class| photographs::files(&data.join("supervised/train").join(class)))
        .collect();
    assert_eq!(files.len(), CLASSES.len() * TRAIN);

    // All but the labels of the second row; with them, those of the first are left.
    let kept = labelled(&run, "conv-learn-2-labels-seed-4");
    for (index, file) in files.iter().enumerate() {
        if !kept.contains(&index) {
            wipe(file);
        }
    }
    for class in CLASSES {
        let val = data.join("supervised/val").join(class);
        photographs::files(&val).iter().for_each(|file| wipe(file));
    }
    reproduce(at, "wiped", options);
    let wiped = at.join("wiped");
    for labels in LABELS {
        for setting in ["conv-learn", "baseline"] {
            let training = format!("{setting}-{labels}-labels-seed-4");
            let same = weights(&run, &training) == weights(&wiped, &training);
            assert_eq!(same, labels <= 2, "{training}");
        }
    }
}

/// A plain grey image.
fn wipe(file: &Path) {
    let grey = RgbImage::from_pixel(96, 96, image::Rgb([127; 3]));
    grey.save(file).unwrap();
}

#[test]
fn what_it_varies_itself_and_what_the_data_cannot_give_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    for (line, parts) in [
        ("reproduce --head conv", ["leave out --head", "--labels"]),
        (
            "reproduce --encoder freeze",
            ["leave out --encoder", "every"],
        ),
        (
            "reproduce --labels-per-class 4",
            ["leave out --labels-per-class", "--labels"],
        ),
        (
            "reproduce --seeds 0",
            ["reproduce.seeds is 0", "between 1 and"],
        ),
        (
            "reproduce --data data --labels 7,9 --out run",
            ["7, 9 labels a class", "apple has 6"],
        ),
    ] {
        refuses(at, line, &parts);
    }
}
