//! The f32 reference against loops that follow the definitions, written without looking at it.
#![cfg(feature = "float")]

use proptest::prelude::*;
use vae96::float::{self, FloatError, Params};
use vae96::{Activation, EDGE, Features, INPUT, Layer, Op, Shape, Window};

/// A value of a plane in f64; zero outside it.
fn at(shape: Shape, data: &[f32], y: isize, x: isize, c: usize) -> f64 {
    let inside = (0..shape.height as isize).contains(&y) && (0..shape.width as isize).contains(&x);
    if !inside {
        return 0.0;
    }
    f64::from(data[(y as usize * shape.width + x as usize) * shape.channels + c])
}

/// The layer by its definition, in f64. A transposed convolution is done as the textbook says:
/// every input pixel adds its window to the output, and the padding is cut off.
fn naive(layer: &Layer, input: Shape, data: &[f32], params: Params) -> (Shape, Vec<f64>) {
    let shape = layer.output(input, params.bias.len());
    let mut output = vec![0.0; shape.len()];
    let put = |y: usize, x: usize, c: usize| (y * shape.width + x) * shape.channels + c;
    let weight = |o: usize, ky: usize, kx: usize, c: usize, kernel: usize| {
        f64::from(params.weight[((o * kernel + ky) * kernel + kx) * input.channels + c])
    };
    match layer.op {
        Op::Conv { window, .. } => {
            for (y, x, o) in positions(shape) {
                let mut sum = f64::from(params.bias[o]);
                for (ky, kx, c) in taps(window, input) {
                    let row = (y * window.stride + ky) as isize - window.padding as isize;
                    let column = (x * window.stride + kx) as isize - window.padding as isize;
                    sum += at(input, data, row, column, c) * weight(o, ky, kx, c, window.kernel);
                }
                output[put(y, x, o)] = sum;
            }
        }
        Op::ConvTransposed { window, .. } => {
            for (y, x, o) in positions(shape) {
                output[put(y, x, o)] = f64::from(params.bias[o]);
            }
            for (iy, ix, c) in positions(input) {
                for (ky, kx, o) in taps(window, shape) {
                    let y = (iy * window.stride + ky).wrapping_sub(window.padding);
                    let x = (ix * window.stride + kx).wrapping_sub(window.padding);
                    if y < shape.height && x < shape.width {
                        output[put(y, x, o)] += at(input, data, iy as isize, ix as isize, c)
                            * weight(o, ky, kx, c, window.kernel);
                    }
                }
            }
        }
        Op::MaxPool { size } | Op::AveragePool { size } => {
            for (y, x, c) in positions(shape) {
                let values = (0..size * size).map(|i| {
                    let (row, column) = (y * size + i / size, x * size + i % size);
                    at(input, data, row as isize, column as isize, c)
                });
                output[put(y, x, c)] = if matches!(layer.op, Op::MaxPool { .. }) {
                    values.fold(f64::NEG_INFINITY, f64::max)
                } else {
                    values.sum::<f64>() / (size * size) as f64
                };
            }
        }
        Op::GlobalAveragePool => {
            for (y, x, c) in positions(input) {
                output[c] += at(input, data, y as isize, x as isize, c)
                    / (input.height * input.width) as f64;
            }
        }
        Op::Linear { .. } => {
            for (o, sum) in output.iter_mut().enumerate() {
                *sum = f64::from(params.bias[o]);
                for (i, &x) in data.iter().enumerate() {
                    *sum += f64::from(x) * f64::from(params.weight[o * data.len() + i]);
                }
            }
        }
        Op::Unflatten { .. } => output = data.iter().map(|&x| f64::from(x)).collect(),
    }
    for value in &mut output {
        *value = match layer.activation {
            Activation::None => *value,
            Activation::Relu => value.max(0.0),
            Activation::Sigmoid => 1.0 / (1.0 + (-*value).exp()),
        };
    }
    (shape, output)
}

fn positions(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.len()).map(move |i| {
        let pixel = i / shape.channels;
        (pixel / shape.width, pixel % shape.width, i % shape.channels)
    })
}

fn taps(window: Window, channels_of: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    positions(Shape::plane(
        window.kernel,
        window.kernel,
        channels_of.channels,
    ))
}

fn window() -> impl Strategy<Value = Window> {
    (1..=5usize, 1..=3usize, 0..=3usize)
        .prop_map(|(kernel, stride, padding)| Window::new(kernel, stride, padding))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (window(), 1..=9usize).prop_map(|(window, channels)| Op::Conv { window, channels }),
        (window(), 1..=9usize)
            .prop_map(|(window, channels)| Op::ConvTransposed { window, channels }),
        (1..=4usize).prop_map(|size| Op::MaxPool { size }),
        (1..=4usize).prop_map(|size| Op::AveragePool { size }),
        Just(Op::GlobalAveragePool),
        (1..=9usize).prop_map(|n| Op::Linear {
            features: Features::Fixed(n)
        }),
        Just(Op::Linear {
            features: Features::Classes
        }),
        (1..=3usize, 1..=3usize).prop_map(|(height, width)| Op::Unflatten { height, width }),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..=9usize, 1..=9usize, 1..=9usize).prop_map(|(h, w, c)| Shape::plane(h, w, c))
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Sigmoid)
    ]
}

/// Values in [-1, 1) from a counter: shrinking has nothing to do with them.
fn noise(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as i32 as f32 / 2_147_483_648.0
    };
    (0..len).map(|_| next()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn layers_follow_their_definition(
        op in op(),
        activation in activation(),
        input in shape(),
        classes in 1..=9usize,
        seed: u32,
        spare in 0..3usize,
    ) {
        let layer = Layer { activation, ..Layer::new("layer", op) };
        let data = noise(seed, input.len());
        let weight = noise(seed ^ 1, layer.weights(input, classes));
        let bias = noise(seed ^ 2, layer.weighted_channels(classes));
        let params = Params { weight: &weight, bias: &bias };
        let expected_shape = layer.output(input, classes);
        let mut output = vec![f32::NAN; expected_shape.len() + spare];
        let result = float::layer(&layer, input, &data, params, &mut output);
        if expected_shape.is_empty() {
            prop_assert_eq!(result, Err(FloatError::Shape(input)));
            return Ok(());
        }
        let (shape, expected) = naive(&layer, input, &data, params);
        prop_assert_eq!(result, Ok(shape));
        let tolerance = 1e-6 * (1 + layer.fan_in(input)) as f64;
        for (i, (found, expected)) in output.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            prop_assert!(error <= tolerance, "value {i}: {found} for {expected}");
        }
        prop_assert!(output[shape.len()..].iter().all(|x| x.is_nan()), "wrote past the output");
    }

    /// No combination of sizes panics or overflows; slices of a wrong length are refused.
    #[test]
    fn any_sizes_are_answered(
        sizes in prop::array::uniform6(prop_oneof![0..4usize, Just(usize::MAX), any::<usize>()]),
        kind in 0..7,
        input in 0..70usize,
        weight in 0..70usize,
        bias in 0..5usize,
        output in 0..70usize,
    ) {
        let [a, b, c, height, width, channels] = sizes;
        let window = Window::new(a, b, c);
        let op = match kind {
            0 => Op::Conv { window, channels },
            1 => Op::ConvTransposed { window, channels },
            2 => Op::MaxPool { size: a },
            3 => Op::AveragePool { size: a },
            4 => Op::GlobalAveragePool,
            5 => Op::Linear { features: Features::Classes },
            _ => Op::Unflatten { height: a, width: b },
        };
        let layer = Layer::new("layer", op);
        let (input, weight, bias) = (vec![0.5; input], vec![0.5; weight], vec![0.5; bias]);
        let params = Params { weight: &weight, bias: &bias };
        let mut output = vec![0.0; output];
        let shape = Shape::plane(height, width, channels);
        match float::layer(&layer, shape, &input, params, &mut output) {
            Ok(made) => prop_assert!(made.len() <= output.len() && shape.len() == input.len()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// `forward` is `layer` after `layer`, and the buffers that `scratch` asks for are just enough.
#[test]
fn forward_chains_the_layers_in_exact_buffers() {
    const CLASSES: usize = 7;
    let layers: Vec<Layer> = EDGE.encoder.iter().chain(EDGE.conv_head).copied().collect();
    let image: Vec<f32> = noise(1, INPUT.len());
    let mut learned = Vec::new();
    let mut shape = INPUT;
    for (i, layer) in layers.iter().enumerate() {
        let scale = 1.0 / (layer.fan_in(shape).max(1) as f32).sqrt();
        let weight: Vec<f32> = noise(i as u32, layer.weights(shape, CLASSES))
            .iter()
            .map(|w| w * scale)
            .collect();
        learned.push((weight, noise(i as u32, layer.weighted_channels(CLASSES))));
        shape = layer.output(shape, CLASSES);
    }
    let params: Vec<Params> = learned
        .iter()
        .map(|(weight, bias)| Params { weight, bias })
        .collect();

    let (mut shape, mut data) = (INPUT, image.clone());
    for (layer, &params) in layers.iter().zip(&params) {
        let mut output = vec![0.0; layer.output(shape, CLASSES).len()];
        shape = float::layer(layer, shape, &data, params, &mut output).unwrap();
        data = output;
    }
    assert_eq!(shape, Shape::vector(CLASSES));

    let scratch = float::scratch(&layers, INPUT, CLASSES);
    assert_eq!(scratch, 48 * 48 * 16);
    let (mut a, mut b) = (vec![0.0; scratch], vec![0.0; scratch]);
    let (found_shape, logits) =
        float::forward(&layers, INPUT, &image, &params, &mut a, &mut b).unwrap();
    assert_eq!((found_shape, logits), (shape, data.as_slice()));

    let missing = float::forward(&layers, INPUT, &image, &params[1..], &mut a, &mut b);
    assert_eq!(
        missing.unwrap_err(),
        FloatError::Layers {
            expected: layers.len(),
            found: layers.len() - 1
        }
    );
    let short = float::forward(&layers, INPUT, &image, &params, &mut a[1..], &mut b);
    assert_eq!(
        short.unwrap_err(),
        FloatError::Output {
            needed: scratch,
            found: scratch - 1
        }
    );
}

#[test]
fn forward_without_layers_copies() {
    let (mut a, mut b) = ([0.0; 3], [0.0; 0]);
    let shape = Shape::vector(2);
    let result = float::forward(&[], shape, &[1.0, 2.0], &[], &mut a, &mut b);
    assert_eq!(result, Ok((shape, [1.0, 2.0].as_slice())));
}

#[test]
fn a_nan_is_seen_behind_a_relu() {
    let layer = Layer {
        activation: Activation::Relu,
        ..Layer::new("layer", Op::GlobalAveragePool)
    };
    let mut output = [0.0];
    let input = [f32::NAN];
    float::layer(
        &layer,
        Shape::vector(1),
        &input,
        Params::default(),
        &mut output,
    )
    .unwrap();
    assert!(output[0].is_nan());
}
