//! What is not as in the paper.

use crate::report::{
    markup::el,
    reproduction::{Difference, Reproduction},
    sections::{Section, lead, name, scrolling, th},
};

/// The paper's way and this run's, side by side.
pub fn section(found: &Reproduction) -> Option<Section> {
    if found.differences.is_empty() {
        return None;
    }
    let row = |difference: &Difference| {
        el("tr")
            .child(th("row", difference.what))
            .child(el("td").text(difference.paper))
            .child(el("td").child(name(&difference.here)))
    };
    let head = ["", "Paper", "Here"].map(|head| th("col", head));
    let table = el("table")
        .class("differences")
        .child(el("thead").child(el("tr").children(head)))
        .child(el("tbody").children(found.differences.iter().map(row)));
    Some(Section {
        id: "differences",
        heading: "What differs from the paper",
        body: vec![
            lead(
                "Accuracies on other images, with other classes, cannot equal the paper's: what \
                 can be compared is the order of the settings and the course over labels.",
            ),
            scrolling("Paper and this run", table),
        ],
        terms: Vec::new(),
    })
}
