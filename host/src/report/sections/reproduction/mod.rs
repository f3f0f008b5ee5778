//! The paper's table and figures, each beside the paper's own values.

mod differences;
mod labels;
mod settings;
mod vae;

use anyhow::Result;

use super::Section;
use crate::report::{Report, markup::Element, markup::el, number, reproduction::Spread};

/// Colours of what is compared.
const PRETRAINED: usize = 1;
const BASELINE: usize = 0;
const PAPER: usize = 5;

/// The sections of a reproduction; none where the report has none.
pub fn sections(report: &Report) -> Result<Vec<Section>> {
    let Some(found) = &report.reproduction else {
        return Ok(Vec::new());
    };
    let [figure1, figure2] = vae::sections(found)?;
    let all = [
        labels::table(found),
        labels::figure4(found),
        settings::section(found),
        figure1,
        figure2,
        differences::section(found),
    ];
    Ok(all.into_iter().flatten().collect())
}

/// A cell of a mean of shares with its deviation, in per cent.
fn spread_cell(spread: Option<&Spread>) -> Element {
    let text = spread.map_or("–".to_owned(), |spread| match spread.deviation {
        Some(deviation) => format!(
            "{} ± {}",
            number::percent(spread.mean),
            number::percent(deviation)
        ),
        None => number::percent(spread.mean),
    });
    super::number_cell(text)
}

/// A legend of lines: class and name.
fn legend(items: impl IntoIterator<Item = (String, String)>) -> Element {
    let items = items.into_iter().map(|(class, name)| {
        el("li")
            .child(crate::report::plot::swatch(&class))
            .text(name)
    });
    el("ul").class("legend").children(items)
}
