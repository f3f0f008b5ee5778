//! The page: its head, its heading, and the sections that a report has.

use anyhow::Result;

use super::{
    Report,
    markup::{Element, el, style},
    number, sections,
};

/// Nothing from elsewhere, and no script, whatever a string in the report may try.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The report as one HTML file that needs nothing else. Fails only where a picture cannot be
/// encoded.
pub fn html(report: &Report) -> Result<String> {
    let sections = sections::all(report)?;
    let links = sections.iter().map(|section| {
        el("li").child(
            el("a")
                .attr("href", format_args!("#{}", section.id))
                .text(section.heading),
        )
    });
    let nav = (!sections.is_empty()).then(|| {
        el("nav")
            .attr("aria-label", "Sections")
            .child(el("ul").children(links))
    });
    let header = el("header")
        .child(el("h1").child(el("bdi").text(&report.title)))
        .children(subtitle(report))
        .children(nav);
    let main = el("main").children(sections.into_iter().map(|section| {
        el("section")
            .attr("id", section.id)
            .child(el("h2").text(section.heading))
            .children(section.body)
    }));
    let page = el("html")
        .attr("lang", "en-GB")
        .child(head(&report.title))
        .child(el("body").child(header).child(main));
    Ok(format!("<!DOCTYPE html>\n{page}\n"))
}

fn head(title: &str) -> Element {
    let meta = |name, content| el("meta").attr("name", name).attr("content", content);
    el("head")
        .child(el("meta").attr("charset", "utf-8"))
        .child(
            el("meta")
                .attr("http-equiv", "Content-Security-Policy")
                .attr("content", POLICY),
        )
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(el("title").text(title))
        .child(style(include_str!("style.css")))
}

/// Network, classes and images in one line.
fn subtitle(report: &Report) -> Option<Element> {
    let mut parts = Vec::new();
    if !report.network.is_empty() {
        parts.push(format!("network {}", report.network));
    }
    let data = &report.data;
    for (count, what) in [
        (data.classes.len(), "classes"),
        (data.train, "labelled images"),
        (data.unlabelled, "unlabelled images"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", number::count(count)));
        }
    }
    (!parts.is_empty()).then(|| el("p").class("subtitle").text(parts.join(" · ")))
}
