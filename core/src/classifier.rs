//! From rows of an image to logits.

use crate::model::{Model, ModelError};
use crate::network::{Classifies, SIDE};
use crate::rows::{ROW_BYTES, RowSource};
use crate::scores::Logits;
use crate::stream::{Fixed, RowError, Stream};

/// A classifier with its line buffers, for one image after another.
///
/// Only networks that tell classes apart make one:
///
/// ```compile_fail
/// fn f(_: vae96::Classifier<vae96::EdgeEncoder>) {}
/// ```
pub struct Classifier<'m, N: Classifies> {
    model: Model<'m>,
    stream: Stream<Fixed<N>, N::Buffer>,
}

impl<'m, N: Classifies> Classifier<'m, N> {
    /// A classifier that uses a model file in place.
    ///
    /// # Errors
    /// Those of [`Model::of`].
    // Inlined, it writes the line buffers where they are to be; called, it would need them on the
    // stack as well.
    #[inline(always)]
    pub fn new(file: &'m [u8]) -> Result<Self, ModelError> {
        Ok(Self {
            model: Model::of::<N>(file)?,
            stream: Stream::new(Fixed::new(), N::EMPTY),
        })
    }

    /// The model in use.
    pub const fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// Takes the image's next row, from top to bottom, and computes all it can from it.
    ///
    /// # Errors
    /// [`RowError::TooMany`] for a 97th row, which is ignored.
    pub fn push(&mut self, row: &[u8; ROW_BYTES]) -> Result<(), RowError> {
        if self.stream.rows() >= SIDE {
            return Err(RowError::TooMany);
        }
        self.stream.push(row, self.model.parameters());
        Ok(())
    }

    /// The logits of the image that was pushed. The next row pushed begins a new image.
    ///
    /// # Errors
    /// [`RowError::TooFew`] before the 96th row; the rows received are forgotten.
    pub fn finish(&mut self) -> Result<Logits<'_>, RowError> {
        let rows = self.stream.rows();
        self.restart();
        if rows < SIDE {
            return Err(RowError::TooFew);
        }
        Ok(Logits::new(self.stream.output(), &self.model))
    }

    /// Forgets the rows received: the next one begins a new image.
    pub fn restart(&mut self) {
        self.stream.restart();
    }

    /// The logits of a whole image.
    ///
    /// # Errors
    /// Those of the source.
    pub fn classify<S: RowSource>(&mut self, mut source: S) -> Result<Logits<'_>, S::Error> {
        self.stream.run(&mut source, self.model.parameters())?;
        Ok(Logits::new(self.stream.output(), &self.model))
    }
}
