//! A folder of images: what to read of it, its files, and what befalls its cache.

use crate::Reader;

/// Where files may lie.
pub const FOLDERS: [&str; 8] = [
    "supervised/train/a",
    "supervised/train/b",
    "supervised/val/a",
    "supervised/val/b",
    "unsupervised/x",
    "unsupervised",
    "supervised",
    "supervised/train/a/.hidden",
];

/// Bytes of the description of what befalls the cache.
pub const PATCH: usize = 4;

/// Files of the largest data set.
const FILES: usize = 12;

/// A data set as an input describes it.
#[derive(Debug)]
pub struct Input<'a> {
    pub train: bool,
    pub val: bool,
    pub unlabelled: bool,
    pub labels_per_class: usize,
    pub max_unlabelled: Option<usize>,
    /// Bytes of the cache's header to change, from one on.
    pub patch: (u8, [u8; 2]),
    /// Bytes to cut off the cache's end.
    pub cut: u8,
    /// Each file's folder, number and content.
    pub files: Vec<(&'static str, u8, &'a [u8])>,
}

impl<'a> Input<'a> {
    pub fn read(data: &'a [u8]) -> Self {
        let mut reader = Reader(data);
        let options = reader.byte();
        let mut input = Self {
            train: options & 1 > 0,
            val: options & 2 > 0,
            unlabelled: options & 4 > 0,
            labels_per_class: usize::from(options >> 3 & 3),
            max_unlabelled: (options & 0x20 > 0).then_some(usize::from(options >> 6)),
            patch: (reader.byte(), [reader.byte(), reader.byte()]),
            cut: reader.byte(),
            files: Vec::new(),
        };
        while !reader.0.is_empty() && input.files.len() < FILES {
            let folder = FOLDERS[usize::from(reader.byte()) % FOLDERS.len()];
            let number = reader.byte() % 4;
            let length = usize::from(reader.short()).min(reader.0.len());
            let (content, rest) = reader.0.split_at(length);
            reader = Reader(rest);
            input.files.push((folder, number, content));
        }
        input
    }
}

/// The bytes that [`Input::read`] reads so; a file has the number of its folder.
pub fn write<'a>(
    options: u8,
    patch: [u8; PATCH],
    files: impl IntoIterator<Item = (u8, u8, &'a [u8])>,
) -> Vec<u8> {
    let mut data = vec![options];
    data.extend(patch);
    for (folder, number, content) in files {
        data.extend([folder, number]);
        data.extend((content.len() as u16).to_le_bytes());
        data.extend(content);
    }
    data
}
