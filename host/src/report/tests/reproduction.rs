//! The page of a reproduction.

use super::markup_check::Page;
use super::sample;
use crate::report::reproduction::{
    Accuracy, Difference, LabelRow, Reproduction, SettingResult, Spread, StepLoss,
};
use crate::report::{Report, html};

fn accuracy(seeds: &[f64]) -> Option<Accuracy> {
    let spread = Spread::of(seeds.to_vec())?;
    Some(Accuracy {
        top1: spread.clone(),
        top5: spread,
    })
}

/// Half of a run: one row has two seeds, one has one, one has none.
fn half_done() -> Report {
    let full = sample::full();
    let row = |labels, pretrained: &[f64]| LabelRow {
        labels,
        pretrained: accuracy(pretrained),
        baseline: None,
    };
    let setting = |setting, curve| SettingResult {
        setting,
        name: "conv head",
        accuracy: accuracy(&[0.2, 0.4]),
        curve,
    };
    Report {
        reproduction: Some(Reproduction {
            done: 4,
            trainings: 9,
            classes: 10,
            images: 3925,
            curve_images: 1000,
            keeps_best: true,
            pretraining: full.pretraining.clone(),
            steps: vec![StepLoss {
                step: 0,
                loss: 6675.0,
            }],
            settings: vec![
                setting("conv-learn", vec![(1, 0.1), (2, f64::NAN)]),
                setting("baseline", Vec::new()),
            ],
            rows: vec![row(1, &[0.1, 0.3]), row(3, &[0.25]), row(64, &[])],
            differences: vec![Difference {
                what: "Images",
                paper: "photographs",
                here: "those in /a/<b>&\"c\"".to_owned(),
            }],
        }),
        pretraining: None,
        ..full
    }
}

#[test]
fn table_and_figures_stand_beside_the_papers_values() {
    let html = html(&half_done()).unwrap();
    let page = Page::read(&html);
    let sections = [
        "table-1",
        "figure-4",
        "figure-3",
        "figure-1",
        "figure-2",
        "differences",
    ];
    assert_eq!(page.ids[..sections.len()], sections);
    assert_eq!(page.links, page.ids);
    // √(2 · 0.1²) of 0.1 and 0.3.
    assert!(html.contains("20.0 ± 14.1"));
    assert!(html.contains("4 of 9 trainings are done"));
    assert!(html.contains("which flatters every figure"));
    // The paper has a value for 1 and for 64 labels, none for 3.
    assert_eq!(html.matches("<s>8.4</s>").count(), 2);
    assert!(html.contains("&lt;b&gt;&amp;&quot;c&quot;"));
}

#[test]
fn what_is_not_done_leaves_nothing_behind() {
    let empty = Report {
        reproduction: Some(Reproduction::default()),
        ..Report::default()
    };
    let page = Page::read(&html(&empty).unwrap());
    assert!(page.ids.is_empty(), "{:?}", page.ids);
}
