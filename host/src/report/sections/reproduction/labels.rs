//! Table 1 and Figure 4: accuracy against labels a class.

use super::{BASELINE, PAPER, PRETRAINED, legend, spread_cell};
use crate::report::{
    markup::{Element, el},
    number,
    plot::{self, Point, Series, line_class},
    reproduction::{Accuracy, LabelRow, Reproduction, Spread, paper},
    sections::{Section, Term, figure, lead, number_cell, scrolling, th},
};

/// Table 1, the paper's own struck out.
pub fn table(found: &Reproduction) -> Option<Section> {
    if found.rows.is_empty() {
        return None;
    }
    let group = |text: &str| th("colgroup", text).class("number").attr("colspan", 2);
    let groups = el("tr")
        .child(th("col", "Labels a class").attr("rowspan", 2))
        .child(group("Pre-trained"))
        .child(group("Baseline"))
        .child(group("Paper, Table 1"))
        .child(th("col", "Paper, notebook").class("number"));
    let heads = [
        "Top-1", "Top-5", "Top-1", "Top-5", "Top-1", "Top-5", "Top-1",
    ];
    let heads = el("tr").children(heads.map(|head| th("col", head).class("number")));
    let table = el("table")
        .class("comparison")
        .child(el("caption").text(caption(found)))
        .child(el("thead").child(groups).child(heads))
        .child(el("tbody").children(found.rows.iter().map(row)));
    Some(Section {
        id: "table-1",
        heading: "Table 1: accuracy against labels",
        body: vec![
            lead(&format!(
                "The paper's Table 1 gives {} % top-1 and {} % top-5 for every number of labels \
                 alike, and calls that surprising. It cannot be right: one label a class does not \
                 teach what {} do, and the authors' own plotting notebook draws the values of the \
                 last column. They are of 1000 classes, ours of {}.",
                paper::TABLE.0,
                paper::TABLE.1,
                paper::NOTEBOOK[paper::NOTEBOOK.len() - 1].0,
                number::count(found.classes)
            )),
            scrolling("Table 1", table),
        ],
        terms: vec![Term(
            "Pre-trained, baseline",
            "Convolutional head on the encoder of the VAE, which goes on learning; and the same \
             network from random weights, with the same labels, images seen and optimiser. Each \
             row is trained on its own labels alone: those of a smaller number are among those of \
             a larger one. ± is the standard deviation over seeds (n − 1); a seed draws the \
             labelled images, the initial head and the order, while the encoder was pre-trained \
             once."
                .to_owned(),
        )],
    })
}

fn caption(found: &Reproduction) -> String {
    let best = match found.keeps_best {
        true => {
            " Weights of the epoch with the best validation accuracy, as the authors chose them: \
              the same images chose and are reported, which flatters every figure."
        }
        false => " Weights of the last epoch.",
    };
    let classes = found.classes.max(1) as f64;
    format!(
        "Per cent of {} validation images; guessing gives {} and {}. {} of {} trainings are done.{best}",
        number::count(found.images),
        number::percent(1.0 / classes),
        number::percent((5.0 / classes).min(1.0)),
        found.done,
        found.trainings
    )
}

fn row(row: &LabelRow) -> Element {
    let cells = |accuracy: &Option<Accuracy>| {
        let accuracy = accuracy.as_ref();
        [
            spread_cell(accuracy.map(|accuracy| &accuracy.top1)),
            spread_cell(accuracy.map(|accuracy| &accuracy.top5)),
        ]
    };
    let notebook = paper::notebook(row.labels);
    let impossible = |value: f64| match notebook {
        Some(_) => el("td")
            .class("number")
            .child(el("s").text(number::fixed(value, 1))),
        None => number_cell("–".to_owned()),
    };
    el("tr")
        .child(th("row", &number::count(row.labels)))
        .children(cells(&row.pretrained))
        .children(cells(&row.baseline))
        .child(impossible(paper::TABLE.0))
        .child(impossible(paper::TABLE.1))
        .child(number_cell(
            notebook.map_or("–".to_owned(), |value| number::fixed(value, 1)),
        ))
}

/// Figure 4: the same against labels on a logarithmic axis.
pub fn figure4(found: &Reproduction) -> Option<Section> {
    if found.rows.is_empty() {
        return None;
    }
    let top1 = [
        series(found, "pre-trained", PRETRAINED, |row| {
            top1(&row.pretrained)
        }),
        series(found, "baseline", BASELINE, |row| top1(&row.baseline)),
        of_paper(&paper::NOTEBOOK),
    ];
    let most = paper::NOTEBOOK[paper::NOTEBOOK.len() - 1].0;
    let top5 = [
        series(found, "pre-trained", PRETRAINED, |row| {
            top5(&row.pretrained)
        }),
        series(found, "baseline", BASELINE, |row| top5(&row.baseline)),
        of_paper(&[(most, paper::TABLE.1)]),
    ];
    let panel = |title: &str, series: &[Series]| {
        figure(el("strong").text(title), [plot::labels(title, series)])
    };
    Some(Section {
        id: "figure-4",
        heading: "Figure 4: labels a class",
        body: vec![
            legend([
                (line_class(PRETRAINED, false), "pre-trained".to_owned()),
                (line_class(BASELINE, false), "baseline".to_owned()),
                (
                    line_class(PAPER, true),
                    "paper, pre-trained (1000 classes; of top-5 only the value at 64 is known)"
                        .to_owned(),
                ),
            ]),
            el("div").class("panels").children([
                panel("Top-1 accuracy (%)", &top1),
                panel("Top-5 accuracy (%)", &top5),
            ]),
        ],
        terms: Vec::new(),
    })
}

fn top1(accuracy: &Option<Accuracy>) -> Option<&Spread> {
    accuracy.as_ref().map(|accuracy| &accuracy.top1)
}

fn top5(accuracy: &Option<Accuracy>) -> Option<&Spread> {
    accuracy.as_ref().map(|accuracy| &accuracy.top5)
}

fn series(
    found: &Reproduction,
    name: &str,
    colour: usize,
    of: impl Fn(&LabelRow) -> Option<&Spread>,
) -> Series {
    let point = |row: &LabelRow| {
        let spread = of(row)?;
        Some(Point {
            labels: row.labels,
            mean: 100.0 * spread.mean,
            deviation: spread.deviation.map(|deviation| 100.0 * deviation),
        })
    };
    Series {
        name: name.to_owned(),
        colour,
        dashed: false,
        points: found.rows.iter().filter_map(point).collect(),
    }
}

fn of_paper(values: &[(usize, f64)]) -> Series {
    let point = |&(labels, mean): &(usize, f64)| Point {
        labels,
        mean,
        deviation: None,
    };
    Series {
        name: "paper".to_owned(),
        colour: PAPER,
        dashed: true,
        points: values.iter().map(point).collect(),
    }
}
