//! Convolutions with [packed](crate::packing) weights, on every machine: pixels are packed as the
//! weights are, the inner loops give 32-bit sums, and those are requantised.
//!
//! A row is computed some pixels at a time, all channels of them. Each pair of pixels gives a
//! share to the pixel before it, after it, or both; where that is one of the pixels computed
//! before or after, the share waits as a *carry* of its channel.

#[cfg(thumb2)]
use super::armv7em as inner;
#[cfg(not(thumb2))]
use super::wide as inner;
use super::{Channel, Channels, Rows};
use crate::packing::{PackedWindow, Packing, SHIFT};

/// What is added to a coefficient of a polynomial that others lie above, so that it is positive.
const HALF: i64 = 1 << (SHIFT - 1);

/// First value of sums of three coefficients.
pub(crate) const START: i64 = HALF + (HALF << SHIFT);

/// One row of a convolution's output, of `pixels × output channels`.
#[inline(always)]
pub(crate) fn conv_row(
    rows: &Rows<'_>,
    packing: Packing,
    weights: &[i32],
    channels: &Channels<'_>,
    scratch: &mut [i32],
    output: &mut [i8],
) {
    let row = Row {
        rows,
        packing,
        weights,
        channels,
    };
    // The columns of each word's two pixels, counted from the leftmost that a window sees, and
    // how many halves each sum contains after two runs or one.
    match packing.window {
        PackedWindow::Unit3 => row.compute(
            [(1, 2), (3, 4)],
            4,
            [1, 1, 2, 1, 1, 0].map(|halves| halves * (packing.runs / 2)),
            scratch,
            output,
        ),
        PackedWindow::Halving3 => row.compute(
            [
                (2, 4),
                (6, 8),
                (10, 12),
                (14, 16),
                (1, 3),
                (5, 7),
                (9, 11),
                (13, 15),
            ],
            16,
            [1, 1, 1, 1, 1, 1, 1, 1, 0].map(|halves| halves * packing.runs),
            scratch,
            output,
        ),
        PackedWindow::Halving5 => row.compute(
            [(2, 4), (6, 8), (3, 5), (7, 9)],
            8,
            [1, 2, 2, 2, 1, 0].map(|halves| halves * packing.runs),
            scratch,
            output,
        ),
    }
}

/// A row to compute.
struct Row<'a> {
    rows: &'a Rows<'a>,
    packing: Packing,
    weights: &'a [i32],
    channels: &'a Channels<'a>,
}

impl Row<'_> {
    /// Computes it; `stride` is the columns from one group of pixels to the next.
    #[inline(always)]
    fn compute<const WORDS: usize, const SUMS: usize>(
        &self,
        columns: [(usize, usize); WORDS],
        stride: usize,
        halves: [usize; SUMS],
        scratch: &mut [i32],
        output: &mut [i8],
    ) {
        let packing = self.packing;
        let count = self.channels.bias.len();
        let (pixels, behind) = (packing.window.pixels(), packing.window.behind());
        let Some((packed, scratch)) = scratch.split_at_mut_checked(packing.steps() * WORDS) else {
            return;
        };
        let Some((starts, scratch)) = scratch.split_at_mut_checked(packing.start_words()) else {
            return;
        };
        let Some(carries) = scratch.get_mut(..packing.carries() * count) else {
            return;
        };
        // What is taken off a sum when it begins: for a carry, what the next pixels add as well.
        let own = halves.map(|halves| (halves as i32).wrapping_mul(HALF as i32));
        let mut halves = own;
        for (halves, next) in halves.iter_mut().skip(pixels).zip(own) {
            *halves = halves.wrapping_add(next);
        }
        let first = own.get(behind).copied().unwrap_or_default();

        // The first column is padding.
        let padding = i32::from(self.rows.ring.first().copied().unwrap_or_default());
        let bias = self.channels.bias.iter();
        for (carry, (words, &bias)) in carries
            .chunks_exact_mut(packing.carries().max(1))
            .zip(self.words().zip(bias))
        {
            let left = words.first().copied().unwrap_or_default();
            if let Some(carry) = carry.last_mut() {
                *carry = (bias.wrapping_add(left.wrapping_mul(padding))).wrapping_sub(first);
            }
        }

        let groups = (output.len() / count.max(1)) / pixels.max(1);
        for group in 0..groups {
            self.pack(columns, group * stride, packed);
            start(packed, starts);
            let carries = carries.chunks_exact_mut(packing.carries().max(1));
            let channels = self.channels.iter().zip(self.words()).zip(carries);
            for (at, ((channel, words), carry)) in channels.enumerate() {
                let mut sums = halves.map(|halves| channel.bias.wrapping_sub(halves));
                for (sum, &carried) in sums.iter_mut().zip(carry.iter()) {
                    *sum = carried;
                }
                let steps = words.get(2..).unwrap_or_default();
                self.sum(packed, steps, starts, &mut sums);
                let (done, carried) = sums.split_at_checked(pixels).unwrap_or_default();
                for (carry, &carried) in carry.iter_mut().zip(carried) {
                    *carry = carried;
                }
                // Where there is no pixel before the first one, there is no place for it either.
                let first = (group * pixels).wrapping_sub(behind);
                self.finish(
                    done,
                    channel,
                    first.wrapping_mul(count).wrapping_add(at),
                    output,
                );
            }
        }
        if behind > 0 {
            let carries = carries.chunks_exact(packing.carries().max(1));
            let channels = self.channels.iter().zip(self.words()).zip(carries);
            let last = (groups * pixels).wrapping_sub(1).wrapping_mul(count);
            for (at, ((channel, words), carry)) in channels.enumerate() {
                let right = words.get(1).copied().unwrap_or_default();
                let carry = carry.first().copied().unwrap_or_default();
                // There are no next pixels that would add to it.
                let sum = carry.wrapping_add(right.wrapping_mul(padding));
                let sum = sum.wrapping_add(own.first().copied().unwrap_or_default());
                self.finish(&[sum], channel, last.wrapping_add(at), output);
            }
        }
    }

    /// The words of one output channel after the other.
    #[inline(always)]
    fn words(&self) -> impl Iterator<Item = &[i32]> {
        let length = self.packing.channel_words().max(1);
        let mut words = self.weights.chunks_exact(length);
        // Zipped as they are, chunks are counted by a division whose panic the linker may keep.
        core::iter::from_fn(move || words.next())
    }

    /// Packs the pixels of all steps from column `first` on.
    #[inline(always)]
    fn pack<const WORDS: usize>(
        &self,
        columns: [(usize, usize); WORDS],
        first: usize,
        packed: &mut [i32],
    ) {
        let inputs = self.rows.channels;
        let width = columns.iter().fold(0, |width, &(a, b)| a.max(b).max(width)) * inputs + 1;
        let rows = packed.chunks_exact_mut((inputs * WORDS).max(1));
        for (packed, row) in rows.zip(self.rows.top_to_bottom()) {
            let row = row.get(first * inputs..).unwrap_or_default();
            let (steps, _) = packed.as_chunks_mut::<WORDS>();
            for (words, pixels) in steps.iter_mut().zip(row.windows(width.max(1))) {
                let pixel = |column| match pixels.get(column * inputs) {
                    Some(&value) => i32::from(value),
                    None => 0,
                };
                for (word, (a, b)) in words.iter_mut().zip(columns) {
                    *word = pixel(a) + (pixel(b) << SHIFT);
                }
            }
        }
    }

    #[inline(always)]
    fn sum<const SUMS: usize>(
        &self,
        pixels: &[i32],
        weights: &[i32],
        starts: &[i32],
        sums: &mut [i32; SUMS],
    ) {
        let Packing { run, runs, .. } = self.packing;
        match self.packing.window {
            PackedWindow::Unit3 => inner::unit3(pixels, weights, starts, sums, run, runs),
            PackedWindow::Halving3 => inner::halving3(pixels, weights, sums, run, runs),
            PackedWindow::Halving5 => inner::halving5(pixels, weights, sums, run, runs),
        }
    }

    /// Puts the activations of one channel, from place `at` of the output on.
    #[inline(always)]
    fn finish(&self, sums: &[i32], channel: Channel, at: usize, output: &mut [i8]) {
        // One instruction clamps to all there is: the choice is made outside the loop.
        if self.channels.clamps() {
            self.put::<true>(sums, channel, at, output);
        } else {
            self.put::<false>(sums, channel, at, output);
        }
    }

    #[inline(always)]
    fn put<const CLAMPS: bool>(
        &self,
        sums: &[i32],
        channel: Channel,
        at: usize,
        output: &mut [i8],
    ) {
        for (pixel, &sum) in sums.iter().enumerate() {
            let place = at.wrapping_add(pixel.wrapping_mul(self.channels.bias.len()));
            if let Some(output) = output.get_mut(place) {
                *output = self.channels.narrow_activation::<CLAMPS>(sum, channel);
            }
        }
    }
}

/// First values of a 3×3 window's sums for each two runs: they take off the 128 that is in every
/// weight, and put back what goes with the weights between the fields.
#[inline(always)]
fn start(packed: &[i32], starts: &mut [i32]) {
    let parts = starts.len() / 8;
    if parts == 0 {
        return;
    }
    let starts = starts.chunks_exact_mut(8);
    for (start, packed) in starts.zip(&mut packed.chunks_exact((packed.len() / parts).max(1))) {
        let (steps, _) = packed.as_chunks::<2>();
        let [a, b] = steps
            .iter()
            .fold([START + (HALF << 8); 2], |[a, b], &[x, y]| {
                [a - 128 * i64::from(x), b - 128 * i64::from(y)]
            });
        let sums = [a, b, HALF, HALF];
        let words = sums
            .iter()
            .flat_map(|&sum| [sum as i32, (sum >> 32) as i32]);
        for (start, word) in start.iter_mut().zip(words) {
            *start = word;
        }
    }
}
