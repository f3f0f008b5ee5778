//! Memory of the machine: one buffer for all that a step needs, laid out beforehand.

use std::rc::Rc;

use anyhow::Result;
use bytemuck::{cast_slice, cast_slice_mut};

use super::machine::{Machine, Number};

/// Slots begin at multiples of this many values: 256 bytes.
pub const ALIGNMENT: usize = 64;

/// A place in a buffer, in values of f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Where it begins.
    pub start: usize,
    /// Values in it.
    pub len: usize,
}

impl Slot {
    /// Its first values.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first(self, len: usize) -> Self {
        self.part(0, len)
    }

    /// `len` of its values from `start` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn part(self, start: usize, len: usize) -> Self {
        assert!(
            start + len <= self.len,
            "values {start}…{} of a slot of {}",
            start + len,
            self.len
        );
        Self {
            start: self.start + start,
            len,
        }
    }
}

/// Lays out a buffer: slots that live all through a step, and scratch memory that each operation
/// has for itself.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    len: usize,
    scratch: usize,
}

impl Arena {
    /// Room for `len` values.
    pub fn place(&mut self, len: usize) -> Slot {
        let slot = Slot {
            start: self.len,
            len,
        };
        self.len += len.next_multiple_of(ALIGNMENT);
        slot
    }

    /// Room for `len` values of f64.
    pub fn place_doubles(&mut self, len: usize) -> Slot {
        self.place(2 * len)
    }

    /// Sees to it that the scratch memory holds `len` values.
    pub fn need(&mut self, len: usize) {
        self.scratch = self.scratch.max(len);
    }

    /// The buffer's length in values, and where the scratch memory lies.
    pub fn finish(mut self) -> (usize, Slot) {
        let scratch = self.place(self.scratch);
        (self.len, scratch)
    }
}

/// A piece of the machine's memory.
pub struct Buffer {
    machine: Rc<dyn Machine>,
    address: u64,
    len: usize,
}

impl Buffer {
    /// Room for `len` values, which are anything.
    pub fn new(machine: &Rc<dyn Machine>, len: usize) -> Result<Self> {
        let len = len.max(1);
        Ok(Self {
            address: machine.allocate(size_of::<f32>() * len)?,
            machine: Rc::clone(machine),
            len,
        })
    }

    /// Values in it.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All of it.
    pub fn whole(&self) -> Span<'_> {
        self.at(Slot {
            start: 0,
            len: self.len,
        })
    }

    /// A part of it.
    ///
    /// # Panics
    /// If it does not hold the slot: a fault of the layout.
    pub fn at(&self, slot: Slot) -> Span<'_> {
        assert!(
            slot.start + slot.len <= self.len,
            "{slot:?} of a buffer of {} values",
            self.len
        );
        Span { buffer: self, slot }
    }
}

impl Drop for Buffer {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: `new` allocated it, and nobody else gives it back.
        unsafe { self.machine.free(self.address) };
    }
}

/// A part of a buffer.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    buffer: &'a Buffer,
    slot: Slot,
}

impl Span<'_> {
    /// Values in it.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.slot.len
    }

    /// Where the machine finds it.
    pub fn address(&self) -> u64 {
        self.buffer.address + (size_of::<f32>() * self.slot.start) as u64
    }

    /// Whether it begins on a multiple of the size of so many values.
    pub fn begins_on(&self, values: usize) -> bool {
        let bytes = (values * size_of::<f32>()) as u64;
        self.address().is_multiple_of(bytes)
    }

    /// `len` of its values from `start` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn part(&self, start: usize, len: usize) -> Self {
        Self {
            slot: self.slot.part(start, len),
            ..*self
        }
    }

    /// Replaces its values.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[allow(unsafe_code)]
    pub fn upload(&self, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.len());
        // SAFETY: `Buffer::at` has seen that the slot lies in the buffer; it holds as many bytes.
        unsafe { (self.buffer.machine).upload(cast_slice(values), self.address()) }
    }

    /// Adds its values up over all machines of a group.
    #[allow(unsafe_code)]
    pub fn reduce(&self) -> Result<()> {
        // SAFETY: `Buffer::at` has seen that the slot lies in the buffer.
        unsafe { (self.buffer.machine).reduce(self.address(), self.len(), Number::Float) }
    }

    /// The same of values that are f64.
    #[allow(unsafe_code)]
    pub fn reduce_doubles(&self) -> Result<()> {
        // SAFETY: the same; half as many f64 take no more room.
        unsafe { (self.buffer.machine).reduce(self.address(), self.len() / 2, Number::Double) }
    }

    /// Adds its values up while other work goes on, which must leave them alone until the machine
    /// has joined.
    #[allow(unsafe_code)]
    pub fn reduce_beside(&self) -> Result<()> {
        // SAFETY: as in `reduce`.
        unsafe { (self.buffer.machine).reduce_beside(self.address(), self.len()) }
    }

    /// A copy of its values.
    pub fn download(&self) -> Result<Vec<f32>> {
        let mut values = vec![0.0f32; self.len()];
        self.copy(cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// A copy of its values, which are f64.
    ///
    /// # Panics
    /// If it ends in half a one.
    pub fn download_doubles(&self) -> Result<Vec<f64>> {
        let mut values = vec![0.0f64; self.len() / 2];
        self.copy(cast_slice_mut(&mut values))?;
        Ok(values)
    }

    #[allow(unsafe_code)]
    fn copy(&self, bytes: &mut [u8]) -> Result<()> {
        assert_eq!(bytes.len(), size_of::<f32>() * self.len());
        // SAFETY: `Buffer::at` has seen that the slot lies in the buffer; it holds as many bytes.
        unsafe { self.buffer.machine.download(self.address(), bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_aligned_and_apart() {
        let mut arena = Arena::default();
        let first = arena.place(3);
        let second = arena.place_doubles(100);
        arena.need(70);
        arena.need(65);
        assert_eq!((first.start, first.len), (0, 3));
        assert_eq!((second.start, second.len), (64, 200));
        let (len, scratch) = arena.finish();
        assert_eq!((scratch.start, scratch.len), (320, 70));
        assert_eq!(len, 448);
    }
}
