//! A frame that arrives row by row.

use super::view::{Pair, View};
use super::{FrameError, PixelFormat};
use crate::network::SIDE;
use crate::rows::ROW_BYTES;

/// A frame that is never stored: camera rows go in one at a time, and each row of the network's
/// input comes out as soon as the camera rows it lies between are there.
///
/// ```
/// use vae96::frame::{FrameStream, PixelFormat};
///
/// # fn main() -> Result<(), vae96::frame::FrameError> {
/// let mut stream = FrameStream::new(PixelFormat::Grey, 160, 120)?.centre();
/// let mut rows = 0;
/// for _ in 0..120 {
///     let camera_row = [127; 160];
///     for row in stream.push(&camera_row)? {
///         assert_eq!(row, [127; vae96::rows::ROW_BYTES]);
///         rows += 1;
///     }
/// }
/// assert_eq!(rows, 96);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FrameStream {
    view: View,
    pair: Pair,
    /// Camera rows pushed.
    pushed: u16,
    /// The output row that comes next.
    next: usize,
}

impl FrameStream {
    /// A stream of frames of `width × height` pixels, all of which are scaled to 96×96.
    ///
    /// # Errors
    /// Where a size is zero, or the width odd and the format [`PixelFormat::Yuyv`].
    pub fn new(format: PixelFormat, width: u16, height: u16) -> Result<Self, FrameError> {
        Ok(Self::starting(View::new(format, width, height)?))
    }

    /// Scales the largest centred square alone. The frame starts over.
    pub fn centre(self) -> Self {
        Self::starting(self.view.centre())
    }

    /// Scales `width × height` pixels from column `x` and row `y` on alone. The frame starts over.
    ///
    /// # Errors
    /// Where the rectangle is empty or not all inside the frame.
    pub fn crop(self, x: u16, y: u16, width: u16, height: u16) -> Result<Self, FrameError> {
        Ok(Self::starting(self.view.crop(x, y, width, height)?))
    }

    /// Forgets the rows pushed so far: the next one is the first of a new frame.
    pub fn restart(&mut self) {
        self.pushed = 0;
        self.next = 0;
        self.pair = Pair::EMPTY;
    }

    /// Takes the next row of the camera, [`PixelFormat::row_bytes`] long, and gives the rows of
    /// 96 RGB pixels that it completes: none, one, or several where the frame is enlarged.
    ///
    /// # Errors
    /// Where the row has another length, the frame has no more rows, or rows that an earlier push
    /// gave were not taken ([`ready`](Self::ready) still has them). The stream stays as it was.
    pub fn push(&mut self, row: &[u8]) -> Result<Ready<'_>, FrameError> {
        let expected = self.view.row_bytes();
        if row.len() != expected {
            return Err(FrameError::RowLength {
                expected,
                found: row.len(),
            });
        }
        if self.waiting() {
            return Err(FrameError::RowsWaiting);
        }
        if self.pushed == self.view.height {
            return Err(FrameError::TooManyRows(self.view.height));
        }
        let source = self.pushed;
        self.pushed += 1;
        if self.next < SIDE {
            let taps = self.view.taps(self.next);
            if source == taps.first || source == taps.second {
                self.pair.load(&self.view, source, row);
            }
        }
        Ok(self.ready())
    }

    /// The rows that can be had without another push: those of the last one that were not taken.
    pub fn ready(&mut self) -> Ready<'_> {
        Ready { stream: self }
    }

    fn starting(view: View) -> Self {
        Self {
            view,
            pair: Pair::EMPTY,
            pushed: 0,
            next: 0,
        }
    }

    /// Whether the next output row can be had.
    fn waiting(&self) -> bool {
        self.next < SIDE && self.view.taps(self.next).second < self.pushed
    }
}

/// The rows that a pushed row completed, top to bottom.
#[derive(Debug)]
#[must_use = "while rows wait to be taken, the stream refuses the next one"]
pub struct Ready<'a> {
    stream: &'a mut FrameStream,
}

impl Iterator for Ready<'_> {
    type Item = [u8; ROW_BYTES];

    fn next(&mut self) -> Option<Self::Item> {
        let stream = &mut *self.stream;
        if !stream.waiting() {
            return None;
        }
        let mut output = [0; ROW_BYTES];
        stream
            .pair
            .blend(stream.view.taps(stream.next), &mut output)?;
        stream.next += 1;
        Some(output)
    }
}
