//! Reliability diagram: accuracy over confidence, and below it how many images each bin holds.

use super::{
    LEFT, RIGHT,
    axis::{Axis, Scale},
    canvas, horizontal_axis, label, rule, vertical_axis,
};
use crate::report::{
    Reliability,
    markup::{Element, el},
    number,
};

const TOP: f64 = 8.0;
const BOTTOM: f64 = 188.0;
const COUNTS_TOP: f64 = 206.0;
const COUNTS_BOTTOM: f64 = 250.0;
const HEIGHT: f64 = 286.0;

/// The diagram of one model. A bar is a bin's accuracy; the tick on it is its mean confidence.
pub fn reliability(model: &Reliability) -> Element {
    let percent = Axis::covering([0.0, 100.0].into_iter(), true);
    let x = Scale::new(percent.ends, (LEFT, RIGHT));
    let y = Scale::new(percent.ends, (BOTTOM, TOP));
    let most = model.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
    let counts = Scale::new((0.0, most.max(1) as f64), (COUNTS_BOTTOM, COUNTS_TOP));

    let width = (RIGHT - LEFT) / model.bins.len().max(1) as f64;
    let filled = || {
        let bins = model.bins.iter().enumerate();
        let filled = bins.filter(|(_, bin)| bin.count > 0);
        filled.map(|(i, bin)| (LEFT + i as f64 * width + 0.5, bin))
    };
    let bar = |class: &str, left: f64, top: f64, bottom: f64| {
        el("path").class(class).attr(
            "d",
            format_args!(
                "M{left:.1} {bottom:.1}V{top:.1}H{:.1}V{bottom:.1}Z",
                left + width - 1.0
            ),
        )
    };
    let accuracies =
        filled().map(|(left, bin)| bar("bars c1", left, y.at(bin.accuracy * 100.0), BOTTOM));
    let confidences = filled().map(|(left, bin)| {
        let y = y.at(bin.confidence * 100.0);
        rule("tick", (left, y), (left + width - 1.0, y))
    });
    let histogram = filled().map(|(left, bin)| {
        bar(
            "bars muted",
            left,
            counts.at(bin.count as f64),
            COUNTS_BOTTOM,
        )
    });

    canvas(HEIGHT, &summary(model))
        .children(vertical_axis(&percent, y))
        .children(accuracies)
        .child(rule("diagonal", (LEFT, BOTTOM), (RIGHT, TOP)))
        .children(confidences)
        .child(rule("grid", (LEFT, COUNTS_TOP), (RIGHT, COUNTS_TOP)))
        .child(label(
            "end",
            (LEFT - 6.0, COUNTS_TOP + 3.5),
            &number::compact(most),
        ))
        .child(label("end", (LEFT - 6.0, COUNTS_BOTTOM + 3.5), "0"))
        .children(histogram)
        .children(horizontal_axis(
            &percent,
            x,
            COUNTS_BOTTOM,
            "confidence (%)",
        ))
}

fn summary(model: &Reliability) -> String {
    let images = model.bins.iter().map(|bin| bin.count).sum();
    format!(
        "Reliability of {} over {} images; the table below has its values. Expected calibration \
         error {} %.",
        model.name,
        number::count(images),
        number::percent(model.expected_calibration_error)
    )
}
