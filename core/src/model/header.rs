//! The first 64 bytes of a model file.

use core::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use super::{ModelError, Sections};
use crate::plan::Method;

/// How weights are ordered within their section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightLayout {
    /// `output channel, row, column, input channel`: for the portable kernels.
    Portable,
    /// [Packed](super#packed-weights) two taps to a word, or two channels to a halfword, where the
    /// kernels for Cortex-M3, M4, M7 and M33 want it; as `Portable` for all other layers.
    Packed,
    /// As `Packed`, but 3×3 convolutions with a stride of 1 are as `Portable`: for
    /// [Winograd's method](crate::plan::Method::Winograd).
    Winograd,
}

impl WeightLayout {
    /// Every layout there is.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Packed, Self::Winograd];

    /// Its number in a model file.
    pub const fn id(self) -> u8 {
        match self {
            // 1 was packed weights without pairs.
            Self::Portable => 0,
            Self::Packed => 2,
            Self::Winograd => 3,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Packed => "packed",
            Self::Winograd => "winograd",
        }
    }

    /// The method of computing convolutions that the weights are ordered for.
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Winograd => Method::Winograd,
            Self::Portable | Self::Packed => Method::Direct,
        }
    }

    /// The layout of that number, if there is one.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Portable),
            2 => Some(Self::Packed),
            3 => Some(Self::Winograd),
            _ => None,
        }
    }
}

/// Where each field lies. What no field covers is zero.
mod field {
    use core::ops::Range;

    pub const MAGIC: Range<usize> = 0..8;
    /// CRC-32 (ISO-HDLC) of all bytes after it, to the end of the file.
    pub const CHECKSUM: Range<usize> = 8..12;
    pub const VERSION: Range<usize> = 12..14;
    pub const NETWORK: Range<usize> = 14..15;
    pub const KIND: Range<usize> = 15..16;
    pub const LAYOUT: Range<usize> = 16..17;
    pub const CLASSES: Range<usize> = 18..20;
    /// Length of the whole file.
    pub const LENGTH: Range<usize> = 20..24;
    /// Offset from the file's beginning, and length, of each section.
    pub const NAMES: Range<usize> = 24..32;
    pub const QUANTISATION: Range<usize> = 32..40;
    pub const WEIGHTS: Range<usize> = 40..48;
    pub const BIAS: Range<usize> = 48..56;
}

const MAGIC: [u8; 8] = *b"VAE96\0\0\0";
const VERSION: u16 = 1;

/// One table of 1 KB; the greater ones are not worth their flash.
pub(crate) static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// What a header says that does not follow from the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`Architecture::id`](crate::Architecture::id).
    pub network: u8,
    /// [`Kind::id`](crate::Kind::id).
    pub kind: u8,
    /// [`WeightLayout::id`].
    pub layout: u8,
    /// Classes told apart; 0 for an encoder.
    pub classes: u16,
    /// Bytes of the section of names.
    pub names: u32,
}

impl Header {
    /// Bytes of a header.
    pub const BYTES: usize = 64;

    /// Reads the header of a file that is whole and of this version.
    pub(super) fn read(file: &[u8]) -> Result<Self, ModelError> {
        let header = file
            .first_chunk::<{ Self::BYTES }>()
            .ok_or(ModelError::TooShort)?;
        if bytes(header, field::MAGIC) != MAGIC {
            return Err(ModelError::Magic);
        }
        let length = u32::from_le_bytes(bytes(header, field::LENGTH));
        if usize::try_from(length) != Ok(file.len()) {
            return Err(ModelError::Length);
        }
        if u32::from_le_bytes(bytes(header, field::CHECKSUM)) != checksum(file) {
            return Err(ModelError::Checksum);
        }
        if u16::from_le_bytes(bytes(header, field::VERSION)) != VERSION {
            return Err(ModelError::Version);
        }
        let [network] = bytes(header, field::NETWORK);
        let [kind] = bytes(header, field::KIND);
        let [layout] = bytes(header, field::LAYOUT);
        let [_, _, _, _, n0, n1, n2, n3] = bytes(header, field::NAMES);
        Ok(Self {
            network,
            kind,
            layout,
            classes: u16::from_le_bytes(bytes(header, field::CLASSES)),
            names: u32::from_le_bytes([n0, n1, n2, n3]),
        })
    }

    /// Whether a file's header is to the byte the one for these sections.
    pub(super) fn states(&self, sections: &Sections, file: &[u8]) -> bool {
        // The checksum was checked, and is no part of what the header states.
        let unsealed = |header: &[u8]| {
            let mut copy = [0; Self::BYTES];
            for (to, &from) in copy.iter_mut().zip(header) {
                *to = from;
            }
            put(&mut copy, field::CHECKSUM, &[0; 4]);
            copy
        };
        self.encode(sections)
            .is_some_and(|header| unsealed(&header) == unsealed(file))
    }

    /// The header's bytes, with a checksum of zero. `None` where the file is longer than 32 bits
    /// can say.
    pub(super) fn encode(&self, sections: &Sections) -> Option<[u8; Self::BYTES]> {
        let mut header = [0; Self::BYTES];
        let length = u32::try_from(sections.length).ok()?;
        put(&mut header, field::MAGIC, &MAGIC);
        put(&mut header, field::VERSION, &VERSION.to_le_bytes());
        put(&mut header, field::NETWORK, &[self.network]);
        put(&mut header, field::KIND, &[self.kind]);
        put(&mut header, field::LAYOUT, &[self.layout]);
        put(&mut header, field::CLASSES, &self.classes.to_le_bytes());
        put(&mut header, field::LENGTH, &length.to_le_bytes());
        let quantisation = sections.records.start..sections.shifts.end;
        for (at, section) in [
            (field::NAMES, &sections.names),
            (field::QUANTISATION, &quantisation),
            (field::WEIGHTS, &sections.weights),
            (field::BIAS, &sections.bias),
        ] {
            let offset = u32::try_from(section.start).ok()?.to_le_bytes();
            let length = u32::try_from(section.len()).ok()?.to_le_bytes();
            put(&mut header, at.start..at.start + 4, &offset);
            put(&mut header, at.start + 4..at.end, &length);
        }
        Some(header)
    }
}

/// Writes the checksum of a file that is complete otherwise.
pub(super) fn seal(file: &mut [u8]) {
    let checksum = checksum(file).to_le_bytes();
    put(file, field::CHECKSUM, &checksum);
}

fn checksum(file: &[u8]) -> u32 {
    CRC.checksum(file.get(field::CHECKSUM.end..).unwrap_or_default())
}

/// The bytes of a field.
#[inline(always)]
fn bytes<const N: usize>(header: &[u8; Header::BYTES], field: Range<usize>) -> [u8; N] {
    header
        .get(field)
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

fn put(file: &mut [u8], field: Range<usize>, bytes: &[u8]) {
    let place = file.get_mut(field).unwrap_or_default();
    for (to, &from) in place.iter_mut().zip(bytes) {
        *to = from;
    }
}
