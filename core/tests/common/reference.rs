//! Networks in plain integer loops, layer by layer over whole planes. Zero points are subtracted
//! from the values here, padding is left out, and rounding is written from its definition.

use super::alloc::vec;
use super::alloc::vec::Vec;

use vae96::model::{INPUT_ZERO_POINT, Parameters, Record};
use vae96::{Layer, Op, Shape};

/// The network's answer to an image of bytes.
pub fn run(layers: &[Layer], input: Shape, parameters: &Parameters<'_>, image: &[u8]) -> Vec<i8> {
    let mut plane: Vec<i8> = image
        .iter()
        .map(|&byte| (i16::from(byte) - 128) as i8)
        .collect();
    let mut shape = input;
    let mut zero_point = INPUT_ZERO_POINT;
    let (mut records, mut channels, mut weights) = (0, 0, 0);
    for layer in layers {
        let output = layer.output(shape, parameters.classes);
        let count = layer.weighted_channels(parameters.classes);
        let mut next = vec![0i8; output.len()];
        let (height, width, kernel, stride, padding) = match layer.op {
            Op::Conv { window: w, .. } => (w.kernel, w.kernel, w.kernel, w.stride, w.padding),
            Op::MaxPool { size } | Op::AveragePool { size } => (size, size, size, size, 0),
            Op::GlobalAveragePool => (shape.height, shape.width, 0, 1, 0),
            Op::Linear { .. } => (shape.height, shape.width, 0, 1, 0),
            _ => panic!("no device runs {:?}", layer.op),
        };
        assert!(kernel == 0 || kernel == height);
        for y in 0..output.height {
            for x in 0..output.width {
                for c in 0..output.channels {
                    // The values that the window shows, with their place in it.
                    let mut taps = Vec::new();
                    for ky in 0..height {
                        for kx in 0..width {
                            let sy = (y * stride + ky) as isize - padding as isize;
                            let sx = (x * stride + kx) as isize - padding as isize;
                            let inside = 0 <= sy
                                && sy < shape.height as isize
                                && 0 <= sx
                                && sx < shape.width as isize;
                            for i in (0..shape.channels).filter(|_| inside) {
                                let at =
                                    (sy as usize * shape.width + sx as usize) * shape.channels + i;
                                let tap = (ky * width + kx) * shape.channels + i;
                                taps.push((i, tap, i64::from(plane[at])));
                            }
                        }
                    }
                    let own = taps.iter().filter(|t| t.0 == c).map(|t| t.2);
                    next[(y * output.width + x) * output.channels + c] = match layer.op {
                        Op::MaxPool { .. } => own.max().unwrap() as i8,
                        Op::AveragePool { .. } | Op::GlobalAveragePool => {
                            away_from_zero(own.sum::<i64>().into(), (height * width) as i128) as i8
                        }
                        _ => {
                            let fan_in = height * width * shape.channels;
                            let w = &parameters.weights[weights + c * fan_in..][..fan_in];
                            let folded: i64 = w.iter().map(|&w| i64::from(w)).sum();
                            let zero = i64::from(zero_point);
                            let mut sum = i64::from(parameters.bias[channels + c]) + zero * folded;
                            for &(_, tap, value) in &taps {
                                sum += (value - zero) * i64::from(w[tap]);
                            }
                            requantise(
                                sum as i32,
                                parameters.multipliers[channels + c],
                                parameters.shifts[channels + c],
                                Record::from_bytes(parameters.records[records]),
                            )
                        }
                    };
                }
            }
        }
        if count > 0 {
            zero_point = Record::from_bytes(parameters.records[records]).zero_point;
            records += 1;
            channels += count;
            weights += count * layer.fan_in(shape);
        }
        plane = next;
        shape = output;
    }
    plane
}

fn requantise(sum: i32, multiplier: i32, shift: i8, record: Record) -> i8 {
    let left = i128::from(sum.wrapping_shl(shift.max(0) as u32));
    // Half a unit up, then down to a whole one: ties go upwards.
    let high = (left * i128::from(multiplier) + (1 << 30)).div_euclid(1 << 31);
    let value = away_from_zero(high, 1 << (-i32::from(shift)).max(0));
    let value = value + i128::from(record.zero_point);
    value.clamp(record.min.into(), record.max.into()) as i8
}

/// `n / d`, rounded to the nearest, ties away from zero.
fn away_from_zero(n: i128, d: i128) -> i128 {
    n.signum() * ((2 * n.abs() + d) / (2 * d))
}
