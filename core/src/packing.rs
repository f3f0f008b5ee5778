//! Convolution weights packed two taps to a 32-bit word, for processors with a long multiply.
//!
//! Read a word of two pixels as the polynomial `x₀ + x₁z` and one of two taps as `v + wz`, with
//! z = 2²²: one multiplication to 64 bits gives `vx₀ + (vx₁ + wx₀)z + wx₁z²`, which are the four
//! products of two taps with two pixels, sorted by the output pixel that they belong to. One
//! `SMLAL` thus does the work of four multiplications, where `SMLAD` does that of two. The three
//! coefficients of a sum are 22, 22 and 20 bits wide, so they are taken apart after so many steps
//! that no weights and no pixels can make them overflow.
//!
//! A *step* is one input channel in one row of the window, and its words hold the row's taps:
//!
//! | window | words of a step |
//! | --- | --- |
//! | 3×3, stride 1 | `(w₂ + 128) + 2⁸w₀ + w₁z` |
//! | 3×3, stride 2 | `w₂ + w₀z`, `w₁` |
//! | 5×5, stride 2 | `w₄ + w₂z`, `w₀z`, `w₃ + w₁z` |
//!
//! Even and odd pixels meet different taps at stride 2, so those are apart. At stride 1, three
//! weights share a word: w₀, between the fields, is taken out by one instruction, and what it and
//! the 128 add to the sums is taken off afterwards.
//!
//! An output channel is two words, the sums of the taps that meet the padding to the left and to
//! the right of a row, and the words of its steps: window rows from top to bottom, input channels
//! innermost.

use crate::layer::{Shape, Window};

/// The place of z.
pub(crate) const SHIFT: u32 = 22;

/// Words before an output channel's steps.
const EDGES: usize = 2;

/// Columns of the widest window.
const COLUMNS: usize = 5;

/// The windows whose weights can be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedWindow {
    /// 3×3 with a stride of 1.
    Unit3,
    /// 3×3 with a stride of 2.
    Halving3,
    /// 5×5 with a stride of 2.
    Halving5,
}

/// How a convolution with packed weights runs: all that follows from its shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// Which window.
    pub window: PackedWindow,
    /// Input channels.
    pub inputs: usize,
    /// Steps between two partings of the coefficients, or between a parting and a check-point.
    pub run: usize,
    /// Such runs in an output.
    pub runs: usize,
}

impl Packing {
    /// The packing of a convolution from `input` to `output`, if it has one.
    pub const fn of(window: Window, input: Shape, output: Shape) -> Option<Self> {
        let kind = match (window.kernel, window.stride, window.padding) {
            (3, 1, 1) => PackedWindow::Unit3,
            (3, 2, 1) => PackedWindow::Halving3,
            (5, 2, 2) => PackedWindow::Halving5,
            _ => return None,
        };
        let steps = window.kernel * input.channels;
        // Runs of one length, in pairs of runs of an even length where the kernel wants it so.
        let (most, multiple) = match kind {
            PackedWindow::Unit3 => (32, 2),
            PackedWindow::Halving3 => (24, 1),
            PackedWindow::Halving5 => (16, 1),
        };
        let runs = (steps.div_ceil(most * multiple)) * multiple;
        let even = output.width > 0 && output.width.is_multiple_of(kind.pixels());
        if steps == 0 || !even || !steps.is_multiple_of(runs * multiple) {
            return None;
        }
        Some(Self {
            window: kind,
            inputs: input.channels,
            run: steps / runs,
            runs,
        })
    }

    /// Whether the window is of stride 1.
    pub const fn is_unit(self) -> bool {
        matches!(self.window, PackedWindow::Unit3)
    }

    /// Steps of an output.
    pub const fn steps(self) -> usize {
        self.run * self.runs
    }

    /// Words of an output channel.
    pub const fn channel_words(self) -> usize {
        EDGES + self.steps() * self.window.words()
    }

    /// Words of pixels and sums that computing a row of `outputs` channels needs.
    pub const fn scratch_words(self, outputs: usize) -> usize {
        self.steps() * self.window.pixel_words() + self.start_words() + self.carries() * outputs
    }

    /// Words of the sums' first values where they depend on the pixels: four sums of two words,
    /// for each two runs.
    pub const fn start_words(self) -> usize {
        match self.window {
            PackedWindow::Unit3 => 8 * (self.runs / 2),
            _ => 0,
        }
    }

    /// Sums of an output channel that go on into the next pixels.
    pub const fn carries(self) -> usize {
        1 + self.window.behind()
    }

    /// Packs one channel's weights, `window rows × window columns × input channels`.
    pub fn pack(self, weights: &[i8], words: &mut [i32]) {
        let (edges, steps) = words.split_at_mut_checked(EDGES).unwrap_or_default();
        let mut sums = [0; EDGES];
        let rows = weights.chunks_exact((self.window.columns() * self.inputs).max(1));
        let taps = rows.flat_map(|row| (0..self.inputs).map(move |input| self.taps(row, input)));
        for (words, taps) in steps.chunks_exact_mut(self.window.words()).zip(taps) {
            self.window.add_edges(taps, &mut sums);
            for (word, packed) in words.iter_mut().zip(self.window.pack(taps)) {
                *word = packed;
            }
        }
        for (edge, sum) in edges.iter_mut().zip(sums) {
            *edge = sum;
        }
    }

    /// Whether a channel's words are such as [`pack`](Self::pack) makes of weights in
    /// [−127, 127].
    pub fn is_packed(self, words: &[i32]) -> bool {
        let (edges, steps) = words.split_at_checked(EDGES).unwrap_or_default();
        let mut sums = [0; EDGES];
        let sound = steps.chunks_exact(self.window.words()).all(|words| {
            let taps = self.window.unpack(words);
            self.window.add_edges(taps, &mut sums);
            taps.iter().all(|tap| (-127..=127).contains(tap))
                && self
                    .window
                    .pack(taps)
                    .iter()
                    .zip(words)
                    .all(|(a, b)| a == b)
        });
        sound && edges == sums
    }

    /// The taps of a window's row for one input channel, from left to right.
    fn taps(self, row: &[i8], input: usize) -> [i32; COLUMNS] {
        let mut taps = [0; COLUMNS];
        for (tap, pixel) in taps.iter_mut().zip(row.chunks_exact(self.inputs.max(1))) {
            *tap = pixel.get(input).copied().unwrap_or_default().into();
        }
        taps
    }
}

impl PackedWindow {
    /// Columns of the window.
    pub const fn columns(self) -> usize {
        match self {
            Self::Unit3 | Self::Halving3 => 3,
            Self::Halving5 => 5,
        }
    }

    /// Output pixels computed together.
    pub const fn pixels(self) -> usize {
        match self {
            Self::Unit3 | Self::Halving5 => 4,
            Self::Halving3 => 8,
        }
    }

    /// Output pixels before those that get a share too: the last ones of the pixels before.
    pub const fn behind(self) -> usize {
        match self {
            Self::Unit3 | Self::Halving5 => 1,
            Self::Halving3 => 0,
        }
    }

    /// Words of weights in a step.
    pub const fn words(self) -> usize {
        match self {
            Self::Unit3 => 1,
            Self::Halving3 => 2,
            Self::Halving5 => 3,
        }
    }

    /// Words of pixels in a step.
    pub const fn pixel_words(self) -> usize {
        match self {
            Self::Unit3 => 2,
            Self::Halving3 => 8,
            Self::Halving5 => 4,
        }
    }

    /// The words of a step.
    const fn pack(self, [t0, t1, t2, t3, t4]: [i32; COLUMNS]) -> [i32; 3] {
        match self {
            Self::Unit3 => [
                t2.wrapping_add(128)
                    .wrapping_add(t0 << 8)
                    .wrapping_add(t1 << SHIFT),
                0,
                0,
            ],
            Self::Halving3 => [t2.wrapping_add(t0 << SHIFT), t1, 0],
            Self::Halving5 => [
                t4.wrapping_add(t2 << SHIFT),
                t0 << SHIFT,
                t3.wrapping_add(t1 << SHIFT),
            ],
        }
    }

    /// The taps that such words may hold.
    fn unpack(self, words: &[i32]) -> [i32; COLUMNS] {
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let low = |word: i32| i32::from(word as i8);
        // Half a z more rounds what lies below away.
        let high = |word: i32| word.wrapping_add(1 << (SHIFT - 1)) >> SHIFT;
        match self {
            Self::Unit3 => [
                low(word(0) >> 8),
                high(word(0)),
                (word(0) & 255) - 128,
                0,
                0,
            ],
            Self::Halving3 => [high(word(0)), word(1), low(word(0)), 0, 0],
            Self::Halving5 => [
                high(word(1)),
                high(word(2)),
                high(word(0)),
                low(word(2)),
                low(word(0)),
            ],
        }
    }

    /// Adds a step's taps that meet the padding to the left and to the right.
    const fn add_edges(
        self,
        [t0, t1, t2, _, t4]: [i32; COLUMNS],
        [left, right]: &mut [i32; EDGES],
    ) {
        let (more_left, more_right) = match self {
            Self::Unit3 => (t0, t2),
            Self::Halving3 => (t0, 0),
            Self::Halving5 => (t0.wrapping_add(t1), t4),
        };
        *left = left.wrapping_add(more_left);
        *right = right.wrapping_add(more_right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOWS: [PackedWindow; 3] = [
        PackedWindow::Unit3,
        PackedWindow::Halving3,
        PackedWindow::Halving5,
    ];

    #[test]
    fn words_are_as_documented() {
        let taps = [-3, 5, -7, 11, -13];
        let z = 1 << SHIFT;
        let words = WINDOWS.map(|window| window.pack(taps));
        assert_eq!(words[0], [-7 + 128 - 3 * 256 + 5 * z, 0, 0]);
        assert_eq!(words[1], [-7 - 3 * z, 5, 0]);
        assert_eq!(words[2], [-13 - 7 * z, -3 * z, 11 + 5 * z]);
    }

    #[test]
    fn the_layers_of_edge_are_packed() {
        let plane = Shape::plane;
        let packing = |window, input, output| Packing::of(window, input, output).unwrap();
        let conv1 = packing(Window::new(5, 2, 2), plane(96, 96, 3), plane(48, 48, 16));
        let conv3 = packing(Window::new(3, 1, 1), plane(24, 24, 32), plane(24, 24, 64));
        assert_eq!((conv1.run, conv1.runs), (15, 1));
        assert_eq!((conv3.run, conv3.runs), (24, 4));
        assert_eq!(conv3.channel_words(), 2 + 96);
        let odd = Packing::of(Window::new(3, 1, 1), plane(24, 22, 32), plane(24, 22, 64));
        assert_eq!(odd, None);
    }

    proptest! {
        #[test]
        fn taps_come_back(taps in prop::array::uniform5(-127i32..=127)) {
            for window in WINDOWS {
                let mut taps = taps;
                for tap in &mut taps[window.columns()..] {
                    *tap = 0;
                }
                prop_assert_eq!(window.unpack(&window.pack(taps)), taps);
            }
        }

        #[test]
        fn what_packing_did_not_make_is_told(
            kind in 0usize..3,
            weights in prop::collection::vec(-127i8..=127, 75),
            at in any::<prop::sample::Index>(),
        ) {
            let window = WINDOWS[kind];
            let columns = window.columns();
            let packing = Packing { window, inputs: 3, run: columns * 3, runs: 1 };
            let mut words = [0; EDGES + 5 * 3 * 3];
            let words = &mut words[..packing.channel_words()];
            packing.pack(&weights[..columns * columns * 3], words);
            prop_assert!(packing.is_packed(words));
            let place = at.index(words.len());
            // No tap is as great as that, and no sum of edges is another one.
            words[place] = words[place].wrapping_add(1 << 30);
            prop_assert!(!packing.is_packed(words));
        }
    }
}
