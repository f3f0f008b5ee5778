//! Confidence against accuracy.

use super::{Section, Term, lead, name, number_cell, scrolling, th};
use crate::report::{
    Reliability, Report,
    markup::{Element, el},
    number,
    plot::reliability,
};

pub fn section(report: &Report) -> Option<Section> {
    let models = report
        .reliability
        .iter()
        .filter(|model| model.bins.iter().any(|bin| bin.count > 0));
    let panels: Vec<_> = models.map(panel).collect();
    (!panels.is_empty()).then(|| Section {
        id: "reliability",
        heading: "Reliability",
        body: vec![
            lead(
                "Bars are accuracies, the lines across them mean confidences: a bar below its \
                 line is over-confident. On the dashed diagonal both agree. Below, the images in \
                 each bin.",
            ),
            el("div").class("panels").children(panels),
        ],
        terms: vec![Term(
            "Expected calibration error",
            "Images are sorted into bins by the probability of their best class. The error is the \
             distance between mean confidence and accuracy of a bin, averaged over bins with \
             their numbers of images as weights (Guo et al., 2017)."
                .to_owned(),
        )],
    })
}

fn panel(model: &Reliability) -> Element {
    let error = number::percent(model.expected_calibration_error);
    el("figure")
        .child(
            el("figcaption")
                .child(el("strong").child(name(&model.name)).text(": accuracy (%)"))
                .child(el("small").text(format_args!("expected calibration error {error} %"))),
        )
        .child(reliability(model))
        .child(
            el("details")
                .child(el("summary").text("The bins as a table"))
                .child(scrolling("Bins", table(model))),
        )
}

fn table(model: &Reliability) -> Element {
    let columns = ["Bin (%)", "Confidence", "Accuracy", "Images"];
    let edge = |bin: usize| {
        let percent = 100.0 * bin as f64 / model.bins.len() as f64;
        let decimals = usize::from(percent.fract() != 0.0);
        number::fixed(percent, decimals)
    };
    let rows = model.bins.iter().enumerate().map(|(i, bin)| {
        let share = |value| {
            if bin.count == 0 {
                String::new()
            } else {
                number::percent(value)
            }
        };
        el("tr")
            .child(th("row", &format!("{}–{}", edge(i), edge(i + 1))))
            .child(number_cell(share(bin.confidence)))
            .child(number_cell(share(bin.accuracy)))
            .child(number_cell(number::count(bin.count)))
    });
    el("table")
        .class("bins")
        .child(el("thead").child(el("tr").children(columns.map(|text| th("col", text)))))
        .child(el("tbody").children(rows))
}
