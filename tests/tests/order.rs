//! The same model for other kernels.

use std::fs;

use anyhow::Result;
use host::evaluate::{Aligned, needs, parse};
use host::quantise::order::order;
use tests::{fixture, twin};
use vae96::model::WeightLayout;
use vae96::plan::Method;

const MODELS: [&str; 3] = ["edge-conv.v96", "edge-dense.v96", "edge-deep-encoder.v96"];

#[test]
fn a_model_answers_the_same_in_every_layout() -> Result<()> {
    let images = tests::scenes(4, 11).concat();
    for name in MODELS {
        let file = fs::read(fixture(name))?;
        let expected = twin::answers(&file, &images)?;
        let aligned = Aligned::new(&file);
        let original = parse(aligned.bytes())?;
        for layout in WeightLayout::ALL {
            let ordered = order(aligned.bytes(), layout)?.expect("the fixtures are narrow");
            let ordered_file = Aligned::new(&ordered);
            let model = parse(ordered_file.bytes())?;
            assert_eq!(model.layout(), layout, "{name}");
            assert_eq!(model.fingerprint(), original.fingerprint(), "{name}");
            assert!(model.names().eq(original.names()), "{name}");
            assert_eq!(
                twin::answers(&ordered, &images)?,
                expected,
                "{name}, {layout:?}"
            );
        }
    }
    Ok(())
}

/// The dense head has no layer that could run by Winograd's method.
#[test]
fn a_model_is_for_the_method_that_a_layer_of_it_runs_by() -> Result<()> {
    for (name, method) in [
        ("edge-conv.v96", Method::Winograd),
        ("edge-dense.v96", Method::Direct),
    ] {
        let file = fs::read(fixture(name))?;
        let ordered = order(Aligned::new(&file).bytes(), WeightLayout::Winograd)?;
        let ordered = Aligned::new(&ordered.expect("the fixtures are narrow"));
        assert_eq!(parse(ordered.bytes())?.method(), method, "{name}");
    }
    Ok(())
}

#[test]
fn what_is_ordered_already_is_refused() -> Result<()> {
    let file = fs::read(fixture(MODELS[0]))?;
    let packed = order(Aligned::new(&file).bytes(), WeightLayout::Packed)?;
    let packed = packed.expect("the fixtures are narrow");
    let again = order(Aligned::new(&packed).bytes(), WeightLayout::Winograd);
    assert!(
        again.is_err(),
        "weights that are not in the portable order were ordered"
    );
    Ok(())
}

#[test]
fn memory_is_that_of_the_method_that_weights_are_ordered_for() -> Result<()> {
    let file = fs::read(fixture(MODELS[0]))?;
    let ram = |layout| -> Result<usize> {
        let ordered = order(Aligned::new(&file).bytes(), layout)?.expect("the fixtures are narrow");
        let needs = needs(&ordered)?;
        let layers: usize = needs.layers.iter().map(|layer| layer.ram_bytes).sum();
        assert!(layers < needs.ram_bytes, "{layout:?}");
        Ok(needs.ram_bytes)
    };
    let least = ram(WeightLayout::Portable)?;
    assert_eq!(ram(WeightLayout::Packed)?, least);
    let more = ram(WeightLayout::Winograd)? - least;
    assert!((8 << 10..=16 << 10).contains(&more), "{more} bytes more");
    Ok(())
}
