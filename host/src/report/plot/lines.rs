//! Lines over epochs.

use std::fmt::Write;

use super::{
    LEFT, RIGHT,
    axis::{Axis, Scale},
    canvas, horizontal_axis, line_class, vertical_axis,
};
use crate::report::{
    markup::{Element, el},
    number,
};

const TOP: f64 = 8.0;
const BOTTOM: f64 = 168.0;
const HEIGHT: f64 = 204.0;

/// One line of a plot.
pub struct Line {
    /// What it shows, for those who cannot see it.
    pub name: String,
    /// Its colour, by number.
    pub colour: usize,
    /// Whether it is drawn in dashes.
    pub dashed: bool,
    /// Epoch and value. A value that is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
    /// The point to mark.
    pub mark: Option<(f64, f64)>,
}

/// A plot of `lines` over epochs; `title` is for those who cannot see it.
pub fn lines(title: &str, from_zero: bool, lines: &[Line]) -> Element {
    lines_over("epoch", title, from_zero, lines)
}

/// A plot of `lines` over whole numbers of something else than epochs.
pub fn lines_over(what: &str, title: &str, from_zero: bool, lines: &[Line]) -> Element {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let epochs = Axis::whole(points().map(|p| p.0));
    let values = Axis::covering(points().map(|p| p.1), from_zero);
    let x = Scale::new(epochs.ends, (LEFT, RIGHT));
    let y = Scale::new(values.ends, (BOTTOM, TOP));

    // Solid lines last: they lie above the dashed ones.
    let (dashed, solid): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.dashed);
    let curves = dashed.iter().chain(&solid).map(|line| {
        el("path")
            .class(line_class(line.colour, line.dashed))
            .attr("d", path(&line.points, x, y))
    });
    let circle = |class: &str, line: &Line, (epoch, value): (f64, f64), radius: f64| {
        el("circle")
            .class(format_args!("{class} c{}", line.colour % super::COLOURS))
            .attr("cx", format_args!("{:.1}", x.at(epoch)))
            .attr("cy", format_args!("{:.1}", y.at(value)))
            .attr("r", radius)
    };
    let dots = lines.iter().flat_map(|line| {
        let lone = runs(&line.points).filter(|run| run.len() == 1);
        let class = if line.dashed { "mark" } else { "bars" };
        lone.map(move |run| circle(class, line, run[0], 2.0))
    });
    let marks = lines.iter().filter_map(|line| {
        let mark = line.mark.filter(|mark| mark.1.is_finite())?;
        Some(circle("mark", line, mark, 3.5))
    });
    canvas(HEIGHT, &summary(what, title, lines))
        .children(vertical_axis(&values, y))
        .children(horizontal_axis(&epochs, x, BOTTOM, what))
        .children(curves)
        .children(dots)
        .children(marks)
}

/// The stretches of points between values that are not finite.
fn runs(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points
        .split(|point| !point.1.is_finite())
        .filter(|run| !run.is_empty())
}

/// The points of each run joined.
fn path(points: &[(f64, f64)], x: Scale, y: Scale) -> String {
    let mut path = String::new();
    for run in runs(points) {
        for (i, &(epoch, value)) in run.iter().enumerate() {
            let pen = if i == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{pen}{:.1} {:.1}", x.at(epoch), y.at(value));
        }
    }
    path
}

/// First and last value of each line, in words.
fn summary(what: &str, title: &str, lines: &[Line]) -> String {
    let mut text = format!("{title}, by {what}.");
    for line in lines {
        let mut finite = line.points.iter().filter(|point| point.1.is_finite());
        let Some(first) = finite.next() else { continue };
        let last = finite.next_back().unwrap_or(first);
        let _ = write!(
            text,
            " {}: {} at {what} {}, {} at {what} {}.",
            line.name,
            number::short(first.1),
            first.0,
            number::short(last.1),
            last.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(points: &[(f64, f64)]) -> String {
        let line = Line {
            name: "loss".to_owned(),
            colour: 7,
            dashed: false,
            points: points.to_vec(),
            mark: None,
        };
        lines("Loss", true, &[line]).to_string()
    }

    #[test]
    fn a_line_runs_from_corner_to_corner() {
        let svg = svg(&[(1.0, 0.0), (3.0, 5.0)]);
        assert!(svg.contains("<path class=\"line c1\" d=\"M40.0 168.0L328.0 8.0\">"));
        assert!(svg.contains("Loss, by epoch. loss: 0.000 at epoch 1, 5.000 at epoch 3."));
        assert!(!svg.contains("<circle"));
    }

    #[test]
    fn gaps_break_a_line_and_lone_points_become_dots() {
        let svg = svg(&[
            (1.0, 5.0),
            (2.0, 5.0),
            (3.0, f64::NAN),
            (4.0, 5.0),
            (5.0, f64::INFINITY),
        ]);
        assert!(svg.contains("d=\"M40.0 8.0L112.0 8.0M256.0 8.0\""));
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("cx=\"256.0\" cy=\"8.0\""));
    }
}
