//! Reading folders of images: what is found, what is skipped, and what a user is told.

use std::fs;
use std::path::{Path, PathBuf};

use host::data::folder::{Options, read};
use host::data::{Dataset, IMAGE_BYTES, Images};
use image::{Rgb, RgbImage};
use indicatif::ProgressBar;

/// A data set of two classes, three images each in every part, on disk. Each image has one
/// colour: [part, class, number].
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (part, folder) in ["supervised/train", "supervised/val", "unsupervised"]
            .iter()
            .enumerate()
        {
            for (class, name) in ["apple", "pear"].iter().enumerate() {
                for number in 0..3 {
                    let file = format!("{folder}/{name}/{number}.png");
                    tree.image(&file, [part as u8, class as u8, number]);
                }
            }
        }
        tree
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn image(&self, path: &str, colour: [u8; 3]) {
        self.file(path, "");
        let image = RgbImage::from_pixel(20, 10, Rgb(colour));
        image.save(self.at(path)).unwrap();
    }

    fn file(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.at(path)).unwrap();
    }

    fn read(&self, options: &Options) -> anyhow::Result<Dataset> {
        read(self.0.path(), options, &ProgressBar::hidden())
    }

    /// The error of a whole read, with all of these in it.
    #[track_caller]
    fn fails(&self, options: &Options, with: &[&str]) {
        let error = format!("{:#}", self.read(options).err().expect("an error"));
        for part in with {
            assert!(error.contains(part), "no '{part}' in: {error}");
        }
    }
}

/// The first pixel of every image; all others must be like it.
fn colours(images: &Images) -> Vec<[u8; 3]> {
    let mut image = vec![0; IMAGE_BYTES];
    let colour = |index| {
        images.read(index, &mut image).unwrap();
        assert!(image.chunks(3).all(|pixel| pixel == &image[..3]));
        image[..3].try_into().unwrap()
    };
    (0..images.len()).map(colour).collect()
}

fn whole() -> Options {
    Options::default()
}

#[test]
fn a_tree_is_read_in_sorted_order() {
    let data = Tree::new().read(&whole()).unwrap();
    assert_eq!(data.classes, ["apple", "pear"]);
    assert_eq!(data.train.labels, [0, 0, 0, 1, 1, 1]);
    assert_eq!(data.val.labels, data.train.labels);
    for (part, images) in [&data.train.images, &data.val.images, &data.unlabelled]
        .into_iter()
        .enumerate()
    {
        let expected = (0..6).map(|i| [part as u8, i / 3, i % 3]);
        assert_eq!(colours(images), expected.collect::<Vec<_>>());
    }
    assert!(data.skipped.is_empty());
}

#[test]
fn only_the_parts_asked_for_are_read() {
    let tree = Tree::new();
    tree.remove("supervised");
    let options = Options {
        train: false,
        val: false,
        ..whole()
    };
    let data = tree.read(&options).unwrap();
    assert_eq!((data.unlabelled.len(), data.train.labels.len()), (6, 0));
    assert!(data.classes.is_empty());

    let tree = Tree::new();
    tree.remove("unsupervised");
    tree.remove("supervised/train");
    let options = Options {
        train: false,
        unlabelled: false,
        ..whole()
    };
    let data = tree.read(&options).unwrap();
    assert_eq!((data.val.images.len(), data.classes.len()), (6, 2));
}

#[test]
fn unlabelled_images_are_spread_over_the_folders() {
    let tree = Tree::new();
    tree.image("unsupervised/loose.png", [9, 9, 9]);
    let options = Options {
        max_unlabelled: Some(3),
        ..whole()
    };
    let data = tree.read(&options).unwrap();
    assert_eq!(colours(&data.unlabelled), [[9, 9, 9], [2, 0, 1], [2, 1, 0]]);
}

#[test]
fn unreadable_files_are_named_and_skipped_with_their_labels() {
    let tree = Tree::new();
    tree.file("supervised/train/apple/1.png", "no image");
    tree.file("unsupervised/pear/2.png", "");
    tree.file("supervised/train/apple/.DS_Store", "not even looked at");
    tree.file(".cache/0", "not even looked at");
    let data = tree.read(&whole()).unwrap();
    assert_eq!(data.train.labels, [0, 0, 1, 1, 1]);
    assert_eq!(colours(&data.train.images)[1], [0, 0, 2]);
    assert_eq!(data.unlabelled.len(), 5);
    let skipped: Vec<_> = data.skipped.iter().map(|s| s.file.clone()).collect();
    let expected = ["supervised/train/apple/1.png", "unsupervised/pear/2.png"];
    assert_eq!(skipped, expected.map(|path| tree.at(path)));
    assert!(data.skipped.iter().all(|s| !s.reason.is_empty()));
}

#[test]
fn a_large_part_is_cached_and_gives_the_same_data() {
    let tree = Tree::new();
    tree.file("supervised/train/apple/1.png", "no image");
    let cache = tempfile::tempdir().unwrap();
    let cached = Options {
        cache: Some(cache.path().join("new")),
        memory: 5 * IMAGE_BYTES as u64,
        ..whole()
    };
    let expected = tree.read(&whole()).unwrap();
    for _ in 0..2 {
        let data = tree.read(&cached).unwrap();
        assert_eq!(data.skipped, expected.skipped);
        assert_eq!(data.train.labels, expected.train.labels);
        assert_eq!(colours(&data.train.images), colours(&expected.train.images));
        assert_eq!(colours(&data.unlabelled), colours(&expected.unlabelled));
    }
    tree.image("unsupervised/pear/2.png", [77, 77, 77]);
    tree.image("unsupervised/pear/3.png", [78, 78, 78]);
    let changed = tree.read(&cached).unwrap();
    assert_eq!(colours(&changed.unlabelled)[5..], [[77; 3], [78; 3]]);
}

#[test]
fn progress_counts_every_file() {
    let progress = ProgressBar::hidden();
    read(Tree::new().0.path(), &whole(), &progress).unwrap();
    assert_eq!((progress.position(), progress.length()), (18, Some(18)));
}

#[test]
fn another_layout_is_described() {
    let tree = Tree(tempfile::tempdir().unwrap());
    tree.fails(&whole(), &["but nothing", "supervised/train/<class>"]);
    tree.file("cats/1.png", "");
    tree.file("readme.txt", "");
    tree.fails(&whole(), &["cats/, readme.txt", "supervised/train/<class>"]);
    tree.file("supervised/apple/1.png", "");
    tree.fails(&whole(), &["cannot list", "train"]);
    tree.file("supervised/train/1.png", "");
    tree.fails(&whole(), &["no class folders, but 1.png"]);
    let missing = Path::new("no/such/folder");
    let error = read(missing, &whole(), &ProgressBar::hidden())
        .err()
        .unwrap();
    assert!(format!("{error:#}").contains("no/such/folder"));
}

#[test]
fn a_class_without_images_is_named() {
    let tree = Tree::new();
    tree.remove("supervised/val/pear");
    tree.file("supervised/val/pear/images/1.png", "");
    tree.fails(&whole(), &["pear has no images", "images/"]);
    tree.remove("supervised/val/pear");
    tree.file("supervised/val/pear/1.png", "no image");
    tree.fails(&whole(), &["none of the 1 files", "pear", "val"]);
}

#[test]
fn a_class_may_lack_labels_where_none_are_asked_for() {
    let all = Options {
        labels_per_class: 0,
        ..whole()
    };
    let expected = Tree::new().read(&all).unwrap();
    let tree = Tree::new();
    for with_folder in [true, false] {
        tree.remove("supervised/train/apple");
        if with_folder {
            fs::create_dir_all(tree.at("supervised/train/apple")).unwrap();
        }
        for val in [true, false] {
            let data = tree.read(&Options { val, ..all.clone() }).unwrap();
            assert_eq!(data.classes, expected.classes);
            assert!(data.train.labels.iter().all(|&label| label == 1));
            assert_eq!(data.train.images.len(), data.train.labels.len());
        }
    }
    // Validation images that are missing stay an error, and so do classes that they do not show.
    tree.image("supervised/train/quince/1.png", [0; 3]);
    tree.fails(&all, &["1 only in", "train: quince"]);
    tree.remove("supervised/train/quince");
    tree.remove("supervised/val/apple");
    fs::create_dir_all(tree.at("supervised/val/apple")).unwrap();
    tree.fails(&all, &["apple has no images"]);
}

#[test]
fn unlabelled_images_have_their_files() {
    let tree = Tree::new();
    tree.file("unsupervised/apple/0.png", "no image");
    let data = tree.read(&whole()).unwrap();
    assert_eq!(data.unlabelled_files.len(), data.unlabelled.len());
    for (file, colour) in data.unlabelled_files.iter().zip(colours(&data.unlabelled)) {
        assert_eq!(
            image::open(file).unwrap().to_rgb8().get_pixel(0, 0).0,
            colour
        );
    }
}

#[test]
fn no_unlabelled_images_is_an_error() {
    let tree = Tree::new();
    tree.remove("unsupervised");
    tree.fails(&whole(), &["cannot list", "unsupervised"]);
    fs::create_dir_all(tree.at("unsupervised/any")).unwrap();
    tree.fails(&whole(), &["no images", "any/"]);
    tree.file("unsupervised/any/1.png", "no image");
    tree.fails(&whole(), &["none of the 1 files"]);
}

#[test]
fn too_few_labels_name_the_class_and_its_count() {
    let tree = Tree::new();
    fs::remove_file(tree.at("supervised/train/pear/0.png")).unwrap();
    let three = Options {
        labels_per_class: 3,
        ..whole()
    };
    tree.fails(
        &three,
        &["3 labels", "1 of 2 classes", "pear (2)", "at most 2"],
    );
    tree.file("supervised/train/pear/0.png", "no image");
    tree.fails(&three, &["pear (2)", "can be read"]);
}

#[test]
fn classes_that_differ_are_named() {
    let tree = Tree::new();
    tree.image("supervised/train/quince/1.png", [0; 3]);
    tree.image("supervised/val/plum/1.png", [0; 3]);
    tree.fails(&whole(), &["1 only in", "train: quince", "val: plum"]);
}

#[test]
fn too_many_classes_are_counted() {
    let tree = Tree(tempfile::tempdir().unwrap());
    for class in 0..1001 {
        let folder = format!("supervised/train/{class}");
        fs::create_dir_all(tree.at(&folder)).unwrap();
    }
    tree.fails(&whole(), &["1001 class folders", "at most 1000"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_fine_for_files_but_not_for_classes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new();
    let odd = OsStr::from_bytes(b"odd-\xff");
    let apple = tree.at("supervised/train/apple");
    fs::rename(apple.join("0.png"), apple.join(odd)).unwrap();
    assert_eq!(tree.read(&whole()).unwrap().train.labels.len(), 6);
    fs::rename(&apple, apple.with_file_name(odd)).unwrap();
    tree.fails(&whole(), &["odd-", "not UTF-8", "rename"]);
}
