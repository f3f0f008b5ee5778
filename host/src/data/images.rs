//! Decoded images, in memory or in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use super::IMAGE_BYTES;
use crate::backend::Album;

/// Decoded images, 96×96 RGB bytes each. A clone shares them.
///
/// Images are copied out rather than lent, because a file has nothing to lend: mapping it would
/// be `unsafe` (another process may shorten it), while a positioned read leaves the caching to the
/// operating system just the same. The copy is 27 KB, which is nothing beside a training step.
#[derive(Clone)]
pub struct Images {
    store: Arc<Store>,
    len: usize,
    /// What no other images are called.
    number: u64,
}

enum Store {
    Memory(Vec<u8>),
    File(ImageFile),
}

impl Images {
    /// Images that lie one after the other.
    ///
    /// # Panics
    /// If `bytes` is no whole number of images.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        assert!(bytes.len().is_multiple_of(IMAGE_BYTES), "not whole images");
        let len = bytes.len() / IMAGE_BYTES;
        Self::new(Store::Memory(bytes), len)
    }

    /// `len` images that lie one after the other in a file, from byte `start` on.
    pub(super) fn from_file(file: File, path: &Path, start: u64, len: usize) -> Self {
        Self::new(Store::File(ImageFile::new(file, path, start)), len)
    }

    fn new(store: Store, len: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            store: Arc::new(store),
            len,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies image `index` into `out`, [`IMAGE_BYTES`] bytes.
    ///
    /// # Errors
    /// If its file can no longer be read.
    ///
    /// # Panics
    /// If there is no such image, or `out` has another length.
    pub fn read(&self, index: usize, out: &mut [u8]) -> Result<()> {
        assert!(index < self.len, "image {index} of {}", self.len);
        match &*self.store {
            Store::Memory(bytes) => {
                out.copy_from_slice(&bytes[index * IMAGE_BYTES..][..IMAGE_BYTES]);
                Ok(())
            }
            Store::File(file) => file.read(index, out),
        }
    }
}

/// Clones are one album.
impl Album for Images {
    fn number(&self) -> u64 {
        self.number
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<()> {
        Self::read(self, index, out)
    }
}

impl Default for Images {
    /// No images.
    fn default() -> Self {
        Self::from_bytes(Vec::new())
    }
}

struct ImageFile {
    file: File,
    path: PathBuf,
    start: u64,
    /// Guards the file's one position, where a read cannot name its own.
    #[cfg(not(unix))]
    position: std::sync::Mutex<()>,
}

impl ImageFile {
    fn new(file: File, path: &Path, start: u64) -> Self {
        Self {
            file,
            path: path.to_owned(),
            start,
            #[cfg(not(unix))]
            position: Default::default(),
        }
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<()> {
        assert_eq!(out.len(), IMAGE_BYTES, "length of the buffer for an image");
        self.read_at(self.start + (index * IMAGE_BYTES) as u64, out)
            .with_context(|| format!("cannot read image {index} of {}", self.path.display()))
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        // The guarded unit cannot be left half-changed, so a poisoned lock is as good as new.
        let _position = self
            .position
            .lock()
            .unwrap_or_else(|lock| lock.into_inner());
        (&self.file).seek(SeekFrom::Start(offset))?;
        (&self.file).read_exact(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn filled(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&v| [v; IMAGE_BYTES]).collect()
    }

    #[test]
    fn both_stores_give_the_same_images() {
        let bytes = filled(&[3, 1, 2]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"head").unwrap();
        file.write_all(&bytes).unwrap();
        let on_disk = Images::from_file(file.reopen().unwrap(), file.path(), 4, 3);
        for images in [Images::from_bytes(bytes), on_disk] {
            assert_eq!(images.len(), 3);
            let mut out = vec![0; IMAGE_BYTES];
            for (index, value) in [(2, 2), (0, 3), (1, 1)] {
                images.read(index, &mut out).unwrap();
                assert!(out.iter().all(|&v| v == value));
            }
        }
    }

    #[test]
    fn clones_alone_are_one_album() {
        let [first, second] = [(); 2].map(|()| Images::from_bytes(filled(&[1])));
        assert_ne!(first.number(), second.number());
        assert_eq!(first.number(), first.clone().number());
    }

    #[test]
    fn a_file_cut_short_is_an_error_that_names_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&filled(&[1])).unwrap();
        let images = Images::from_file(file.reopen().unwrap(), file.path(), 0, 2);
        let mut out = vec![0; IMAGE_BYTES];
        images.read(0, &mut out).unwrap();
        let error = images.read(1, &mut out).unwrap_err().to_string();
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
    }
}
