//! Classes as bytes: for a page of flash, or to carry them from one machine to another.
//!
//! All numbers are little-endian, and nothing is aligned.
//!
//! | bytes | hold |
//! | --- | --- |
//! | 8 | `P96\0\0\0\0\0` |
//! | 4 | CRC-32 (ISO-HDLC) of all that follows |
//! | 2 | version, 1 |
//! | 2 | number of classes |
//! | 2 | number of features |
//! | 2 | 1 if there is a calibration, else 0 |
//! | 4 | [fingerprint](crate::Model::fingerprint) of the model |
//! | 12 | the [calibration](super::Calibration)'s bias, similarity, frames, an i32 each; zero if there is none |
//!
//! and for each class its number of frames (u16), its name (24 bytes, zeros after it) and its sums
//! (an i16 a feature).

use super::{Calibration, Class, MAX_FRAMES, NAME_BYTES, Prototypes, checked};
use crate::model::CRC;

const MAGIC: [u8; 8] = *b"P96\0\0\0\0\0";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 36;

/// Where the checksum is, and where begins what it is of.
const CHECKSUM: usize = 8;
const CHECKED: usize = 12;

/// Why classes are not loaded, or not saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SavedError {
    /// It is shorter than the file's header.
    TooShort,
    /// It does not begin as such a file does.
    Magic,
    /// Its checksum does not match: it is damaged, cut off, or something follows it.
    Checksum,
    /// It is of a version this crate does not read.
    Version,
    /// Its classes were taught with another model.
    OtherModel,
    /// It holds more classes than there is room for.
    Full,
    /// Its contents contradict each other.
    Inconsistent,
    /// The memory to save to is shorter than [`Prototypes::saved_bytes`].
    Space,
}

impl core::fmt::Display for SavedError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the file is shorter than the header of a file of taught classes",
            Self::Magic => "the file does not hold taught classes",
            Self::Checksum => "the taught classes are damaged: their checksum does not match",
            Self::Version => "the taught classes are of a version that is not supported",
            Self::OtherModel => "the classes were taught with another model",
            Self::Full => "there is no room for so many classes",
            Self::Inconsistent => {
                "the contents of the file of taught classes contradict each other"
            }
            Self::Space => "there is no room to save the taught classes",
        })
    }
}

impl core::error::Error for SavedError {}

/// What a file says before its classes.
struct Header {
    classes: usize,
    features: usize,
    fingerprint: u32,
    calibration: Option<Calibration>,
}

impl<const CLASSES: usize, const FEATURES: usize> Prototypes<CLASSES, FEATURES> {
    /// Bytes that saving takes now.
    pub fn saved_bytes(&self) -> usize {
        saved_bytes(self.classes.len(), self.features)
    }

    /// Writes the classes to the beginning of `file`, and gives the number of bytes written.
    ///
    /// # Errors
    /// [`SavedError::Space`].
    pub fn save(&self, file: &mut [u8]) -> Result<usize, SavedError> {
        let length = self.saved_bytes();
        let file = file.get_mut(..length).ok_or(SavedError::Space)?;
        self.write(&mut Writer(file)).ok_or(SavedError::Space)?;
        let (head, checked) = file
            .split_at_mut_checked(CHECKED)
            .ok_or(SavedError::Space)?;
        let mut checksum = Writer(head.get_mut(CHECKSUM..).unwrap_or_default());
        checksum.put(&CRC.checksum(checked).to_le_bytes());
        Ok(length)
    }

    fn write(&self, file: &mut Writer<'_>) -> Option<()> {
        file.put(&MAGIC)?;
        file.put(&[0; 4])?;
        file.short(VERSION)?;
        file.short(self.classes.len() as u16)?;
        file.short(self.features as u16)?;
        file.short(u16::from(self.calibration.is_some()))?;
        file.put(&self.fingerprint.to_le_bytes())?;
        let calibration = self.calibration.unwrap_or_default();
        for value in [calibration.bias, calibration.similarity, calibration.frames] {
            file.put(&value.to_le_bytes())?;
        }
        for class in &self.classes {
            file.short(class.frames)?;
            file.put(class.name.as_bytes())?;
            file.put(ZEROS.get(class.name.len()..)?)?;
            for sum in class.sum.iter().take(self.features) {
                file.put(&sum.to_le_bytes())?;
            }
        }
        Some(())
    }

    /// Takes the classes and the calibration of a file, in the place of those there are.
    ///
    /// # Errors
    /// See [`SavedError`]; nothing has changed then.
    pub fn load(&mut self, file: &[u8]) -> Result<(), SavedError> {
        let (header, records) = self.header(file)?;
        // Never 0, which the compiler does not see.
        let length = class_bytes(self.features).max(1);
        if records.len() != header.classes * length {
            return Err(SavedError::Inconsistent);
        }
        for (index, record) in records.chunks_exact(length).enumerate() {
            let class = Record::read(record).ok_or(SavedError::Inconsistent)?;
            let mut before = records.chunks_exact(length).take(index);
            if before.any(|other| Record::read(other).is_some_and(|other| other.name == class.name))
            {
                return Err(SavedError::Inconsistent);
            }
        }
        self.calibration = header.calibration;
        self.classes.clear();
        for record in records.chunks_exact(length) {
            let class = Record::read(record).and_then(|record| record.class());
            let class = class.ok_or(SavedError::Inconsistent)?;
            self.classes.push(class).map_err(|_| SavedError::Full)?;
        }
        Ok(())
    }

    /// The header of a file that these prototypes can hold, and what follows it.
    fn header<'f>(&self, file: &'f [u8]) -> Result<(Header, &'f [u8]), SavedError> {
        let (header, records) =
            (file.split_at_checked(HEADER_BYTES)).ok_or(SavedError::TooShort)?;
        let mut header = Reader(header);
        if header.take() != Some(MAGIC) {
            return Err(SavedError::Magic);
        }
        let checksum = header.word().ok_or(SavedError::TooShort)?;
        if checksum != CRC.checksum(file.get(CHECKED..).unwrap_or_default()) {
            return Err(SavedError::Checksum);
        }
        if header.short() != Some(VERSION) {
            return Err(SavedError::Version);
        }
        let header = Header::read(&mut header).ok_or(SavedError::Inconsistent)?;
        if header.fingerprint != self.fingerprint {
            return Err(SavedError::OtherModel);
        }
        if header.features != self.features {
            return Err(SavedError::Inconsistent);
        }
        if header.classes > CLASSES {
            return Err(SavedError::Full);
        }
        Ok((header, records))
    }
}

impl Header {
    /// What follows the version; `None` where it is no header.
    fn read(file: &mut Reader<'_>) -> Option<Self> {
        let [classes, features, calibrated] = [file.short()?, file.short()?, file.short()?];
        let fingerprint = file.word()?;
        let mut number = || file.word().map(|word| word as i32);
        let calibration = Calibration {
            bias: number()?,
            similarity: number()?,
            frames: number()?,
        };
        let calibration = match calibrated {
            0 if calibration == Calibration::default() => None,
            1 => Some(calibration),
            _ => return None,
        };
        Some(Self {
            classes: classes.into(),
            features: features.into(),
            fingerprint,
            calibration,
        })
    }
}

/// A class of a file.
struct Record<'f> {
    frames: u16,
    name: &'f str,
    sums: &'f [[u8; 2]],
}

impl<'f> Record<'f> {
    /// `None` where it is no class.
    fn read(record: &'f [u8]) -> Option<Self> {
        let mut record = Reader(record);
        let frames = record.short()?;
        let (name, sums) = record.0.split_at_checked(NAME_BYTES)?;
        let end = name.iter().position(|&byte| byte == 0);
        let (name, zeros) = name.split_at_checked(end.unwrap_or(NAME_BYTES))?;
        let name = core::str::from_utf8(name).ok()?;
        let (sums, _) = sums.as_chunks();
        let most = i32::from(frames) * i32::from(u8::MAX);
        let within = |&sum: &[u8; 2]| i32::from(i16::from_le_bytes(sum)).abs() <= most;
        let is_class = (1..=MAX_FRAMES).contains(&frames)
            && !name.is_empty()
            && zeros.iter().all(|&byte| byte == 0)
            && sums.iter().all(within);
        is_class.then_some(Self { frames, name, sums })
    }

    fn class<const FEATURES: usize>(&self) -> Option<Class<FEATURES>> {
        let mut sum = [0; FEATURES];
        for (to, &from) in sum.iter_mut().zip(self.sums) {
            *to = i16::from_le_bytes(from);
        }
        Some(Class {
            name: checked(self.name)?,
            frames: self.frames,
            sum,
        })
    }
}

/// What fills a name's place after it.
const ZEROS: [u8; NAME_BYTES] = [0; NAME_BYTES];

/// Bytes that so many classes of so many features take when they are saved.
pub const fn saved_bytes(classes: usize, features: usize) -> usize {
    HEADER_BYTES + classes * class_bytes(features)
}

/// Bytes of a class of so many features.
const fn class_bytes(features: usize) -> usize {
    2 + NAME_BYTES + 2 * features
}

/// Takes numbers off the front of a file.
struct Reader<'f>(&'f [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}

/// Puts bytes at the front of what is left of a file.
struct Writer<'f>(&'f mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let file = core::mem::take(&mut self.0);
        let (place, rest) = file.split_at_mut_checked(bytes.len())?;
        for (to, &from) in place.iter_mut().zip(bytes) {
            *to = from;
        }
        self.0 = rest;
        Some(())
    }

    fn short(&mut self, value: u16) -> Option<()> {
        self.put(&value.to_le_bytes())
    }
}
