//! A data set as a folder tree.
//!
//! ```text
//! DIR/supervised/train/<class>/*
//! DIR/supervised/val/<class>/*
//! DIR/unsupervised/<any folder>/*
//! ```
//! Classes are numbered in the order of their names. Names that begin with a dot are ignored.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use rayon::prelude::*;
use vae96::MAX_CLASSES;

use super::cache::{Cache, Unreadable};
use super::{Dataset, IMAGE_BYTES, Images, Labelled, Skipped, decode};

const LAYOUT: &str = "A data set is laid out as supervised/train/<class>/*, \
    supervised/val/<class>/* and unsupervised/<any folder>/*";

/// Which images of a folder to read, and where decoded ones go.
#[derive(Clone, Debug)]
pub struct Options {
    /// Read `supervised/train`.
    pub train: bool,
    /// Read `supervised/val`.
    pub val: bool,
    /// Read `unsupervised`.
    pub unlabelled: bool,
    /// The fewest training images that every class must have. With 0, a class that validation
    /// images show may have none, nor a folder, as where labelling has just begun.
    pub labels_per_class: usize,
    /// The most unlabelled images to read, spread evenly over the sorted list of files.
    pub max_unlabelled: Option<usize>,
    /// Where parts larger than [`memory`](Self::memory) are cached. Without it all parts are
    /// held in memory.
    pub cache: Option<PathBuf>,
    /// The most bytes of decoded images of a part that are held in memory.
    pub memory: u64,
}

impl Default for Options {
    /// Everything, parts below 1 GiB in memory, no cache.
    fn default() -> Self {
        Self {
            train: true,
            val: true,
            unlabelled: true,
            labels_per_class: 1,
            max_unlabelled: None,
            cache: None,
            memory: 1 << 30,
        }
    }
}

/// Reads the data set at `root`. `progress` counts files. Files that are no readable images are
/// left out and named in [`Dataset::skipped`].
///
/// # Errors
/// That name what was found and what would be right, if a folder that is asked for is missing,
/// laid out otherwise or without readable images, a class has none or fewer than asked for, the
/// classes of `train` and `val` differ, a class's name is not UTF-8, there are more than
/// [`MAX_CLASSES`] classes, or the cache cannot be written.
pub fn read(root: &Path, options: &Options, progress: &ProgressBar) -> Result<Dataset> {
    let entries = list(root)?;
    ensure!(
        ["supervised", "unsupervised"]
            .iter()
            .any(|name| entries.folders.contains(&root.join(name))),
        "{} holds neither a folder supervised nor unsupervised, but {}. {LAYOUT}",
        root.display(),
        entries.describe(),
    );
    let sparse = options.labels_per_class == 0;
    let [train_folder, val_folder] =
        ["train", "val"].map(|part| root.join("supervised").join(part));
    let supervised = |folder: &Path, wanted: bool, sparse: bool| {
        wanted.then(|| Classes::list(folder, sparse)).transpose()
    };
    let mut train = supervised(&train_folder, options.train, sparse)?;
    let val = supervised(&val_folder, options.val, false)?;
    if let Some(train) = &mut train
        && sparse
        && val_folder.is_dir()
    {
        train.add_classes(&list(&val_folder)?.folders)?;
    }
    if let (Some(train), Some(val)) = (&train, &val) {
        same_classes(train, val)?;
    }
    if let Some(train) = &train {
        train.at_least(options.labels_per_class, &train.counts(), "")?;
    }
    let unlabelled = match options.unlabelled {
        true => spread(
            unlabelled_files(&root.join("unsupervised"))?,
            options.max_unlabelled,
        ),
        false => Vec::new(),
    };

    let labelled = [&train, &val].into_iter().flatten();
    let total = labelled.map(|classes| classes.files.len()).sum::<usize>() + unlabelled.len();
    progress.set_length(total as u64);
    let mut data = Dataset::default();
    for (part, classes, place) in [
        ("train", &train, &mut data.train),
        ("val", &val, &mut data.val),
    ] {
        let Some(classes) = classes else { continue };
        let (images, unreadable) = load(root, part, &classes.files, options, progress)?;
        let counts = classes.readable(&unreadable)?;
        if part == "train" {
            classes.at_least(options.labels_per_class, &counts, " that can be read")?;
        }
        *place = Labelled {
            images,
            labels: without(&classes.labels, &unreadable),
        };
        data.skipped.extend(skipped(&classes.files, unreadable));
        data.classes.clone_from(&classes.names);
    }
    if options.unlabelled {
        let (images, unreadable) = load(root, "unsupervised", &unlabelled, options, progress)?;
        if let (true, Some((_, reason))) = (images.is_empty(), unreadable.first()) {
            bail!(
                "none of the {} files in {} can be read as an image; the first: {reason}",
                unlabelled.len(),
                root.join("unsupervised").display(),
            );
        }
        data.unlabelled = images;
        data.unlabelled_files = without(&unlabelled, &unreadable);
        data.skipped.extend(skipped(&unlabelled, unreadable));
    }
    Ok(data)
}

/// The labelled files of one part.
struct Classes {
    folder: PathBuf,
    names: Vec<String>,
    files: Vec<PathBuf>,
    /// The class of each file.
    labels: Vec<usize>,
}

impl Classes {
    /// The classes in `folder`; a `sparse` part may have some without images.
    fn list(folder: &Path, sparse: bool) -> Result<Self> {
        let entries = list(folder)?;
        let classes = entries.folders.len();
        ensure!(
            classes > 0,
            "{} holds no class folders, but {}. {LAYOUT}",
            folder.display(),
            entries.describe(),
        );
        ensure!(
            classes <= MAX_CLASSES,
            "{} holds {classes} class folders; a model tells at most {MAX_CLASSES} classes apart",
            folder.display(),
        );
        let mut part = Self {
            folder: folder.to_owned(),
            names: Vec::with_capacity(classes),
            files: Vec::new(),
            labels: Vec::new(),
        };
        for (label, class) in entries.folders.iter().enumerate() {
            let name = class_name(class)?;
            part.names.push(name.to_owned());
            let entries = list(class)?;
            ensure!(
                sparse || !entries.files.is_empty(),
                "the class {name} has no images: {} holds {}. {LAYOUT}",
                class.display(),
                entries.describe(),
            );
            part.labels.extend(entries.files.iter().map(|_| label));
            part.files.extend(entries.files);
        }
        Ok(part)
    }

    /// Adds classes without images where they have no folder here.
    fn add_classes(&mut self, folders: &[PathBuf]) -> Result<()> {
        let names: Result<Vec<_>> = folders.iter().map(|folder| class_name(folder)).collect();
        let own = self.names.iter().map(String::as_str);
        let all: BTreeSet<&str> = own.chain(names?).collect();
        let label = |name: &String| all.range(..name.as_str()).count();
        let moved: Vec<_> = self.names.iter().map(label).collect();
        for label in &mut self.labels {
            *label = moved[*label];
        }
        self.names = all.into_iter().map(str::to_owned).collect();
        Ok(())
    }

    /// Files of each class.
    fn counts(&self) -> Vec<usize> {
        count(&self.labels, self.names.len())
    }

    /// Readable files of each class; an error if a class has files, but none of them is.
    fn readable(&self, unreadable: &Unreadable) -> Result<Vec<usize>> {
        let counts = count(&without(&self.labels, unreadable), self.names.len());
        let all = self.counts();
        if let Some(label) = (0..all.len()).find(|&label| counts[label] == 0 && all[label] > 0) {
            let of_class = unreadable
                .iter()
                .find(|(file, _)| self.labels[*file] == label);
            bail!(
                "none of the {} files of the class {} in {} can be read as an image; the first: {}",
                all[label],
                self.names[label],
                self.folder.display(),
                of_class.map_or("", |(_, reason)| reason),
            );
        }
        Ok(counts)
    }

    fn at_least(&self, wanted: usize, counts: &[usize], which: &str) -> Result<()> {
        let short = self.names.iter().zip(counts);
        let short: Vec<_> = short
            .filter(|&(_, &count)| count < wanted)
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        ensure!(
            short.is_empty(),
            "{wanted} labels per class were asked for, but {} of {} classes in {} have fewer \
             images{which}: {}. Ask for at most {}",
            short.len(),
            self.names.len(),
            self.folder.display(),
            enumerate(&short),
            counts.iter().min().unwrap_or(&0),
        );
        Ok(())
    }
}

/// The name of a class, that of its folder.
fn class_name(folder: &Path) -> Result<&str> {
    let name = folder.file_name().unwrap_or_default();
    name.to_str().with_context(|| {
        format!(
            "the name of the class folder {} is not UTF-8, which a model file needs: rename it",
            folder.display(),
        )
    })
}

fn same_classes(train: &Classes, val: &Classes) -> Result<()> {
    let [train_names, val_names] = [train, val].map(|c| c.names.iter().collect::<BTreeSet<_>>());
    if train_names == val_names {
        return Ok(());
    }
    let only = |part: &Classes, a: &BTreeSet<_>, b: &BTreeSet<_>| {
        let names: Vec<_> = a.difference(b).copied().collect();
        match names.len() {
            0 => String::new(),
            n => format!(
                "; {n} only in {}: {}",
                part.folder.display(),
                enumerate(&names)
            ),
        }
    };
    bail!(
        "training and validation must have the same classes, but they differ{}{}",
        only(train, &train_names, &val_names),
        only(val, &val_names, &train_names),
    )
}

/// The files in `folder` and in its folders.
fn unlabelled_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = list(folder)?;
    let description = entries.describe();
    let mut files = entries.files;
    for inner in &entries.folders {
        files.extend(list(inner)?.files);
    }
    ensure!(
        !files.is_empty(),
        "{} and its folders hold no images: it holds {description}. {LAYOUT}",
        folder.display(),
    );
    Ok(files)
}

/// At most `limit` files, evenly spaced: the first ones would be those of a few classes only.
fn spread(files: Vec<PathBuf>, limit: Option<usize>) -> Vec<PathBuf> {
    match limit {
        Some(limit) if limit < files.len() => (0..limit)
            .map(|i| files[i * files.len() / limit].clone())
            .collect(),
        _ => files,
    }
}

fn load(
    root: &Path,
    part: &str,
    files: &[PathBuf],
    options: &Options,
    progress: &ProgressBar,
) -> Result<(Images, Unreadable)> {
    let before = progress.position();
    let bytes = files.len() as u64 * IMAGE_BYTES as u64;
    let loaded = match &options.cache {
        Some(folder) if bytes > options.memory => {
            Cache::new(folder, root, part, files)?.get(|keep| decode_all(files, progress, keep))?
        }
        _ => {
            let mut bytes = Vec::with_capacity(files.len() * IMAGE_BYTES);
            let unreadable = decode_all(files, progress, &mut |image| {
                bytes.extend_from_slice(image);
                Ok(())
            })?;
            (Images::from_bytes(bytes), unreadable)
        }
    };
    progress.set_position(before + files.len() as u64);
    Ok(loaded)
}

/// Decodes on all cores and hands the images to `keep` in the order of the files.
fn decode_all(
    files: &[PathBuf],
    progress: &ProgressBar,
    keep: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Unreadable> {
    // Enough to keep all cores busy, few enough to hold: 14 MB.
    const AT_ONCE: usize = 512;
    let mut unreadable = Vec::new();
    for (chunk, files) in files.chunks(AT_ONCE).enumerate() {
        let decoded = files.par_iter().map(|file| {
            let image = decode(file);
            progress.inc(1);
            image
        });
        for (i, image) in decoded.collect::<Vec<_>>().into_iter().enumerate() {
            match image {
                Ok(image) => keep(&image)?,
                Err(error) => unreadable.push((chunk * AT_ONCE + i, format!("{error:#}"))),
            }
        }
    }
    Ok(unreadable)
}

/// What a folder holds, sorted; links are followed.
struct Entries {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

fn list(folder: &Path) -> Result<Entries> {
    let context = || format!("cannot list the folder {}. {LAYOUT}", folder.display());
    let mut entries = Entries {
        folders: Vec::new(),
        files: Vec::new(),
    };
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().with_context(context)?;
        // Only a link costs a second look; there may be half a million files.
        match kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
            true => entries.folders.push(path),
            false => entries.files.push(path),
        }
    }
    entries.folders.sort();
    entries.files.sort();
    Ok(entries)
}

impl Entries {
    fn describe(&self) -> String {
        let name = |path: &PathBuf, end: &str| {
            let name = path.file_name().unwrap_or_default();
            format!("{}{end}", name.display())
        };
        let folders = self.folders.iter().map(|path| name(path, "/"));
        let files = self.files.iter().map(|path| name(path, ""));
        match folders.chain(files).collect::<Vec<_>>() {
            names if names.is_empty() => "nothing".to_owned(),
            names => enumerate(&names),
        }
    }
}

/// The first few of some names.
fn enumerate(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn count(labels: &[usize], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|&label| counts[label] += 1);
    counts
}

/// What belongs to the files that could be read, out of `items` of all files. `unreadable` is
/// sorted by file.
fn without<T: Clone>(items: &[T], unreadable: &Unreadable) -> Vec<T> {
    let mut left_out = unreadable.iter().map(|(file, _)| *file).peekable();
    let readable = |&(file, _): &(usize, &T)| left_out.next_if_eq(&file).is_none();
    let items = items.iter().enumerate().filter(readable);
    items.map(|(_, item)| item.clone()).collect()
}

fn skipped(files: &[PathBuf], unreadable: Unreadable) -> impl Iterator<Item = Skipped> {
    unreadable.into_iter().map(|(file, reason)| Skipped {
        file: files[file].clone(),
        reason,
    })
}
