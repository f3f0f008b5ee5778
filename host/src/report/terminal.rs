//! The end of a run in the terminal.

use std::fmt::Write;

use super::{Report, number};

/// Columns of the table.
const WIDTH: usize = 80;
/// Columns of everything but the name.
const FIGURES: usize = 3 * 11;

/// The accuracies as a table, and what the model needs in one line: at most 80 columns, a line
/// feed after each line. What the report has not is left out.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if !report.results.is_empty() {
        let names: Vec<_> = report.results.iter().map(|row| fit(&row.name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0).max("model".len());
        let _ = writeln!(
            text,
            "{:width$}{:>11}{:>11}{:>11}",
            "model", "top-1 (%)", "top-5 (%)", "images"
        );
        for (row, name) in report.results.iter().zip(names) {
            let _ = writeln!(
                text,
                "{name:width$}{:>11}{:>11}{:>11}",
                number::percent(row.top1),
                number::percent(row.top5),
                number::count(row.images)
            );
        }
    }
    if let Some(model) = &report.model {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "flash {}   RAM {}   {} MACs an image",
            number::bytes(model.flash_bytes),
            number::bytes(model.ram_bytes),
            number::compact(model.macs)
        );
    }
    text
}

/// A name on one line, without control characters that a terminal would obey, cut where it is
/// too long.
fn fit(name: &str) -> String {
    let room = WIDTH - FIGURES;
    let mut clean = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.by_ref().take(room).collect();
    if clean.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}
