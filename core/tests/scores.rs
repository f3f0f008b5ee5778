//! Logits, probabilities and the order of classes.

mod common;

use common::{File, Owned, Random, description, image};
use proptest::prelude::*;
use vae96::model::Record;
use vae96::{
    Aligned, Classifier, Edge, EdgeEncoder, Encoder, INPUT, Logits, Model, Network, Score,
};

/// A model of as many classes as there are values, whose logits have that scale.
fn file(classes: usize, scale: f32, zero_point: i8, named: bool) -> File {
    let mut owned = Owned::random(&mut Random(1), Edge::LAYERS, INPUT, classes);
    *owned.records.last_mut().unwrap() = Record {
        scale,
        zero_point,
        min: -128,
        max: 127,
    }
    .to_bytes();
    File::holding(description::<Edge>(), &owned, named)
}

#[test]
fn the_best_come_first_and_of_equals_the_lower_class() {
    let file = file(6, 0.5, -10, true);
    let model = Model::parse(file.bytes()).unwrap();
    let values = [3, 7, -128, 7, 127, 3];
    let logits = Logits::new(&values, &model);
    assert_eq!(logits.best(), 4);
    let order = |scores: &[Score<'_>]| scores.iter().map(|s| s.class).collect::<Vec<_>>();
    assert_eq!(order(&logits.top_k::<6>()), [4, 1, 3, 0, 5, 2]);
    assert_eq!(order(&logits.top_k::<9>()), [4, 1, 3, 0, 5, 2]);
    assert_eq!(order(&logits.top_k::<3>()), [4, 1, 3]);
    assert!(logits.top_k::<0>().is_empty());
    let first = logits.top_k::<1>()[0];
    assert_eq!(first.name, Some("classe n° 4"));
    assert_eq!(first.logit, 68.5);
    assert_eq!(
        logits.iter().collect::<Vec<_>>(),
        [6.5, 8.5, -59.0, 8.5, 68.5, 6.5]
    );
}

#[test]
fn classes_without_names_have_none() {
    let file = file(2, 0.5, 0, false);
    let model = Model::parse(file.bytes()).unwrap();
    let logits = Logits::new(&[1, 2], &model);
    assert!(logits.top_k::<2>().iter().all(|score| score.name.is_none()));
}

#[test]
fn extreme_logits_have_probabilities() {
    for scale in [f32::MIN_POSITIVE, 1e-9, 1.0, 1e9, f32::MAX] {
        let file = file(3, scale, 127, false);
        let model = Model::parse(file.bytes()).unwrap();
        let logits = Logits::new(&[-128, 127, 127], &model);
        let probabilities: Vec<f32> = logits.probabilities().collect();
        let sum: f32 = probabilities.iter().sum();
        assert!(
            (sum - 1.0).abs() < 1e-6,
            "{probabilities:?} at scale {scale}"
        );
        assert_eq!(probabilities[1], probabilities[2]);
        assert!(probabilities[0] <= probabilities[1]);
    }
}

#[test]
fn a_latent_stands_for_real_numbers() {
    let mut random = Random(2);
    let file = File::random(&mut random, description::<EdgeEncoder>(), 0, false);
    let mut encoder = Encoder::<EdgeEncoder>::new(file.bytes()).unwrap();
    let record = *encoder.model().parameters().records.last().unwrap();
    let record = Record::from_bytes(record);
    let image = image(&mut random);
    let mean = encoder.encode(&*image).unwrap();
    assert_eq!(
        (mean.scale, mean.zero_point),
        (record.scale, record.zero_point)
    );
    for (real, &value) in mean.iter().zip(mean.values) {
        let expected = record.scale * (f32::from(value) - f32::from(record.zero_point));
        assert_eq!(real, expected);
    }
}

#[test]
fn a_file_in_the_program_is_aligned() {
    static SOURCE: &Aligned<[u8]> = vae96::include_model!("scores.rs");
    assert!(
        SOURCE
            .as_ptr()
            .addr()
            .is_multiple_of(vae96::model::ALIGNMENT)
    );
    assert!(SOURCE.starts_with(b"//! Logits"));
    assert!(Classifier::<Edge>::new(SOURCE).is_err());
}

proptest! {
    #[test]
    fn probabilities_are_the_softmax(
        values in prop::collection::vec(any::<i8>(), 1..60),
        scale in 1e-3f32..2.0,
        zero_point: i8,
    ) {
        let file = file(values.len(), scale, zero_point, false);
        let model = Model::parse(file.bytes()).unwrap();
        let logits = Logits::new(&values, &model);
        let exponentials: Vec<f64> = logits.iter().map(|l| f64::from(l).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        for (probability, exponential) in logits.probabilities().zip(exponentials) {
            prop_assert!((f64::from(probability) - exponential / sum).abs() < 1e-4);
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|&class| -i32::from(values[class]));
        let best: Vec<usize> = logits.top_k::<60>().iter().map(|score| score.class).collect();
        prop_assert_eq!(best, order);
    }
}
