//! Wrong input on the device: the tests of `core/tests/refusals.rs`.
#![no_std]
#![no_main]

#[path = "../../../../tests/common/refusals.rs"]
mod refusals;

use cortex_m as _;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use vae96::{Aligned, Classifier, Edge};

static MODEL: &Aligned<[u8]> = vae96::include_model!("../../../../../tests/fixtures/edge-conv.v96");

const LENGTH: usize = include_bytes!("../../../../../tests/fixtures/edge-conv.v96").len();

#[entry]
fn main() -> ! {
    static mut CLASSIFIER: Option<Classifier<'static, Edge>> = None;
    static mut MEMORY: Aligned<[u8; LENGTH + refusals::SPARE]> =
        Aligned([0; LENGTH + refusals::SPARE]);

    let (mut passed, mut failed) = (0, 0);
    let mut expect = |what: &str, is_right: bool| {
        if is_right {
            passed += 1;
        } else {
            failed += 1;
            hprintln!("not as it should be: {}", what);
        }
    };
    MEMORY[..LENGTH].copy_from_slice(MODEL);
    refusals::models(&mut MEMORY[..], LENGTH, &mut expect);
    match Classifier::new(MODEL) {
        Ok(classifier) => {
            let classifier = CLASSIFIER.insert(classifier);
            refusals::rows(classifier, &mut expect);
            refusals::taught(classifier.model(), &mut expect);
        }
        Err(_) => expect("the model is accepted", false),
    }
    refusals::frames(&mut expect);
    hprintln!("refusals: {} right, {} wrong", passed, failed);
    debug::exit(if failed == 0 {
        debug::EXIT_SUCCESS
    } else {
        debug::EXIT_FAILURE
    });
    stop()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    stop()
}

fn stop() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
