//! Values in falling order, one bar each, drawn as two outlines however many there are.

use std::fmt::Write;

use super::{
    LEFT, RIGHT,
    axis::{Axis, Scale},
    canvas, horizontal_axis, vertical_axis,
};
use crate::report::markup::{Element, el};

const TOP: f64 = 8.0;
const BOTTOM: f64 = 168.0;
const HEIGHT: f64 = 204.0;

/// Bars of `values`, largest first; those above `threshold` stand out. `name` is what a bar is.
pub fn sorted(values: &[f64], threshold: f64, name: &str, summary: &str) -> Element {
    let mut values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let above = values.partition_point(|&value| value > threshold);

    let count = values.len().max(1) as f64;
    let ranks = Axis::whole([0.0, count].into_iter());
    let heights = Axis::covering(values.iter().copied(), true);
    let x = Scale::new((0.0, count), (LEFT, RIGHT));
    let y = Scale::new(heights.ends, (BOTTOM, TOP));

    // Where there is room, a gap sets the bars apart.
    let pitch = (RIGHT - LEFT) / count;
    let gap = if pitch >= 4.0 { 1.0 } else { 0.0 };
    let bars = |from: usize, to: usize| {
        let mut path = String::new();
        for (rank, &value) in values.iter().enumerate().take(to).skip(from) {
            let (left, top) = (x.at(rank as f64), y.at(value));
            // Writing to a string cannot fail.
            let _ = write!(
                path,
                "M{left:.1} {BOTTOM}V{top:.1}H{:.1}V{BOTTOM}Z",
                left + pitch - gap
            );
        }
        path
    };
    canvas(HEIGHT, summary)
        .children(vertical_axis(&heights, y))
        .child(el("path").class("bars c1").attr("d", bars(0, above)))
        .child(
            el("path")
                .class("bars muted")
                .attr("d", bars(above, values.len())),
        )
        .children(horizontal_axis(&ranks, x, BOTTOM, name))
}
