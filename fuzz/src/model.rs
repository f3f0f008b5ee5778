//! A model file from fewer bytes than it has: an input is its beginning.

use std::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc};

/// Bytes of the longest file: all of `edge`'s are shorter.
const LONGEST: usize = 4 << 20;

const CHECKSUM: Range<usize> = 8..12;
const LENGTH: Range<usize> = 20..24;

/// The file that begins as `data`, has the length that its header states, and is sealed with the
/// checksum that it should have; its last bytes repeat those before. None where it states no
/// sensible length.
pub fn file(data: &[u8]) -> Option<Vec<u8>> {
    let stated = data.get(LENGTH)?.first_chunk()?;
    let length = u32::from_le_bytes(*stated) as usize;
    if !(LENGTH.end..=LONGEST).contains(&length) {
        return None;
    }
    let mut file = data[..data.len().min(length)].to_vec();
    let repeated = file[file.len().saturating_sub(64)..].to_vec();
    let missing = length - file.len();
    file.extend(repeated.iter().cycle().take(missing));

    let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&file[CHECKSUM.end..]);
    file[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Some(file)
}
