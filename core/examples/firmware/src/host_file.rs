//! Files and arguments of the host that the emulator or debugger runs on, over semihosting.

use core::cell::Cell;

use cortex_m_semihosting::{nr, syscall};

/// What is to be done with a file.
#[derive(Clone, Copy)]
enum Mode {
    /// `rb`
    Read = 1,
    /// `wb`
    Write = 5,
}

/// What the host refused.
pub enum FileError {
    Open,
    Read,
    Write,
    /// The file ends within what was to be read.
    End,
}

impl core::fmt::Display for FileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Open => "the host cannot open a file that the command line names",
            Self::Read => "the host cannot read the file of images",
            Self::Write => "the host cannot write the file of answers",
            Self::End => "the file of images does not hold whole images",
        })
    }
}

/// An open file of the host. It stays open until the program ends.
pub struct File(usize);

impl File {
    /// Opens a file; its path is relative to where the emulator was started.
    ///
    /// # Errors
    /// [`FileError::Open`].
    #[inline(never)]
    fn open(path: &str, mode: Mode) -> Result<Self, FileError> {
        // The host wants a zero after the path, which its length does not count.
        let mut name = [0u8; 256];
        let Some(place) = name.get_mut(..path.len()).filter(|place| place.len() < 256) else {
            return Err(FileError::Open);
        };
        place.copy_from_slice(path.as_bytes());
        let request = [name.as_ptr().addr(), mode as usize, path.len()];
        // SAFETY: SYS_OPEN reads the three words of `request` and the string they point to, which
        // both outlive the call.
        match unsafe { syscall(nr::OPEN, &request) } {
            usize::MAX => Err(FileError::Open),
            handle => Ok(Self(handle)),
        }
    }

    /// Fills `bytes`; `false` at the end of the file.
    ///
    /// # Errors
    /// [`FileError::End`] where some bytes are missing.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<bool, FileError> {
        let request = [self.0, bytes.as_mut_ptr().expose_provenance(), bytes.len()];
        // SAFETY: SYS_READ reads the three words of `request` and writes no more than the slice
        // that they describe, which is borrowed for writing.
        match unsafe { syscall(nr::READ, &request) } {
            0 => Ok(true),
            missing if missing == bytes.len() => Ok(false),
            missing if missing < bytes.len() => Err(FileError::End),
            _ => Err(FileError::Read),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let request = [self.0, bytes.as_ptr().expose_provenance(), bytes.len()];
        // SAFETY: SYS_WRITE reads the three words of `request` and the slice that they describe.
        match unsafe { syscall(nr::WRITE, &request) } {
            0 => Ok(()),
            _ => Err(FileError::Write),
        }
    }
}

/// The file to read and the file to write that the command line names after the program, if the
/// host has a command line at all.
///
/// # Errors
/// [`FileError::Open`].
// Out of line, so that its buffers are off the stack while images are computed.
#[inline(never)]
pub fn open_arguments() -> Result<Option<[File; 2]>, FileError> {
    let mut line = [0; 256];
    let length = Cell::new(line.len());
    let request = [Cell::new(line.as_mut_ptr().expose_provenance()), length];
    // SAFETY: SYS_GET_CMDLINE writes no more than the array that the two words of `request`
    // describe, and the length into the second word, which is a cell.
    let known = unsafe { syscall(nr::GET_CMDLINE, &request) } == 0;
    let line = line.get(..request[1].get()).unwrap_or_default();
    let mut words = core::str::from_utf8(line)
        .unwrap_or_default()
        .split(' ')
        .skip(1);
    match (words.next(), words.next()) {
        (Some(read), Some(write)) if known => Ok(Some([
            File::open(read, Mode::Read)?,
            File::open(write, Mode::Write)?,
        ])),
        _ => Ok(None),
    }
}
