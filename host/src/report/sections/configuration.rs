//! Every option of the run.

use super::{Section, name, scrolling};
use crate::report::{Report, markup::el};

pub fn section(report: &Report) -> Option<Section> {
    if report.configuration.is_empty() {
        return None;
    }
    let rows = report.configuration.iter().map(|(option, value)| {
        el("tr")
            .child(el("th").attr("scope", "row").child(name(option)))
            .child(el("td").child(el("code").child(name(value))))
    });
    let table = el("table")
        .class("configuration")
        .child(el("tbody").children(rows));
    Some(Section {
        id: "configuration",
        heading: "Configuration",
        body: vec![scrolling("Options and their values", table)],
        terms: Vec::new(),
    })
}
