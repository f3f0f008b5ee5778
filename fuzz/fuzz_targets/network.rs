//! Random small networks through the f32 reference: every layer is computed where its shapes
//! fit and refused where they do not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae96::float::{self, FloatError, Params};
use vae96_fuzz::network::Input;

/// Multiplies of the largest network that is run.
const MACS: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let input = Input::read(data);
    let mut shapes = vec![input.shape];
    let mut macs = 0;
    for layer in &input.layers {
        let shape = shapes[shapes.len() - 1];
        macs += layer.macs(shape, input.classes);
        shapes.push(layer.output(shape, input.classes));
    }
    if macs > MACS {
        return;
    }

    let learned: Vec<_> = input
        .layers
        .iter()
        .zip(&shapes)
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
    let scratch = float::scratch(&input.layers, input.shape, input.classes).max(image.len());
    let (mut a, mut b) = (vec![0.0; scratch], vec![0.0; scratch]);
    let result = float::forward(&input.layers, input.shape, &image, &params, &mut a, &mut b);
    let last = shapes[shapes.len() - 1];
    match (result, shapes.iter().find(|shape| shape.is_empty())) {
        (Ok((shape, values)), None) => assert_eq!((shape, values.len()), (last, last.len())),
        (Err(FloatError::Shape(_)), Some(_)) => {}
        // A window without size or stride may yet have an output shape.
        (Err(FloatError::Shape(_)), None) => assert!(
            input.layers.iter().any(has_no_window),
            "refused, though it fits"
        ),
        (result, _) => panic!("{result:?}"),
    }
});

fn has_no_window(layer: &vae96::Layer) -> bool {
    match layer.op {
        vae96::Op::ConvTransposed { window, .. } => window.kernel == 0 || window.stride == 0,
        _ => false,
    }
}
