//! Convolutions, linear layers, BatchNorm and activations.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vae96::{Activation, Layer, Shape, Window};

use super::{check, distinct, for_each_case, gradients, input, no_tape, parameter, random, weigh};
use crate::backend::cpu::gradient::Gradient;
use crate::backend::cpu::ops::Map;
use crate::backend::cpu::ops::biased::biased;
use crate::backend::cpu::ops::conv::{Conv, Way, conv_transposed};
use crate::backend::cpu::ops::linear::Linear;
use crate::backend::cpu::ops::normalised::normalised;
use crate::backend::cpu::ops::windows::Windows;
use crate::backend::cpu::ops::winograd::Winograd;
use crate::backend::cpu::source::{Source, Values};
use crate::backend::cpu::tape::Recording;

/// A map and the sizes of its inputs, outputs, weights and channels.
struct Case<M> {
    map: M,
    inputs: usize,
    outputs: usize,
    weights: usize,
    channels: usize,
}

fn window(rng: &mut ChaCha8Rng) -> Window {
    let kernel = rng.random_range(1..=4);
    let padding = rng.random_range(0..kernel);
    Window::new(kernel, rng.random_range(1..=3), padding)
}

fn plane(rng: &mut ChaCha8Rng) -> Shape {
    let mut side = || rng.random_range(4..=7);
    let (height, width) = (side(), side());
    Shape::plane(height, width, rng.random_range(1..=3))
}

fn direct(plane: Shape, window: Window, channels: usize) -> Conv<Windows> {
    Conv {
        method: Windows::new(plane, window, channels),
        way: Way::Forth,
    }
}

fn conv(rng: &mut ChaCha8Rng) -> Case<Conv<Windows>> {
    let (input, window, channels) = (plane(rng), window(rng), rng.random_range(1..=4));
    let layer = Layer::conv("", window, channels);
    Case {
        map: direct(input, window, channels),
        inputs: input.len(),
        outputs: layer.output(input, 0).len(),
        weights: layer.weights(input, 0),
        channels,
    }
}

fn transposed(rng: &mut ChaCha8Rng) -> Case<Conv<Windows>> {
    let (input, window, channels) = (plane(rng), window(rng), rng.random_range(1..=4));
    let layer = Layer::conv_transposed("", window, channels);
    let output = layer.output(input, 0);
    Case {
        map: conv_transposed(input, window, output),
        inputs: input.len(),
        outputs: output.len(),
        weights: layer.weights(input, 0),
        channels,
    }
}

fn linear(rng: &mut ChaCha8Rng) -> Case<Linear> {
    let (inputs, outputs) = (rng.random_range(1..=9), rng.random_range(1..=9));
    Case {
        map: Linear { inputs, outputs },
        inputs,
        outputs,
        weights: inputs * outputs,
        channels: outputs,
    }
}

/// Gradients of inputs, weights and bias behind a smooth activation.
fn check_biased<M: Map + Copy + 'static>(rng: &mut ChaCha8Rng, case: Case<M>) {
    let count = rng.random_range(1..=3);
    let x = random(rng, count * case.inputs);
    let w = random(rng, case.weights);
    let b = random(rng, case.channels);
    let c = random(rng, count * case.outputs);
    let act = Activation::Sigmoid;

    let (inputs, weights, bias) = (input(&x), parameter(w.clone()), parameter(b.clone()));
    let mut tape = Recording::default();
    let map = Box::new(case.map);
    let output = biased(&mut tape, map, &inputs, &weights, Some(&bias), act);
    let key = inputs.key.clone().expect("an input's key");
    let found = gradients(tape, &output, c.clone(), &[&key], &[&weights, &bias]);

    let loss = |x: &[f32], w: &[f32], b: &[f32]| {
        let (w, b) = (parameter(w.to_vec()), parameter(b.to_vec()));
        let map = Box::new(case.map);
        let y = biased(&mut no_tape(), map, &input(x), &w, Some(&b), act);
        weigh(&y.values, &c)
    };
    check("input", &x, &found[0], 1e-2, |x| loss(x, &w, &b));
    check("weight", &w, &found[1], 1e-2, |w| loss(&x, w, &b));
    check("bias", &b, &found[2], 1e-2, |b| loss(&x, &w, b));
}

#[test]
fn conv_gradients() {
    for_each_case(|rng| {
        let case = conv(rng);
        check_biased(rng, case);
    });
}

#[test]
fn conv_transposed_gradients() {
    for_each_case(|rng| {
        let case = transposed(rng);
        check_biased(rng, case);
    });
}

#[test]
fn linear_gradients() {
    for_each_case(|rng| {
        let case = linear(rng);
        check_biased(rng, case);
    });
}

/// Outputs, gradients of weights and of inputs, those of both methods within rounding.
#[test]
fn winograds_method_agrees_with_the_direct_one() {
    for_each_case(|rng| {
        let mut side = || 2 * rng.random_range(1..=20);
        let (height, width) = (side(), side());
        let mut channels = || 16 * rng.random_range(1..=4);
        let (from, to) = (channels(), channels());
        let input = Shape::plane(height, width, from);
        let window = Window::new(3, 1, 1);
        let windows = Windows::new(input, window, to);
        let winograd = Winograd::new(windows).expect("even sides, whole vectors");
        let count = rng.random_range(1..=3);
        let x: Values = random(rng, count * input.len()).into();
        let w = random(rng, 9 * from * to);
        let g = random(rng, count * height * width * to);
        let winograd = Conv {
            method: winograd,
            way: Way::Forth,
        };
        let all = |map: &dyn Map| passes(map, &x, &w, &g);
        let expected = all(&direct(input, window, to));
        for (found, expected) in all(&winograd).iter().zip(&expected) {
            check_close(found, expected, 3e-6);
        }
    });
}

/// Outputs, and the gradients of weights and inputs.
fn passes(map: &dyn Map, x: &Values, w: &[f32], g: &Vec<f32>) -> [Vec<f32>; 3] {
    let mut inputs = vec![f32::NAN; Source::len(x)];
    let weights = match map.backward(x, w, g, Some(&mut inputs)) {
        Gradient::Values(weights) => weights,
        Gradient::Factors(_) => panic!("a convolution's gradient is of values"),
    };
    [map.forward(x, w), weights, inputs]
}

/// Compares values, within a share of the largest.
fn check_close(found: &[f32], expected: &[f32], share: f32) {
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= share * largest,
            "{a}, not {b}, of {largest}"
        );
    }
}

#[test]
fn winograds_method_is_not_for_other_windows() {
    let serves =
        |plane, window, channels| Winograd::new(Windows::new(plane, window, channels)).is_some();
    let (plane, window) = (Shape::plane(6, 4, 16), Window::new(3, 1, 1));
    assert!(serves(plane, window, 32));
    assert!(!serves(plane, window, 33));
    assert!(!serves(Shape::plane(6, 4, 3), window, 32));
    assert!(!serves(Shape::plane(6, 5, 16), window, 32));
    for other in [
        Window::new(3, 2, 1),
        Window::new(3, 1, 0),
        Window::new(5, 1, 1),
    ] {
        assert!(!serves(plane, other, 32));
    }
}

/// Both ways of a convolution and their gradients as they are defined: by every pair of a plane's
/// value and a grid's value that a weight joins. Rows are longer than the vectors of any processor.
#[test]
fn convolutions_agree_with_plain_loops() {
    for_each_case(|rng| {
        let (height, width) = (rng.random_range(4..=9), rng.random_range(4..=70));
        let plane = Shape::plane(height, width, rng.random_range(1..=20));
        let kernel = rng.random_range(1..=5.min(height).min(width));
        let window = Window::new(kernel, rng.random_range(1..=3), rng.random_range(0..kernel));
        let map = direct(plane, window, rng.random_range(1..=40));
        let count = rng.random_range(1..=2);
        let grid = map.method.grid;
        let planes = random(rng, count * plane.len());
        let grids = random(rng, count * grid.len());
        let w = random(rng, grid.channels * kernel * kernel * plane.channels);

        let mut from_planes = vec![0.0; grids.len()];
        let mut from_grids = vec![0.0; planes.len()];
        let mut weights = vec![0.0; w.len()];
        for (index, to) in from_planes.iter_mut().enumerate() {
            let (pixel, channel) = (index / grid.channels, index % grid.channels);
            let (row, column) = (pixel / grid.width, pixel % grid.width);
            let (image, row) = (row / grid.height, row % grid.height);
            for tap in 0..kernel * kernel {
                let at = |pixel: usize, tap: usize, size: usize| {
                    let inner = (pixel * window.stride + tap).checked_sub(window.padding);
                    inner.filter(|inner| *inner < size)
                };
                let row = at(row, tap / kernel, height);
                let Some((row, column)) = row.zip(at(column, tap % kernel, width)) else {
                    continue;
                };
                let from = ((image * height + row) * width + column) * plane.channels;
                let weight = (channel * kernel * kernel + tap) * plane.channels;
                for c in 0..plane.channels {
                    *to += planes[from + c] * w[weight + c];
                    from_grids[from + c] += grids[index] * w[weight + c];
                    weights[weight + c] += grids[index] * planes[from + c];
                }
            }
        }

        let [outputs, found, inputs] = passes(&map, &planes.clone().into(), &w, &grids);
        check_close(&outputs, &from_planes, 1e-5);
        check_close(&found, &weights, 1e-5);
        check_close(&inputs, &from_grids, 1e-5);
        let transposed = conv_transposed(grid, window, plane);
        let [outputs, found, inputs] = passes(&transposed, &grids.into(), &w, &planes);
        check_close(&outputs, &from_grids, 1e-5);
        check_close(&found, &weights, 1e-5);
        check_close(&inputs, &from_planes, 1e-5);
    });
}

/// Gradients through BatchNorm, of its inputs, weights, γ and β.
fn check_normalised(rng: &mut ChaCha8Rng, count: usize, channels: usize, act: Activation) {
    let inputs = rng.random_range(1..=4);
    let map = Linear {
        inputs,
        outputs: channels,
    };
    let x = distinct(rng, count * inputs);
    let w = random(rng, channels * inputs);
    let scale: Vec<f32> = random(rng, channels)
        .iter()
        .map(|v| 1.0 + v / 2.0)
        .collect();
    let shift = random(rng, channels);
    let c = random(rng, count * channels);

    let node = input(&x);
    let parameters = [&w, &scale, &shift].map(|values| parameter(values.clone()));
    let [weights, gamma, beta] = &parameters;
    let mut tape = Recording::default();
    let (output, moments) = normalised(&mut tape, Box::new(map), &node, weights, gamma, beta, act);
    assert_eq!(moments.count, count);
    let key = node.key.clone().expect("an input's key");
    let parameters = [weights, gamma, beta];
    let found = gradients(tape, &output, c.clone(), &[&key], &parameters);

    let loss =
        |x: &[f32], w: &[f32], scale: &[f32], shift: &[f32]| reference(x, w, scale, shift, &c, act);
    check("input", &x, &found[0], 1e-4, |x| {
        loss(x, &w, &scale, &shift)
    });
    check("weight", &w, &found[1], 1e-4, |w| {
        loss(&x, w, &scale, &shift)
    });
    check("γ", &scale, &found[2], 1e-4, |s| loss(&x, &w, s, &shift));
    check("β", &shift, &found[3], 1e-4, |s| loss(&x, &w, &scale, s));
}

/// The loss by the definition of BatchNorm, in double precision.
fn reference(
    x: &[f32],
    w: &[f32],
    scale: &[f32],
    shift: &[f32],
    c: &[f32],
    act: Activation,
) -> f64 {
    let channels = scale.len();
    let inputs = w.len() / channels;
    let mut loss = 0.0;
    for channel in 0..channels {
        let w = &w[channel * inputs..][..inputs];
        let z: Vec<f64> = x.chunks(inputs).map(|x| weigh(x, w)).collect();
        let count = z.len() as f64;
        let mean = z.iter().sum::<f64>() / count;
        let variance = z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / count;
        for (row, z) in z.iter().enumerate() {
            let normalised = (z - mean) / (variance + 1e-5).sqrt();
            let y = f64::from(scale[channel]) * normalised + f64::from(shift[channel]);
            let y = match act {
                Activation::None => y,
                Activation::Relu => y.max(0.0),
                Activation::Sigmoid => 1.0 / (1.0 + (-y).exp()),
            };
            loss += y * f64::from(c[row * channels + channel]);
        }
    }
    loss
}

#[test]
fn batch_norm_gradients() {
    for act in [Activation::None, Activation::Relu, Activation::Sigmoid] {
        for_each_case(|rng| {
            let (count, channels) = (rng.random_range(3..=9), rng.random_range(1..=5));
            check_normalised(rng, count, channels, act);
        });
    }
}

/// More rows than one task takes, and a mean far from zero.
#[test]
fn moments_of_many_rows() {
    use crate::backend::cpu::ops::batch_norm::Moments;
    for_each_case(|rng| {
        let channels = rng.random_range(1..=1500);
        let rows = 300_000 / channels + 1;
        let mut values = random(rng, rows * channels);
        values.iter_mut().for_each(|v| *v += 1000.0);
        let moments = Moments::of(&values, channels);
        let column = channels - 1;
        let column: Vec<f64> = (0..rows)
            .map(|row| f64::from(values[row * channels + column]))
            .collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        let squares: f64 = column.iter().map(|v| (v - mean) * (v - mean)).sum();
        assert!((moments.mean[channels - 1] - mean).abs() < 1e-4);
        let found = moments.biased_variance()[channels - 1];
        let expected = squares / rows as f64;
        assert!(
            (found / expected - 1.0).abs() < 1e-3,
            "{found}, not {expected}"
        );
    });
}
