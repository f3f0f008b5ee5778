//! Folders of any files: an error or a data set that is consistent, the same one from the cache,
//! and no harm from a cache that was changed.
#![no_main]

use std::fs;
use std::path::Path;

use anyhow::Result;
use host::data::folder::{self, Options};
use host::data::{Dataset, IMAGE_BYTES, Images, Labelled};
use indicatif::ProgressBar;
use libfuzzer_sys::fuzz_target;
use vae96_fuzz::data::Input;

// The hook that ends the process at any panic goes: the reader survives those of image decoders,
// which it does not own. A panic that comes out of the target is a finding all the same.
fuzz_target!(init: drop(std::panic::take_hook()), |data: &[u8]| {
    let input = Input::read(data);
    let folder = tempfile::tempdir().expect("a temporary folder");
    check(&input, folder.path()).expect("files in a temporary folder");
});

fn check(input: &Input, folder: &Path) -> Result<()> {
    let root = folder.join("data");
    fs::create_dir(&root)?;
    for (folder, number, content) in &input.files {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(number.to_string()), content)?;
    }

    let plain = Options {
        train: input.train,
        val: input.val,
        unlabelled: input.unlabelled,
        labels_per_class: input.labels_per_class,
        max_unlabelled: input.max_unlabelled,
        ..Options::default()
    };
    let cache = folder.join("cache");
    let cached = Options {
        cache: Some(cache.clone()),
        memory: 0,
        ..plain.clone()
    };
    let read = |options| folder::read(&root, options, &ProgressBar::hidden());
    let expected = facts(read(&plain), input);
    assert_eq!(
        facts(read(&cached), input),
        expected,
        "while the cache is written"
    );
    assert_eq!(facts(read(&cached), input), expected, "from the cache");

    if cache.exists() {
        for entry in fs::read_dir(&cache)? {
            damage(&entry?.path(), input)?;
        }
        if let Ok(data) = read(&cached) {
            consistent(&data, input);
        }
    }
    Ok(())
}

/// All of a data set, or the error, to compare with another.
fn facts(data: Result<Dataset>, input: &Input) -> Result<impl PartialEq + std::fmt::Debug, String> {
    let data = data.map_err(|error| format!("{error:#}"))?;
    consistent(&data, input);
    let skipped: Vec<_> = data.skipped.iter().map(|s| s.file.clone()).collect();
    let labels = (data.train.labels, data.val.labels);
    let pixels = [data.train.images, data.val.images, data.unlabelled].map(pixels);
    Ok((data.classes, labels, pixels, skipped))
}

fn pixels(images: Images) -> Vec<u8> {
    let mut pixels = vec![0; images.len() * IMAGE_BYTES];
    for (i, image) in pixels.chunks_exact_mut(IMAGE_BYTES).enumerate() {
        images.read(i, image).expect("the image is there");
    }
    pixels
}

fn consistent(data: &Dataset, input: &Input) {
    assert!(data.classes.is_sorted());
    for (part, wanted, fewest) in [
        (&data.train, input.train, input.labels_per_class),
        (&data.val, input.val, 1),
    ] {
        let Labelled { images, labels } = part;
        assert_eq!(images.len(), labels.len());
        assert!(labels.iter().all(|&label| label < data.classes.len()));
        if wanted {
            for class in 0..data.classes.len() {
                let count = labels.iter().filter(|&&label| label == class).count();
                assert!(count >= fewest, "{count} images of class {class}");
            }
        } else {
            assert!(images.is_empty());
        }
    }
    let most = input.max_unlabelled.unwrap_or(usize::MAX);
    assert!(data.unlabelled.len() <= if input.unlabelled { most } else { 0 });
    assert!(data.skipped.len() <= input.files.len());
}

fn damage(file: &Path, input: &Input) -> Result<()> {
    let mut bytes = fs::read(file)?;
    let (at, patch) = input.patch;
    for (byte, change) in bytes.iter_mut().skip(at.into()).zip(patch) {
        *byte ^= change;
    }
    bytes.truncate(bytes.len().saturating_sub(input.cut.into()));
    Ok(fs::write(file, bytes)?)
}
