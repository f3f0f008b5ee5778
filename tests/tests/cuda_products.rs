//! The products of layers on an emulated GPU, in each precision.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;
use host::backend::Precision;
use host::backend::cuda::ops::Gpu;
use tests::emulator::Emulator;
use tests::products;

fn check(precision: Precision) -> Result<()> {
    let machine = Rc::new(Emulator::with_precision(precision));
    products::are_right(Gpu::new(machine.clone()))?;
    // What is launched nowhere is compared with nothing.
    let cores = match precision {
        Precision::F32 => "",
        Precision::Tf32 | Precision::Bf16 => "_mma",
    };
    let mut expected = BTreeSet::from(["sum_parts".to_owned(), format!("move{cores}_square")]);
    for product in ["gather", "scatter", "weigh"] {
        for shape in ["flat", "square", "tall"] {
            expected.insert(format!("{product}{cores}_{shape}"));
        }
    }
    if precision != Precision::F32 {
        let products = ["gather", "scatter", "weigh"];
        expected.extend(products.map(|product| format!("{product}_mma_large")));
    }
    if precision == Precision::Bf16 {
        for chunks in [1, 2] {
            for rows in [1, 2] {
                let name = |most| format!("direct_outputs_{chunks}_{most}_{rows}");
                expected.extend([8, 16, 32].map(name));
            }
            expected.extend([1, 2].map(|eights| format!("direct_weights_{chunks}_{eights}")));
        }
        expected.extend([8, 16].map(|most| format!("direct_outputs_1_{most}_4")));
        for product in ["gather", "scatter", "weigh"] {
            let name = |shape| format!("{product}_mma_{shape}_plain");
            expected.extend(["square", "large"].map(name));
        }
        expected.extend(["sum_parts_f32", "move_mma_small_plain"].map(str::to_owned));
    }
    let launched = machine.launched().into_iter().map(str::to_owned);
    assert_eq!(launched.collect::<BTreeSet<_>>(), expected);
    Ok(())
}

#[test]
fn in_f32() -> Result<()> {
    check(Precision::F32)
}

#[test]
fn in_tf32() -> Result<()> {
    check(Precision::Tf32)
}

#[test]
fn in_bf16() -> Result<()> {
    check(Precision::Bf16)
}
