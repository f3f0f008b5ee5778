//! Points of several classes on a plane.

use std::fmt::Write;

use super::{COLOURS, WIDTH, axis::Scale, canvas};
use crate::report::markup::{Element, el};

/// Room for the marks at the edges.
const MARGIN: f64 = 6.0;

/// Marks that tell classes apart: every colour as a dot and as a cross.
pub const MARKS: usize = 2 * COLOURS;

/// How the points of a class look: by its number below [`MARKS`], or like those of no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(Option<usize>);

impl Mark {
    /// The mark of that number.
    pub fn of(number: usize) -> Self {
        Self((number < MARKS).then_some(number))
    }

    fn class(self) -> String {
        match self.0 {
            None => "dots muted".to_owned(),
            Some(number) if number < COLOURS => format!("dots c{number}"),
            Some(number) => format!("crosses c{}", number % COLOURS),
        }
    }

    fn draw(self, path: &mut String, (x, y): (f64, f64)) {
        // Writing to a string cannot fail.
        let _ = match self.0 {
            // A line of no length shows as its round cap.
            None | Some(0..COLOURS) => write!(path, "M{x:.1} {y:.1}h0"),
            Some(_) => write!(path, "M{:.1} {:.1}l4 4m0-4l-4 4", x - 2.0, y - 2.0),
        };
    }

    /// The mark alone, for a legend.
    pub fn swatch(self) -> Element {
        let mut path = String::new();
        self.draw(&mut path, (5.0, 5.0));
        el("svg")
            .class("swatch point")
            .attr("viewBox", "1 1 8 8")
            .attr("aria-hidden", "true")
            .child(el("path").class(self.class()).attr("d", path))
    }
}

/// A plot of `points`, each with its mark; `summary` is for those who cannot see it. Directions and
/// units mean nothing, so there are no axes. Points that are not finite are left out.
pub fn scatter(points: &[([f64; 2], Mark)], summary: &str) -> Element {
    let finite = || {
        points
            .iter()
            .filter(|(point, _)| point.iter().all(|value| value.is_finite()))
    };
    let ends = [0, 1].map(|axis| {
        let values = finite().map(|(point, _)| point[axis]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    });
    let span = ends.map(|(low, high)| high - low);
    let half = match span[0].max(span[1]) / 2.0 {
        half if half > 0.0 => half,
        _ => 1.0,
    };
    let around = |(low, high): (f64, f64)| {
        let centre = low + (high - low) / 2.0;
        (centre - half, centre + half)
    };
    // One scale along both axes; the plot is only as high as its points need.
    let room = WIDTH - 2.0 * MARGIN;
    let height = 2.0 * MARGIN + room * span[1].max(0.0) / (2.0 * half);
    let x = Scale::new(around(ends[0]), (MARGIN, WIDTH - MARGIN));
    let y = Scale::new(
        around(ends[1]),
        ((height + room) / 2.0, (height - room) / 2.0),
    );

    let mut marks: Vec<Mark> = Vec::new();
    for &(_, mark) in points {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    // Those of no class lie under the others.
    marks.sort_by_key(|mark| mark.0);
    let paths = marks.into_iter().map(|mark| {
        let mut path = String::new();
        for (point, _) in finite().filter(|(_, of)| *of == mark) {
            mark.draw(&mut path, (x.at(point[0]), y.at(point[1])));
        }
        el("path").class(mark.class()).attr("d", path)
    });
    canvas(height, summary).children(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(points: &[([f64; 2], usize)]) -> String {
        let points: Vec<_> = points
            .iter()
            .map(|&(point, class)| (point, Mark::of(class)))
            .collect();
        scatter(&points, "A map.").to_string()
    }

    #[test]
    fn both_axes_have_one_scale() {
        let svg = svg(&[([0.0, 0.0], 0), ([8.0, 0.0], 0), ([0.0, 4.0], 1)]);
        // 328 units hold 8, so 164 hold 4.
        assert!(svg.contains("viewBox=\"0 0 340 176\""));
        assert!(svg.contains("class=\"dots c0\" d=\"M6.0 170.0h0M334.0 170.0h0\""));
        assert!(svg.contains("class=\"dots c1\" d=\"M6.0 6.0h0\""));
    }

    #[test]
    fn more_classes_than_colours_are_crosses_and_the_rest_have_no_colour() {
        let svg = svg(&[([0.0, 0.0], 6), ([1.0, 1.0], 12), ([2.0, 0.0], 99)]);
        assert!(svg.contains("crosses c0"));
        assert_eq!(svg.matches("dots muted").count(), 1);
        assert!(Mark::of(7).swatch().to_string().contains("crosses c1"));
    }

    #[test]
    fn nothing_one_point_and_no_numbers_are_no_failure() {
        for points in [&[][..], &[([3.0, 4.0], 0)], &[([f64::NAN, 0.0], 0)]] {
            let svg = svg(points);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
