//! A program that links only if nothing in the library can panic.
//!
//! It calls all that the library offers, the f32 reference apart, with arguments that the compiler
//! knows nothing of, and its panic handler calls a function that does not exist: after optimisation
//! at link time, the call must be gone. The program is not meant to be run.
#![no_std]
#![no_main]
#![allow(
    clippy::too_many_arguments,
    reason = "of `entry`: each static becomes one"
)]

use core::fmt::Write;
use core::hint::black_box as unknown;

use cortex_m as _;
use cortex_m_rt::entry;
use vae96::frame::{FrameError, PixelFormat};
use vae96::model::{Contents, Parameters, WeightLayout};
use vae96::network::NETWORKS;
use vae96::plan::{self, Method};
use vae96::{
    Calibration, Classifier, Classifies, Edge, EdgeDeepEncoderWinograd, EdgeDense, EdgeEncoder,
    EdgeWinograd, Encoder, Encodes, Frame, FrameStream, Interpreter, InterpreterError, Layer,
    Logits, Model, ModelError, Network, Paper, PaperDense, PaperEncoder, PlanError, Prototypes,
    Quantised, ROW_BYTES, RowError, RowSource, SavedError, Shape, TeachError, requantise,
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn vae96_can_panic() -> !;
    }
    vae96_can_panic()
}

#[entry]
fn main() -> ! {
    static mut EDGE: Option<Classifier<'static, Edge>> = None;
    static mut EDGE_WINOGRAD: Option<Classifier<'static, EdgeWinograd>> = None;
    static mut EDGE_DENSE: Option<Classifier<'static, EdgeDense>> = None;
    static mut EDGE_ENCODER: Option<Encoder<'static, EdgeEncoder>> = None;
    static mut DEEP_ENCODER: Option<Encoder<'static, EdgeDeepEncoderWinograd>> = None;
    static mut PAPER: Option<Classifier<'static, Paper>> = None;
    static mut PAPER_DENSE: Option<Classifier<'static, PaperDense>> = None;
    static mut PAPER_ENCODER: Option<Encoder<'static, PaperEncoder>> = None;
    static mut TAUGHT: Option<Prototypes<10, 128>> = None;
    static mut BUFFER: [i32; 1 << 14] = [0; 1 << 14];
    static mut FILE: [u8; 1 << 10] = [0; 1 << 10];

    let bytes: &'static [u8] = unknown(&[]);
    classifier(EDGE, bytes);
    classifier(EDGE_WINOGRAD, bytes);
    classifier(EDGE_DENSE, bytes);
    classifier(PAPER, bytes);
    classifier(PAPER_DENSE, bytes);
    encoder(EDGE_ENCODER, bytes);
    encoder(DEEP_ENCODER, bytes);
    encoder(PAPER_ENCODER, bytes);
    if let Ok(model) = Model::parse(bytes) {
        inspect(&model);
        interpret_file(&model, unknown(&mut BUFFER[..]));
        write(&model, unknown(&mut FILE[..]));
        taught(TAUGHT, &model, unknown(&mut FILE[..]));
    }
    interpret(bytes, unknown(&mut BUFFER[..]));
    frames(bytes);
    arithmetic();
    messages();
    #[cfg(feature = "panic")]
    unknown(bytes[unknown(0)]);
    loop {
        cortex_m::asm::wfi();
    }
}

fn classifier<N: Classifies>(place: &mut Option<Classifier<'static, N>>, bytes: &'static [u8]) {
    let Ok(classifier) = Classifier::<N>::new(bytes) else {
        return;
    };
    let classifier = place.insert(classifier);
    inspect(classifier.model());
    let _ = unknown(classifier.push(unknown(&[0; ROW_BYTES])));
    classifier.restart();
    if let Ok(logits) = classifier.finish() {
        score(&logits);
    }
    if let Ok(frame) = Frame::grey(bytes, unknown(1), unknown(1))
        && let Ok(logits) = classifier.classify(frame)
    {
        score(&logits);
    }
}

fn encoder<N: Encodes>(place: &mut Option<Encoder<'static, N>>, bytes: &'static [u8]) {
    let Ok(encoder) = Encoder::<N>::new(bytes) else {
        return;
    };
    let encoder = place.insert(encoder);
    inspect(encoder.model());
    let _ = unknown(encoder.push(unknown(&[0; ROW_BYTES])));
    encoder.restart();
    if let Ok(mean) = encoder.finish() {
        reals(mean);
    }
    if let Ok(frame) = Frame::grey(bytes, unknown(1), unknown(1))
        && let Ok(mean) = encoder.encode(frame)
    {
        reals(mean);
    }
}

fn score(logits: &Logits<'_>) {
    unknown(logits.top_k::<1>());
    unknown(logits.top_k::<5>());
    unknown(logits.best());
    each(logits.iter());
    each(logits.probabilities());
    reals(logits.quantised());
}

fn reals(values: Quantised<'_>) {
    each(values.iter());
    unknown(values.real(unknown(1)));
}

fn inspect(model: &Model<'_>) {
    unknown((
        model.architecture(),
        model.kind(),
        model.layout(),
        model.flash_bytes(),
    ));
    unknown(model.name(unknown(3)));
    each(model.names());
    let network = model.network();
    unknown(network.macs(model.classes()));
    unknown(network.layer_ram_bytes(unknown(0), unknown(Method::Direct)));
    let mut shape = unknown(vae96::INPUT);
    for layer in model.layers() {
        shape = unknown(layer.output(shape, model.classes()));
    }
}

fn interpret_file(model: &Model<'_>, buffer: &mut [i32]) {
    if let Ok(network) = Interpreter::of(model, buffer) {
        run(network);
    }
}

/// Layers that nobody checked.
fn interpret(bytes: &'static [u8], buffer: &mut [i32]) {
    let layers: &[Layer] = unknown(Edge::LAYERS);
    let input = Shape::plane(unknown(1), unknown(1), unknown(1));
    let values: &[i8] = unknown(&[]);
    let words: &[i32] = unknown(&[]);
    let parameters = Parameters {
        classes: unknown(1),
        layout: unknown(WeightLayout::Portable),
        records: unknown(bytes.as_chunks().0),
        multipliers: words,
        shifts: values,
        weights: values,
        bias: words,
    };
    unknown(plan::check(layers, input, unknown(1)).is_ok());
    if let Ok(network) = Interpreter::new(layers, input, parameters, buffer) {
        run(network);
    }
}

fn run(mut network: Interpreter<'_>) {
    let _ = unknown(network.push(unknown(&[])));
    network.restart();
    if let Ok(values) = network.finish() {
        reals(values);
    }
}

fn write(model: &Model<'_>, file: &mut [u8]) {
    let contents = Contents {
        network: unknown(&NETWORKS[0]),
        parameters: *model.parameters(),
        names: unknown(&[""]),
    };
    let _ = unknown(contents.length());
    let _ = unknown(contents.write(file));
}

fn taught(place: &mut Option<Prototypes<10, 128>>, model: &Model<'_>, file: &mut [u8]) {
    let Ok(taught) = Prototypes::of(model) else {
        return;
    };
    let taught = place.insert(taught);
    taught.calibrate(unknown(taught.calibration()));
    let features = Quantised {
        values: unknown(&[]),
        scale: unknown(1.0),
        zero_point: unknown(0),
    };
    let _ = unknown(taught.load(unknown(file)));
    let _ = unknown(taught.teach(unknown("a name"), &features));
    if let Ok(similarities) = taught.compare(&features) {
        unknown(similarities.top_k::<3>());
        unknown((similarities.best(), similarities.none_of_these()));
        each(similarities.values().iter());
    }
    unknown(taught.remove(unknown("a name")));
    each(taught.classes());
    let _ = unknown((taught.save(file), taught.len(), taught.is_empty()));
    taught.clear();
}

fn frames(bytes: &[u8]) {
    for frame in [
        Frame::new(unknown(PixelFormat::Yuyv), bytes, unknown(1), unknown(1)),
        Frame::rgb888(bytes, unknown(1), unknown(1)),
        Frame::rgb565_be(bytes, unknown(1), unknown(1)),
        Frame::rgb565_le(bytes, unknown(1), unknown(1)),
        Frame::yuyv(bytes, unknown(1), unknown(1)),
        Frame::grey(bytes, unknown(1), unknown(1)),
    ] {
        let Ok(frame) = frame.and_then(|frame| frame.with_stride(unknown(1))) else {
            continue;
        };
        let mut row = [0; ROW_BYTES];
        let _ = unknown(frame.clone().centre().row(unknown(1), &mut row));
        if let Ok(mut frame) = frame.crop(unknown(1), unknown(1), unknown(1), unknown(1)) {
            let _ = unknown(frame.row(unknown(1), &mut row));
        }
        unknown(row);
    }
    let Ok(stream) = FrameStream::new(unknown(PixelFormat::Grey), unknown(1), unknown(1)) else {
        return;
    };
    let Ok(mut stream) = stream
        .centre()
        .crop(unknown(1), unknown(1), unknown(1), unknown(1))
    else {
        return;
    };
    if let Ok(rows) = stream.push(bytes) {
        each(rows);
    }
    each(stream.ready());
    stream.restart();
}

fn each<T>(values: impl Iterator<Item = T>) {
    for value in values {
        unknown(value);
    }
}

fn arithmetic() {
    unknown(requantise::multiply(unknown(1), unknown(1), unknown(1)));
    unknown(requantise::quantise_multiplier(unknown(1.0)));
    let calibration = unknown(Calibration::default());
    unknown(calibration.probability(unknown(1), unknown(1)));
}

/// What errors say of themselves.
fn messages() {
    struct Nowhere;

    impl Write for Nowhere {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            unknown(text);
            Ok(())
        }
    }

    let _ = write!(Nowhere, "{}", unknown(ModelError::Magic));
    let _ = write!(Nowhere, "{}", unknown(RowError::TooFew));
    let _ = write!(Nowhere, "{}", unknown(PlanError::Window));
    let _ = write!(Nowhere, "{}", unknown(InterpreterError::Buffer));
    let _ = write!(Nowhere, "{}", unknown(FrameError::RowsWaiting));
    let _ = write!(Nowhere, "{}", unknown(TeachError::Full));
    let _ = write!(Nowhere, "{}", unknown(SavedError::Space));
}
