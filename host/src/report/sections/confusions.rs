//! The pairs of classes most often confused, with images of the mistakes.

use anyhow::Result;

use super::{Section, lead, name, share_bar};
use crate::report::{
    Confusion, Report,
    markup::{Element, el},
    number,
};

const PAIRS: usize = 9;
const EXAMPLES: usize = 4;

pub fn section(report: &Report) -> Result<Option<Section>> {
    if report.confusions.is_empty() {
        return Ok(None);
    }
    let pairs = report
        .confusions
        .iter()
        .take(PAIRS)
        .map(pair)
        .collect::<Result<Vec<_>>>()?;
    let whose = if report.confusions_of.is_empty() {
        None
    } else {
        Some(lead(&format!("Mistakes of: {}.", report.confusions_of)))
    };
    let mut body = Vec::from_iter(whose);
    body.push(el("div").class("pairs").children(pairs));
    Ok(Some(Section {
        id: "confusions",
        heading: "Most confused classes",
        body,
        terms: Vec::new(),
    }))
}

fn pair(confusion: &Confusion) -> Result<Element> {
    let Confusion {
        truth,
        predicted,
        count,
        of,
        ..
    } = confusion;
    let share = *count as f64 / (*of).max(1) as f64;
    let caption = el("figcaption")
        .child(el("strong").child(name(truth)))
        .text(" taken for ")
        .child(el("strong").child(name(predicted)))
        .child(el("small").text(format_args!(
            "{} of {} ({} %)",
            number::count(*count),
            number::count(*of),
            number::percent(share)
        )))
        .child(share_bar(share));
    let alt = format!("{truth}, taken for {predicted}");
    let images = confusion
        .examples
        .iter()
        .take(EXAMPLES)
        .map(|picture| picture.img(&alt))
        .collect::<Result<Vec<_>>>()?;
    let strip = (!images.is_empty()).then(|| el("div").class("strip").children(images));
    Ok(el("figure").child(caption).children(strip))
}
