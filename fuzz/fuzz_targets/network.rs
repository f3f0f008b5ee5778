//! Random small networks. The f32 reference computes every layer where its shapes fit and refuses
//! it where they do not; the engine, row by row, answers as plain integer loops do, with whatever
//! bias and multipliers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae96::float::{self, FloatError, Params};
use vae96::plan::{self, Method};
use vae96::{Interpreter, Layer, Op, Shape};
use vae96_fuzz::common::{Owned, Random, reference};
use vae96_fuzz::network::Input;

/// Multiplies of the largest network that each of the two runs.
const FLOAT_MACS: usize = 1 << 20;
const INTEGER_MACS: usize = 1 << 16;
/// Values of the largest plane that the reference holds: transposed convolutions of few multiplies,
/// one after the other, make planes of many gigabytes.
const FLOAT_VALUES: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let input = Input::read(data);
    let mut shapes = vec![input.shape];
    let mut macs = 0;
    for layer in &input.layers {
        let shape = shapes[shapes.len() - 1];
        macs += layer.macs(shape, input.classes);
        shapes.push(layer.output(shape, input.classes));
    }
    let scratch = float::scratch(&input.layers, input.shape, input.classes);
    if macs <= FLOAT_MACS && scratch <= FLOAT_VALUES {
        float_reference(&input, &shapes, scratch);
    }
    if macs <= INTEGER_MACS && plan::check(&input.layers, input.shape, input.classes).is_ok() {
        engine(&input);
    }
});

fn float_reference(input: &Input, shapes: &[Shape], scratch: usize) {
    let learned: Vec<_> = (input.layers.iter().zip(shapes))
        .map(|(layer, &shape)| {
            let weight = input.values(layer.weights(shape, input.classes));
            let bias = input.values(layer.weighted_channels(input.classes));
            (weight, bias)
        })
        .collect();
    let params: Vec<_> = learned
        .iter()
        .map(|(weight, bias)| Params { weight, bias })
        .collect();
    let image = input.values(input.shape.len());
    let scratch = scratch.max(image.len());
    let (mut a, mut b) = (vec![0.0; scratch], vec![0.0; scratch]);
    let result = float::forward(&input.layers, input.shape, &image, &params, &mut a, &mut b);
    let fits = shapes.iter().all(|shape| !shape.is_empty()) && input.layers.iter().all(has_window);
    match result {
        Ok((shape, values)) => {
            assert!(fits, "computed, though it does not fit");
            assert_eq!(
                (shape, values.len()),
                (shapes[shapes.len() - 1], shape.len())
            );
        }
        Err(FloatError::Shape(_)) => assert!(!fits, "refused, though it fits"),
        Err(error) => panic!("{error}"),
    }
}

/// A transposed convolution has an output shape even where its window has no size or stride.
fn has_window(layer: &Layer) -> bool {
    match layer.op {
        Op::ConvTransposed { window, .. } => window.kernel > 0 && window.stride > 0,
        _ => true,
    }
}

fn engine(input: &Input) {
    let (layers, shape) = (&input.layers, input.shape);
    let mut random = Random(input.bytes.iter().map(|&byte| u64::from(byte)).sum());
    let mut owned = Owned::random(&mut random, layers, shape, input.classes);
    let words = input.bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        i32::from_le_bytes(word)
    });
    for (bias, word) in owned.bias.iter_mut().zip(words.clone()) {
        *bias = word;
    }
    for (multiplier, word) in owned.multipliers.iter_mut().rev().zip(words) {
        *multiplier = word & i32::MAX;
    }

    let image = random.bytes(shape.len());
    let mut buffer = vec![-1; plan::buffer_words(layers, shape, input.classes, Method::Direct)];
    let mut network = Interpreter::new(layers, shape, owned.parameters(), &mut buffer)
        .expect("the plan was checked");
    for row in image.chunks(shape.row()) {
        network.push(row).expect("the image is whole");
    }
    let answer = network.finish().expect("the image is whole");
    let expected = reference::run(layers, shape, &owned.parameters(), &image);
    assert_eq!(answer.values, expected);
}
