//! Where a network's input comes from: anything that gives 96 rows of 96 RGB pixels.

use crate::network::{INPUT, SIDE};

/// Bytes of one input row: 96 pixels of red, green and blue.
pub const ROW_BYTES: usize = SIDE * 3;

/// Bytes of one input image, row by row.
pub const IMAGE_BYTES: usize = INPUT.len();

/// A source of 96-pixel RGB rows: a camera's frame, a decoder, an image in memory.
pub trait RowSource {
    /// Why a row could not be had.
    type Error;

    /// Writes row `y` of the image to `row`. Called once for each `y` from 0 to 95, in order.
    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), Self::Error>;
}

impl<S: RowSource + ?Sized> RowSource for &mut S {
    type Error = S::Error;

    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), Self::Error> {
        (**self).row(y, row)
    }
}

/// A whole image; rows below it are black.
impl RowSource for [u8; IMAGE_BYTES] {
    type Error = core::convert::Infallible;

    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), Self::Error> {
        (&*self).row(y, row)
    }
}

/// A whole image; rows below it are black.
impl RowSource for &[u8; IMAGE_BYTES] {
    type Error = core::convert::Infallible;

    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), Self::Error> {
        let (rows, _) = self.as_chunks();
        *row = rows.get(y).copied().unwrap_or([0; ROW_BYTES]);
        Ok(())
    }
}
