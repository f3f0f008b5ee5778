//! Model files from any bytes: an error, or a network that runs whatever its numbers are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae96::{
    Classifier, Classifies, Edge, EdgeDeepEncoder, EdgeDense, EdgeEncoder, Encoder, Encodes,
    IMAGE_BYTES, Interpreter, Kind, Model, ROW_BYTES,
};
use vae96_fuzz::common::File;
use vae96_fuzz::model;

fuzz_target!(|data: &[u8]| {
    assert!(
        Model::parse(File::of(data).bytes()).is_err(),
        "a checksum that nobody worked out"
    );
    let Some(file) = model::file(data) else {
        return;
    };
    let file = File::of(&file);
    let Ok(model) = Model::parse(file.bytes()) else {
        return;
    };
    let names = model.names().count();
    assert!(names == 0 || names == model.classes());

    let image: Box<[u8; IMAGE_BYTES]> = data
        .iter()
        .copied()
        .cycle()
        .take(IMAGE_BYTES)
        .collect::<Vec<_>>()
        .try_into()
        .expect("there is data");
    let mut buffer = vec![0; model.network().buffer_words(model.classes())];
    let mut network = Interpreter::of(&model, &mut buffer).expect("the model was checked");
    for row in image.chunks(ROW_BYTES) {
        network.push(row).expect("the image is whole");
    }
    let answer = network.finish().expect("the image is whole").values;
    match (model.architecture().name, model.kind()) {
        ("edge", Kind::ConvClassifier) => classify::<Edge>(&file, &image, answer),
        ("edge", Kind::DenseClassifier) => classify::<EdgeDense>(&file, &image, answer),
        ("edge", Kind::Encoder) => encode::<EdgeEncoder>(&file, &image, answer),
        ("edge", Kind::DeepEncoder) => encode::<EdgeDeepEncoder>(&file, &image, answer),
        _ => {}
    }
});

fn encode<N: Encodes>(file: &File, image: &[u8; IMAGE_BYTES], answer: &[i8]) {
    let mut encoder = Encoder::<N>::new(file.bytes()).expect("as parsed");
    let Ok(mean) = encoder.encode(image);
    assert_eq!(mean.values, answer);
}

fn classify<N: Classifies>(file: &File, image: &[u8; IMAGE_BYTES], answer: &[i8]) {
    let mut classifier = Classifier::<N>::new(file.bytes()).expect("as parsed");
    let Ok(logits) = classifier.classify(image);
    assert_eq!(logits.quantised().values, answer);
    let sum: f32 = logits.probabilities().sum();
    assert!((sum - 1.0).abs() < 1e-3, "probabilities add up to {sum}");
    let top = logits.top_k::<5>();
    assert_eq!(top.len(), answer.len().min(5));
    assert_eq!(top[0].class, logits.best());
    assert!(top.is_sorted_by(|a, b| a.probability >= b.probability));
}
