//! BatchNorm and sums of columns on an emulated GPU, on arrays of any shape.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;
use host::backend::Precision;
use host::backend::cuda::ops::Gpu;
use proptest::prelude::*;
use tests::emulator::Emulator;
use tests::norms;

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

#[test]
fn shapes_that_are_covered_in_each_way() -> Result<()> {
    for precision in PRECISIONS {
        let machine = Rc::new(Emulator::with_precision(precision));
        let gpu = Gpu::new(machine.clone());
        for (seed, shape) in norms::SHAPES.into_iter().enumerate() {
            norms::are_right(&gpu, shape, seed as u64)?;
        }
        let expected = [
            "column_parts",
            "columns",
            "moments",
            "moments_parts",
            "norm_backward",
            "norm_gradients",
            "norm_parts",
            "normalise",
        ];
        let launched: BTreeSet<_> = machine.launched().into_iter().collect();
        assert_eq!(launched, BTreeSet::from(expected));
    }
    Ok(())
}

/// Up to 40,000 values, or 12 rows: deviations of fewer can be so small that what f32 rounds shows.
fn shapes() -> impl Strategy<Value = [usize; 2]> {
    let channels = prop_oneof![1..=40_usize, 1..=2000_usize];
    channels.prop_flat_map(|channels| {
        (12..=(40_000 / channels).max(12)).prop_map(move |rows| [rows, channels])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn shapes_of_any_size(shape in shapes(), seed in any::<u64>(), rounded in any::<bool>()) {
        let machine = Emulator::with_precision(PRECISIONS[usize::from(rounded)]);
        let outcome = norms::are_right(&Gpu::new(Rc::new(machine)), shape, seed);
        prop_assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
    }
}
