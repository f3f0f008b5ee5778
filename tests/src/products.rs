//! What the products of layers must be in each precision: sums in f64 of exact factors, and of
//! factors rounded as the precision has it, on layers that take every tile.

use anyhow::{Result, ensure};
use half::bf16;
use host::backend::Precision;
use host::backend::cuda::memory::{Arena, Kind, Slot};
use host::backend::cuda::ops::maps::{Map, Operands};
use host::backend::cuda::ops::optimiser::{Adam, AdamMove, Move};
use host::backend::cuda::ops::{Gpu, MOMENTS};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae96::{Features, Op, Shape, Window};

use crate::held::Held;
use crate::parity::near;

/// How far a result may be from that of factors rounded in the same way: only sums differ.
const ROUNDED: f64 = 1e-5;

/// How far it may be from values that are not rounded to 8 bits of precision, as it is.
const HALF_A_LAST_BIT: f64 = 1.0 / 256.0;

/// How far it may be from that of exact factors.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::Tf32 => 1e-3,
        Precision::Bf16 => 1e-2,
    }
}

/// A factor as a matrix core gets it: the nearest, ties to even.
fn rounded(precision: Precision, value: f32) -> f32 {
    match precision {
        Precision::F32 => value,
        // Zero has no power of two.
        Precision::Tf32 if value == 0.0 => value,
        Precision::Tf32 => {
            let step = 2f32.powf(value.abs().log2().floor() - 10.0);
            (value / step).round_ties_even() * step
        }
        Precision::Bf16 => bf16::from_f32(value).to_f32(),
    }
}

/// A layer whose products take certain tiles.
struct Layer {
    op: Op,
    input: Shape,
    output: Shape,
    count: usize,
    window: Window,
}

fn conv(count: usize, input: Shape, window: Window, channels: usize) -> Layer {
    let [height, width] = [input.height, input.width].map(|pixels| window.output(pixels));
    Layer {
        op: Op::Conv { window, channels },
        input,
        output: Shape::plane(height, width, channels),
        count,
        window,
    }
}

/// From a plane half as high and wide.
fn transposed(count: usize, output: Shape, channels: usize) -> Layer {
    let window = Window::new(4, 2, 1);
    Layer {
        op: Op::ConvTransposed {
            window,
            channels: output.channels,
        },
        input: Shape::plane(output.height / 2, output.width / 2, channels),
        output,
        count,
        window,
    }
}

fn linear(count: usize, inputs: usize, outputs: usize) -> Layer {
    Layer {
        op: Op::Linear {
            features: Features::Fixed(outputs),
        },
        input: Shape::vector(inputs),
        output: Shape::vector(outputs),
        count,
        window: Window::new(1, 1, 0),
    }
}

/// With remainders at every edge of a tile, and depths that are cut in parts.
fn layers() -> [Layer; 38] {
    [
        conv(3, Shape::plane(20, 20, 3), Window::new(5, 2, 2), 16),
        conv(2, Shape::plane(12, 12, 40), Window::new(3, 1, 1), 60),
        conv(2, Shape::plane(8, 8, 14), Window::new(3, 1, 1), 120),
        conv(1, Shape::plane(9, 11, 5), Window::new(3, 2, 1), 7),
        transposed(2, Shape::plane(10, 10, 6), 20),
        conv(3, Shape::plane(12, 12, 40), Window::new(3, 1, 1), 12),
        conv(3, Shape::plane(12, 12, 12), Window::new(3, 1, 1), 40),
        linear(5, 1301, 20),
        linear(7, 12, 250),
        // More tiles down than across, and more than one across.
        conv(4, Shape::plane(12, 12, 12), Window::new(3, 1, 1), 70),
        transposed(3, Shape::plane(20, 20, 70), 6),
        linear(3, 70, 300),
        // Panels of depth that are full, and one that is not.
        linear(300, 132, 200),
        linear(300, 200, 132),
        // Many tiles of many results, one product each, of quads that lie side by side, or not.
        linear(1290, 20, 2332),
        linear(1290, 2332, 20),
        linear(20, 2332, 1292),
        linear(1290, 21, 2330),
        linear(1290, 2330, 21),
        linear(20, 2330, 1290),
        // Few channels on either side.
        conv(2, Shape::plane(14, 21, 9), Window::new(5, 1, 0), 9),
        conv(1, Shape::plane(21, 34, 16), Window::new(3, 2, 1), 32),
        conv(2, Shape::plane(19, 18, 12), Window::new(3, 1, 1), 17),
        conv(3, Shape::plane(9, 17, 4), Window::new(5, 2, 2), 8),
        conv(1, Shape::plane(18, 17, 24), Window::new(2, 1, 0), 30),
        transposed(1, Shape::plane(20, 34, 16), 32),
        transposed(2, Shape::plane(18, 36, 3), 16),
        // The same in tiles of several strips.
        conv(1, Shape::plane(69, 40, 9), Window::new(5, 1, 0), 9),
        conv(2, Shape::plane(35, 70, 5), Window::new(4, 1, 2), 3),
        transposed(1, Shape::plane(140, 38, 7), 13),
        // Four pixels of a row at a time, the last of them beyond the tile.
        conv(2, Shape::plane(20, 40, 9), Window::new(5, 1, 0), 3),
        conv(2, Shape::plane(19, 44, 3), Window::new(5, 2, 0), 9),
        // And of one, where patches are large.
        conv(1, Shape::plane(19, 37, 16), Window::new(5, 2, 2), 8),
        conv(1, Shape::plane(34, 18, 20), Window::new(3, 1, 1), 6),
        conv(1, Shape::plane(19, 37, 12), Window::new(5, 2, 1), 16),
        conv(1, Shape::plane(19, 37, 20), Window::new(3, 2, 1), 7),
        conv(2, Shape::plane(19, 37, 24), Window::new(3, 2, 1), 10),
        // More tiles than there are blocks.
        conv(100, Shape::plane(18, 34, 3), Window::new(2, 1, 0), 2),
    ]
}

impl Layer {
    fn is_transposed(&self) -> bool {
        matches!(self.op, Op::ConvTransposed { .. })
    }

    /// The plane and the grid.
    fn sides(&self) -> [Shape; 2] {
        match self.is_transposed() {
            false => [self.input, self.output],
            true => [self.output, self.input],
        }
    }

    /// Values of the weights, which lie as channel of the grid × taps × channel of the plane.
    fn weights(&self) -> usize {
        let [plane, grid] = self.sides();
        grid.channels * self.window.kernel * self.window.kernel * plane.channels
    }

    /// Calls `each` with the places in plane, grid and weights of whatever meets.
    fn meetings(&self, mut each: impl FnMut([usize; 3])) {
        let [plane, grid] = self.sides();
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let ranges = [self.count, grid.height, grid.width, kernel, kernel];
        for index in 0..ranges.iter().product() {
            let mut rest = index;
            let [image, y, x, row, column] = ranges.map(|_| 0);
            let mut places = [image, y, x, row, column];
            for (place, range) in places.iter_mut().zip(ranges).rev() {
                (*place, rest) = (rest % range, rest / range);
            }
            let [image, y, x, row, column] = places;
            let (top, left) = (y * stride + row, x * stride + column);
            let inside = (padding..plane.height + padding).contains(&top)
                && (padding..plane.width + padding).contains(&left);
            if !inside {
                continue;
            }
            let pixel = (image * plane.height + top - padding) * plane.width + left - padding;
            let window = (image * grid.height + y) * grid.width + x;
            for to in 0..grid.channels {
                for from in 0..plane.channels {
                    let tap = (to * kernel + row) * kernel + column;
                    each([
                        pixel * plane.channels + from,
                        window * grid.channels + to,
                        tap * plane.channels + from,
                    ]);
                }
            }
        }
    }

    /// The product whose result is the operand of that number: plane, grid or weights.
    fn expected(&self, result: usize, operands: &[Vec<f32>; 3]) -> Vec<f32> {
        let mut sums = vec![0.0f64; operands[result].len()];
        let [first, second] = [(result + 1) % 3, (result + 2) % 3];
        self.meetings(|places| {
            let factor = |number: usize| f64::from(operands[number][places[number]]);
            sums[places[result]] += factor(first) * factor(second);
        });
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// The same by a GPU as values of that kind, added to what is there with `add`.
    fn found(
        &self,
        gpu: &Gpu,
        result: usize,
        operands: &[Vec<f32>; 3],
        kind: Kind,
        add: Option<&[f32]>,
    ) -> Result<Vec<f32>> {
        let map = Map::new(self.op, self.input, self.output, self.count).expect("it has weights");
        let mut arena = Arena::default();
        map.need(&mut arena);
        let scratch = gpu.buffer(arena.finish().0)?;
        let kinds = [gpu.kind(), gpu.kind(), Kind::F32];
        let [plane, grid, weights] =
            [0, 1, 2].map(|number| Held::new(gpu, &operands[number], kinds[number]));
        let (plane, grid, weights) = (plane?, grid?, weights?);
        let out = match add {
            Some(values) => Held::new(gpu, values, kind)?,
            None => Held::fresh(gpu, operands[result].len(), kind)?,
        };
        let [plane, grid, weights] = [&plane, &grid, &weights].map(Held::span);
        let (input, output) = match self.is_transposed() {
            false => (plane, grid),
            true => (grid, plane),
        };
        let with = |factors| Operands {
            factors,
            out: out.span(),
            add: add.is_some(),
            scratch: scratch.whole(),
            moments: None,
        };
        match (result, self.is_transposed()) {
            (2, _) => map.weight_gradient(gpu, with([input, output]))?,
            (0, false) | (1, true) => map.input_gradient(gpu, with([output, weights]))?,
            _ => map.forward(gpu, with([input, weights]))?,
        }
        out.span().download()
    }
}

/// Values on either side of 0, most of which no precision but f32 has.
pub(crate) fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

/// All of it, by all kernels of the precision.
pub fn are_right(gpu: Gpu) -> Result<()> {
    are_those_of_rounded_factors(&gpu)?;
    keep_what_is_no_number(&gpu)?;
    leave_their_moments(&gpu)?;
    move_weights(&gpu)
}

/// The three products of each layer, also added to what is there.
fn are_those_of_rounded_factors(gpu: &Gpu) -> Result<()> {
    let precision = gpu.precision();
    for (number, layer) in layers().iter().enumerate() {
        let [plane, grid] = layer.sides();
        let lengths = [
            layer.count * plane.len(),
            layer.count * grid.len(),
            layer.weights(),
        ];
        let mut seed = 3 * number as u64;
        let operands = lengths.map(|len| {
            seed += 1;
            random(len, seed)
        });
        let near_ones = operands
            .each_ref()
            .map(|values| values.iter().map(|&v| rounded(precision, v)).collect());
        for (result, what) in ["plane", "grid", "weights"].into_iter().enumerate() {
            let what = format!("layer {number}: {what}");
            let found = layer.found(gpu, result, &operands, Kind::F32, None)?;
            near(&what, &found, &layer.expected(result, &near_ones), ROUNDED)?;
            let exact = layer.expected(result, &operands);
            near(&what, &found, &exact, tolerance(precision))?;
            let added = layer.found(gpu, result, &operands, Kind::F32, Some(&found))?;
            let twice: Vec<f32> = found.iter().map(|value| 2.0 * value).collect();
            near(&format!("{what}, added"), &added, &twice, ROUNDED)?;
            // As a layer's values they are the same, rounded once.
            if gpu.kind() == Kind::F32 || result == 2 {
                continue;
            }
            let values = layer.found(gpu, result, &operands, gpu.kind(), None)?;
            let nearest = |value: &f32| rounded(precision, *value);
            let expected: Vec<_> = found.iter().map(nearest).collect();
            ensure!(values == expected, "{what}: not the nearest values");
            let added = layer.found(gpu, result, &operands, gpu.kind(), Some(&values))?;
            let sums = values.iter().zip(&found).map(|(value, more)| value + more);
            let sums: Vec<_> = sums.collect();
            near(
                &format!("{what}, added values"),
                &added,
                &sums,
                HALF_A_LAST_BIT,
            )?;
        }
    }
    Ok(())
}

/// The moments that the tiles of a product leave of its channels are those of its values, also where
/// these lie far from zero.
fn leave_their_moments(gpu: &Gpu) -> Result<()> {
    let mut layers_with_moments = 0;
    for (number, layer) in layers().iter().enumerate() {
        let map = Map::new(layer.op, layer.input, layer.output, layer.count);
        let map = map.expect("it has weights");
        let Some(tiles) = map.tiles(gpu.precision()) else {
            continue;
        };
        layers_with_moments += 1;
        let channels = layer.output.channels;
        let inputs = random(layer.count * layer.input.len(), 1);
        let inputs: Vec<_> = inputs.iter().map(|value| value + 30.0).collect();
        let input = Held::new(gpu, &inputs, gpu.kind())?;
        let weights = Held::new(gpu, &random(layer.weights(), 2), Kind::F32)?;
        let out = gpu.buffer(layer.count * layer.output.len())?;
        let mut arena = Arena::default();
        map.need(&mut arena);
        let scratch = gpu.buffer(arena.finish().0)?;
        let moments = scratch.whole().part(0, tiles * channels * MOMENTS);
        map.forward(
            gpu,
            Operands {
                factors: [input.span(), weights.span()],
                out: out.whole(),
                add: false,
                scratch: scratch.whole(),
                moments: Some(moments),
            },
        )?;
        let (values, moments) = (out.whole().download()?, moments.download_doubles()?);
        let rows = (values.len() / channels) as f64;
        for channel in 0..channels {
            let of = |index: usize| {
                moments
                    .iter()
                    .skip(3 * channel + index)
                    .step_by(3 * channels)
            };
            let tiles = || of(0).zip(of(1)).zip(of(2));
            let sum: f64 = tiles().map(|((count, mean), _)| count * mean).sum();
            let mean = sum / rows;
            let square: f64 = tiles()
                .map(|((count, of_tile), square)| square + count * (of_tile - mean).powi(2))
                .sum();
            let column = || {
                values[channel..]
                    .iter()
                    .step_by(channels)
                    .map(|&v| f64::from(v))
            };
            let expected = column().sum::<f64>() / rows;
            let squares: f64 = column().map(|value| (value - expected).powi(2)).sum();
            let what = format!("layer {number}, channel {channel}");
            ensure!(of(0).sum::<f64>() == rows, "{what}: not of {rows} values");
            ensure!(
                (mean - expected).abs() <= 1e-7 * expected.abs().max((squares / rows).sqrt()),
                "{what}: a mean of {mean}, not {expected}"
            );
            ensure!(
                (square - squares).abs() <= 1e-5 * squares,
                "{what}: squared deviations of {square}, not {squares}"
            );
        }
    }
    ensure!(layers_with_moments > 3, "{layers_with_moments} layers");
    Ok(())
}

/// Weights that move while their gradient is made have moments of the gradient that is made alone, and
/// go where these say.
fn move_weights(gpu: &Gpu) -> Result<()> {
    // Of quads that lie side by side, and not.
    for [inputs, outputs] in [[1024, 1028], [1026, 1030]] {
        let layer = linear(20, inputs, outputs);
        let map = Map::new(layer.op, layer.input, layer.output, layer.count);
        let map = map.expect("it has weights");
        ensure!(map.moves_weights(gpu.precision()), "{inputs} × {outputs}");
        let operands = [layer.count * inputs, layer.count * outputs, layer.weights()];
        let operands = operands.map(|len| random(len, len as u64));
        let gradient = layer.found(gpu, 2, &operands, Kind::F32, None)?;
        let [plane, grid] = [0, 1].map(|number| Held::new(gpu, &operands[number], gpu.kind()));
        let (plane, grid) = (plane?, grid?);
        let zeros = vec![0.0; layer.weights()];
        let [values, mean, square] =
            [&operands[2], &zeros, &zeros].map(|values| Held::new(gpu, values, Kind::F32));
        let (values, mean, square) = (values?, mean?, square?);
        let (rate, rule) = (
            1e-3,
            Adam {
                betas: [0.75, 0.5],
                epsilon: 1.0,
            },
        );
        let len = layer.weights();
        let step = AdamMove {
            values: values.span(),
            moments: [mean.span(), square.span()],
            step: Move {
                slot: Slot::floats(0, len),
                keep: 0.5,
                rate,
            },
            steps: 1,
            rule,
        };
        map.move_weights(gpu, [plane.span(), grid.span()], step)?;
        let expected = |of: fn(f32, f32) -> f32| -> Vec<f32> {
            let both = operands[2].iter().zip(&gradient);
            both.map(|(&value, &gradient)| of(value, gradient))
                .collect()
        };
        let found = mean.span().download()?;
        near("means", &found, &expected(|_, g| 0.25 * g), ROUNDED)?;
        let found = square.span().download()?;
        near("squares", &found, &expected(|_, g| 0.5 * g * g), ROUNDED)?;
        let found = values.span().download()?;
        let moved = |value, g: f32| 0.5 * value - 1e-3 * g / (g.abs() + 1.0);
        near("weights", &found, &expected(moved), ROUNDED)?;
    }
    Ok(())
}

/// A weight that has diverged must not come back as a number.
fn keep_what_is_no_number(gpu: &Gpu) -> Result<()> {
    let layer = linear(1, 3, 1);
    for value in [f32::NAN, f32::from_bits(0x7fff_ffff), f32::INFINITY] {
        let operands = [vec![1.0, value, 1.0], vec![0.0], vec![1.0; 3]];
        let found = layer.found(gpu, 1, &operands, Kind::F32, None)?[0];
        ensure!(!found.is_finite(), "{value} gives {found}");
    }
    Ok(())
}
