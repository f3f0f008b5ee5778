//! Figure 3: the four settings and the baseline.

use super::{BASELINE, PAPER, PRETRAINED, legend, spread_cell};
use crate::report::{
    markup::{Element, el},
    number,
    plot::{Line, line_class, lines},
    reproduction::{Reproduction, SettingResult, paper},
    sections::{Section, figure, lead, number_cell, scrolling, th},
};

/// The curves, and what they come to.
pub fn section(found: &Reproduction) -> Option<Section> {
    let begun = |setting: &&SettingResult| !setting.curve.is_empty();
    if !found.settings.iter().any(|setting| begun(&setting)) {
        return None;
    }
    let drawn: Vec<_> = coloured(found)
        .map(|(colour, setting)| line(colour, setting))
        .collect();
    let items = coloured(found)
        .map(|(colour, setting)| (line_class(colour, false), setting.name.to_owned()));
    let title = "Top-1 accuracy on validation images (%)";
    let over = match found.curve_images == found.images {
        true => String::new(),
        false => format!(
            " The curves are of {} of the images, spread evenly; the table is of all {}.",
            number::count(found.curve_images),
            number::count(found.images)
        ),
    };
    Some(Section {
        id: "figure-3",
        heading: "Figure 3: the settings",
        body: vec![
            lead(&format!(
                "With the most labels, mean over the seeds that are done.{over} Of the paper's \
                 curves these points are known: convolutional and learning, {} % at epoch {}, after \
                 which it overfits to {} %; the baseline {} % after 100 epochs; top-5 {} %, {} \
                 points over the baseline.",
                number::fixed(paper::top1("conv-learn").unwrap_or(f64::NAN), 1),
                paper::BEST_EPOCH,
                paper::OVERFITTED_TOP1,
                number::fixed(paper::top1("baseline").unwrap_or(f64::NAN), 1),
                paper::TABLE.1,
                paper::TOP5_GAIN
            )),
            legend(items),
            el("div").class("panels").child(figure(
                el("strong").text(title),
                [lines(title, true, &drawn)],
            )),
            scrolling("The settings", table(found)),
        ],
        terms: Vec::new(),
    })
}

/// The settings with their colours; the baseline, which is the last, has its own everywhere.
fn coloured(found: &Reproduction) -> impl Iterator<Item = (usize, &SettingResult)> {
    let colours = (PRETRAINED..PAPER).chain([BASELINE]);
    colours.zip(&found.settings)
}

fn line(colour: usize, setting: &SettingResult) -> Line {
    let point = |&(epoch, top1): &(usize, f64)| (epoch as f64, 100.0 * top1);
    Line {
        name: setting.name.to_owned(),
        colour,
        dashed: false,
        points: setting.curve.iter().map(point).collect(),
        mark: best(setting).as_ref().map(point),
    }
}

/// The first epoch of the highest mean.
fn best(setting: &SettingResult) -> Option<(usize, f64)> {
    let curve = setting.curve.iter().copied();
    curve.reduce(|best, point| if point.1 > best.1 { point } else { best })
}

fn table(found: &Reproduction) -> Element {
    let head = ["Top-1 (%)", "Top-5 (%)", "Best epoch", "Paper, best top-1"];
    let row = |setting: &SettingResult| {
        let accuracy = setting.accuracy.as_ref();
        let paper = paper::top1(setting.setting);
        let best = best(setting).map_or("–".to_owned(), |(epoch, top1)| {
            format!("{} at {epoch}", number::percent(top1))
        });
        el("tr")
            .child(th("row", setting.name))
            .child(spread_cell(accuracy.map(|accuracy| &accuracy.top1)))
            .child(spread_cell(accuracy.map(|accuracy| &accuracy.top5)))
            .child(number_cell(best))
            .child(number_cell(
                paper.map_or("–".to_owned(), |value| number::fixed(value, 1)),
            ))
    };
    let head = el("tr")
        .child(th("col", "Setting"))
        .children(head.map(|head| th("col", head).class("number")));
    el("table")
        .class("comparison")
        .child(el("thead").child(head))
        .child(el("tbody").children(found.settings.iter().map(row)))
}
