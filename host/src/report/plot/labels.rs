//! Accuracy against labels a class: means with their deviations, each doubling one step.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{
    LEFT, RIGHT,
    axis::{Axis, Scale},
    canvas, label, line_class, rule, vertical_axis,
};
use crate::report::{
    markup::{Element, el},
    number,
};

const TOP: f64 = 8.0;
const BOTTOM: f64 = 168.0;
const HEIGHT: f64 = 204.0;
/// Width of the strokes that end a deviation.
const CAP: f64 = 6.0;
/// Room that a label of the horizontal axis needs.
const ROOM: f64 = 20.0;

/// A mean over seeds.
#[derive(Clone, Copy)]
pub struct Point {
    /// Labelled images a class, at least 1.
    pub labels: usize,
    /// The mean; one that is not finite is left out.
    pub mean: f64,
    /// How far the seeds deviate from it, where there are several.
    pub deviation: Option<f64>,
}

/// The means of one classifier.
pub struct Series {
    /// What it shows, for those who cannot see it.
    pub name: String,
    /// Its colour, by number.
    pub colour: usize,
    /// Whether its line is drawn in dashes.
    pub dashed: bool,
    /// Its points, by ascending labels.
    pub points: Vec<Point>,
}

/// A plot of `series` over labels a class, from 0 up; `title` is for those who cannot see it.
pub fn labels(title: &str, series: &[Series]) -> Element {
    let points = || series.iter().flat_map(|series| finite(&series.points));
    let counts: BTreeSet<usize> = points().map(|point| point.labels).collect();
    let exponents = Axis::whole(counts.iter().map(|&count| log2(count)));
    let ends = points().flat_map(|point| {
        let deviation = finite_deviation(point).unwrap_or(0.0);
        [point.mean - deviation, point.mean + deviation]
    });
    // A mean less its deviation may lie below 0, where no accuracy is.
    let values = Axis::covering(ends.map(|end| end.max(0.0)), true);
    // The outermost points' caps stay inside.
    let x = Scale::new(exponents.ends, (LEFT + CAP, RIGHT - CAP));
    let y = Scale::new(values.ends, (BOTTOM, TOP));
    canvas(HEIGHT, &summary(title, series))
        .children(vertical_axis(&values, y))
        .children(horizontal_axis(&counts, x))
        .children(series.iter().flat_map(|series| draw(series, x, y)))
}

fn finite(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().filter(|point| point.mean.is_finite())
}

fn finite_deviation(point: &Point) -> Option<f64> {
    point.deviation.filter(|deviation| deviation.is_finite())
}

fn log2(labels: usize) -> f64 {
    (labels.max(1) as f64).log2()
}

fn draw(series: &Series, x: Scale, y: Scale) -> Vec<Element> {
    let mut line = String::new();
    let mut elements = Vec::new();
    let colour = series.colour % super::COLOURS;
    for point in finite(&series.points) {
        let (at, mean) = (x.at(log2(point.labels)), y.at(point.mean));
        let pen = if line.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(line, "{pen}{at:.1} {mean:.1}");
        if let Some(deviation) = finite_deviation(point) {
            let ends = [point.mean + deviation, point.mean - deviation];
            let [high, low] = ends.map(|end| y.at(end.max(0.0)));
            let (left, right) = (at - CAP / 2.0, at + CAP / 2.0);
            let whisker = el("path").class(format_args!("whisker c{colour}")).attr(
                "d",
                format_args!(
                    "M{left:.1} {high:.1}H{right:.1}M{at:.1} {high:.1}V{low:.1}\
                     M{left:.1} {low:.1}H{right:.1}"
                ),
            );
            elements.push(whisker);
        }
        elements.push(
            el("circle")
                .class(format_args!("bars c{colour}"))
                .attr("cx", format_args!("{at:.1}"))
                .attr("cy", format_args!("{mean:.1}"))
                .attr("r", 2.5),
        );
    }
    if !line.is_empty() {
        let class = line_class(series.colour, series.dashed);
        elements.insert(0, el("path").class(class).attr("d", line));
    }
    elements
}

/// The numbers of labels that there are, as far as there is room for them.
fn horizontal_axis(counts: &BTreeSet<usize>, x: Scale) -> Vec<Element> {
    let mut elements = vec![rule("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM))];
    let mut free = f64::NEG_INFINITY;
    for &count in counts {
        let at = x.at(log2(count));
        elements.push(rule("axis", (at, BOTTOM), (at, BOTTOM + 4.0)));
        if at >= free {
            elements.push(label("middle", (at, BOTTOM + 16.0), &count.to_string()));
            free = at + ROOM;
        }
    }
    let middle = ((LEFT + RIGHT) / 2.0, BOTTOM + 31.0);
    elements.push(label("middle", middle, "labels a class"));
    elements
}

/// Every point in words.
fn summary(title: &str, series: &[Series]) -> String {
    let mut text = format!("{title}, by labels a class.");
    for series in series {
        let points: Vec<_> = finite(&series.points)
            .map(|point| format!("{} at {}", number::short(point.mean), point.labels))
            .collect();
        if !points.is_empty() {
            let _ = write!(text, " {}: {}.", series.name, points.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Point>) -> String {
        let series = Series {
            name: "pre-trained".to_owned(),
            colour: 1,
            dashed: false,
            points,
        };
        labels("Top-1", &[series]).to_string()
    }

    fn point(labels: usize, mean: f64, deviation: Option<f64>) -> Point {
        Point {
            labels,
            mean,
            deviation,
        }
    }

    #[test]
    fn each_doubling_is_one_step() {
        let svg = plot(vec![
            point(1, 0.0, None),
            point(8, 5.0, None),
            point(64, 10.0, Some(f64::NAN)),
        ]);
        assert!(
            svg.contains("d=\"M46.0 168.0L184.0 88.0L322.0 8.0\""),
            "{svg}"
        );
        assert!(svg.contains("pre-trained: 0.000 at 1, 5.000 at 8, 10.00 at 64."));
        assert!(!svg.contains("whisker"));
    }

    #[test]
    fn deviations_do_not_fall_below_nothing() {
        let svg = plot(vec![
            point(1, 1.0, Some(2.0)),
            point(2, f64::NAN, Some(1.0)),
        ]);
        assert_eq!(svg.matches("whisker").count(), 1);
        // From the highest value to the axis.
        assert!(svg.contains("V168.0"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
    }

    #[test]
    fn nothing_to_show_is_no_failure() {
        let svg = plot(Vec::new());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
