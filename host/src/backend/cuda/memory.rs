//! Memory of the machine: one buffer for all that a step needs, laid out beforehand.

use std::rc::Rc;

use anyhow::Result;
use bytemuck::{cast_slice, cast_slice_mut};
use half::bf16;
use half::slice::HalfFloatSliceExt;

use super::machine::{Machine, Number};
use crate::backend::Precision;

/// Slots begin at multiples of this many words: 256 bytes.
pub const ALIGNMENT: usize = 64;

/// Bytes of a word, by which memory is laid out: those of an f32.
const WORD: usize = size_of::<f32>();

/// What values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// f32.
    #[default]
    F32,
    /// f32 rounded to 8 bits of precision.
    Bf16,
}

impl Kind {
    /// What the values between layers are, and their gradients: as exact as factors of products.
    pub fn of_layers(precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::Tf32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::Bf16 => size_of::<bf16>(),
        }
    }

    /// The words that hold so many values.
    pub fn words(self, len: usize) -> usize {
        (self.bytes() * len).div_ceil(WORD)
    }
}

/// A place in a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The word where it begins.
    pub start: usize,
    /// Values in it.
    pub len: usize,
    /// What they are.
    pub kind: Kind,
}

impl Slot {
    /// So many f32 from that word on.
    pub fn floats(start: usize, len: usize) -> Self {
        Self {
            start,
            len,
            kind: Kind::F32,
        }
    }

    /// The words that it takes.
    pub fn words(self) -> usize {
        self.kind.words(self.len)
    }

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
    /// If there are fewer, or the first is within a word.
    pub fn part(self, start: usize, len: usize) -> Self {
        assert!(
            start + len <= self.len,
            "values {start}…{} of a slot of {}",
            start + len,
            self.len
        );
        let bytes = self.kind.bytes() * start;
        assert!(bytes.is_multiple_of(WORD), "value {start} is within a word");
        Self {
            start: self.start + bytes / WORD,
            len,
            ..self
        }
    }
}

/// Lays out a buffer: slots that live all through a step, and scratch memory that each operation
/// has for itself.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    /// What layers' values are.
    kind: Kind,
    len: usize,
    scratch: usize,
}

impl Arena {
    /// For passes in that precision.
    pub fn new(precision: Precision) -> Self {
        Self {
            kind: Kind::of_layers(precision),
            ..Self::default()
        }
    }

    /// What layers' values are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Room for `len` f32.
    pub fn place(&mut self, len: usize) -> Slot {
        self.place_as(Kind::F32, len)
    }

    /// Room for `len` values of layers, or gradients of these.
    pub fn place_values(&mut self, len: usize) -> Slot {
        self.place_as(self.kind, len)
    }

    /// Room for `len` values of that kind.
    pub fn place_as(&mut self, kind: Kind, len: usize) -> Slot {
        let slot = Slot {
            start: self.len,
            len,
            kind,
        };
        self.len += slot.words().next_multiple_of(ALIGNMENT);
        slot
    }

    /// Room for `len` values of f64.
    pub fn place_doubles(&mut self, len: usize) -> Slot {
        self.place(2 * len)
    }

    /// Sees to it that the scratch memory holds `len` words.
    pub fn need(&mut self, len: usize) {
        self.scratch = self.scratch.max(len);
    }

    /// The buffer's length in words, and where the scratch memory lies.
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
    /// Room for `len` words, which are anything.
    pub fn new(machine: &Rc<dyn Machine>, len: usize) -> Result<Self> {
        let len = len.max(1);
        Ok(Self {
            address: machine.allocate(WORD * len)?,
            machine: Rc::clone(machine),
            len,
        })
    }

    /// Words in it.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All of it, as f32.
    pub fn whole(&self) -> Span<'_> {
        self.at(Slot::floats(0, self.len))
    }

    /// A part of it.
    ///
    /// # Panics
    /// If it does not hold the slot: a fault of the layout.
    pub fn at(&self, slot: Slot) -> Span<'_> {
        assert!(
            slot.start + slot.words() <= self.len,
            "{slot:?} of a buffer of {} words",
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

    /// What they are.
    pub fn kind(&self) -> Kind {
        self.slot.kind
    }

    /// The memory that it takes, as f32.
    pub fn words(&self) -> Self {
        Self {
            slot: Slot::floats(self.slot.start, self.slot.words()),
            ..*self
        }
    }

    /// Where the machine finds it.
    pub fn address(&self) -> u64 {
        self.buffer.address + (WORD * self.slot.start) as u64
    }

    /// Whether it begins on a multiple of the size of so many values.
    pub fn begins_on(&self, values: usize) -> bool {
        let bytes = (values * self.kind().bytes()) as u64;
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

    /// Replaces its values by these, rounded to what it holds.
    ///
    /// # Panics
    /// If there are more or fewer.
    pub fn upload(&self, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.len());
        match self.kind() {
            Kind::F32 => self.upload_bytes(cast_slice(values)),
            Kind::Bf16 => {
                let mut rounded = vec![bf16::ZERO; values.len()];
                rounded.convert_from_f32_slice(values);
                self.upload_bytes(cast_slice::<u16, u8>(rounded.reinterpret_cast()))
            }
        }
    }

    #[allow(unsafe_code)]
    fn upload_bytes(&self, bytes: &[u8]) -> Result<()> {
        assert_eq!(bytes.len(), self.kind().bytes() * self.len());
        // SAFETY: `Buffer::at` has seen that the slot lies in the buffer; it holds as many bytes.
        unsafe { (self.buffer.machine).upload(bytes, self.address()) }
    }

    /// Adds its values, f32, up over all machines of a group.
    #[allow(unsafe_code)]
    pub fn reduce(&self) -> Result<()> {
        assert_eq!(self.kind(), Kind::F32);
        // SAFETY: `Buffer::at` has seen that the slot lies in the buffer.
        unsafe { (self.buffer.machine).reduce(self.address(), self.len(), Number::Float) }
    }

    /// The same of values that are f64.
    #[allow(unsafe_code)]
    pub fn reduce_doubles(&self) -> Result<()> {
        assert_eq!(self.kind(), Kind::F32);
        // SAFETY: the same; half as many f64 take no more room.
        unsafe { (self.buffer.machine).reduce(self.address(), self.len() / 2, Number::Double) }
    }

    /// Adds its values up while other work goes on, which must leave them alone until the machine
    /// has joined.
    #[allow(unsafe_code)]
    pub fn reduce_beside(&self) -> Result<()> {
        assert_eq!(self.kind(), Kind::F32);
        // SAFETY: as in `reduce`.
        unsafe { (self.buffer.machine).reduce_beside(self.address(), self.len()) }
    }

    /// A copy of its values.
    pub fn download(&self) -> Result<Vec<f32>> {
        match self.kind() {
            Kind::F32 => {
                let mut values = vec![0.0f32; self.len()];
                self.copy(cast_slice_mut(&mut values))?;
                Ok(values)
            }
            Kind::Bf16 => {
                let mut bits = vec![0u16; self.len()];
                self.copy(cast_slice_mut(&mut bits))?;
                Ok((bits.iter().map(|&bits| bf16::from_bits(bits).to_f32())).collect())
            }
        }
    }

    /// A copy of its values, which are f64.
    ///
    /// # Panics
    /// If it ends in half a one.
    pub fn download_doubles(&self) -> Result<Vec<f64>> {
        assert_eq!(self.kind(), Kind::F32);
        let mut values = vec![0.0f64; self.len() / 2];
        self.copy(cast_slice_mut(&mut values))?;
        Ok(values)
    }

    #[allow(unsafe_code)]
    fn copy(&self, bytes: &mut [u8]) -> Result<()> {
        assert_eq!(bytes.len(), self.kind().bytes() * self.len());
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

    #[test]
    fn two_rounded_values_are_a_word() {
        let mut arena = Arena::new(Precision::Bf16);
        let odd = arena.place_values(129);
        assert_eq!((odd.words(), odd.part(2, 127).start), (65, 1));
        assert_eq!(arena.place(1).start, 2 * ALIGNMENT);
        let mut exact = Arena::new(Precision::Tf32);
        assert_eq!(exact.place_values(129).words(), 129);
    }
}
