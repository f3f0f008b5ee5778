//! The headline: how right each model is, and what the model file needs.

use super::{Section, Term, name, number_cell, scrolling, th};
use crate::report::{
    ModelSummary, Report, ResultRow,
    markup::{Element, el},
    measures::wilson,
    number,
};

pub fn section(report: &Report) -> Option<Section> {
    let mut body = Vec::new();
    let mut terms = Vec::new();
    if !report.results.is_empty() {
        terms.push(Term(
            "Top-1, top-5",
            "The share of validation images whose label is the best class, or among the best \
             five. The interval is Wilson's 95 % score interval, for images drawn independently; \
             it does not cover the chance of another seed. Models of one table saw the same \
             images, so a difference between them is surer than their intervals suggest."
                .to_owned(),
        ));
        body.push(scrolling("Accuracies", table(&report.results)));
    }
    if let Some(model) = &report.model {
        terms.push(Term(
            "Flash, RAM, MACs",
            "Flash is the size of the model file. RAM is all state that is kept while an image \
             is classified. A MAC is one multiplication with its addition; products with padding \
             count. 1 KiB is 1024 bytes."
                .to_owned(),
        ));
        body.push(tiles(model));
    }
    (!body.is_empty()).then_some(Section {
        id: "results",
        heading: "Results",
        body: vec![el("div").class("headline").children(body)],
        terms,
    })
}

fn table(rows: &[ResultRow]) -> Element {
    // Screen readers read a header without its neighbours.
    let change = |of: &str| th("col", "change").attr("aria-label", format_args!("{of} change"));
    let head = el("tr")
        .child(th("col", "Model"))
        .child(th("col", "Top-1 (%)"))
        .child(change("Top-1"))
        .child(th("col", "Top-5 (%)"))
        .child(change("Top-5"));
    let body = rows.iter().map(|row| {
        let against = row
            .versus
            .as_ref()
            .and_then(|versus| rows.iter().find(|other| other.name == *versus));
        let mut model = el("th").attr("scope", "row").child(name(&row.name));
        if let Some(against) = against {
            model = model.child(el("small").text("against ").child(name(&against.name)));
        }
        if !row.note.is_empty() {
            model = model.child(el("small").child(name(&row.note)));
        }
        el("tr")
            .child(model)
            .child(accuracy(row.top1, row.images))
            .child(change_cell(row.top1, against.map(|other| other.top1)))
            .child(accuracy(row.top5, row.images))
            .child(change_cell(row.top5, against.map(|other| other.top5)))
    });
    el("table")
        .class("results")
        .child(el("caption").text(caption(rows)))
        .child(el("thead").child(head))
        .child(el("tbody").children(body))
}

fn caption(rows: &[ResultRow]) -> String {
    let images = rows[0].images;
    let over = if rows.iter().all(|row| row.images == images) {
        format!("Over {} validation images. ", number::count(images))
    } else {
        String::new()
    };
    format!("{over}Small figures: 95 % intervals. Changes in points.")
}

fn accuracy(share: f64, images: usize) -> Element {
    let interval = wilson(share, images);
    number_cell(number::percent(share)).child(el("small").text(format_args!(
        "{}–{}",
        number::percent(interval.low),
        number::percent(interval.high)
    )))
}

fn change_cell(share: f64, against: Option<f64>) -> Element {
    number_cell(against.map_or(String::new(), |other| number::points(share - other)))
}

fn tiles(model: &ModelSummary) -> Element {
    let tile = |term: &str, value: String, exact: String| {
        el("div")
            .child(el("dt").text(term))
            .child(el("dd").text(value).child(el("small").text(exact)))
    };
    let bytes = |bytes| format!("{} bytes", number::count(bytes));
    el("dl")
        .class("tiles")
        .child(tile(
            "Flash",
            number::bytes(model.flash_bytes),
            bytes(model.flash_bytes),
        ))
        .child(tile(
            "RAM",
            number::bytes(model.ram_bytes),
            bytes(model.ram_bytes),
        ))
        .child(tile(
            "MACs",
            number::compact(model.macs),
            "an image".to_owned(),
        ))
}
