//! What a computation costs: executed instructions in the emulator, clock cycles on a board.
//!
//! The emulator's plugin (count.c) watches for calls of the marks. A board's core counts cycles
//! itself, unless it is a Cortex-M0; the emulator's stands still.

use core::arch::naked_asm;

#[cfg(cycle_counter)]
use cortex_m::peripheral::DWT;

/// Adds up what is measured.
pub struct Meter {
    cycles: u64,
}

impl Meter {
    /// Starts the core's counter.
    pub fn start() -> Self {
        #[cfg(cycle_counter)]
        if let Some(mut peripherals) = cortex_m::Peripherals::take() {
            peripherals.DCB.enable_trace();
            peripherals.DWT.enable_cycle_counter();
        }
        Self { cycles: 0 }
    }

    /// Does `work`, and counts it.
    #[inline(always)]
    pub fn measure<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = cycles();
        mark_begin();
        let result = work();
        mark_end();
        self.cycles += u64::from(cycles().wrapping_sub(before));
        result
    }

    /// Prints the sum, and starts over.
    pub fn report(&mut self) {
        mark_report();
        if self.cycles > 0 {
            cortex_m_semihosting::hprintln!("cycles {}", self.cycles);
        }
        self.cycles = 0;
    }
}

#[cfg(cycle_counter)]
fn cycles() -> u32 {
    DWT::cycle_count()
}

#[cfg(not(cycle_counter))]
fn cycles() -> u32 {
    0
}

// Bodies that differ, or the linker would make one function of them.

#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn mark_begin() {
    naked_asm!("bx lr")
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn mark_end() {
    naked_asm!("nop", "bx lr")
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn mark_report() {
    naked_asm!("nop", "nop", "bx lr")
}
