//! Files of taught classes from any bytes: an error, or classes that can be compared, taught and
//! saved as they were.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vae96::prototypes::ONE;
use vae96::{Model, Prototypes, Quantised};
use vae96_fuzz::common::File;
use vae96_fuzz::prototypes::{self, FEATURES};

type Taught = Prototypes<6, FEATURES>;

static MODEL: LazyLock<File> = LazyLock::new(prototypes::model);

fuzz_target!(|data: &[u8]| {
    let model = Model::parse(MODEL.bytes()).expect("it is a model");
    let mut taught = Taught::of(&model).expect("there is room");
    assert!(
        taught.load(data).is_err(),
        "a checksum that nobody worked out"
    );
    let Some(file) = prototypes::file(data, model.fingerprint()) else {
        return;
    };
    if taught.load(&file).is_err() {
        assert!(taught.is_empty() && taught.calibration().is_none());
        return;
    }
    let mut saved = vec![0; taught.saved_bytes()];
    assert_eq!(taught.save(&mut saved), Ok(file.len()));
    assert_eq!(saved, file);

    let values: [i8; FEATURES] = std::array::from_fn(|i| data[i % data.len()] as i8);
    let features = Quantised {
        values: &values,
        scale: 1.0,
        zero_point: data[data.len() / 2] as i8,
    };
    compare(&taught, &features);
    let names: Vec<String> = taught.classes().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let _ = taught.teach(&name, &features);
        assert!(taught.remove(&name));
        assert_eq!(taught.teach(&name, &features), Ok(taught.len() - 1));
    }
});

fn compare(taught: &Taught, features: &Quantised<'_>) {
    let similarities = taught.compare(features).expect("the features are as many");
    assert_eq!(similarities.values().len(), taught.len());
    assert!(
        similarities
            .values()
            .iter()
            .all(|value| (-ONE..=ONE).contains(value))
    );
    let none = similarities.none_of_these();
    assert!(none.is_none_or(|none| (0..=ONE).contains(&none)));
    let top = similarities.top_k::<6>();
    assert!(top.is_sorted_by(|a, b| a.similarity >= b.similarity));
}
