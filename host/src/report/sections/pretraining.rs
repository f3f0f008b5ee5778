//! The variational auto-encoder: its losses, its latent, and images through it and out of it.

use anyhow::Result;

use super::{Section, Term, figure};
use crate::report::{
    Picture, Pretraining, Reconstructions, Report, VaeEpoch,
    markup::{Element, el},
    measures::{ACTIVE_NATS, active_dimensions},
    plot::{Line, line_class, lines, sorted, swatch},
};

const COLOUR: usize = 1;
const RECONSTRUCTIONS: usize = 8;
const SAMPLES: usize = 16;
/// Images side by side on a phone.
const GROUP: usize = 4;

type Quantity = fn(&VaeEpoch) -> f64;

pub fn section(report: &Report) -> Result<Option<Section>> {
    let Some(pretraining) = &report.pretraining else {
        return Ok(None);
    };
    let mut body = Vec::new();
    body.extend(plots(pretraining));
    body.extend(reconstructions(
        &pretraining.reconstructions,
        &pretraining.epochs,
    )?);
    body.extend(samples(&pretraining.samples)?);
    Ok((!body.is_empty()).then_some(Section {
        id: "pretraining",
        heading: "Pre-training",
        body,
        terms: terms(pretraining),
    }))
}

fn terms(pretraining: &Pretraining) -> Vec<Term> {
    let losses = has(&pretraining.epochs, |e| e.train_reconstruction).then(|| {
        Term(
            "Reconstruction, KL divergence",
            "The two parts of the VAE's loss, before they are weighted: the squared error summed \
             over the 27,648 values of an image in [0, 1], and the divergence of q(z|x) from \
             N(0, 1)."
                .to_owned(),
        )
    });
    let shown = (!pretraining.reconstructions.originals.is_empty()).then(|| {
        Term(
            "Images and their reconstructions",
            "Unlabelled images held out of training, decoded from the mean μ of q(z|x).".to_owned(),
        )
    });
    let active = (!pretraining.kl_per_dimension.is_empty()).then(|| {
        Term(
            "Active dimensions",
            format!(
                "A latent dimension is active when its KL divergence, averaged over the \
                 images held out, exceeds {ACTIVE_NATS} nats."
            ),
        )
    });
    let contrast = has(&pretraining.epochs, |e| e.train_contrast).then(|| {
        Term(
            "Contrastive loss",
            "The cross-entropy of telling an image's other view from the views of all other \
             images of its batch."
                .to_owned(),
        )
    });
    [losses, contrast, shown, active]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether any epoch has it.
fn has(epochs: &[VaeEpoch], quantity: Quantity) -> bool {
    epochs.iter().any(|epoch| quantity(epoch).is_finite())
}

fn plots(pretraining: &Pretraining) -> Vec<Element> {
    let epochs = &pretraining.epochs;
    let mut elements = Vec::new();
    let mut panels = Vec::new();
    if !epochs.is_empty() {
        let mut legend = el("ul").class("legend");
        if has(epochs, |e| e.val_reconstruction) {
            legend = legend.child(item(false, "validation"));
        }
        elements.push(legend.child(item(true, "training")));
        let quantities: [(&str, Quantity, Option<Quantity>); 3] = [
            (
                "Reconstruction, Σ (x̂ − x)² an image",
                |e| e.train_reconstruction,
                Some(|e| e.val_reconstruction),
            ),
            (
                "KL divergence (nats an image)",
                |e| e.train_kl,
                Some(|e| e.val_kl),
            ),
            ("Contrastive loss (nats a view)", |e| e.train_contrast, None),
        ];
        let found = quantities
            .into_iter()
            .filter(|(_, train, _)| has(epochs, *train));
        panels.extend(found.map(|(title, train, val)| panel(title, epochs, train, val)));
    }
    if !pretraining.kl_per_dimension.is_empty() {
        panels.push(latent(&pretraining.kl_per_dimension));
    }
    if !panels.is_empty() {
        elements.push(el("div").class("panels").children(panels));
    }
    elements
}

fn item(dashed: bool, text: &str) -> Element {
    el("li")
        .child(swatch(&line_class(COLOUR, dashed)))
        .text(text)
}

fn panel(title: &str, epochs: &[VaeEpoch], train: Quantity, val: Option<Quantity>) -> Element {
    let line = |name: &str, dashed, quantity: Quantity| Line {
        name: name.to_owned(),
        colour: COLOUR,
        dashed,
        points: epochs
            .iter()
            .map(|epoch| (epoch.epoch as f64, quantity(epoch)))
            .collect(),
        mark: None,
    };
    let mut drawn = vec![line("Training", true, train)];
    drawn.extend(val.map(|val| line("Validation", false, val)));
    figure(el("strong").text(title), [lines(title, false, &drawn)])
}

fn latent(kl: &[f64]) -> Element {
    let summary = format!(
        "{} of {} dimensions are active (above {ACTIVE_NATS} nats)",
        active_dimensions(kl),
        kl.len()
    );
    figure(
        el("strong").text("KL of each latent dimension (nats)"),
        [
            sorted(
                kl,
                ACTIVE_NATS,
                "latent dimensions, largest first",
                &format!("KL divergence of each latent dimension: {summary}."),
            ),
            el("p").class("note").text(format_args!("{summary}.")),
        ],
    )
}

pub(super) fn reconstructions(
    images: &Reconstructions,
    epochs: &[VaeEpoch],
) -> Result<Option<Element>> {
    let after = |epoch: Option<&VaeEpoch>, otherwise: &str| {
        epoch.map_or(otherwise.to_owned(), |e| format!("Epoch {}", e.epoch))
    };
    // The first epoch is the last one where there is no other.
    let first = if epochs.len() == 1 && !images.last_epoch.is_empty() {
        &[]
    } else {
        images.first_epoch.as_slice()
    };
    let rows: Vec<(String, &[Picture])> = [
        ("Original".to_owned(), images.originals.as_slice()),
        (after(epochs.first(), "First epoch"), first),
        (after(epochs.last(), "Last epoch"), &images.last_epoch),
    ]
    .into_iter()
    .filter(|(_, pictures)| !pictures.is_empty())
    .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let columns = rows.iter().map(|(_, pictures)| pictures.len()).max();
    let columns = columns.unwrap_or(0).min(RECONSTRUCTIONS);
    let mut groups = Vec::new();
    for start in (0..columns).step_by(GROUP) {
        let mut group = el("div").class("group");
        for (label, pictures) in &rows {
            let mut row = el("div").class("strip").child(
                el("span")
                    .class("row-name")
                    .attr("aria-hidden", "true")
                    .text(label),
            );
            for column in start..(start + GROUP).min(columns) {
                row = row.child(match pictures.get(column) {
                    Some(picture) => {
                        picture.img(&format!("Image {}: {}", column + 1, label.to_lowercase()))?
                    }
                    None => el("span"),
                });
            }
            group = group.child(row);
        }
        groups.push(group);
    }
    Ok(Some(figure(
        el("strong").text("Images and their reconstructions"),
        [el("div").class("groups").children(groups)],
    )))
}

fn samples(pictures: &[Picture]) -> Result<Option<Element>> {
    if pictures.is_empty() {
        return Ok(None);
    }
    let images = pictures
        .iter()
        .take(SAMPLES)
        .zip(1..)
        .map(|(picture, i)| picture.img(&format!("Sample {i}")))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(figure(
        el("strong").text("Images decoded from z ~ N(0, 1)"),
        [el("div").class("sheet").children(images)],
    )))
}
