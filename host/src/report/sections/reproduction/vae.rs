//! Figures 1 and 2: the VAE's loss and its reconstructions.

use anyhow::Result;

use super::{PAPER, PRETRAINED, legend};
use crate::report::{
    VaeEpoch,
    markup::{Element, el},
    plot::{Line, line_class, lines, lines_over},
    reproduction::{Reproduction, paper},
    sections::{Section, Term, figure, pretraining::reconstructions},
};

/// Of the loss over steps, so many are shown: as far as the paper's are known.
const STEPS: usize = paper::STEP_LOSSES[paper::STEP_LOSSES.len() - 1].0;

/// Both figures, as far as there is something to show.
pub fn sections(found: &Reproduction) -> Result<[Option<Section>; 2]> {
    let Some(pretraining) = &found.pretraining else {
        return Ok([None, None]);
    };
    let images = reconstructions(&pretraining.reconstructions, &pretraining.epochs)?;
    let figure2 = images.map(|images| Section {
        id: "figure-2",
        heading: "Figure 2: reconstructions",
        body: vec![images],
        terms: vec![Term(
            "Reconstructions",
            "Unlabelled images held out of training, decoded from the mean μ of q(z|x). The paper \
             shows the same three rows, after epochs 1 and 180."
                .to_owned(),
        )],
    });
    Ok([figure1(found, &pretraining.epochs), figure2])
}

fn figure1(found: &Reproduction, epochs: &[VaeEpoch]) -> Option<Section> {
    if epochs.is_empty() && found.steps.is_empty() {
        return None;
    }
    let item = |colour, dashed, text: &str| (line_class(colour, dashed), text.to_owned());
    Some(Section {
        id: "figure-1",
        heading: "Figure 1: the VAE's loss",
        body: vec![
            legend([
                item(PRETRAINED, false, "validation"),
                item(PRETRAINED, true, "training"),
                item(PAPER, true, "paper, training; its circle: validation"),
            ]),
            el("div")
                .class("panels")
                .child(over_epochs(epochs))
                .child(over_steps(found)),
        ],
        terms: vec![Term(
            "The VAE's loss",
            "Σ (x̂ − x)² + KL divergence of an image, the paper's loss, whatever the weights of \
             the two in the loss that this run minimised. Over batches: of one batch, before the \
             step that it led to; over epochs: of all images of the epoch, and of images held out \
             at its end. Of the paper's, epochs 1 to 7 and five batches of 128 are known."
                .to_owned(),
        )],
    })
}

fn over_epochs(epochs: &[VaeEpoch]) -> Element {
    let ours = |name: &str, dashed, loss: fn(&VaeEpoch) -> f64| Line {
        name: name.to_owned(),
        colour: PRETRAINED,
        dashed,
        points: epochs.iter().map(|e| (e.epoch as f64, loss(e))).collect(),
        mark: None,
    };
    let points = (1..).zip(paper::EPOCH_LOSSES);
    let drawn = [
        ours("training", true, |e| e.train_reconstruction + e.train_kl),
        ours("validation", false, |e| e.val_reconstruction + e.val_kl),
        Line {
            name: "paper, training".to_owned(),
            colour: PAPER,
            dashed: true,
            points: points
                .map(|(epoch, loss)| (f64::from(epoch), loss))
                .collect(),
            mark: Some((paper::VALIDATION_LOSS.0 as f64, paper::VALIDATION_LOSS.1)),
        },
    ];
    let title = "Loss of an image, over epochs";
    figure(el("strong").text(title), [lines(title, false, &drawn)])
}

fn over_steps(found: &Reproduction) -> Element {
    let line = |name: &str, colour, points| Line {
        name: name.to_owned(),
        colour,
        dashed: true,
        points,
        mark: None,
    };
    let ours = found.steps.iter().filter(|loss| loss.step <= STEPS);
    let ours = ours.map(|loss| (loss.step as f64, loss.loss)).collect();
    let theirs = paper::STEP_LOSSES.map(|(step, loss)| (step as f64, loss));
    let drawn = [
        line("training", PRETRAINED, ours),
        line("paper, training", PAPER, theirs.to_vec()),
    ];
    let title = "Loss of an image, over the first batches";
    let plot = lines_over("step", title, true, &drawn);
    figure(el("strong").text(title), [plot])
}
