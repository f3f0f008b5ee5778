//! The page's sections, one a file. Each is absent where the report has nothing for it.

mod classifiers;
mod configuration;
mod confusions;
mod data;
mod latent;
mod layers;
mod measurement;
mod pretraining;
mod reliability;
mod reproduction;
mod results;

use anyhow::Result;

use super::{
    Report,
    markup::{Element, el},
};

/// A part of the page under its own heading.
pub struct Section {
    /// Where links find it.
    pub id: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// What it holds.
    pub body: Vec<Element>,
    /// Its quantities and how they are defined.
    pub terms: Vec<Term>,
}

/// A quantity and its definition.
pub struct Term(&'static str, String);

/// The sections that `report` has something for, in the order to read them.
pub fn all(report: &Report) -> Result<Vec<Section>> {
    let mut sections = reproduction::sections(report)?;
    let others = [
        results::section(report),
        classifiers::section(report),
        pretraining::section(report)?,
        latent::section(report)?,
        confusions::section(report)?,
        reliability::section(report),
        layers::section(report),
        data::section(report),
        configuration::section(report),
    ];
    sections.extend(others.into_iter().flatten());
    let terms = sections.iter_mut().flat_map(|s| s.terms.drain(..));
    let measurement = measurement::section(terms.collect(), &report.notes);
    sections.extend(measurement);
    Ok(sections)
}

/// A paragraph under a heading that says how to read what follows.
fn lead(text: &str) -> Element {
    el("p").class("lead").text(text)
}

/// A figure with its caption above the picture.
fn figure(caption: Element, content: impl IntoIterator<Item = Element>) -> Element {
    el("figure")
        .child(el("figcaption").child(caption))
        .children(content)
}

/// A table that scrolls by itself where the screen is too narrow for it.
fn scrolling(name: &str, table: Element) -> Element {
    el("div")
        .class("scroll")
        .attr("role", "region")
        .attr("aria-label", name)
        .attr("tabindex", 0)
        .child(table)
}

/// A header cell.
fn th(scope: &'static str, text: &str) -> Element {
    el("th").attr("scope", scope).text(text)
}

/// A cell of a number.
fn number_cell(text: String) -> Element {
    el("td").class("number").text(text)
}

/// A user's string: its direction of writing does not reach beyond it.
fn name(text: &str) -> Element {
    el("bdi").text(text)
}

/// A bar as long as `share` of its cell, of values that stand beside it as text.
fn share_bar(share: f64) -> Element {
    let percent = share.clamp(0.0, 1.0) * 100.0;
    el("span")
        .class("share")
        .attr("aria-hidden", "true")
        .child(el("span").attr("style", format_args!("width:{percent:.1}%")))
}
