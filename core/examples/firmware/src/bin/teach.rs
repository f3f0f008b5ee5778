//! Classes taught to a Cortex-M by a frame or a few: no host, no training.
//!
//! Without arguments it is taught the frames that are built into it, and then shown them as a mirror
//! shows them. With `IMAGES ANSWERS` it reads raw 96×96 RGB images from a file of the host, is
//! taught the first of them, and writes to another file what it saves and what it says of the rest.
#![no_std]
#![no_main]

#[path = "../frames.rs"]
mod frames;
#[path = "../host_file.rs"]
mod host_file;
#[path = "../memory.rs"]
mod memory;
#[path = "../meter.rs"]
mod meter;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use vae96::{
    Aligned, EdgeDeepEncoder, Encoder, ModelError, Prototypes, Quantised, ROW_BYTES, RowError,
    SIDE, SavedError, TeachError,
};

use frames::{FRAMES, Frame};
use host_file::{File, FileError};
use meter::Meter;

/// The encoder, in flash and used in place.
static MODEL: &Aligned<[u8]> = vae96::include_model!(concat!(env!("OUT_DIR"), "/encoder.v96"));

/// What `vae96 teach MODEL.v96 --calibrate DIR` wrote: no classes yet, and when a frame is of none.
static CALIBRATED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/encoder.p96"));

/// What the classes of the host's images are called, and how many images teach each.
const NAMES: [&str; 4] = ["one", "two", "three", "four"];
const SHOTS: usize = 3;

type Eyes = Encoder<'static, EdgeDeepEncoder>;

/// The most classes, and the encoder's features.
type Taught = Prototypes<{ NAMES.len() }, 128>;

/// Where classes are saved: on a board, a page of flash.
type Page = [u8; 1200];

#[entry]
fn main() -> ! {
    static mut ENCODER: Option<Eyes> = None;
    static mut TAUGHT: Option<Taught> = None;
    static mut PAGE: Page = [0; 1200];

    match run(ENCODER, TAUGHT, PAGE) {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(error) => {
            hprintln!("error: {}", error);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    stop()
}

/// Why the program failed.
enum Error {
    Model(ModelError),
    Row(RowError),
    Teach(TeachError),
    Saved(SavedError),
    File(FileError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
            Self::Teach(error) => error.fmt(f),
            Self::Saved(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

macro_rules! from {
    ($($error:ident => $variant:ident),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from!(ModelError => Model, RowError => Row, TeachError => Teach, SavedError => Saved, FileError => File);

fn run(
    encoder: &'static mut Option<Eyes>,
    taught: &'static mut Option<Taught>,
    page: &mut Page,
) -> Result<(), Error> {
    let encoder = encoder.insert(Encoder::new(MODEL)?);
    let taught = taught.insert(Prototypes::of(encoder.model())?);
    taught.load(CALIBRATED)?;
    if !answer(encoder, taught, page)? {
        let mut meter = Meter::start();
        for frame in &FRAMES {
            // One frame is enough; more of the same class make it surer.
            taught.teach(frame.name, &see(encoder, frame, |row| *row)?)?;
        }
        hprintln!("{} classes in {} bytes", taught.len(), taught.save(page)?);
        for frame in &FRAMES {
            let seen = see(encoder, frame, mirrored)?;
            let found = meter.measure(|| taught.compare(&seen))?;
            let none = found.none_of_these().unwrap_or_default();
            for best in found.top_k::<1>() {
                hprintln!(
                    "frame {}: class {}, similarity {}, none of these {}",
                    frame.name,
                    best.name,
                    best.similarity,
                    none
                );
            }
            meter.report();
        }
    }
    hprintln!(
        "encoder {} bytes, classes {} bytes of {} of statics",
        size_of::<Eyes>(),
        size_of::<Taught>(),
        memory::static_bytes()
    );
    hprintln!("flash {} bytes", memory::flash_bytes());
    hprintln!("stack {} bytes at the most", memory::peak_stack_bytes());
    hprintln!("RAM {} bytes", memory::ram_bytes());
    Ok(())
}

/// The features of a frame that arrives row by row.
fn see<'e>(
    encoder: &'e mut Eyes,
    frame: &Frame,
    view: impl Fn(&[u8; ROW_BYTES]) -> [u8; ROW_BYTES],
) -> Result<Quantised<'e>, Error> {
    for row in frame.rows() {
        encoder.push(&view(row))?;
    }
    Ok(encoder.finish()?)
}

/// A row from right to left.
fn mirrored(row: &[u8; ROW_BYTES]) -> [u8; ROW_BYTES] {
    let mut mirrored = [0; ROW_BYTES];
    let (pixels, _) = row.as_chunks::<3>();
    let (places, _) = mirrored.as_chunks_mut::<3>();
    for (to, from) in places.iter_mut().rev().zip(pixels) {
        *to = *from;
    }
    mirrored
}

/// Is taught the first images of a file of the host, where the command line names one; then looks
/// at the others, and writes what it saved, and of each image the similarities and the probability
/// of none, to another.
#[inline(never)]
fn answer(encoder: &mut Eyes, taught: &mut Taught, page: &mut Page) -> Result<bool, Error> {
    let Some([mut images, mut answers]) = host_file::open_arguments()? else {
        return Ok(false);
    };
    for name in NAMES.iter().cycle().take(NAMES.len() * SHOTS) {
        if let Some(seen) = next(encoder, &mut images)? {
            taught.teach(name, &seen)?;
        }
    }
    // As after a restart.
    let length = taught.save(page)?;
    let saved = page.get(..length).unwrap_or_default();
    taught.clear();
    taught.load(saved)?;
    answers.write(saved)?;
    let mut count = 0;
    while let Some(seen) = next(encoder, &mut images)? {
        let found = taught.compare(&seen)?;
        for similarity in found.values() {
            answers.write(&similarity.to_le_bytes())?;
        }
        answers.write(&found.none_of_these().unwrap_or_default().to_le_bytes())?;
        count += 1;
    }
    hprintln!("images {}", count);
    Ok(true)
}

/// The features of the next image of a file; `None` at its end.
fn next<'e>(encoder: &'e mut Eyes, images: &mut File) -> Result<Option<Quantised<'e>>, Error> {
    let mut row = [0; ROW_BYTES];
    for y in 0..SIDE {
        if !images.read(&mut row)? {
            return match y {
                0 => Ok(None),
                _ => Err(Error::Row(RowError::TooFew)),
            };
        }
        encoder.push(&row)?;
    }
    Ok(Some(encoder.finish()?))
}

/// Only the compiler calls this: nothing above can panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    debug::exit(debug::EXIT_FAILURE);
    stop()
}

fn stop() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
