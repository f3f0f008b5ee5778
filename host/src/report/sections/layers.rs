//! What each layer of the model needs.

use super::{Section, name, number_cell, scrolling, share_bar, th};
use crate::report::{
    LayerRow, ModelSummary, Report,
    markup::{Element, el},
    number,
};

pub fn section(report: &Report) -> Option<Section> {
    let model = report.model.as_ref()?;
    (!model.layers.is_empty()).then(|| Section {
        id: "layers",
        heading: "The model, layer by layer",
        body: vec![scrolling("Layers", table(model))],
        terms: Vec::new(),
    })
}

fn table(model: &ModelSummary) -> Element {
    let quantities = |row: &LayerRow| [row.macs, row.flash_bytes, row.ram_bytes];
    let whole = [model.macs, model.flash_bytes, model.ram_bytes];
    let columns = ["MACs", "Flash (bytes)", "RAM (bytes)"];

    let row = |label: Element, out: &str, values: [usize; 3]| {
        let cells = (0..3).map(|i| {
            let share = values[i] as f64 / whole[i].max(1) as f64;
            number_cell(number::count(values[i])).child(share_bar(share))
        });
        el("tr")
            .child(label)
            .child(el("td").child(name(out)))
            .children(cells)
    };
    let layers = model.layers.iter().map(|layer| {
        let label = el("th").attr("scope", "row").child(name(&layer.name));
        row(label, &layer.out, quantities(layer))
    });
    // What belongs to no layer: the file's header and names, the scores.
    let mut rest = whole;
    for layer in &model.layers {
        for (rest, used) in rest.iter_mut().zip(quantities(layer)) {
            *rest = rest.saturating_sub(used);
        }
    }
    let others = rest
        .iter()
        .any(|&rest| rest > 0)
        .then(|| row(th("row", "others"), "", rest));

    let head = el("tr")
        .child(th("col", "Layer"))
        .child(th("col", "Output"))
        .children(columns.map(|text| th("col", text).class("number")));
    let foot = el("tr")
        .child(th("row", "in all"))
        .child(el("td"))
        .children(whole.map(|value| number_cell(number::count(value))));
    el("table")
        .class("layers")
        .child(el("thead").child(head))
        .child(el("tbody").children(layers).children(others))
        .child(el("tfoot").child(foot))
}
