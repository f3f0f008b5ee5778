//! 3×3 convolutions of stride 1 by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray, 2016),
//! in exact integers: 16 multiplies give four sums of 9 products.
//!
//! A *tile* is the 4×4 pixels d that the windows of 2×2 outputs see. With
//!
//! ```text
//!      ⎡1  0 −1  0⎤       ⎡1  0  0⎤        ⎡2  1  1  0⎤
//! Bᵀ = ⎢0  1  1  0⎥   G = ⎢1  1  1⎥   Aᵀ = ⎣0  1 −1 −2⎦
//!      ⎢0 −1  1  0⎥       ⎢1 −1  1⎥
//!      ⎣0  1  0 −1⎦       ⎣0  0  1⎦
//! ```
//!
//! four times the outputs for weights g are `Aᵀ ((G g Gᵀ) ⊙ (Bᵀ d B)) A`, summed over the input
//! channels before A is applied; the halves of the textbook's G are in A here, so that nothing is
//! rounded. Of 8-bit numbers, `G g Gᵀ` is within ±9 × 127 and `Bᵀ d B` within ±4 × 128: both fit
//! halves of a word, and a dual multiply takes two channels at once.
//!
//! Two rows of the output are computed together. All their tiles are transformed first; then two
//! output channels after the other have some of their weights transformed, multiplied with all
//! tiles, three tiles at a time, and thrown away.

#[cfg(dsp)]
use super::armv7em::{halves, winograd as inner};
#[cfg(not(dsp))]
use super::halves;
use super::{Channel, Channels, Rows};
use crate::layer::{Op, Shape, Window};
#[cfg(not(dsp))]
use plain as inner;

/// Tiles multiplied together.
pub(super) const TILES: usize = 3;

/// Output channels multiplied together.
pub(super) const CHANNELS: usize = 2;

/// Values of a transformed tile, a channel.
pub(super) const POINTS: usize = 16;

/// Input channels in a word of activations or weights.
const QUAD: usize = 4;

/// Input channels whose weights are held transformed.
const CHUNK: usize = 32;

/// Pairs of input channels in a chunk: a word each, once they are transformed.
pub(super) const PAIRS: usize = CHUNK / 2;

/// Words of three transformed tiles, a chunk of channels.
pub(super) const PIXELS: usize = POINTS * PAIRS * TILES;

/// Words of two output channels' transformed weights, a chunk of input channels.
pub(super) const WEIGHTS: usize = POINTS * PAIRS * CHANNELS;

/// Sums of three tiles with two channels.
pub(super) const SUMS: usize = POINTS * CHANNELS * TILES;

/// Sums from one point to the next.
pub(super) const POINT: usize = CHANNELS * TILES;

/// How a convolution runs so: all that follows from its shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Winograd {
    /// Input channels.
    inputs: usize,
    /// Pixels of an output row.
    width: usize,
}

impl Winograd {
    /// Rows of input for two of output.
    pub const ROWS: usize = 4;

    /// That of a convolution from `input` to `output`, if it can run so: the rows that it hands to
    /// `next` come in pairs that nothing but `next` looks at before both are used up.
    pub const fn of(window: Window, input: Shape, output: Shape, next: Option<Op>) -> Option<Self> {
        let pairs = match next {
            Some(Op::MaxPool { size } | Op::AveragePool { size }) => size.is_multiple_of(2),
            Some(Op::GlobalAveragePool) => true,
            _ => false,
        };
        let fits = matches!((window.kernel, window.stride, window.padding), (3, 1, 1));
        // Four times a sum of 9 × 1024 products fits 32 bits by far.
        let channels = input.channels.is_multiple_of(CHUNK)
            && input.channels <= 1024
            && output.channels.is_multiple_of(CHANNELS);
        let even = output.height.is_multiple_of(2) && output.width.is_multiple_of(2);
        if pairs && fits && channels && even {
            Some(Self {
                inputs: input.channels,
                width: output.width,
            })
        } else {
            None
        }
    }

    /// Words of scratch memory that two rows need.
    pub const fn scratch_words(self) -> usize {
        self.groups() * self.chunks() * PIXELS + WEIGHTS + self.sum_words()
    }

    /// Words of sums: those of a single chunk are used up at once, those of more add up.
    const fn sum_words(self) -> usize {
        if self.chunks() > 1 {
            self.groups() * SUMS
        } else {
            SUMS
        }
    }

    const fn tiles(self) -> usize {
        self.width / 2
    }

    const fn groups(self) -> usize {
        self.tiles().div_ceil(TILES)
    }

    const fn chunks(self) -> usize {
        self.inputs / CHUNK
    }

    /// Words of a pixel, and of a tap of the weights.
    const fn quads(self) -> usize {
        self.inputs / QUAD
    }
}

/// Two rows of a convolution's output, each of `pixels × output channels`.
///
/// `weights` are `output channels × 3 × 3 × input channels`, and lie at a word; no sum overflows,
/// and requantisation makes all smaller.
#[inline(always)]
pub(crate) fn conv_rows(
    rows: &Rows<'_>,
    winograd: Winograd,
    weights: &[i8],
    channels: &Channels<'_>,
    scratch: &mut [i32],
    output: &mut [i8],
) {
    let (groups, chunks) = (winograd.groups(), winograd.chunks());
    let Some((pixels, scratch)) = scratch.split_at_mut_checked(groups * chunks * PIXELS) else {
        return;
    };
    let Some((transformed, sums)) = scratch.split_first_chunk_mut::<WEIGHTS>() else {
        return;
    };
    let Ok(weights) = bytemuck::try_cast_slice::<i8, u32>(weights) else {
        return;
    };
    let (pixels, _) = pixels.as_chunks_mut::<PIXELS>();
    let (sums, _) = sums.as_chunks_mut::<SUMS>();
    transform_pixels(rows, winograd, pixels);

    let count = channels.bias.len();
    let (upper, lower) = (output.split_at_mut_checked(winograd.width * count)).unwrap_or_default();
    let quads = winograd.quads();
    let mut each = channels.iter();
    let mut weights = weights.chunks_exact((9 * quads).max(1));
    for first in (0..count).step_by(CHANNELS) {
        let (Some(one), Some(other)) = (weights.next(), weights.next()) else {
            return;
        };
        let (Some(channel), Some(next)) = (each.next(), each.next()) else {
            return;
        };
        for chunk in 0..chunks {
            let from = chunk * CHUNK / QUAD;
            for (lane, weights) in [one, other].into_iter().enumerate() {
                let weights = weights.get(from..).unwrap_or_default();
                inner::transform_weights(weights, quads, lane, transformed);
            }
            for group in 0..groups {
                let sums = sums.get_mut(if chunks > 1 { group } else { 0 });
                let (Some(sums), Some(pixels)) = (sums, pixels.get(group * chunks + chunk)) else {
                    return;
                };
                inner::multiply(pixels, transformed, sums, chunk > 0);
                if chunk + 1 < chunks {
                    continue;
                }
                for (lane, channel) in [channel, next].into_iter().enumerate() {
                    let tiles = Tiles {
                        count: TILES.min(winograd.tiles() - group * TILES),
                        pitch: count,
                    };
                    let place = group * TILES * 2 * count + first + lane;
                    let sums = sums.get(lane * TILES..).unwrap_or_default();
                    let rows = [&mut *upper, &mut *lower];
                    let rows = rows.map(|row| row.get_mut(place..).unwrap_or_default());
                    inner::finish(sums, tiles, channels, channel, rows);
                }
            }
        }
    }
}

/// Tiles of the output, one beside the other.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// How many.
    pub count: usize,
    /// Values from one pixel of a row to the next.
    pub pitch: usize,
}

/// Transforms all tiles: three after the other, chunk by chunk, point by point, pair by pair.
#[inline(always)]
fn transform_pixels(rows: &Rows<'_>, winograd: Winograd, pixels: &mut [[i32; PIXELS]]) {
    let quads = winograd.quads();
    let mut lines: [&[u32]; 4] = [&[]; 4];
    for (line, row) in lines.iter_mut().zip(rows.top_to_bottom()) {
        *line = bytemuck::try_cast_slice(row).unwrap_or_default();
    }
    let groups = pixels.chunks_exact_mut(winograd.chunks().max(1));
    for (group, chunks) in groups.enumerate() {
        for lane in 0..TILES.min(winograd.tiles() - group * TILES) {
            let tile = group * TILES + lane;
            for (chunk, pixels) in chunks.iter_mut().enumerate() {
                for quad in 0..CHUNK / QUAD {
                    let at = 2 * tile * quads + chunk * CHUNK / QUAD + quad;
                    let words = words_of_tile(lines, at, quads);
                    let [even, odd] =
                        [halves::even, halves::odd].map(|widen| words.map(|row| row.map(widen)));
                    put::<TILES, 4>(even, differences, pixels, (2 * quad, lane));
                    put::<TILES, 4>(odd, differences, pixels, (2 * quad + 1, lane));
                }
            }
        }
    }
}

/// The words of four channels in a tile that begins `at` words into its rows.
#[inline(always)]
fn words_of_tile(lines: [&[u32]; 4], at: usize, quads: usize) -> [[u32; 4]; 4] {
    lines.map(|line| {
        let line = line.get(at..).unwrap_or_default();
        // The last column first: one look at the length.
        let Some(&last) = line.get(3 * quads) else {
            return [0; 4];
        };
        let word = |column: usize| line.get(column * quads).copied().unwrap_or_default();
        [word(0), word(1), word(2), last]
    })
}

/// Transforms rows of two channels' values along both axes by `transform`, and puts each point at
/// its place, the `lane`-th of `LANES` for a pair of channels.
#[inline(always)]
fn put<const LANES: usize, const N: usize>(
    rows: [[u32; N]; N],
    transform: impl Fn([u32; N]) -> [u32; 4],
    words: &mut [i32],
    (pair, lane): (usize, usize),
) {
    let rows = rows.map(&transform);
    for column in 0..4 {
        let points = transform(rows.map(|row| at(row, column)));
        for (row, value) in points.into_iter().enumerate() {
            let place = ((4 * row + column) * PAIRS + pair) * LANES + lane;
            if let Some(word) = words.get_mut(place) {
                *word = value.cast_signed();
            }
        }
    }
}

/// A value of a few, zero beyond them.
#[inline(always)]
fn at<T: Copy + Default, const N: usize>(values: [T; N], index: usize) -> T {
    values.get(index).copied().unwrap_or_default()
}

/// Bᵀ applied to four values of two channels.
#[inline(always)]
fn differences([a, b, c, d]: [u32; 4]) -> [u32; 4] {
    [
        halves::sub(a, c),
        halves::add(b, c),
        halves::sub(c, b),
        halves::sub(b, d),
    ]
}

/// What the kernels in assembly compute, in plain Rust: activations that are clamped, and all else
/// where there are no such kernels.
pub(super) mod plain {
    use super::*;

    /// Transforms one output channel's weights of a chunk as the `lane`-th of two: point by point,
    /// pair by pair. A tap's weights are `quads` words.
    #[cfg(not(dsp))]
    #[inline(always)]
    pub(crate) fn transform_weights(
        weights: &[u32],
        quads: usize,
        lane: usize,
        transformed: &mut [i32; WEIGHTS],
    ) {
        for quad in 0..CHUNK / QUAD {
            let word = |tap: usize| weights.get(quad + tap * quads).copied().unwrap_or_default();
            let words = [0, 3, 6].map(|row| [0, 1, 2].map(|column| word(row + column)));
            for (half, widen) in [halves::even, halves::odd].into_iter().enumerate() {
                let taps = words.map(|row| row.map(widen));
                put::<CHANNELS, 3>(taps, filters, transformed, (2 * quad + half, lane));
            }
        }
    }

    /// G applied to three values of two channels.
    #[cfg(not(dsp))]
    #[inline(always)]
    fn filters([a, b, c]: [u32; 3]) -> [u32; 4] {
        let outer = halves::add(a, c);
        [a, halves::add(outer, b), halves::sub(outer, b), c]
    }

    /// The products of three tiles with two channels, point by point, summed over all pairs; `more`
    /// adds them to what is there.
    #[cfg(not(dsp))]
    #[inline(always)]
    pub(crate) fn multiply(
        pixels: &[i32; PIXELS],
        weights: &[i32; WEIGHTS],
        sums: &mut [i32; SUMS],
        more: bool,
    ) {
        let pixels = pixels.as_chunks::<{ PAIRS * TILES }>().0.iter();
        let weights = weights.as_chunks::<{ PAIRS * CHANNELS }>().0.iter();
        let (sums, _) = sums.as_chunks_mut::<POINT>();
        for ((sums, pixels), weights) in sums.iter_mut().zip(pixels).zip(weights) {
            if !more {
                *sums = [0; POINT];
            }
            let pairs = pixels.as_chunks::<TILES>().0.iter();
            for (pixels, weights) in pairs.zip(weights.as_chunks::<CHANNELS>().0) {
                let products = weights.iter().flat_map(|&weight| {
                    let product = move |&pixel| halves::multiply(pixel, weight);
                    pixels.iter().map(product)
                });
                for (sum, product) in sums.iter_mut().zip(products) {
                    *sum = sum.wrapping_add(product);
                }
            }
        }
    }

    /// The activations of one channel. `sums` begin with the first tile's, `rows` with its first
    /// pixels.
    #[inline(always)]
    pub(crate) fn finish(
        sums: &[i32],
        tiles: Tiles,
        channels: &Channels<'_>,
        channel: Channel,
        mut rows: [&mut [i8]; 2],
    ) {
        for tile in 0..tiles.count {
            let point = |point: usize| {
                let sum = sums.get(point * POINT + tile);
                sum.copied().unwrap_or_default()
            };
            let columns = [0, 1, 2, 3].map(|c| outputs([0, 4, 8, 12].map(|row| point(row + c))));
            for (row, line) in rows.iter_mut().enumerate() {
                let sums = columns.map(|column| at(column, row));
                for (column, sum) in outputs(sums).into_iter().enumerate() {
                    if let Some(place) = line.get_mut((2 * tile + column) * tiles.pitch) {
                        *place = channels.of_narrow(sum >> 2, channel);
                    }
                }
            }
        }
    }

    /// Aᵀ applied to four sums.
    #[inline(always)]
    fn outputs([a, b, c, d]: [i32; 4]) -> [i32; 2] {
        let twice = |value: i32| value.wrapping_add(value);
        [
            twice(a).wrapping_add(b).wrapping_add(c),
            b.wrapping_sub(c).wrapping_sub(twice(d)),
        ]
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;

    use proptest::prelude::*;

    use super::super::{portable, scratch_words, taps};
    use super::*;

    const WINDOW: Window = Window::new(3, 1, 1);
    const POOL: Option<Op> = Some(Op::GlobalAveragePool);

    #[test]
    fn only_rows_used_up_in_pairs_are_computed_in_pairs() {
        let input = Shape::plane(24, 24, 32);
        let output = Shape::plane(24, 24, 64);
        let of = |window, output, next| Winograd::of(window, input, output, next).is_some();
        assert!(of(WINDOW, output, POOL));
        assert!(of(WINDOW, output, Some(Op::MaxPool { size: 2 })));
        assert!(!of(WINDOW, output, Some(Op::MaxPool { size: 3 })));
        assert!(!of(
            WINDOW,
            output,
            Some(Op::Conv {
                window: WINDOW,
                channels: 8
            })
        ));
        assert!(!of(WINDOW, output, None));
        assert!(!of(Window::new(3, 2, 1), output, POOL));
        assert!(!of(WINDOW, Shape::plane(24, 23, 64), POOL));
        assert!(!of(WINDOW, Shape::plane(23, 24, 64), POOL));
        assert!(!of(WINDOW, Shape::plane(24, 24, 63), POOL));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        /// Two rows at once are the two rows one after the other; extremes meet, so that what
        /// might overflow does.
        #[test]
        fn two_rows_are_those_of_the_plain_loops(
            tiles in 1usize..=8,
            inputs in (1usize..=3).prop_map(|chunks| CHUNK * chunks),
            outputs in (1usize..=3).prop_map(|pairs| 2 * pairs),
            first in 0usize..4,
            extreme in 0u32..=10,
            seed: u64,
        ) {
            let width = 2 * tiles;
            let input = Shape::plane(2, width, inputs);
            let output = Shape::plane(2, width, outputs);
            let winograd = Winograd::of(WINDOW, input, output, POOL).unwrap();
            let mut random = xorshift(seed);
            let mut value = |low: i8| {
                let (way, value) = (random() % 10, random() as i8);
                if way < u64::from(extreme) { if way % 2 == 0 { low } else { 127 } } else { value.max(low) }
            };
            let pitch = (width + 2) * inputs;
            let mut ring = vec![0i32; 4 * pitch / 4];
            let mut weights = vec![0i32; outputs * 9 * inputs / 4];
            let ring: &mut [i8] = bytemuck::cast_slice_mut(&mut ring);
            ring.fill_with(|| value(-128));
            let weights: &mut [i8] = bytemuck::cast_slice_mut(&mut weights);
            weights.fill_with(|| value(-127));
            let bias = vec![12_345; outputs];
            let multipliers = vec![1 << 30; outputs];
            let shifts = vec![-12; outputs];
            let channels = Channels {
                bias: &bias,
                multipliers: &multipliers,
                shifts: &shifts,
                zero_point: -3,
                min: -128,
                max: 127,
            };
            let rows = Rows { ring, pitch, first, channels: inputs };
            let mut scratch = vec![-1; winograd.scratch_words()];
            let mut answer = vec![0; 2 * width * outputs];
            conv_rows(&rows, winograd, weights, &channels, &mut scratch, &mut answer);

            let mut expected = vec![0; 2 * width * outputs];
            let mut scratch = vec![0; scratch_words(taps(WINDOW, inputs))];
            for (y, expected) in expected.chunks_exact_mut(width * outputs).enumerate() {
                let rows = Rows { ring: rows.ring, first: (first + y) % 4, ..rows };
                portable::conv_row(&rows, WINDOW, weights, &channels, &mut scratch, expected);
            }
            prop_assert_eq!(answer, expected);
        }
    }

    /// A xorshift generator (Marsaglia, 2003).
    fn xorshift(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        }
    }
}
