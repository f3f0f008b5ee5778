//! What the networks need of a GPU: memory, copies, launches.
//!
//! The GPU itself is one implementation (`device`); the tests have another that
//! runs the same kernels on the processor.

use std::ffi::c_void;

use anyhow::{Result, bail};
use bytemuck::{NoUninit, bytes_of, bytes_of_mut, cast_slice};

use super::memory::Span;
use crate::backend::Precision;

/// One kernel's start. Work of a machine is done in the order in which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Blocks along three axes.
    pub grid: [u32; 3],
    /// Threads of a block along three axes.
    pub block: [u32; 3],
}

/// What values are that are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// f32.
    Float,
    /// f64.
    Double,
}

/// How much memory there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is not in use by anyone.
    pub free: usize,
    /// What there is of it.
    pub all: usize,
}

/// Something that runs kernels on memory of its own.
pub trait Machine {
    /// What it is, in a few words for the user.
    fn name(&self) -> String;

    /// The kind of machine that it is, which gives the same bits as others of its kind.
    fn model(&self) -> String {
        self.name()
    }

    /// Which of the kernels' programs it runs.
    fn precision(&self) -> Precision;

    /// Its memory now; what was given back is free.
    fn room(&self) -> Result<Room>;

    /// The address of new memory, of a multiple of 256; its content is anything.
    ///
    /// # Errors
    /// Where there is not enough; the message tells how much was wanted.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives memory back once the work that was asked for before is done.
    ///
    /// # Safety
    /// The address must be of [`allocate`](Self::allocate) and not have been given back.
    unsafe fn free(&self, address: u64);

    /// Copies to the machine. The bytes may change as soon as this is back.
    ///
    /// # Safety
    /// So many bytes must lie within one piece of allocated memory.
    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()>;

    /// Copies from the machine when all work asked for before is done.
    ///
    /// # Safety
    /// So many bytes must lie within one piece of allocated memory.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Asks for a kernel. It starts at the latest when a copy, a sum, a join or the room is asked for,
    /// memory is given back, or [`flush`](Self::flush) is called; that it cannot start may be an error of the
    /// next of these.
    ///
    /// # Safety
    /// The arguments must be values of the kernel's parameters, one each, in their order; the
    /// kernel must find memory wherever it reads or writes.
    unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()>;

    /// Adds up values over all machines of a group, each of which gets the sums. Every machine must
    /// ask for the same sums in the same order, as for those [beside](Self::reduce_beside).
    ///
    /// # Safety
    /// So many values of that kind must lie within one piece of allocated memory.
    unsafe fn reduce(&self, address: u64, len: usize, number: Number) -> Result<()> {
        let _ = (address, len, number);
        bail!("{} is in no group", self.name())
    }

    /// The same of f32, of what work asked for before has made, while work asked for later goes on:
    /// the sums are there after [`join`](Self::join), and nothing may touch the values before.
    ///
    /// # Safety
    /// As for [`reduce`](Self::reduce).
    unsafe fn reduce_beside(&self, address: u64, len: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.reduce(address, len, Number::Float) }
    }

    /// Work asked for after this begins when the sums beside are done.
    fn join(&self) -> Result<()> {
        Ok(())
    }

    /// Starts what was asked for, so that the machine works while the program goes on.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// A value that a kernel gets.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a>(Value<'a>);

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    /// Its bytes, and how many they are.
    Here([u64; 5], usize),
    /// Where it lies.
    There(&'a [u8]),
}

impl<'a> Argument<'a> {
    /// A null pointer.
    pub const NONE: Self = Self(Value::Here([0; 5], size_of::<u64>()));

    /// A value that has the kernel's representation.
    pub fn value(value: impl NoUninit) -> Self {
        let mut bytes = [0u64; 5];
        let value = bytes_of(&value);
        bytes_of_mut(&mut bytes)[..value.len()].copy_from_slice(value);
        Self(Value::Here(bytes, value.len()))
    }

    /// A long value that is made of words.
    pub fn words(value: &'a [i32]) -> Self {
        Self::there(cast_slice(value))
    }

    /// A value whose representation lies there.
    pub(super) fn there(bytes: &'a [u8]) -> Self {
        Self(Value::There(bytes))
    }

    /// The value's representation.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Value::Here(bytes, len) => &bytes_of(bytes)[..*len],
            Value::There(bytes) => bytes,
        }
    }
}

/// Where the values lie; nobody writes there.
pub fn pointers(arguments: &[Argument]) -> Vec<*mut c_void> {
    let pointer = |argument: &Argument| argument.bytes().as_ptr().cast_mut().cast();
    arguments.iter().map(pointer).collect()
}

impl<'a> From<Span<'a>> for Argument<'a> {
    fn from(span: Span<'a>) -> Self {
        Self::value(span.address())
    }
}

impl<'a> From<Option<Span<'a>>> for Argument<'a> {
    fn from(span: Option<Span<'a>>) -> Self {
        span.map_or(Self::NONE, Self::from)
    }
}

impl From<i32> for Argument<'_> {
    fn from(value: i32) -> Self {
        Self::value(value)
    }
}

impl From<bool> for Argument<'_> {
    fn from(value: bool) -> Self {
        Self::value(i32::from(value))
    }
}

impl From<f32> for Argument<'_> {
    fn from(value: f32) -> Self {
        Self::value(value)
    }
}

impl From<f64> for Argument<'_> {
    fn from(value: f64) -> Self {
        Self::value(value)
    }
}
