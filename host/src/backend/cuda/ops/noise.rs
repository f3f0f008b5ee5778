//! Noise: `kernels/noise.cu`.

use anyhow::Result;

use super::{Gpu, int};
use crate::backend::Stream;
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Span;

/// Values that a thread makes: those of one of ChaCha's blocks.
const MADE: usize = 8;

/// The kernel's `Stream`: key and nonce.
pub(super) fn words(stream: &Stream) -> [u32; 10] {
    let mut words = [0; 10];
    let (key, nonce) = words.split_at_mut(8);
    for (word, bytes) in key.iter_mut().zip(stream.key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    nonce.copy_from_slice(&[stream.nonce as u32, (stream.nonce >> 32) as u32]);
    words
}

impl Gpu {
    /// A stream's values of N(0, 1): [`Stream::normal`] but for the rounding of its functions.
    pub fn normal(&self, stream: &Stream, out: Span) -> Result<()> {
        let threads = (stream.start % MADE + out.len()).div_ceil(MADE);
        let start = int(stream.start)?;
        let stream = Argument::value(words(stream));
        let len = int(out.len())?;
        self.each("normal", threads, &[stream, start, len, out.into()])
    }
}
