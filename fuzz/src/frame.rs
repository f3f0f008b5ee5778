//! A camera frame: what it claims to be, and its bytes.

use vae96::frame::PixelFormat;

use crate::Reader;

/// Every format, by its number in an input.
pub const FORMATS: [PixelFormat; 5] = [
    PixelFormat::Rgb888,
    PixelFormat::Rgb565Be,
    PixelFormat::Rgb565Le,
    PixelFormat::Yuyv,
    PixelFormat::Grey,
];

/// What of the frame is scaled.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// The largest centred square.
    Centre,
    /// Column, row, width, height.
    Crop([u16; 4]),
}

/// A frame as an input describes it; nothing says that it makes sense.
#[derive(Debug)]
pub struct Input<'a> {
    pub format: PixelFormat,
    pub width: u16,
    pub height: u16,
    /// Bytes between rows.
    pub gap: u8,
    pub part: Part,
    pub bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn read(data: &'a [u8]) -> Self {
        let mut reader = Reader(data);
        Self {
            format: FORMATS[usize::from(reader.byte()) % FORMATS.len()],
            width: reader.short(),
            height: reader.short(),
            gap: reader.byte(),
            part: match reader.byte() % 3 {
                0 => Part::Whole,
                1 => Part::Centre,
                _ => Part::Crop(std::array::from_fn(|_| reader.short())),
            },
            bytes: reader.0,
        }
    }

    /// The bytes that [`read`](Self::read) reads so.
    pub fn write(&self) -> Vec<u8> {
        let format = FORMATS.iter().position(|f| *f == self.format);
        let mut data = vec![format.unwrap_or(0) as u8];
        data.extend(self.width.to_le_bytes());
        data.extend(self.height.to_le_bytes());
        data.push(self.gap);
        match self.part {
            Part::Whole => data.push(0),
            Part::Centre => data.push(1),
            Part::Crop(numbers) => {
                data.push(2);
                data.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
            }
        }
        data.extend(self.bytes);
        data
    }
}
