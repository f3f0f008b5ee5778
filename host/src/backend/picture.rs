//! Images by name, so that a machine that has one already need not read it again.

use std::fmt;
use std::sync::Arc;

use anyhow::{Result, ensure};
use vae96::INPUT;

/// Images that keep their bytes for as long as they are there.
pub trait Album: Send + Sync {
    /// What no other album of this process is called, now or later.
    fn number(&self) -> u64;

    /// Copies the bytes of an image that there is.
    ///
    /// # Errors
    /// If it can no longer be read.
    fn read(&self, index: usize, out: &mut [u8]) -> Result<()>;
}

/// The name of an image: whatever has it has the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Its album's number.
    pub album: u64,
    /// Its place there.
    pub index: usize,
}

/// A 96×96 RGB image. Clones share it.
#[derive(Clone)]
pub struct Picture(Source);

#[derive(Clone)]
enum Source {
    Album(Arc<dyn Album>, Origin),
    Bytes(Arc<[u8]>),
}

/// What tells pictures that are there at the same time apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Of an album.
    Origin(Origin),
    /// Where its bytes lie.
    Bytes(*const u8),
}

impl Picture {
    /// An image of an album, which is read when somebody asks for its bytes.
    pub fn of(album: Arc<dyn Album>, index: usize) -> Self {
        let origin = Origin {
            album: album.number(),
            index,
        };
        Self(Source::Album(album, origin))
    }

    /// An image of no album.
    ///
    /// # Errors
    /// Where the bytes are not those of one image.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        ensure!(
            bytes.len() == INPUT.len(),
            "an image that is viewed has {} bytes, not {}",
            INPUT.len(),
            bytes.len()
        );
        Ok(Self(Source::Bytes(bytes)))
    }

    /// Its name, if it is of an album.
    pub fn origin(&self) -> Option<Origin> {
        match self.0 {
            Source::Album(_, origin) => Some(origin),
            Source::Bytes(_) => None,
        }
    }

    /// What tells it apart from others.
    pub fn identity(&self) -> Identity {
        match &self.0 {
            Source::Album(_, origin) => Identity::Origin(*origin),
            Source::Bytes(bytes) => Identity::Bytes(bytes.as_ptr()),
        }
    }

    /// Copies its bytes.
    ///
    /// # Errors
    /// If they can no longer be read.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn read(&self, out: &mut [u8]) -> Result<()> {
        match &self.0 {
            Source::Album(album, Origin { index, .. }) => album.read(*index, out),
            Source::Bytes(bytes) => {
                out.copy_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// Of one name, or of equal bytes.
impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Album(_, a), Source::Album(_, b)) => a == b,
            (Source::Bytes(a), Source::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picture").field(&self.identity()).finish()
    }
}
