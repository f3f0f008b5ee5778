//! Camera frames to the network's input: any size and several formats, cropped and scaled to
//! 96×96 RGB row by row in integers.
//!
//! [`Frame`] reads a frame that lies in memory; [`FrameStream`] takes one row by row as the camera
//! sends it. Both give the same bytes.
//!
//! Scaling is bilinear with half-pixel centres, the pixels at the edges repeated outwards; each
//! direction rounds to nearest once. Two pixels a direction are read whatever the factor, so a
//! frame much larger than 96×96 is sampled rather than averaged: let the camera subsample it to
//! less than twice that size where it can.

mod format;
mod stream;
mod view;

pub use format::PixelFormat;
pub use stream::{FrameStream, Ready};

use crate::network::SIDE;
use crate::rows::{ROW_BYTES, RowSource};
use view::{Pair, View};

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame has no pixels.
    Empty {
        /// Pixels a row.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// YUYV stores pixels in pairs; this width is odd.
    OddWidth(u16),
    /// The buffer ends before the frame.
    Buffer {
        /// Bytes of the frame.
        needed: usize,
        /// Bytes of the buffer.
        found: usize,
    },
    /// Rows would overlap.
    Stride {
        /// Bytes of a row's pixels.
        row: usize,
        /// Bytes from one row to the next.
        stride: usize,
    },
    /// The rectangle is empty or not all inside the frame.
    Crop {
        /// Its first column.
        x: u16,
        /// Its first row.
        y: u16,
        /// Its columns.
        width: u16,
        /// Its rows.
        height: u16,
    },
    /// A pushed row has another length than the frame's.
    RowLength {
        /// Bytes of a row.
        expected: usize,
        /// Bytes pushed.
        found: usize,
    },
    /// All rows of the frame, this many, have been pushed.
    TooManyRows(u16),
    /// Rows of the last push have not been taken.
    RowsWaiting,
    /// The network's input has no such row.
    NoSuchRow(usize),
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Empty { width, height } => write!(f, "a frame of {width}×{height} pixels"),
            Self::OddWidth(width) => write!(f, "YUYV has an even width, not {width}"),
            Self::Buffer { needed, found } => {
                write!(f, "{found} bytes where the frame has {needed}")
            }
            Self::Stride { row, stride } => {
                write!(f, "a stride of {stride} bytes where a row has {row}")
            }
            Self::Crop {
                x,
                y,
                width,
                height,
            } => write!(
                f,
                "{width}×{height} pixels from ({x}, {y}) on are not inside the frame"
            ),
            Self::RowLength { expected, found } => {
                write!(
                    f,
                    "a row of {found} bytes where the frame's have {expected}"
                )
            }
            Self::TooManyRows(height) => write!(f, "more than the frame's {height} rows"),
            Self::RowsWaiting => f.write_str("rows of the last push have not been taken"),
            Self::NoSuchRow(y) => write!(f, "the input has no row {y}"),
        }
    }
}

impl core::error::Error for FrameError {}

/// A camera frame in memory, as a source of the network's input rows.
///
/// All of it is scaled to 96×96, which distorts it unless it is square: [`centre`](Self::centre)
/// and [`crop`](Self::crop) take a part.
///
/// ```
/// use vae96::frame::{Frame, FrameError};
/// use vae96::rows::{ROW_BYTES, RowSource};
///
/// # fn main() -> Result<(), FrameError> {
/// let buffer = [0xff; 320 * 240 * 2];
/// let mut frame = Frame::rgb565_be(&buffer, 320, 240)?.centre();
/// let mut row = [0; ROW_BYTES];
/// frame.row(0, &mut row)?;
/// assert_eq!(row, [255; ROW_BYTES]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    view: View,
    buffer: &'a [u8],
    stride: usize,
    pair: Pair,
}

impl<'a> Frame<'a> {
    /// A frame of `width × height` pixels without bytes between its rows.
    ///
    /// # Errors
    /// Where a size is zero, the buffer too short (it may be longer), or the width odd and the
    /// format [`PixelFormat::Yuyv`].
    pub fn new(
        format: PixelFormat,
        buffer: &'a [u8],
        width: u16,
        height: u16,
    ) -> Result<Self, FrameError> {
        let view = View::new(format, width, height)?;
        let frame = Self {
            view,
            buffer,
            stride: view.row_bytes(),
            pair: Pair::EMPTY,
        };
        frame.with_stride(view.row_bytes())
    }

    /// [`new`](Self::new) with [`PixelFormat::Rgb888`].
    pub fn rgb888(buffer: &'a [u8], width: u16, height: u16) -> Result<Self, FrameError> {
        Self::new(PixelFormat::Rgb888, buffer, width, height)
    }

    /// [`new`](Self::new) with [`PixelFormat::Rgb565Be`].
    pub fn rgb565_be(buffer: &'a [u8], width: u16, height: u16) -> Result<Self, FrameError> {
        Self::new(PixelFormat::Rgb565Be, buffer, width, height)
    }

    /// [`new`](Self::new) with [`PixelFormat::Rgb565Le`].
    pub fn rgb565_le(buffer: &'a [u8], width: u16, height: u16) -> Result<Self, FrameError> {
        Self::new(PixelFormat::Rgb565Le, buffer, width, height)
    }

    /// [`new`](Self::new) with [`PixelFormat::Yuyv`].
    pub fn yuyv(buffer: &'a [u8], width: u16, height: u16) -> Result<Self, FrameError> {
        Self::new(PixelFormat::Yuyv, buffer, width, height)
    }

    /// [`new`](Self::new) with [`PixelFormat::Grey`].
    pub fn grey(buffer: &'a [u8], width: u16, height: u16) -> Result<Self, FrameError> {
        Self::new(PixelFormat::Grey, buffer, width, height)
    }

    /// The same frame with `stride` bytes from the start of one row to the next.
    ///
    /// # Errors
    /// Where that is less than a row, or the buffer ends before the last row does.
    pub fn with_stride(self, stride: usize) -> Result<Self, FrameError> {
        let row = self.view.row_bytes();
        if stride < row {
            return Err(FrameError::Stride { row, stride });
        }
        // A sum beyond `usize` saturates above the length of any buffer.
        let needed = stride
            .saturating_mul(usize::from(self.view.height) - 1)
            .saturating_add(row);
        if self.buffer.len() < needed {
            return Err(FrameError::Buffer {
                needed,
                found: self.buffer.len(),
            });
        }
        Ok(Self {
            stride,
            pair: Pair::EMPTY,
            ..self
        })
    }

    /// Scales the largest centred square alone.
    pub fn centre(self) -> Self {
        Self {
            view: self.view.centre(),
            pair: Pair::EMPTY,
            ..self
        }
    }

    /// Scales `width × height` pixels from column `x` and row `y` on alone.
    ///
    /// # Errors
    /// Where the rectangle is empty or not all inside the frame.
    pub fn crop(self, x: u16, y: u16, width: u16, height: u16) -> Result<Self, FrameError> {
        Ok(Self {
            view: self.view.crop(x, y, width, height)?,
            pair: Pair::EMPTY,
            ..self
        })
    }
}

impl RowSource for Frame<'_> {
    type Error = FrameError;

    /// Any row may be asked for at any time; from top to bottom, each row of the frame is scaled
    /// once.
    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), FrameError> {
        if y >= SIDE {
            return Err(FrameError::NoSuchRow(y));
        }
        let taps = self.view.taps(y);
        for source in [taps.first, taps.second] {
            let start = self.stride * usize::from(source);
            let end = start + self.view.row_bytes();
            let pixels = self.buffer.get(start..end).unwrap_or_default();
            self.pair.load(&self.view, source, pixels);
        }
        self.pair.blend(taps, row).ok_or(FrameError::NoSuchRow(y))
    }
}
