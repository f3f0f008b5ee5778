//! The page and the table as a whole.

mod markup_check;
mod reproduction;
mod sample;

use markup_check::Page;

use super::*;

#[test]
fn the_page_is_well_formed() {
    let page = Page::read(&html(&sample::full()).unwrap());
    let sections = [
        "results",
        "classifiers",
        "pretraining",
        "latent",
        "confusions",
        "reliability",
        "layers",
        "data",
        "configuration",
        "measurement",
    ];
    assert_eq!(page.ids, sections);
    assert_eq!(page.links, sections);
    assert!(page.images_without_alt.is_empty());
    assert_eq!(page.headings, ["Imagenette, 64 labels a class"]);
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    let html = html(&sample::full()).unwrap();
    assert!(!html.contains("://"));
    assert!(!html.contains("<script"));
    assert!(!html.contains("url("));
    assert!(!html.contains("@import"));
    let page = Page::read(&html);
    assert!(
        page.sources
            .iter()
            .all(|src| src.starts_with("data:image/png;base64,"))
    );
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
}

#[test]
fn absent_parts_leave_nothing_behind() {
    let empty = Page::read(&html(&Report::default()).unwrap());
    assert!(empty.ids.is_empty() && empty.links.is_empty());

    let full = sample::full();
    let pretrain = Report {
        title: full.title.clone(),
        pretraining: full.pretraining.clone(),
        latent: full.latent.clone(),
        ..Report::default()
    };
    let page = Page::read(&html(&pretrain).unwrap());
    assert_eq!(page.ids, ["pretraining", "latent", "measurement"]);

    // Present, and yet with nothing in it.
    let hollow = Report {
        pretraining: Some(Pretraining::default()),
        latent: Some(LatentSpace::default()),
        classifiers: vec![ClassifierCurve::default()],
        reliability: vec![Reliability::default()],
        ..Report::default()
    };
    let page = Page::read(&html(&hollow).unwrap());
    assert!(page.ids.is_empty(), "{:?}", page.ids);

    let finetune = Report {
        pretraining: None,
        ..full
    };
    let page = Page::read(&html(&finetune).unwrap());
    assert!(!page.ids.contains(&"pretraining".to_owned()));
    assert_eq!(page.ids, page.links);
}

#[test]
fn hostile_strings_stay_strings() {
    let hostile = "</title></style><script>alert(\"1\")</script><img src=x onerror='y'>&\0";
    let page = html(&sample::named(hostile)).unwrap();
    assert!(!page.contains("<script"));
    assert!(!page.contains("onerror='"));
    assert!(!page.contains('\0'));
    let escaped = "&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(&quot;1&quot;)";
    // Title, heading, network, results, curves, confusions, reliability, layers, data, options.
    assert!(page.matches(escaped).count() > 20);
    let read = Page::read(&page);
    assert_eq!(read.ids, read.links);
    assert!(read.sources.iter().all(|src| src.starts_with("data:")));
}

#[test]
fn a_thousand_classes_and_images_of_noise_stay_a_page() {
    let mut report = sample::full();
    report.data.classes = (0..1000).map(|i| format!("class number {i}")).collect();
    // Noise is what PNG cannot make smaller.
    let noise = vec![sample::noise_picture(); 20];
    for confusion in &mut report.confusions {
        confusion.examples = noise.clone();
    }
    let pair = Confusion {
        examples: Vec::new(),
        ..report.confusions[0].clone()
    };
    report.confusions.resize(40_000, pair);
    let pretraining = report.pretraining.as_mut().unwrap();
    pretraining.kl_per_dimension = vec![0.5; 1024];
    pretraining.samples = noise.clone();
    pretraining.reconstructions = Reconstructions {
        originals: noise.clone(),
        first_epoch: noise.clone(),
        last_epoch: noise,
    };
    let html = html(&report).unwrap();
    assert!(html.len() < 4_000_000, "{} bytes", html.len());
    Page::read(&html);
}

#[test]
fn diverged_training_still_has_a_page() {
    let mut report = sample::full();
    for curve in &mut report.classifiers {
        for epoch in &mut curve.epochs {
            epoch.train_loss = f64::NAN;
            epoch.val_top1 = f64::NAN;
            epoch.val_loss = f64::INFINITY;
        }
    }
    let pretraining = report.pretraining.as_mut().unwrap();
    pretraining.kl_per_dimension = vec![f64::NAN; 3];
    pretraining.epochs.truncate(1);
    report.results[0].top1 = f64::NAN;
    report.results[1].versus = Some("no such row".to_owned());
    let html = html(&report).unwrap();
    // Base64 has any letters.
    let words = Page::read(&html)
        .sources
        .iter()
        .fold(html, |html, source| html.replace(source, ""));
    assert!(!words.contains("NaN") && !words.contains("inf"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    assert_eq!(
        html(&sample::full()).unwrap(),
        html(&sample::full()).unwrap()
    );
}

#[test]
fn the_table_fits_a_terminal() {
    let table = table(&sample::full());
    let expected = "\
model             top-1 (%)  top-5 (%)     images
baseline               61.4       94.6      3,925
fine-tuned float       66.9       95.8      3,925
fine-tuned int8        66.7       95.8      3,925

flash 102 KiB   RAM 12.1 KiB   26.7 M MACs an image
";
    assert_eq!(table, expected);

    let long = super::table(&sample::named(&"\u{1b}[2Jwide ".repeat(40)));
    assert!(
        long.lines().all(|line| line.chars().count() <= 80),
        "{long}"
    );
    assert!(!long.contains('\u{1b}'));
    assert_eq!(super::table(&Report::default()), "");
}

/// Writes pages of invented data to look at, one with names too long for any line:
/// `cargo test -p host look_at_the_pages -- --ignored --nocapture`.
#[test]
#[ignore = "writes pages to look at"]
fn look_at_the_pages() {
    let mut long = sample::named(&"unbroken".repeat(16));
    long.pretraining.as_mut().unwrap().epochs.truncate(1);
    long.classifiers.resize(8, long.classifiers[1].clone());
    for (name, report) in [("full", sample::full()), ("long", long)] {
        let file = std::env::temp_dir().join(format!("vae96-report-{name}.html"));
        std::fs::write(&file, html(&report).unwrap()).unwrap();
        println!("{}", file.display());
    }
}
