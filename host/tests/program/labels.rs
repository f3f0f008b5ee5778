//! Fine-tuning with N labels a class reads no other label.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use host::data::folder::{self, Options};
use host::train::finetune::chosen;
use image::RgbImage;
use indicatif::ProgressBar;

use crate::photographs::{self, CLASSES, TRAIN};
use crate::vae96::{answer, read};

const SEED: u64 = 11;

/// The training images that a run of `labels` a class sees.
fn seen(data: &Path, labels: usize) -> BTreeSet<PathBuf> {
    let options = Options {
        val: false,
        unlabelled: false,
        ..Options::default()
    };
    let dataset = folder::read(data, &options, &ProgressBar::hidden()).unwrap();
    let files: Vec<_> = (CLASSES.iter())
        .flat_map(|class| photographs::files(&data.join("supervised/train").join(class)))
        .collect();
    assert_eq!(files.len(), dataset.train.labels.len());
    let indices = chosen(&dataset, labels, SEED).unwrap();
    indices
        .into_iter()
        .map(|index| files[index].clone())
        .collect()
}

fn weights(at: &Path, run: &str) -> Vec<u8> {
    answer(
        at,
        &format!(
            "finetune --from scratch --data data --labels-per-class 2 --seed {SEED} --side 32 \
             --batch 320 --epochs 1 --out {run}"
        ),
    );
    read(at.join(run).join("weights.safetensors"))
}

/// Gives every file the content of the next, so that each image gets another's label.
fn rotate(files: &[PathBuf]) {
    let mut contents: Vec<_> = files.iter().map(read).collect();
    contents.rotate_left(1);
    for (file, content) in files.iter().zip(contents) {
        fs::write(file, content).unwrap();
    }
}

/// A plain grey image.
fn wipe(file: &Path) {
    let grey = RgbImage::from_pixel(96, 96, image::Rgb([127; 3]));
    grey.save(file).unwrap();
}

#[test]
fn fewer_labels_are_a_subset_of_more() {
    let folder = tempfile::tempdir().unwrap();
    let data = photographs::write(folder.path(), "data");
    let subsets: Vec<_> = (1..=TRAIN).map(|labels| seen(&data, labels)).collect();
    for (labels, subset) in (1..).zip(&subsets) {
        assert_eq!(subset.len(), labels * CLASSES.len());
    }
    for pair in subsets.windows(2) {
        assert!(pair[0].is_subset(&pair[1]), "{pair:?}");
    }
}

#[test]
fn no_other_label_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let data = photographs::write(at, "data");
    let seen = seen(&data, 2);
    let others: Vec<PathBuf> = (CLASSES.iter())
        .flat_map(|class| photographs::files(&data.join("supervised/train").join(class)))
        .filter(|file| !seen.contains(file))
        .collect();
    assert_eq!(others.len(), (TRAIN - 2) * CLASSES.len());
    let expected = weights(at, "expected");

    // One class's others follow another's in the list: a rotation moves images across classes.
    rotate(&others);
    assert!(weights(at, "permuted") == expected, "other labels matter");
    // What validation says picks no weights either, and unlabelled images are not looked at.
    others.iter().for_each(|file| wipe(file));
    for class in CLASSES {
        let val = data.join("supervised/val").join(class);
        photographs::files(&val).iter().for_each(|file| wipe(file));
    }
    fs::remove_dir_all(data.join("unsupervised")).unwrap();
    assert!(weights(at, "wiped") == expected, "other images matter");
    // The images that are seen do matter.
    wipe(seen.first().unwrap());
    assert!(weights(at, "changed") != expected, "this test sees nothing");
}
