//! Images: where they come from, which of them a run sees, and how they reach a training step.

use std::path::PathBuf;

/// Bytes of one decoded image: RGB, row by row.
pub const IMAGE_BYTES: usize = vae96::INPUT.len();

/// Where decoded images lie.
enum Store {
    Memory(Vec<u8>),
    Mapped(memmap2::Mmap),
}

/// Decoded images, 96×96 RGB bytes each.
pub struct Images {
    store: Store,
}

/// Images with a class each.
pub struct Labelled {
    /// The images.
    pub images: Images,
    /// The class of each, an index into [`Dataset::classes`].
    pub labels: Vec<usize>,
}

/// What a run sees.
pub struct Dataset {
    /// The classes' names, sorted.
    pub classes: Vec<String>,
    /// The images to fine-tune on.
    pub train: Labelled,
    /// The images to report on.
    pub val: Labelled,
    /// The images to pre-train on.
    pub unlabelled: Images,
    /// The files that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A file that could not be read as an image.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}
