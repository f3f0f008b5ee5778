//! What a camera's bytes mean.

/// How a camera writes its pixels, left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Three bytes a pixel: red, green, blue.
    Rgb888,
    /// Two bytes a pixel, the high one first: `RRRRRGGG GGGBBBBB`.
    Rgb565Be,
    /// Two bytes a pixel, the low one first: `GGGBBBBB RRRRRGGG`.
    Rgb565Le,
    /// Four bytes every two pixels: Y₀ U Y₁ V (also called YUY2, YUV 4:2:2). Converted by ITU-R
    /// BT.601 at full range, as JPEG has it: Y, U and V use all of 0 to 255.
    Yuyv,
    /// One byte a pixel.
    Grey,
}

impl PixelFormat {
    /// Bytes of a row of `width` pixels.
    pub const fn row_bytes(self, width: u16) -> usize {
        self.pixel_bytes() * width as usize
    }

    /// Bytes a pixel.
    const fn pixel_bytes(self) -> usize {
        match self {
            Self::Rgb888 => 3,
            Self::Rgb565Be | Self::Rgb565Le | Self::Yuyv => 2,
            Self::Grey => 1,
        }
    }

    /// Pixel `x` of a row as RGB; none where the row ends before it.
    pub(super) fn pixel(self, row: &[u8], x: u16) -> Option<[u8; 3]> {
        let at = self.row_bytes(x);
        match self {
            Self::Rgb888 => row.get(at..)?.first_chunk().copied(),
            Self::Rgb565Be => Some(rgb565(u16::from_be_bytes(*row.get(at..)?.first_chunk()?))),
            Self::Rgb565Le => Some(rgb565(u16::from_le_bytes(*row.get(at..)?.first_chunk()?))),
            Self::Yuyv => {
                let [_, u, _, v] = *row.get(self.row_bytes(x & !1)..)?.first_chunk()?;
                Some(yuv(*row.get(at)?, u, v))
            }
            Self::Grey => Some([*row.get(at)?; 3]),
        }
    }
}

/// Widens each channel by repeating its high bits: 0 stays 0, and the largest value becomes 255.
fn rgb565(pixel: u16) -> [u8; 3] {
    let five = |shift: u16| {
        let value = (pixel >> shift) as u8 & 0x1f;
        value << 3 | value >> 2
    };
    let green = (pixel >> 5) as u8 & 0x3f;
    [five(11), green << 2 | green >> 4, five(0)]
}

/// BT.601 at full range (ITU-T T.871, section 7) in 16-bit fixed point, rounded to nearest:
/// R = Y + 1.402 V', G = Y − 0.344136 U' − 0.714136 V', B = Y + 1.772 U', where U' = U − 128 and
/// V' = V − 128.
fn yuv(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let channel = |chroma: i32| {
        let value = i32::from(y) + ((chroma + 0x8000) >> 16);
        value.clamp(0, 255) as u8
    };
    [
        channel(91_881 * v),
        channel(-22_553 * u - 46_802 * v),
        channel(116_130 * u),
    ]
}
