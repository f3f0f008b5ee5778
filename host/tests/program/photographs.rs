//! A small data set on disk: scenes in files of odd sizes and formats.

use std::fs;
use std::path::{Path, PathBuf};

use host::data::{IMAGE_BYTES, Images, scenes};
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use vae96::SIDE;

/// The classes, sorted.
pub const CLASSES: [&str; 3] = ["apple", "birch", "crow"];
/// Training images of a class.
pub const TRAIN: usize = 6;
/// Validation images of a class.
pub const VAL: usize = 4;
/// Images without a label.
pub const UNLABELLED: usize = 32;

/// Sizes of the files, in pixels.
const SIZES: [(u32, u32); 5] = [(96, 96), (131, 97), (64, 200), (97, 120), (33, 31)];
/// Their formats, and the ends of their names.
const FORMATS: [(ImageFormat, &str); 3] = [
    (ImageFormat::Png, "png"),
    (ImageFormat::Jpeg, "JPG"),
    (ImageFormat::Bmp, "bmp"),
];

/// Writes the data set to a new folder `name` in `folder`.
pub fn write(folder: &Path, name: &str) -> PathBuf {
    let root = folder.join(name);
    let scenes = scenes::dataset(&scenes::Options {
        seed: 5,
        train_per_class: TRAIN,
        val_per_class: VAL,
        unlabelled: UNLABELLED,
    });
    for (part, from, per_class) in [("train", &scenes.train, TRAIN), ("val", &scenes.val, VAL)] {
        for (class, name) in CLASSES.iter().enumerate() {
            let of_class = (0..from.labels.len()).filter(|&i| from.labels[i] == class);
            let folder = root.join("supervised").join(part).join(name);
            write_images(&folder, &from.images, of_class.take(per_class));
        }
    }
    let all = 0..scenes.unlabelled.len();
    write_images(&root.join("unsupervised/all"), &scenes.unlabelled, all);
    root
}

fn write_images(folder: &Path, images: &Images, indices: impl Iterator<Item = usize>) {
    fs::create_dir_all(folder).unwrap();
    for (number, index) in indices.enumerate() {
        let mut bytes = vec![0; IMAGE_BYTES];
        images.read(index, &mut bytes).unwrap();
        let image = RgbImage::from_raw(SIDE as u32, SIDE as u32, bytes).unwrap();
        let (width, height) = SIZES[number % SIZES.len()];
        let (format, end) = FORMATS[number % FORMATS.len()];
        let file = folder.join(format!("{number:03}.{end}"));
        resize(&image, width, height, FilterType::Triangle)
            .save_with_format(file, format)
            .unwrap();
    }
}

/// The files in a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
