//! What of the memory is in use, from the linker's symbols and the paint on the stack.

/// What the start-up code fills the stack with (feature `paint-stack` of cortex-m-rt).
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    // Not variables: their addresses are what the linker has to say.
    static __vector_table: u32;
    static __sidata: u32;
    static __sdata: u32;
    static __edata: u32;
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes between two of the linker's symbols.
fn between(low: *const u32, high: *const u32) -> usize {
    high.addr() - low.addr()
}

/// Bytes of code, constants and initial values in flash, vectors included.
pub fn flash_bytes() -> usize {
    between(&raw const __vector_table, &raw const __sidata)
        + between(&raw const __sdata, &raw const __edata)
}

/// Bytes of statics.
pub fn static_bytes() -> usize {
    between(&raw const __sdata, &raw const _stack_end)
}

/// Bytes of memory.
pub fn ram_bytes() -> usize {
    between(&raw const __sdata, &raw const _stack_start)
}

/// Bytes of stack that have been in use since the program began.
pub fn peak_stack_bytes() -> usize {
    let top = &raw const _stack_start;
    let mut word = &raw const _stack_end;
    // SAFETY: the linker gave the words from `_stack_end` up to `_stack_start` to the stack, and
    // they are aligned. Nothing else is read, and nothing is written.
    while word < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    between(word, top)
}
