//! Decoded images in a file, so that a large folder is decoded once and held on disk.
//!
//! ```text
//! magic 8 │ version u32 │ 0 u32 │ key u64 │ images u64 │ length of the notes u64 │ 0 … 64
//! images, 27,648 bytes each
//! notes: JSON, [[index of the file, why it was skipped], …]
//! ```
//! All numbers little-endian. The key is a hash of the files' names, sizes and times.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::{IMAGE_BYTES, Images};
use crate::files;

const MAGIC: [u8; 8] = *b"V96PIXEL";
/// Changes with the file's format and with what `decode` makes of a file.
const VERSION: u32 = 1;
const HEADER: usize = 64;

/// Files that could not be read: their places in the list of files, and why.
pub type Unreadable = Vec<(usize, String)>;

/// The cache file of a list of image files.
pub struct Cache {
    path: PathBuf,
    key: u64,
}

impl Cache {
    /// The cache in `folder` for the `files` of `part` of the data set at `root`. It has one
    /// place for each part of each root: a part that changed replaces what was there.
    pub fn new(folder: &Path, root: &Path, part: &str, files: &[PathBuf]) -> Result<Self> {
        let whole = fs::canonicalize(root)
            .with_context(|| format!("cannot find the folder {}", root.display()))?;
        let name = format!("{part}-{:016x}.pixels", hash(&whole));
        let path = folder.join(name);
        let facts = files.par_iter().map(|file| {
            let facts = fs::metadata(file).and_then(|facts| Ok((facts.len(), facts.modified()?)));
            // A file that is gone or closed to us is skipped when it is decoded.
            (file.strip_prefix(root).unwrap_or(file), facts.ok())
        });
        let key = hash(&facts.collect::<Vec<_>>());
        Ok(Self { path, key })
    }

    /// The images, decoded by `fill` if the cache does not hold them yet. `fill` hands each image
    /// to the writer in turn.
    pub fn get(
        &self,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Unreadable>,
    ) -> Result<(Images, Unreadable)> {
        if let Some(found) = self.open() {
            return Ok(found);
        }
        if let Some(folder) = self.path.parent() {
            files::make_folder(folder)?;
        }
        // Two runs over the same folder would write into the same file: the second waits for the
        // first and finds its work done. Where files cannot be locked, that care is the user's.
        let locked = self.path.with_extension("lock");
        let lock = File::create(&locked).context(format!("cannot write {}", locked.display()))?;
        match lock.lock() {
            Err(error) if error.kind() != ErrorKind::Unsupported => {
                return Err(error).with_context(|| format!("cannot lock {}", locked.display()));
            }
            _ => {}
        }
        if let Some(found) = self.open() {
            return Ok(found);
        }
        self.write(fill)?;
        self.open()
            .with_context(|| format!("{} changed while it was written", self.path.display()))
    }

    /// What the file holds, if it is whole and of these very images.
    fn open(&self) -> Option<(Images, Unreadable)> {
        let mut file = File::open(&self.path).ok()?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).ok()?;
        let number =
            |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let (images, notes) = (number(24), number(32));
        if header != self.header(images, notes) {
            return None;
        }
        let start = HEADER as u64;
        let end = images.checked_mul(IMAGE_BYTES as u64)?.checked_add(start)?;
        if file.metadata().ok()?.len() != end.checked_add(notes)? {
            return None;
        }
        file.seek(SeekFrom::Start(end)).ok()?;
        let mut json = Vec::new();
        file.read_to_end(&mut json).ok()?;
        let unreadable = serde_json::from_slice(&json).ok()?;
        let images = Images::from_file(file, &self.path, start, usize::try_from(images).ok()?);
        Some((images, unreadable))
    }

    fn header(&self, images: u64, notes: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&self.key.to_le_bytes());
        header[24..32].copy_from_slice(&images.to_le_bytes());
        header[32..40].copy_from_slice(&notes.to_le_bytes());
        header
    }

    /// Writes the file beside its place and renames it into it.
    fn write(
        &self,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Unreadable>,
    ) -> Result<()> {
        let beside = self.path.with_extension("partial");
        let written = || -> Result<()> {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&beside)?);
            file.write_all(&[0; HEADER])?;
            let mut images = 0;
            let unreadable = fill(&mut |image| {
                images += 1;
                Ok(file.write_all(image)?)
            })?;
            let notes = serde_json::to_vec(&unreadable)?;
            file.write_all(&notes)?;
            let mut file = file.into_inner().map_err(|error| error.into_error())?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&self.header(images, notes.len() as u64))?;
            file.sync_all()?;
            Ok(fs::rename(&beside, &self.path)?)
        };
        written().with_context(|| {
            // Best effort: gigabytes that serve nobody. The error that counts is the first.
            fs::remove_file(&beside).ok();
            format!("cannot write the decoded images to {}", beside.display())
        })
    }
}

/// The hash may change with the standard library; then images are decoded once more.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    struct Place {
        folder: tempfile::TempDir,
        files: Vec<PathBuf>,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files: Vec<_> = (0..3).map(|i| folder.path().join(i.to_string())).collect();
            for file in &files {
                fs::write(file, "content").unwrap();
            }
            Self { folder, files }
        }

        fn cache(&self) -> Cache {
            let folder = self.folder.path();
            Cache::new(&folder.join("cache"), folder, "part", &self.files).unwrap()
        }
    }

    fn fill(keep: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Unreadable> {
        keep(&[1; IMAGE_BYTES])?;
        keep(&[2; IMAGE_BYTES])?;
        Ok(vec![(1, "broken".to_owned())])
    }

    fn must_not_fill(_: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Unreadable> {
        bail!("decoded again")
    }

    fn check((images, unreadable): (Images, Unreadable)) {
        assert_eq!(images.len(), 2);
        assert_eq!(unreadable, [(1, "broken".to_owned())]);
        let mut image = vec![0; IMAGE_BYTES];
        images.read(1, &mut image).unwrap();
        assert_eq!(image, [2; IMAGE_BYTES]);
    }

    #[test]
    fn images_are_decoded_once() {
        let place = Place::new();
        check(place.cache().get(fill).unwrap());
        check(place.cache().get(must_not_fill).unwrap());
    }

    #[test]
    fn a_changed_file_is_decoded_anew() {
        let place = Place::new();
        check(place.cache().get(fill).unwrap());
        fs::write(&place.files[1], "other content").unwrap();
        assert!(place.cache().get(must_not_fill).is_err());
        check(place.cache().get(fill).unwrap());
        check(place.cache().get(must_not_fill).unwrap());
    }

    #[test]
    fn a_list_of_other_files_is_decoded_anew() {
        let mut place = Place::new();
        check(place.cache().get(fill).unwrap());
        place.files.pop();
        assert!(place.cache().get(must_not_fill).is_err());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_not_trusted() {
        let place = Place::new();
        let cache = place.cache();
        check(cache.get(fill).unwrap());
        let whole = fs::read(&cache.path).unwrap();
        let mut damaged = vec![vec![], vec![7; 10], vec![0; whole.len()]];
        for length in [HEADER - 1, HEADER, whole.len() / 2, whole.len() - 1] {
            damaged.push(whole[..length].to_vec());
        }
        damaged.push([&whole[..], &[0]].concat());
        for byte in 0..HEADER {
            damaged.push(whole.clone());
            damaged.last_mut().unwrap()[byte] ^= 0x80;
        }
        for content in damaged {
            fs::write(&cache.path, content).unwrap();
            assert!(cache.open().is_none());
        }
        check(cache.get(fill).unwrap());
    }

    #[test]
    fn a_failure_leaves_no_cache_behind() {
        let place = Place::new();
        let cache = place.cache();
        assert!(cache.get(must_not_fill).is_err());
        assert!(cache.open().is_none());
        assert!(!cache.path.with_extension("partial").exists());
    }
}
