//! Plots as SVG. Colours come from the style sheet by class, so they follow the reader's scheme.

mod axis;
mod labels;
mod lines;
mod reliability;
mod scatter;
mod sorted;

use super::markup::{Element, el};
use axis::{Axis, Scale};

pub use labels::{Point, Series, labels};
pub use lines::{Line, lines, lines_over};
pub use reliability::reliability;
pub use scatter::{MARKS, Mark, scatter};
pub use sorted::sorted;

/// Colours of the style sheet; plots with more lines start over.
pub const COLOURS: usize = 6;

/// Width of every plot, in its own units: about one CSS pixel on a phone.
const WIDTH: f64 = 340.0;
/// Where the values begin and end, to the right of the labels of the vertical axis.
const LEFT: f64 = 40.0;
const RIGHT: f64 = WIDTH - 12.0;

/// The classes of a line or its sample in a legend.
pub fn line_class(colour: usize, dashed: bool) -> String {
    let dash = if dashed { " dashed" } else { "" };
    format!("line c{}{dash}", colour % COLOURS)
}

/// The sample of a line, for a legend.
pub fn swatch(class: &str) -> Element {
    el("svg")
        .class("swatch")
        .attr("viewBox", "0 0 26 10")
        .attr("aria-hidden", "true")
        .child(el("path").class(class).attr("d", "M2 5H24"))
}

/// An empty plot of that height, described for those who cannot see it.
fn canvas(height: f64, summary: &str) -> Element {
    el("svg")
        .class("plot")
        .attr("viewBox", format_args!("0 0 {WIDTH} {height}"))
        .attr("role", "img")
        .attr("aria-label", summary)
}

/// A straight line.
fn rule(class: &str, from: (f64, f64), to: (f64, f64)) -> Element {
    el("path").class(class).attr(
        "d",
        format_args!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1),
    )
}

/// A label; `anchor` is the end of the text that stands at `at`.
fn label(anchor: &'static str, at: (f64, f64), text: &str) -> Element {
    el("text")
        .attr("x", format_args!("{:.1}", at.0))
        .attr("y", format_args!("{:.1}", at.1))
        .attr("text-anchor", anchor)
        .text(text)
}

/// Horizontal grid lines with their values, the lowest as the axis.
fn vertical_axis(axis: &Axis, scale: Scale) -> impl Iterator<Item = Element> {
    axis.ticks().flat_map(move |value| {
        let y = scale.at(value);
        [
            rule("grid", (LEFT, y), (RIGHT, y)),
            label("end", (LEFT - 6.0, y + 3.5), &axis.label(value)),
        ]
    })
}

/// Values under the plot whose lower edge is `bottom`, and what they are.
fn horizontal_axis(axis: &Axis, scale: Scale, bottom: f64, name: &str) -> Vec<Element> {
    let mut elements = vec![rule("axis", (LEFT, bottom), (RIGHT, bottom))];
    for value in axis.ticks() {
        let x = scale.at(value);
        elements.push(rule("axis", (x, bottom), (x, bottom + 4.0)));
        elements.push(label("middle", (x, bottom + 16.0), &axis.label(value)));
    }
    elements.push(label("middle", ((LEFT + RIGHT) / 2.0, bottom + 31.0), name));
    elements
}
