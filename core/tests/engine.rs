//! The engine against plain loops, bit for bit: the networks there are, and random ones.

mod common;

use common::{File, Ordered, Owned, Random, description, image, reference};
use proptest::prelude::*;
use vae96::model::{Parameters, WeightLayout};
use vae96::plan::{self, MAX_LAYERS, Method};
use vae96::{
    Activation, Classifier, Classifies, Edge, EdgeDeepEncoder, EdgeDeepEncoderWinograd, EdgeDense,
    EdgeEncoder, EdgeWinograd, Encoder, Features, INPUT, Interpreter, InterpreterError, Layer,
    MAX_CLASSES, Model, Network, Op, Paper, ROW_BYTES, RowError, Shape, Window,
};
#[cfg(feature = "std")]
use vae96::{Interleaved, Line};

/// The interpreter's answer, from a buffer that is exactly long enough and was used before.
fn interpreted(
    layers: &[Layer],
    input: Shape,
    parameters: &Parameters<'_>,
    image: &[u8],
) -> Vec<i8> {
    let mut buffer =
        vec![0x5a5a_5a5a; plan::buffer_words(layers, input, parameters.classes, Method::Direct)];
    let mut network = Interpreter::new(layers, input, *parameters, &mut buffer).unwrap();
    for row in image.chunks(input.row()) {
        network.push(row).unwrap();
    }
    network.finish().unwrap().values.to_vec()
}

fn classifiers_agree<N: Classifies>(seed: u64, classes: usize, images: usize) {
    let mut random = Random(seed);
    let owned = Owned::random(&mut random, N::LAYERS, INPUT, classes);
    let file = File::holding(description::<N>(), &owned, false);
    let mut classifier = Classifier::<N>::new(file.bytes()).unwrap();
    let [packed, winograd] = [WeightLayout::Packed, WeightLayout::Winograd]
        .map(|layout| File::ordered(description::<N>(), &owned, false, layout));
    let mut from_packed = Classifier::<N>::new(packed.bytes()).unwrap();
    let mut from_winograd = Classifier::<N>::new(winograd.bytes()).unwrap();
    for _ in 0..images {
        let image = image(&mut random);
        let expected = reference::run(N::LAYERS, INPUT, &owned.parameters(), &image[..]);
        let varied = expected.iter().any(|&value| value != expected[0]);
        assert!(
            varied || classes == 1,
            "the test shows nothing: {expected:?}"
        );
        let logits = classifier.classify(&*image).unwrap();
        assert_eq!(logits.quantised().values, expected);
        for row in image.as_chunks::<ROW_BYTES>().0 {
            classifier.push(row).unwrap();
        }
        let logits = classifier.finish().unwrap();
        assert_eq!(logits.quantised().values, expected);
        assert_eq!(
            interpreted(N::LAYERS, INPUT, &owned.parameters(), &image[..]),
            expected
        );
        let logits = from_packed.classify(&*image).unwrap();
        assert_eq!(logits.quantised().values, expected, "packed weights");
        let logits = from_winograd.classify(&*image).unwrap();
        assert_eq!(logits.quantised().values, expected, "weights for Winograd");
        #[cfg(feature = "std")]
        match by_interleaved(&file, &image[..]) {
            Some(answer) => assert_eq!(answer, expected, "interleaved weights"),
            None => {
                println!("interleaved weights: not compared, this processor has no use for them")
            }
        }
    }
}

/// The answer by interleaved weights, for the best instructions that this processor has.
#[cfg(feature = "std")]
fn by_interleaved(file: &File, image: &[u8]) -> Option<Vec<i8>> {
    let model = Model::parse(file.bytes()).unwrap();
    let mut lines = vec![Line::ZERO; Interleaved::lines(&model)];
    let weights = Interleaved::of(&model, &mut lines).unwrap();
    if weights.is_empty() {
        return None;
    }
    let mut buffer = vec![0x5a5a_5a5a; model.network().buffer_words(model.classes())];
    let mut network = Interpreter::interleaved(&model, weights, &mut buffer).unwrap();
    for row in image.chunks(ROW_BYTES) {
        network.push(row).unwrap();
    }
    Some(network.finish().unwrap().values.to_vec())
}

#[test]
fn edge_is_bit_exact() {
    classifiers_agree::<Edge>(1, 10, 3);
    classifiers_agree::<Edge>(2, 1, 1);
    classifiers_agree::<Edge>(3, MAX_CLASSES, 1);
}

/// Random parameters, and such as take every sum as far as it goes.
#[test]
fn edge_by_winograd_is_bit_exact() {
    for (seed, extreme) in [(20, false), (21, true)] {
        let mut random = Random(seed);
        let mut owned = Owned::random(&mut random, Edge::LAYERS, INPUT, 10);
        let mut image = image(&mut random);
        if extreme {
            owned
                .weights
                .fill_with(|| if random.within(0, 9) > 0 { 127 } else { -127 });
            image.fill_with(|| if random.within(0, 9) > 0 { 255 } else { 0 });
        }
        let expected = reference::run(Edge::LAYERS, INPUT, &owned.parameters(), &image[..]);
        for layout in [
            WeightLayout::Winograd,
            WeightLayout::Packed,
            WeightLayout::Portable,
        ] {
            let file = File::ordered(description::<EdgeWinograd>(), &owned, false, layout);
            let mut classifier = Classifier::<EdgeWinograd>::new(file.bytes()).unwrap();
            for _ in 0..2 {
                let logits = classifier.classify(&*image).unwrap();
                assert_eq!(logits.quantised().values, expected, "{layout:?}");
            }
        }
    }
}

#[test]
fn the_deep_encoder_by_winograd_is_bit_exact() {
    let mut random = Random(22);
    let layers = EdgeDeepEncoder::LAYERS;
    let owned = Owned::random(&mut random, layers, INPUT, 0);
    let network = description::<EdgeDeepEncoderWinograd>();
    let file = File::ordered(network, &owned, false, WeightLayout::Winograd);
    let image = image(&mut random);
    let expected = reference::run(layers, INPUT, &owned.parameters(), &image[..]);
    let mut encoder = Encoder::<EdgeDeepEncoderWinograd>::new(file.bytes()).unwrap();
    assert_eq!(encoder.encode(&*image).unwrap().values, expected);
    let mut encoder = Encoder::<EdgeDeepEncoder>::new(file.bytes()).unwrap();
    assert_eq!(encoder.encode(&*image).unwrap().values, expected);
}

#[test]
fn edge_with_the_dense_head_is_bit_exact() {
    classifiers_agree::<EdgeDense>(4, 10, 3);
    classifiers_agree::<EdgeDense>(5, 203, 1);
}

#[test]
fn paper_is_bit_exact() {
    classifiers_agree::<Paper>(6, 17, 1);
}

#[test]
fn the_encoder_is_bit_exact() {
    let mut random = Random(7);
    let owned = Owned::random(&mut random, EdgeEncoder::LAYERS, INPUT, 0);
    let file = File::holding(description::<EdgeEncoder>(), &owned, false);
    let mut encoder = Encoder::<EdgeEncoder>::new(file.bytes()).unwrap();
    for _ in 0..3 {
        let image = image(&mut random);
        let expected = reference::run(EdgeEncoder::LAYERS, INPUT, &owned.parameters(), &image[..]);
        assert_eq!(expected.len(), 64);
        assert_eq!(encoder.encode(&*image).unwrap().values, expected);
        assert_eq!(
            interpreted(EdgeEncoder::LAYERS, INPUT, &owned.parameters(), &image[..]),
            expected
        );
    }
}

#[test]
fn an_interpreter_runs_a_file_of_any_network() {
    let mut random = Random(8);
    let file = File::random(&mut random, description::<EdgeDense>(), 5, false);
    let image = image(&mut random);
    let mut classifier = Classifier::<EdgeDense>::new(file.bytes()).unwrap();
    let expected = classifier.classify(&*image).unwrap().quantised();
    let model = Model::parse(file.bytes()).unwrap();
    let mut buffer = vec![0; model.network().buffer_words(model.classes())];
    let mut interpreter = Interpreter::of(&model, &mut buffer).unwrap();
    for row in image.chunks(ROW_BYTES) {
        interpreter.push(row).unwrap();
    }
    assert_eq!(interpreter.finish().unwrap(), expected);
}

#[test]
fn edge_runs_in_16_kilobytes() {
    let bytes = size_of::<Classifier<Edge>>();
    assert!(bytes <= 16 * 1024, "{bytes} bytes");
    let more = size_of::<Classifier<EdgeWinograd>>() - bytes;
    assert!(more <= 16 * 1024, "{more} bytes more by Winograd");
    // What is stated is for 32 bits; examples/check.sh compares it on such machines.
    fn on_32_bits<N: Classifies>() -> usize {
        let buffer = size_of::<N::Buffer>();
        buffer + (size_of::<Classifier<N>>() - buffer) / size_of::<usize>() * 4
    }
    let stated = |method| description::<Edge>().ram_bytes(method);
    assert_eq!(stated(Method::Direct), on_32_bits::<Edge>());
    assert_eq!(stated(Method::Winograd), on_32_bits::<EdgeWinograd>());
}

#[test]
fn rows_are_counted() {
    let mut random = Random(9);
    let file = File::random(&mut random, description::<Edge>(), 3, false);
    let mut classifier = Classifier::<Edge>::new(file.bytes()).unwrap();
    let image = image(&mut random);
    let rows = image.as_chunks::<ROW_BYTES>().0;
    let expected = classifier
        .classify(&*image)
        .unwrap()
        .quantised()
        .values
        .to_vec();

    assert_eq!(classifier.finish().err(), Some(RowError::TooFew));
    for row in &rows[..95] {
        classifier.push(row).unwrap();
    }
    assert_eq!(classifier.finish().err(), Some(RowError::TooFew));
    // The rows before are forgotten.
    for row in rows {
        classifier.push(row).unwrap();
    }
    assert_eq!(classifier.push(&rows[0]), Err(RowError::TooMany));
    assert_eq!(classifier.finish().unwrap().quantised().values, expected);
    // A whole image does not mind rows that were pushed before.
    classifier.push(&rows[5]).unwrap();
    assert_eq!(
        classifier.classify(&*image).unwrap().quantised().values,
        expected
    );
}

#[test]
fn a_source_that_fails_leaves_the_classifier_fresh() {
    struct Broken;
    impl vae96::RowSource for Broken {
        type Error = usize;
        fn row(&mut self, y: usize, _: &mut [u8; ROW_BYTES]) -> Result<(), usize> {
            if y == 40 { Err(y) } else { Ok(()) }
        }
    }
    let mut random = Random(10);
    let file = File::random(&mut random, description::<Edge>(), 3, false);
    let mut classifier = Classifier::<Edge>::new(file.bytes()).unwrap();
    let image = image(&mut random);
    let expected = classifier
        .classify(&*image)
        .unwrap()
        .quantised()
        .values
        .to_vec();
    assert_eq!(classifier.classify(Broken).err(), Some(40));
    for row in image.as_chunks::<ROW_BYTES>().0 {
        classifier.push(row).unwrap();
    }
    assert_eq!(classifier.finish().unwrap().quantised().values, expected);
}

#[test]
fn an_interpreter_says_what_it_lacks() {
    let input = Shape::plane(4, 4, 1);
    let layers = [Layer::linear("fc", Features::Fixed(2))];
    let owned = Owned::random(&mut Random(11), &layers, input, 0);
    let words = plan::buffer_words(&layers, input, 0, Method::Direct);
    let mut buffer = vec![0; words];
    let short = Interpreter::new(&layers, input, owned.parameters(), &mut buffer[1..]);
    assert_eq!(short.err(), Some(InterpreterError::Buffer));
    let mut network = Interpreter::new(&layers, input, owned.parameters(), &mut buffer).unwrap();
    assert_eq!(network.push(&[0; 3]), Err(RowError::Length));
    for _ in 0..4 {
        network.push(&[0; 4]).unwrap();
    }
    assert_eq!(network.push(&[0; 4]), Err(RowError::TooMany));
}

/// A layer from three numbers that need not mean anything.
fn layer(op: u8, size: usize, stride: usize, width: usize) -> Layer {
    match op {
        0..=3 => Layer::conv("conv", Window::new(size, stride, width % size), width),
        4 => Layer::new("max", Op::MaxPool { size }),
        5 => Layer::new("mean", Op::AveragePool { size }),
        6 => Layer::new("mean", Op::GlobalAveragePool),
        _ => Layer::hidden("fc", width),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_are_bit_exact(
        height in 1usize..=13,
        width in 1usize..=13,
        depth in 1usize..=4,
        wanted in prop::collection::vec((0u8..8, 1usize..=5, 1usize..=4, 1usize..=9), 0..MAX_LAYERS),
        classes in 1usize..=6,
        seed: u64,
    ) {
        let input = Shape::plane(height, width, depth);
        let end = Layer::linear("classes", Features::Classes).ending_in(Activation::None);
        let mut layers = vec![end];
        for (op, size, stride, channels) in wanted {
            let at = layers.len() - 1;
            layers.insert(at, layer(op, size, stride, channels));
            if plan::check(&layers, input, classes).is_err() {
                layers.remove(at);
            }
        }
        let mut random = Random(seed);
        let owned = Owned::random(&mut random, &layers, input, classes);
        let mut buffer = vec![-1; plan::buffer_words(&layers, input, classes, Method::Direct)];
        let mut network =
            Interpreter::new(&layers, input, owned.parameters(), &mut buffer).unwrap();
        for _ in 0..2 {
            let image = random.bytes(input.len());
            let expected = reference::run(&layers, input, &owned.parameters(), &image);
            for row in image.chunks(input.row()) {
                network.push(row).unwrap();
            }
            prop_assert_eq!(network.finish().unwrap().values, &expected[..], "{:?}", layers);
        }
    }

    /// Windows that can be packed, on rows of every length; weights and pixels reach the extremes
    /// together, where a coefficient would overflow first.
    #[test]
    fn packed_weights_give_the_same_answers(
        (kernel, stride) in prop_oneof![Just((3, 1)), Just((3, 2)), Just((5, 2))],
        height in 1usize..=7,
        width in 1usize..=26,
        depth in prop_oneof![1usize..=8, Just(16), Just(32), Just(64)],
        channels in 1usize..=3,
        extreme: bool,
        seed: u64,
    ) {
        let input = Shape::plane(height, width, depth);
        let layers = [
            Layer::conv("conv", Window::new(kernel, stride, kernel / 2), channels),
            Layer::linear("fc", Features::Classes),
        ];
        let classes = 5;
        prop_assume!(plan::check(&layers, input, classes).is_ok());
        let mut random = Random(seed);
        let mut owned = Owned::random(&mut random, &layers, input, classes);
        let mut image = random.bytes(input.len());
        if extreme {
            let convolution = layers[0].weights(input, classes);
            let sign = |random: &mut Random| random.within(0, 9) > 0;
            for weight in &mut owned.weights[..convolution] {
                *weight = if sign(&mut random) { 127 } else { -127 };
            }
            image.fill_with(|| if sign(&mut random) { 0 } else { 255 });
        }
        let ordered = Ordered::of(WeightLayout::Packed, &layers, input, &owned);
        let expected = interpreted(&layers, input, &owned.parameters(), &image);
        let packed = interpreted(&layers, input, &ordered.parameters(&owned), &image);
        prop_assert_eq!(packed, expected);
    }
}

/// Speed of whole images, for people: `cargo test --release -p vae96 --test engine -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    let mut random = Random(12);
    let file = File::random(&mut random, description::<Edge>(), 10, false);
    let image = image(&mut random);
    let macs = description::<Edge>().macs(10) as f64;
    let report = |name: &str, classify: &mut dyn FnMut()| {
        // The best of many short times is the least disturbed one.
        let best = (0..200).map(|_| {
            let start = std::time::Instant::now();
            classify();
            start.elapsed().as_secs_f64()
        });
        let best = best.fold(f64::MAX, f64::min);
        println!(
            "{name}: {:.0} images/s, {:.2} GMAC/s",
            1.0 / best,
            macs / best / 1e9
        );
    };
    let mut classifier = Classifier::<Edge>::new(file.bytes()).unwrap();
    report("classifier", &mut || {
        std::hint::black_box(classifier.classify(&*image).unwrap().best());
    });
    let model = Model::parse(file.bytes()).unwrap();
    let mut buffer = vec![0; model.network().buffer_words(10)];
    let mut interpreter = Interpreter::of(&model, &mut buffer).unwrap();
    report("interpreter", &mut || {
        for row in image.chunks(ROW_BYTES) {
            interpreter.push(row).unwrap();
        }
        std::hint::black_box(interpreter.finish().unwrap());
    });
    #[cfg(feature = "std")]
    {
        let mut lines = vec![Line::ZERO; Interleaved::lines(&model)];
        let weights = Interleaved::of(&model, &mut lines).unwrap();
        let mut buffer = vec![0; model.network().buffer_words(10)];
        let mut interpreter = Interpreter::interleaved(&model, weights, &mut buffer).unwrap();
        report("interleaved", &mut || {
            for row in image.chunks(ROW_BYTES) {
                interpreter.push(row).unwrap();
            }
            std::hint::black_box(interpreter.finish().unwrap());
        });
    }
}
