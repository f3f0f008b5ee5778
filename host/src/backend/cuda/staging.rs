//! Copies to the GPU that it makes when it comes to them, while the program goes on.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, DriverError, PinnedHostSlice, result};

/// Bytes of a block.
const SIZE: usize = 4 << 20;

/// Blocks at most. A step takes one for each thing that it brings, so the program is a few steps
/// ahead of the GPU at most.
const MOST: usize = 8;

/// Memory of the processor that the GPU reads by itself, in blocks that take turns.
#[derive(Default)]
pub struct Staging {
    blocks: RefCell<Vec<Block>>,
    next: Cell<usize>,
}

struct Block {
    memory: PinnedHostSlice<u8>,
    /// When the GPU has read it.
    read: CudaEvent,
}

impl Block {
    fn new(stream: &CudaStream) -> Result<Self, DriverError> {
        let context = stream.context();
        Ok(Self {
            // SAFETY: its content is anything until `upload` writes it; what it has not written,
            // nobody reads.
            memory: unsafe { context.alloc_pinned(SIZE)? },
            read: context.new_event(None)?,
        })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // A driver that fails here reads no more either.
        self.read.synchronize().ok();
    }
}

impl Staging {
    /// Copies to the GPU's memory in the order of the stream. It waits for nothing but a block that
    /// the GPU has read.
    ///
    /// # Safety
    /// So many bytes must lie within one piece of memory that was allocated on the stream, or in
    /// its context.
    pub unsafe fn upload(
        &self,
        stream: &Arc<CudaStream>,
        bytes: &[u8],
        to: u64,
    ) -> Result<(), DriverError> {
        let mut blocks = self.blocks.borrow_mut();
        for (index, part) in bytes.chunks(SIZE).enumerate() {
            let turn = self.next.replace((self.next.get() + 1) % MOST);
            if turn == blocks.len() {
                blocks.push(Block::new(stream)?);
            }
            let Block { memory, read } = &mut blocks[turn];
            read.synchronize()?;
            let staged = &mut memory.as_mut_slice()?[..part.len()];
            staged.copy_from_slice(part);
            // SAFETY: the caller's promise of the address; the block is neither written nor given
            // back before `read` says that the copy is done.
            unsafe {
                result::memcpy_htod_async(to + (index * SIZE) as u64, staged, stream.cu_stream())?;
            }
            read.record(stream)?;
        }
        Ok(())
    }
}
