//! The images of the run.

use super::{Section, name, number_cell, th};
use crate::report::{Report, markup::el, number};

pub fn section(report: &Report) -> Option<Section> {
    let data = &report.data;
    let classes = data.classes.len();
    let train = match data.labels_per_class {
        Some(labels) => format!("Training images ({} a class)", number::count(labels)),
        None => "Training images".to_owned(),
    };
    let rows: Vec<_> = [
        ("Classes", classes),
        (&train, data.train),
        ("Validation images", data.val),
        ("Unlabelled images", data.unlabelled),
        ("Unreadable files, skipped", data.skipped),
    ]
    .into_iter()
    .filter(|&(_, count)| count > 0)
    .map(|(term, count)| {
        el("tr")
            .child(th("row", term))
            .child(number_cell(number::count(count)))
    })
    .collect();
    if rows.is_empty() {
        return None;
    }
    let names = (classes > 0).then(|| {
        el("details")
            .child(el("summary").text("The classes"))
            .child(
                el("ol")
                    .class("classes")
                    .attr("start", 0)
                    .children(data.classes.iter().map(|class| el("li").child(name(class)))),
            )
    });
    let table = el("table").child(el("tbody").children(rows));
    Some(Section {
        id: "data",
        heading: "Data",
        body: [table].into_iter().chain(names).collect(),
        terms: Vec::new(),
    })
}
