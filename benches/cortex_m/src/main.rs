//! Whole images through the `edge` classifier, each between two marks.
//!
//! The parameters are random and use the whole range of weights, activations and shifts. The
//! answers from every layout of weights must be those of plain loops over whole planes.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../../core/tests/common/mod.rs"]
mod common;

use core::arch::naked_asm;
use core::mem::MaybeUninit;

use cortex_m as _;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use embedded_alloc::LlffHeap;
use vae96::model::{Record, WeightLayout};
use vae96::{Classifier, Classifies, Edge, EdgeWinograd, IMAGE_BYTES, INPUT, Network, ROW_BYTES};

use common::{File, Owned, Random, description, image, reference};

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// Bytes for models, images and the planes of the plain loops.
const HEAP_BYTES: usize = 1536 * 1024;
static mut MEMORY: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES];

/// Classes of the model: as many as CMSIS-NN was measured with.
const CLASSES: usize = 200;
const IMAGES: usize = 1;

/// Begins a region that is counted. Not the same code as [`mark_end`], or the two would be one.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn mark_begin() {
    naked_asm!("bx lr")
}

/// Ends it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn mark_end() {
    naked_asm!("nop", "bx lr")
}

#[entry]
fn main() -> ! {
    // SAFETY: nothing else refers to the memory, and nothing was allocated yet.
    unsafe { HEAP.init(&raw mut MEMORY as usize, HEAP_BYTES) }
    enable_low_overhead_loops();
    mark_begin();
    mark_end();
    hprintln!("empty");

    let mut random = Random(1);
    let mut owned = Owned::random(&mut random, Edge::LAYERS, INPUT, CLASSES);
    // As the exporter writes them: ReLU, and the whole range for it.
    for record in &mut owned.records {
        *record = Record {
            zero_point: i8::MIN,
            min: i8::MIN,
            max: i8::MAX,
            ..Record::from_bytes(*record)
        }
        .to_bytes();
    }
    let images = [(); IMAGES].map(|()| image(&mut random));
    let expected = images
        .each_ref()
        .map(|image| reference::run(Edge::LAYERS, INPUT, &owned.parameters(), &image[..]));
    for (image, expected) in images.iter().zip(&expected) {
        measure::<Edge>(WeightLayout::Portable, &owned, image, expected);
        measure::<Edge>(WeightLayout::Packed, &owned, image, expected);
        measure::<EdgeWinograd>(WeightLayout::Winograd, &owned, image, expected);
    }
    debug::exit(debug::EXIT_SUCCESS);
    fail("the emulator goes on")
}

/// Runs an image between two marks and prints the layout's name.
fn measure<N: Classifies>(
    layout: WeightLayout,
    owned: &Owned,
    image: &[u8; IMAGE_BYTES],
    expected: &[i8],
) {
    let file = File::ordered(description::<N>(), owned, false, layout);
    let Ok(mut classifier) = Classifier::<N>::new(file.bytes()) else {
        fail("the model file is refused")
    };
    let (rows, _) = image.as_chunks::<ROW_BYTES>();
    mark_begin();
    for row in rows {
        if classifier.push(row).is_err() {
            fail("a row is refused");
        }
    }
    let logits = classifier.finish();
    mark_end();
    match logits {
        Ok(logits) if logits.quantised().values == expected => hprintln!("{}", layout.name()),
        _ => fail("the answer is another one than that of plain loops"),
    }
}

/// Lets a Cortex-M55 run its loops without branches.
fn enable_low_overhead_loops() {
    #[cfg(target_abi = "eabihf")]
    {
        const CCR: *mut u32 = 0xe000_ed14 as *mut u32;
        // SAFETY: the register exists on every Cortex-M, and no interrupt is in use.
        unsafe { CCR.write_volatile(CCR.read_volatile() | 1 << 19) }
    }
}

fn fail(why: &str) -> ! {
    hprintln!("failed: {why}");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo) -> ! {
    hprintln!("failed: {info}");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
