//! Loss and accuracy of the classifiers, epoch by epoch, in the same axes.

use super::{Section, Term, figure, name};
use crate::report::{
    ClassifierCurve, ClassifierEpoch, Report,
    markup::{Element, el},
    plot::{Line, line_class, lines, swatch},
};

type Quantity = fn(&ClassifierEpoch) -> f64;

pub fn section(report: &Report) -> Option<Section> {
    let curves: Vec<_> = report
        .classifiers
        .iter()
        .filter(|curve| !curve.epochs.is_empty())
        .collect();
    if curves.is_empty() {
        return None;
    }
    let loss = panel(
        "Cross-entropy (nats)",
        false,
        &curves,
        Some(|e| e.train_loss),
        |e| e.val_loss,
    );
    let top1 = panel(
        "Top-1 accuracy (%)",
        true,
        &curves,
        Some(|e| e.train_accuracy * 100.0),
        |e| e.val_top1 * 100.0,
    );
    let top5 = panel("Top-5 accuracy (%)", true, &curves, None, |e| {
        e.val_top5 * 100.0
    });
    Some(Section {
        id: "classifiers",
        heading: "Training the classifiers",
        body: vec![
            legend(&curves),
            el("div").class("panels").children([loss, top1, top5]),
        ],
        terms: vec![Term(
            "Training and validation curves",
            "Training values are means over an epoch, taken while the weights change, on the \
             images and labels as the optimiser saw them (augmented and smoothed, where the \
             configuration says so). Validation values are taken at the end of the epoch, \
             without either, so the two losses cannot be compared directly."
                .to_owned(),
        )],
    })
}

fn panel(
    title: &str,
    from_zero: bool,
    curves: &[&ClassifierCurve],
    train: Option<Quantity>,
    val: Quantity,
) -> Element {
    let mut drawn = Vec::new();
    for (colour, curve) in curves.iter().enumerate() {
        let points = |quantity: Quantity| {
            let point = |epoch: &ClassifierEpoch| (epoch.epoch as f64, quantity(epoch));
            curve.epochs.iter().map(point).collect()
        };
        drawn.extend(train.map(|train| Line {
            name: format!("{}, training", curve.name),
            colour,
            dashed: true,
            points: points(train),
            mark: None,
        }));
        drawn.push(Line {
            name: format!("{}, validation", curve.name),
            colour,
            dashed: false,
            points: points(val),
            mark: best(&curve.epochs).map(|best| (best.epoch as f64, val(best))),
        });
    }
    figure(el("strong").text(title), [lines(title, from_zero, &drawn)])
}

/// The first epoch of the highest top-1 accuracy on validation images.
fn best(epochs: &[ClassifierEpoch]) -> Option<&ClassifierEpoch> {
    let finite = epochs.iter().filter(|epoch| epoch.val_top1.is_finite());
    finite.reduce(|best, epoch| {
        if epoch.val_top1 > best.val_top1 {
            epoch
        } else {
            best
        }
    })
}

fn legend(curves: &[&ClassifierCurve]) -> Element {
    let colours = curves.iter().enumerate().map(|(colour, curve)| {
        el("li")
            .child(swatch(&line_class(colour, false)))
            .child(name(&curve.name))
    });
    let mark = el("svg")
        .class("swatch")
        .attr("viewBox", "0 0 26 10")
        .attr("aria-hidden", "true")
        .child(
            el("circle")
                .class("mark")
                .attr("cx", 13)
                .attr("cy", 5)
                .attr("r", 3.5),
        );
    el("ul")
        .class("legend")
        .children(colours)
        .child(el("li").child(swatch("line")).text("validation"))
        .child(el("li").child(swatch("line dashed")).text("training"))
        .child(el("li").child(mark).text("best top-1 on validation images"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_first_of_equals() {
        let epochs: Vec<_> = [f64::NAN, 0.2, 0.5, 0.5, 0.4]
            .iter()
            .zip(1..)
            .map(|(&val_top1, epoch)| ClassifierEpoch {
                epoch,
                val_top1,
                ..ClassifierEpoch::default()
            })
            .collect();
        assert_eq!(best(&epochs).unwrap().epoch, 3);
        assert!(best(&epochs[..1]).is_none());
    }
}
