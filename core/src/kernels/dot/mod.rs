//! Convolutions on interleaved weights, for the dot-product instructions of computers. One row
//! kernel, written once over what an instruction set does with a [`Line`], and compiled for each.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;

use core::mem::MaybeUninit;

use super::{Channels, Rows};
use crate::interleaved::{CHANNELS, Geometry, Line, MOST_ROWS};
use crate::requantise;

/// The instructions that compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// AVX-512 VNNI: 64 products an instruction.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2: 16 products an instruction.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON's dot product: 16 products an instruction.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust, which is no faster than the portable kernels: the others are compared with it.
    Plain,
}

impl Kernel {
    /// All that this processor runs, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, avx512::detected()),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, avx2::detected()),
            #[cfg(target_arch = "aarch64")]
            (Self::Neon, neon::detected()),
            (Self::Plain, true),
        ]
        .into_iter()
        .filter_map(|(kernel, detected)| detected.then_some(kernel))
    }

    /// The best, if it is faster than the portable kernels.
    pub fn best() -> Option<Self> {
        Self::all().next().filter(|&kernel| kernel != Self::Plain)
    }

    /// One row of a convolution's output, `pixels × output channels`, from narrow sums.
    pub fn conv_row(
        self,
        geometry: &Geometry,
        rows: &Rows<'_>,
        lines: &[Line],
        channels: &Channels<'_>,
        output: &mut [i8],
    ) {
        let Some(task) = Task::new(geometry, rows, lines, channels, output) else {
            return;
        };
        // SAFETY: only `all` makes kernels other than the plain one, where the processor has their
        // instructions; and `Task::new` has checked the lengths.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512::run(&task),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::run(&task),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::run(&task),
                Self::Plain => plain::run(&task),
            }
        }
    }
}

/// A row's computation, its lengths checked.
struct Task<'a> {
    geometry: &'a Geometry,
    rows: &'a Rows<'a>,
    lines: &'a [Line],
    channels: &'a Channels<'a>,
    output: *mut i8,
    pixels: usize,
}

impl<'a> Task<'a> {
    /// `None` where the lengths do not belong together.
    fn new(
        geometry: &'a Geometry,
        rows: &'a Rows<'a>,
        lines: &'a [Line],
        channels: &'a Channels<'a>,
        output: &'a mut [i8],
    ) -> Option<Self> {
        let Geometry {
            window,
            inputs,
            outputs,
        } = *geometry;
        let pixels = output.len().checked_div(outputs)?;
        let last = pixels.checked_sub(1)? * window.stride * inputs + geometry.run();
        let sound = geometry.run() >= crate::interleaved::TAPS
            && rows.channels == inputs
            && last <= rows.pitch
            && window.kernel * rows.pitch <= MOST_ROWS
            && rows.ring.len() == window.kernel * rows.pitch
            && rows.first < window.kernel
            && lines.len() == geometry.lines()
            && [
                channels.bias.len(),
                channels.multipliers.len(),
                channels.shifts.len(),
            ] == [outputs; 3];
        sound.then_some(Self {
            geometry,
            rows,
            lines,
            channels,
            output: output.as_mut_ptr(),
            pixels,
        })
    }
}

/// What an instruction set does with four taps of sixteen channels.
///
/// # Safety
///
/// Its functions run only where the processor has the instructions. `weights` reads a [`Line`],
/// `pixels` four bytes.
trait Dot {
    /// The sums of sixteen channels.
    type Sums: Copy;
    type Weights: Copy;
    type Pixels: Copy;
    /// What pixels are changed by, bit for bit, before `pixels` reads them: 128 where it takes
    /// them as unsigned, and sums are too great by what a line of sums tells.
    const FLIP: u8;
    unsafe fn zero() -> Self::Sums;
    unsafe fn weights(line: *const Line) -> Self::Weights;
    unsafe fn pixels(taps: *const u8) -> Self::Pixels;
    unsafe fn dot(sums: Self::Sums, weights: Self::Weights, pixels: Self::Pixels) -> Self::Sums;
    unsafe fn values(sums: Self::Sums) -> [i32; CHANNELS];
}

/// The rows of a window from top to bottom, as [`Dot::pixels`] reads them.
struct Copied(MaybeUninit<[u8; MOST_ROWS]>);

impl Copied {
    #[inline(always)]
    fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// # Safety
    ///
    /// The rows' lengths were checked by [`Task::new`].
    #[inline(always)]
    unsafe fn copy(&mut self, rows: &Rows<'_>, flip: u8) -> *const u8 {
        let to: *mut u8 = self.0.as_mut_ptr().cast();
        for (index, row) in rows.top_to_bottom().enumerate() {
            let to = to.wrapping_add(index * rows.pitch);
            for (at, &value) in row.iter().enumerate() {
                // SAFETY: all rows together are no longer than this array.
                unsafe { *to.add(at) = value.cast_unsigned() ^ flip };
            }
        }
        to
    }
}

/// One tile of `P` pixels and `V` blocks of channels.
///
/// # Safety
///
/// The processor has `D`'s instructions; pixels from `pixel` on and blocks from `block` on are
/// there; `rows` are the task's as [`Copied::copy`] left them.
#[inline(always)]
unsafe fn tile<D: Dot, const P: usize, const V: usize>(
    task: &Task<'_>,
    rows: *const u8,
    pixel: usize,
    block: usize,
) {
    let geometry = task.geometry;
    let step = geometry.window.stride * geometry.inputs;
    let (steps, height) = (geometry.steps(), geometry.block());
    let lines = task.lines.as_ptr().wrapping_add(block * height);
    // SAFETY: `Task::new` has checked that windows end within their rows, and the number of lines
    // and channels; `pixel` and `block` are the caller's promise.
    unsafe {
        let mut sums = [[D::zero(); V]; P];
        for row in 0..geometry.window.kernel {
            let pixels = rows.add(row * task.rows.pitch + pixel * step);
            let lines = lines.add(1 + row * steps);
            for index in 0..steps {
                let pixels = pixels.add(geometry.tap(index));
                let mut weights = [D::weights(lines.add(index)); V];
                for (v, weights) in weights.iter_mut().enumerate().skip(1) {
                    *weights = D::weights(lines.add(v * height + index));
                }
                for (p, sums) in sums.iter_mut().enumerate() {
                    let pixels = D::pixels(pixels.add(p * step));
                    for (sum, &weights) in sums.iter_mut().zip(&weights) {
                        *sum = D::dot(*sum, weights, pixels);
                    }
                }
            }
        }
        for v in 0..V {
            let channels = Block::new(task, block + v, lines.add(v * height), D::FLIP != 0);
            for (p, sums) in sums.iter().enumerate() {
                if let Some(&sums) = sums.get(v) {
                    channels.put(task, D::values(sums), pixel + p);
                }
            }
        }
    }
}

/// What becomes of the sums of a block's channels, in arrays that compilers turn into vectors.
struct Block {
    bias: [i32; CHANNELS],
    multipliers: [i32; CHANNELS],
    /// Bits that [`requantise::shift_narrow`] takes.
    bits: [u32; CHANNELS],
    first: usize,
    count: usize,
}

impl Block {
    /// # Safety
    ///
    /// The block is there, and `sums` is its first line.
    #[inline(always)]
    unsafe fn new(task: &Task<'_>, block: usize, sums: *const Line, unsigned: bool) -> Self {
        let first = block * CHANNELS;
        // SAFETY: a line is as large, and aligned for more.
        let sums: [i32; CHANNELS] = unsafe { sums.cast::<[i32; CHANNELS]>().read() };
        let mut new = Self {
            bias: [0; CHANNELS],
            multipliers: [0; CHANNELS],
            bits: [0; CHANNELS],
            first,
            count: CHANNELS.min(task.geometry.outputs - first),
        };
        let scales = new.multipliers.iter_mut().zip(&mut new.bits);
        let each = new.bias.iter_mut().zip(scales).zip(sums);
        for (((bias, (multiplier, bits)), sum), channel) in
            each.zip(task.channels.iter().skip(first))
        {
            *bias = channel.bias - if unsigned { sum } else { 0 };
            *multiplier = channel.multiplier;
            *bits = requantise::bits_narrow(channel.shift);
        }
        new
    }

    /// The activations of a pixel, as [`Channels::narrow_activation`] has them, in two loops: of
    /// one, compilers do not make vectors.
    #[inline(always)]
    fn activations(&self, channels: &Channels<'_>, sums: [i32; CHANNELS]) -> [i8; CHANNELS] {
        let mut high = [0; CHANNELS];
        let scaled = self.bias.iter().zip(sums).zip(&self.multipliers);
        for (high, ((bias, sum), &multiplier)) in high.iter_mut().zip(scaled) {
            *high = requantise::high_narrow(bias.wrapping_add(sum), multiplier);
        }
        let mut values = [0; CHANNELS];
        for (value, (high, bits)) in values.iter_mut().zip(high.into_iter().zip(self.bits)) {
            *value = (requantise::shift_narrow(high, bits) + i32::from(channels.zero_point))
                .min(channels.max.into())
                .max(channels.min.into()) as i8;
        }
        values
    }

    /// Writes the activations of a pixel.
    ///
    /// # Safety
    ///
    /// The pixel is there.
    #[inline(always)]
    unsafe fn put(&self, task: &Task<'_>, sums: [i32; CHANNELS], pixel: usize) {
        let values = self.activations(task.channels, sums);
        // SAFETY: the output has so many pixels of so many channels.
        unsafe {
            let to = task.output.add(pixel * task.geometry.outputs + self.first);
            if self.count == CHANNELS {
                to.cast::<[i8; CHANNELS]>().write_unaligned(values);
            } else {
                to.copy_from_nonoverlapping(values.as_ptr(), self.count);
            }
        }
    }
}

/// All pixels of `V` blocks, `P` at a time.
///
/// # Safety
///
/// As [`tile`].
#[inline(always)]
unsafe fn blocks<D: Dot, const P: usize, const V: usize>(
    task: &Task<'_>,
    rows: *const u8,
    block: usize,
) {
    let mut pixel = 0;
    while pixel < task.pixels {
        // SAFETY: the caller's; the last tile goes back, to be a whole one.
        unsafe {
            if task.pixels < P {
                tile::<D, 1, V>(task, rows, pixel, block);
                pixel += 1;
            } else {
                tile::<D, P, V>(task, rows, pixel.min(task.pixels - P), block);
                pixel += P;
            }
        }
    }
}

/// A row, block after block, `P` pixels at a time.
///
/// # Safety
///
/// The processor has `D`'s instructions.
#[inline(always)]
unsafe fn row<D: Dot, const P: usize>(task: &Task<'_>) {
    let mut copied = Copied::new();
    // SAFETY: the caller's, and no block is beyond the last.
    unsafe {
        let rows = copied.copy(task.rows, D::FLIP);
        for block in 0..task.geometry.outputs.div_ceil(CHANNELS) {
            blocks::<D, P, 1>(task, rows, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::portable;
    use crate::layer::{Layer, Shape, Window};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// A convolution and all that it needs, at random.
    #[derive(Debug)]
    struct Case {
        window: Window,
        input: Shape,
        outputs: usize,
        first: usize,
        ring: Vec<i8>,
        weights: Vec<i8>,
        bias: Vec<i32>,
        multipliers: Vec<i32>,
        shifts: Vec<i8>,
        clamp: [i8; 3],
    }

    fn bytes(count: usize, least: i8) -> impl Strategy<Value = Vec<i8>> {
        // Extremes often: they show what overflows.
        let value = prop_oneof![least..=127, Just(least), Just(127i8)];
        prop::collection::vec(value, count)
    }

    fn case() -> impl Strategy<Value = Case> {
        let shapes = (
            1usize..=5,
            1usize..=2,
            1usize..=20,
            1usize..=40,
            1usize..=90,
        );
        shapes.prop_flat_map(|(kernel, stride, inputs, width, outputs)| {
            let window = Window::new(kernel, stride, kernel / 2);
            let input = Shape::plane(kernel, width.max(kernel), inputs);
            let pitch = (input.width + 2 * window.padding) * inputs;
            let taps = kernel * kernel * inputs;
            let reach = (1 << 30) - 1 - 127 * 128 * taps as i32;
            (
                (
                    0..kernel,
                    bytes(kernel * pitch, -128),
                    bytes(outputs * taps, -127),
                ),
                prop::collection::vec(-reach..=reach, outputs),
                prop::collection::vec(1 << 30..=i32::MAX, outputs),
                prop::collection::vec(prop_oneof![-31i8..0, -14i8..-5], outputs),
                any::<[i8; 3]>(),
            )
                .prop_map(
                    move |((first, ring, weights), bias, multipliers, shifts, clamp)| Case {
                        window,
                        input,
                        outputs,
                        first,
                        ring,
                        weights,
                        bias,
                        multipliers,
                        shifts,
                        clamp: [clamp[0], clamp[1].min(clamp[2]), clamp[1].max(clamp[2])],
                    },
                )
        })
    }

    proptest! {
        #[test]
        fn every_instruction_set_computes_the_portable_row(case in case()) {
            let channels = Channels {
                bias: &case.bias,
                multipliers: &case.multipliers,
                shifts: &case.shifts,
                zero_point: case.clamp[0],
                min: case.clamp[1],
                max: case.clamp[2],
            };
            let Case { window, input, .. } = case;
            let rows = Rows {
                ring: &case.ring,
                pitch: case.ring.len() / window.kernel,
                first: case.first,
                channels: input.channels,
            };
            let pixels = window.output(input.width);
            let mut expected = vec![0; pixels * case.outputs];
            let taps = crate::kernels::taps(window, input.channels);
            let mut scratch = vec![0; crate::kernels::scratch_words(taps)];
            portable::conv_row(
                &rows, window, &case.weights, &channels, &mut scratch, &mut expected,
            );
            let layer = Layer::conv("conv", window, case.outputs);
            prop_assume!(Geometry::of(&layer, input).is_some());
            let geometry = Geometry::of(&layer, input).unwrap();
            let mut lines = vec![Line::ZERO; geometry.lines()];
            geometry.interleave(&case.weights, &mut lines);
            for kernel in Kernel::all() {
                let mut output = vec![0x5a; expected.len()];
                kernel.conv_row(&geometry, &rows, &lines, &channels, &mut output);
                prop_assert_eq!(&output, &expected, "{:?}", kernel);
            }
        }
    }
}
