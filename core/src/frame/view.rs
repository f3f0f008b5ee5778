//! The part of a frame that the network sees, scaled to the network's size.

use super::{FrameError, PixelFormat};
use crate::network::SIDE;
use crate::rows::ROW_BYTES;

/// A frame's format and size, and the rectangle of it that is scaled.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub format: PixelFormat,
    pub width: u16,
    pub height: u16,
    columns: Span,
    rows: Span,
}

/// Consecutive columns or rows.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u16,
    len: u16,
}

/// The two columns or rows between which an output pixel lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    pub first: u16,
    /// The next one; `first` itself where the other would count for nothing.
    pub second: u16,
    /// The share of `second`, in parts of [`ONE`].
    share: u8,
}

/// The whole of a pixel's weight. Half-pixel centres are multiples of 1/192 apart, so shares in
/// these parts are exact.
const ONE: u8 = 2 * SIDE as u8;

impl View {
    pub fn new(format: PixelFormat, width: u16, height: u16) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width, height });
        }
        if format == PixelFormat::Yuyv && width % 2 == 1 {
            return Err(FrameError::OddWidth(width));
        }
        Ok(Self {
            format,
            width,
            height,
            columns: Span::whole(width),
            rows: Span::whole(height),
        })
    }

    pub fn centre(self) -> Self {
        let side = self.width.min(self.height);
        let middle = |len: u16| Span {
            start: (len - side) / 2,
            len: side,
        };
        Self {
            columns: middle(self.width),
            rows: middle(self.height),
            ..self
        }
    }

    pub fn crop(self, x: u16, y: u16, width: u16, height: u16) -> Result<Self, FrameError> {
        let inside = |start: u16, len: u16, whole: u16| {
            (len > 0 && start.checked_add(len)? <= whole).then_some(Span { start, len })
        };
        inside(x, width, self.width)
            .zip(inside(y, height, self.height))
            .map(|(columns, rows)| Self {
                columns,
                rows,
                ..self
            })
            .ok_or(FrameError::Crop {
                x,
                y,
                width,
                height,
            })
    }

    pub fn row_bytes(&self) -> usize {
        self.format.row_bytes(self.width)
    }

    /// The rows of the frame that make output row `y`.
    pub fn taps(&self, y: usize) -> Taps {
        self.rows.taps(y)
    }

    /// Scales one row of the frame horizontally.
    fn scale(&self, row: &[u8], scaled: &mut [u8; ROW_BYTES]) {
        let pixel = |x| self.format.pixel(row, x).unwrap_or_default();
        let (pixels, _) = scaled.as_chunks_mut();
        for (x, output) in pixels.iter_mut().enumerate() {
            let taps = self.columns.taps(x);
            *output = pixel(taps.first);
            if taps.share > 0 {
                taps.blend(output, &pixel(taps.second));
            }
        }
    }
}

impl Span {
    fn whole(len: u16) -> Self {
        Self { start: 0, len }
    }

    /// What output pixel `at` of 96 lies between: the point (at + ½) · len / 96 − ½ of the span,
    /// kept from leaving it at either edge.
    fn taps(self, at: usize) -> Taps {
        let one = u32::from(ONE);
        let centre = (2 * at as u32 + 1) * u32::from(self.len);
        let point = centre.saturating_sub(one / 2);
        let (whole, part) = ((point / one) as u16, (point % one) as u8);
        let (next, share) = if part > 0 && whole + 1 < self.len {
            (whole + 1, part)
        } else {
            (whole, 0)
        };
        Taps {
            first: self.start + whole,
            second: self.start + next,
            share,
        }
    }
}

impl Taps {
    /// Moves `values` towards `second` by its share, rounded to nearest. 16 bits hold every sum.
    fn blend<const N: usize>(self, values: &mut [u8; N], second: &[u8; N]) {
        let (one, share) = (u16::from(ONE), u16::from(self.share));
        for (value, &second) in values.iter_mut().zip(second) {
            let sum = u16::from(*value) * (one - share) + u16::from(second) * share;
            *value = ((sum + one / 2) / one) as u8;
        }
    }
}

/// Two rows of the frame, scaled horizontally, and which they are.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    older: Scaled,
    newer: Scaled,
}

#[derive(Clone, Debug)]
struct Scaled {
    source: Option<u16>,
    row: [u8; ROW_BYTES],
}

impl Pair {
    pub const EMPTY: Self = {
        let empty = Scaled {
            source: None,
            row: [0; ROW_BYTES],
        };
        Self {
            older: Scaled { ..empty },
            newer: empty,
        }
    };

    /// Takes in row `source` of the frame, unless it is there, for the older of the two.
    pub fn load(&mut self, view: &View, source: u16, row: &[u8]) {
        if self.find(source).is_none() {
            core::mem::swap(&mut self.older, &mut self.newer);
            view.scale(row, &mut self.newer.row);
            self.newer.source = Some(source);
        }
    }

    /// Writes the output row between `taps`; none where one of them has not been loaded.
    pub fn blend(&self, taps: Taps, output: &mut [u8; ROW_BYTES]) -> Option<()> {
        *output = *self.find(taps.first)?;
        if taps.share > 0 {
            taps.blend(output, self.find(taps.second)?);
        }
        Some(())
    }

    fn find(&self, source: u16) -> Option<&[u8; ROW_BYTES]> {
        [&self.newer, &self.older]
            .into_iter()
            .find(|scaled| scaled.source == Some(source))
            .map(|scaled| &scaled.row)
    }
}
