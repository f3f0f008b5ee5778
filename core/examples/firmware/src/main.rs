//! A classifier on a Cortex-M: rows go in as a camera sends them, a class and its score come out.
//!
//! The program talks over semihosting, so it runs in an emulator and under a debugger alike.
//! Without arguments it looks at the frames that are built into it; with `IMAGES ANSWERS` it reads
//! raw 96×96 RGB images from a file of the host, and writes the 8-bit logits of each to another.
#![no_std]
#![no_main]

mod frames;
mod host_file;
mod memory;
mod meter;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use vae96::{Aligned, Classifier, Logits, ModelError, ROW_BYTES, RowError, SIDE};

use frames::{FRAMES, Frame};
use host_file::FileError;
use meter::Meter;

include!(concat!(env!("OUT_DIR"), "/network.rs"));

/// The model, in flash and used in place.
static MODEL: &Aligned<[u8]> = vae96::include_model!(concat!(env!("OUT_DIR"), "/model.v96"));

type Eyes = Classifier<'static, Network>;

#[entry]
fn main() -> ! {
    // The entry point may have a static of its own; line buffers on the stack would do as well.
    static mut CLASSIFIER: Option<Eyes> = None;

    match run(CLASSIFIER) {
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
    File(FileError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

fn run(classifier: &'static mut Option<Eyes>) -> Result<(), Error> {
    let classifier = classifier.insert(Classifier::new(MODEL)?);
    if !answer(classifier)? {
        let mut meter = Meter::start();
        for frame in &FRAMES {
            look(classifier, &mut meter, frame)?;
        }
    }
    let model = classifier.model().flash_bytes();
    hprintln!(
        "model {} bytes of {} of flash",
        model,
        memory::flash_bytes()
    );
    hprintln!(
        "classifier {} bytes of {} of statics",
        size_of::<Eyes>(),
        memory::static_bytes()
    );
    hprintln!("stack {} bytes at the most", memory::peak_stack_bytes());
    hprintln!("RAM {} bytes", memory::ram_bytes());
    Ok(())
}

/// Classifies a frame that arrives row by row, as by DMA from a camera. Rows of other formats and
/// sizes pass through a [`vae96::FrameStream`] first.
fn look(classifier: &mut Eyes, meter: &mut Meter, frame: &Frame) -> Result<(), Error> {
    for row in frame.rows() {
        meter.measure(|| classifier.push(row))?;
    }
    let logits = meter.measure(|| classifier.finish())?;
    report(frame.name, &logits);
    meter.report();
    Ok(())
}

// What prints and reads is kept out of line: its buffers are off the stack while an image is
// computed.

#[inline(never)]
fn report(name: &str, logits: &Logits<'_>) {
    for best in logits.top_k::<1>() {
        // In integers: the library's code that prints a float has a kilobyte of buffers.
        let thousandths = (best.probability * 1000.0 + 0.5) as u32;
        hprintln!(
            "frame {}: class {} {}, score {}/1000",
            name,
            best.class,
            best.name.unwrap_or("(no name)"),
            thousandths
        );
    }
}

/// Classifies each image of a file of the host, and writes its logits to another, where the
/// command line names them.
#[inline(never)]
fn answer(classifier: &mut Eyes) -> Result<bool, Error> {
    let Some([mut images, mut answers]) = host_file::open_arguments()? else {
        return Ok(false);
    };
    let mut row = [0; ROW_BYTES];
    let mut count = 0;
    while images.read(&mut row)? {
        classifier.push(&row)?;
        for _ in 1..SIDE {
            if !images.read(&mut row)? {
                return Err(Error::Row(RowError::TooFew));
            }
            classifier.push(&row)?;
        }
        let logits = classifier.finish()?;
        for logit in logits.quantised().values {
            answers.write(&logit.to_le_bytes())?;
        }
        count += 1;
    }
    hprintln!("images {}", count);
    Ok(true)
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
