//! How the figures of the other sections were measured.

use super::{Section, Term, name};
use crate::report::markup::{Element, el};

pub fn section(terms: Vec<Term>, notes: &[String]) -> Option<Section> {
    let mut body: Vec<Element> = Vec::new();
    if !terms.is_empty() {
        let pairs = terms
            .into_iter()
            .flat_map(|Term(term, text)| [el("dt").text(term), el("dd").text(text)]);
        body.push(el("dl").class("terms").children(pairs));
    }
    if !notes.is_empty() {
        let notes = notes.iter().map(|note| el("li").child(name(note)));
        body.push(el("ul").class("notes").children(notes));
    }
    (!body.is_empty()).then_some(Section {
        id: "measurement",
        heading: "How the figures were measured",
        body,
        terms: Vec::new(),
    })
}
