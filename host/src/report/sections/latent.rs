//! The latent space: the way from one image to another, which images lie together, and a map.

use anyhow::Result;

use super::{Section, Term, figure, lead, name};
use crate::report::{
    Interpolation, LatentSpace, Neighbours, Report,
    markup::{Element, el},
    number,
    plot::{MARKS, Mark, scatter},
};

pub fn section(report: &Report) -> Result<Option<Section>> {
    let Some(latent) = &report.latent else {
        return Ok(None);
    };
    let mut body = Vec::new();
    let mut terms = Vec::new();
    if !latent.interpolations.is_empty() {
        body.push(interpolations(&latent.interpolations)?);
        terms.push(Term(
            "From one image to another",
            "The first and the last are images held out of pre-training; between them lies what \
             the decoder makes of equal steps on the straight line between their means μ, ends \
             included."
                .to_owned(),
        ));
    }
    if !latent.neighbours.is_empty() {
        body.push(neighbours(latent)?);
        terms.push(Term(
            "Nearest images",
            "By the Euclidean distance between means μ, among images spread evenly over the \
             unlabelled ones."
                .to_owned(),
        ));
    }
    if !latent.map.is_empty() {
        body.push(map(&latent.map, &report.data.classes));
        terms.push(Term(
            "Map of the latent space",
            "The means μ of validation images, laid out by t-SNE (van der Maaten and Hinton, \
             2008) so that neighbours stay neighbours; the directions mean nothing, and distances \
             between groups little. Pre-training saw neither these images nor their classes."
                .to_owned(),
        ));
    }
    if body.is_empty() {
        return Ok(None);
    }
    body.insert(
        0,
        lead("An image is a point here: the mean μ that the encoder gives it."),
    );
    Ok(Some(Section {
        id: "latent",
        heading: "Latent space",
        body,
        terms,
    }))
}

fn interpolations(ways: &[Interpolation]) -> Result<Element> {
    let way = |(way, number): (&Interpolation, usize)| -> Result<Element> {
        let mut strip = el("div").class("steps");
        strip = strip.child(way.from.img(&format!("Way {number}: its first image"))?);
        for (step, picture) in (1..).zip(&way.steps) {
            strip = strip.child(picture.img(&format!("Way {number}: step {step}"))?);
        }
        Ok(strip.child(way.to.img(&format!("Way {number}: its last image"))?))
    };
    let strips: Result<Vec<_>> = ways.iter().zip(1..).map(way).collect();
    Ok(figure(
        el("strong").text("From one image to another, decoded"),
        strips?,
    ))
}

fn neighbours(latent: &LatentSpace) -> Result<Element> {
    let group = |(of, number): (&Neighbours, usize)| -> Result<Element> {
        let mut near = el("div").class("near");
        near = near.child(of.query.img(&format!("Image {number}"))?);
        for (rank, picture) in (1..).zip(&of.nearest) {
            near = near.child(picture.img(&format!("Image {number}: its neighbour {rank}"))?);
        }
        Ok(near)
    };
    let groups: Result<Vec<_>> = latent.neighbours.iter().zip(1..).map(group).collect();
    let caption = el("span")
        .child(el("strong").text("Images and those nearest to them"))
        .text(format_args!(" of {}", number::count(latent.among)));
    Ok(figure(
        caption,
        [el("div").class("nears").children(groups?)],
    ))
}

fn map(map: &[([f64; 2], usize)], classes: &[String]) -> Element {
    let mut legend = el("ul").class("legend");
    for (class, text) in classes.iter().enumerate().take(MARKS) {
        legend = legend.child(el("li").child(Mark::of(class).swatch()).child(name(text)));
    }
    if classes.len() > MARKS {
        let others = number::count(classes.len() - MARKS);
        let mark = Mark::of(MARKS).swatch();
        legend = legend.child(el("li").child(mark).text(format_args!("{others} others")));
    }
    let points: Vec<_> = map
        .iter()
        .map(|&(point, class)| (point, Mark::of(class)))
        .collect();
    let images = number::count(points.len());
    let summary = format!(
        "Map of {images} images of {} classes by t-SNE.",
        classes.len()
    );
    let caption = el("span")
        .child(el("strong").text("Map"))
        .text(format_args!(" of {images} validation images by class"));
    let plot = el("div").class("map").child(scatter(&points, &summary));
    figure(caption, [legend, plot])
}
