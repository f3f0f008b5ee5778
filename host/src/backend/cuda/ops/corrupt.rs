//! Images hidden in part or made noisy: `kernels/corrupt.cu`.

use anyhow::Result;

use super::noise::words;
use super::{Gpu, THREADS, check, int};
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Span;
use crate::backend::{Corruption, PATCH, Stream};

/// Values that a thread makes noisy: one for each word of a block of ChaCha.
const MADE: usize = 16;

impl Gpu {
    /// Corrupts images of `side × side` pixels in place: [`Corruption::apply`] but for rounding. The
    /// stream is the first image's; each next one has the next nonce.
    pub fn corrupt(
        &self,
        corruption: Corruption,
        stream: &Stream,
        side: usize,
        images: Span,
    ) -> Result<()> {
        assert_eq!(
            stream.start, 0,
            "its first numbers are those of the first values"
        );
        let len = side * side * 3;
        let count = images.len() / len;
        self.check_values(&[images]);
        check(images, count * len);
        int(images.len())?;
        let stream = Argument::value(words(stream));
        if corruption.noise > 0.0 {
            let blocks = len.div_ceil(MADE * THREADS);
            let reach = corruption.reach();
            self.launch(
                "add_noise",
                [blocks, count, 1],
                [THREADS, 1, 1],
                &[stream, int(len)?, reach.into(), images.into()],
            )?;
        }
        if corruption.mask > 0.0 {
            // The words that noise has taken.
            let before = if corruption.noise > 0.0 { len } else { 0 };
            // As `rand` draws what has that chance.
            let limit = (corruption.mask * 2f64.powi(64)) as u64;
            let all = corruption.mask >= 1.0;
            self.launch(
                "hide_patches",
                [side.div_ceil(PATCH).pow(2), count, 1],
                [PATCH, PATCH, 1],
                &[
                    stream,
                    int(before)?,
                    Argument::value(limit),
                    all.into(),
                    int(side)?,
                    images.into(),
                ],
            )?;
        }
        Ok(())
    }
}
