//! A report of invented data, as full as a run on real photographs makes it.

use crate::report::*;

/// Every part of a report.
pub fn full() -> Report {
    let classes = [
        "tench",
        "English springer",
        "cassette player",
        "chain saw",
        "church",
        "French horn",
        "garbage truck",
        "gas pump",
        "golf ball",
        "parachute",
    ];
    Report {
        reproduction: None,
        title: "Imagenette, 64 labels a class".to_owned(),
        network: "edge".to_owned(),
        data: DataSummary {
            classes: classes.map(str::to_owned).to_vec(),
            train: 640,
            labels_per_class: Some(64),
            val: 3925,
            unlabelled: 8829,
            skipped: 2,
        },
        results: results(),
        model: Some(model()),
        pretraining: Some(pretraining()),
        latent: Some(latent()),
        classifiers: vec![
            curve("baseline", 2.25, 1.21, 0.614, 0.946),
            curve("fine-tuned", 1.9, 1.08, 0.669, 0.958),
        ],
        confusions: confusions(&classes),
        confusions_of: "fine-tuned int8".to_owned(),
        reliability: vec![
            reliability("Fine-tuned float", 0.09),
            reliability("Fine-tuned int8", 0.1),
        ],
        configuration: configuration(),
        notes: vec![
            "The int8 row is the model file, run by the crate that devices run.".to_owned(),
            "Images were scaled to 96 pixels on their shorter side and cropped to their centre."
                .to_owned(),
        ],
    }
}

/// The full report with every name replaced.
pub fn named(name: &str) -> Report {
    let mut report = full();
    let set = |field: &mut String| *field = name.to_owned();
    set(&mut report.title);
    set(&mut report.network);
    set(&mut report.confusions_of);
    report.data.classes.iter_mut().for_each(set);
    report.notes.iter_mut().for_each(set);
    for (option, value) in &mut report.configuration {
        set(option);
        set(value);
    }
    for row in &mut report.results {
        set(&mut row.name);
        set(&mut row.note);
        row.versus = Some(name.to_owned());
    }
    for layer in &mut report.model.as_mut().unwrap().layers {
        set(&mut layer.name);
        set(&mut layer.out);
    }
    for curve in &mut report.classifiers {
        set(&mut curve.name);
    }
    for confusion in &mut report.confusions {
        set(&mut confusion.truth);
        set(&mut confusion.predicted);
    }
    for model in &mut report.reliability {
        set(&mut model.name);
    }
    report
}

fn results() -> Vec<ResultRow> {
    let row = |name: &str, top1, top5, versus: Option<&str>| ResultRow {
        name: name.to_owned(),
        top1,
        top5,
        images: 3925,
        versus: versus.map(str::to_owned),
        note: String::new(),
    };
    vec![
        row("baseline", 0.614, 0.946, None),
        row("fine-tuned float", 0.669, 0.9583, Some("baseline")),
        row("fine-tuned int8", 0.6672, 0.9578, Some("fine-tuned float")),
    ]
}

fn model() -> ModelSummary {
    let layer = |name: &str, out: &str, macs, flash_bytes, ram_bytes| LayerRow {
        name: name.to_owned(),
        out: out.to_owned(),
        macs,
        flash_bytes,
        ram_bytes,
    };
    ModelSummary {
        flash_bytes: 104_280,
        ram_bytes: 12_384,
        macs: 26_671_104,
        layers: vec![
            layer("conv1", "48×48×16", 2_764_800, 1_392, 1_440),
            layer("conv2", "48×48×16", 5_308_416, 2_560, 2_304),
            layer("pool1", "24×24×16", 0, 0, 384),
            layer("conv3", "24×24×32", 2_654_208, 5_120, 1_152),
            layer("conv4", "24×24×64", 10_616_832, 19_456, 2_304),
            layer("conv5", "12×12×128", 5_308_416, 74_752, 4_224),
            layer("pool2", "128", 0, 0, 512),
            layer("fc", "10", 1_280, 1_400, 0),
        ],
    }
}

fn curve(name: &str, start: f64, end: f64, top1: f64, top5: f64) -> ClassifierCurve {
    let epochs = (1..=40).map(|epoch| {
        let t = f64::from(epoch);
        let decay = (-t / 8.0).exp();
        let wobble = noise(epoch as usize + name.len() * 97) - 0.5;
        ClassifierEpoch {
            epoch: epoch as usize,
            train_loss: 0.62 + (start - 0.6) * (-t / 14.0).exp() + 0.02 * wobble,
            train_accuracy: 0.96 - 0.85 * (-t / 15.0).exp() + 0.01 * wobble,
            val_loss: end + (start - end) * decay + 0.004 * t.max(18.0) + 0.07 * wobble,
            val_top1: top1 - (top1 - 0.1) * decay - 0.025 * wobble,
            val_top5: top5 - (top5 - 0.5) * decay - 0.01 * wobble,
        }
    });
    ClassifierCurve {
        name: name.to_owned(),
        epochs: epochs.collect(),
    }
}

fn pretraining() -> Pretraining {
    let epochs = (1..=30).map(|epoch| {
        let t = f64::from(epoch);
        let wobble = noise(epoch as usize) - 0.5;
        VaeEpoch {
            epoch: epoch as usize,
            train_reconstruction: 560.0 + 900.0 * (-t / 3.0).exp(),
            train_kl: 61.0 - 45.0 * (-t / 5.0).exp(),
            val_reconstruction: 575.0 + 700.0 * (-t / 3.0).exp() + 12.0 * wobble,
            val_kl: 62.0 - 44.0 * (-t / 5.0).exp() + wobble,
            train_contrast: f64::NAN,
        }
    });
    let images = |count: usize, detail: f64| -> Vec<_> {
        (0..count).map(|seed| picture(seed, detail)).collect()
    };
    Pretraining {
        epochs: epochs.collect(),
        reconstructions: Reconstructions {
            originals: (0..8).map(photograph).collect(),
            first_epoch: images(8, 0.25),
            last_epoch: images(8, 0.7),
        },
        samples: (0..16).map(|seed| picture(seed + 50, 0.6)).collect(),
        kl_per_dimension: (0..128)
            .map(|i| {
                let i = f64::from(i * 53 % 128);
                if i < 91.0 {
                    2.4 * (-i / 28.0).exp()
                } else {
                    0.002
                }
            })
            .collect(),
    }
}

fn latent() -> LatentSpace {
    let interpolation = |seed: usize| Interpolation {
        from: photograph(seed),
        steps: (0..8).map(|step| picture(seed + step, 0.6)).collect(),
        to: photograph(seed + 7),
    };
    let neighbours = |seed: usize| Neighbours {
        query: photograph(seed),
        nearest: (1..7).map(|rank| photograph(seed + rank)).collect(),
    };
    let point = |i: usize| {
        let [x, y] = [1, 2].map(|axis| {
            let class = noise(i % 10 + 77 * axis);
            4.0 * class + noise(3 * i + axis) + noise(5 * i + axis)
        });
        ([x, y], i % 10)
    };
    LatentSpace {
        interpolations: [200, 220].map(interpolation).to_vec(),
        neighbours: [240, 250, 260, 270].map(neighbours).to_vec(),
        among: 4007,
        map: (0..1000).map(point).collect(),
    }
}

fn confusions(classes: &[&str]) -> Vec<Confusion> {
    let pairs = [
        (6, 7),
        (3, 5),
        (7, 6),
        (2, 7),
        (4, 6),
        (8, 9),
        (5, 3),
        (0, 8),
        (1, 0),
        (9, 8),
        (2, 3),
    ];
    let confusion = |(rank, &(truth, predicted)): (usize, &(usize, usize))| Confusion {
        truth: classes[truth].to_owned(),
        predicted: classes[predicted].to_owned(),
        count: 61 - 5 * rank,
        of: 390,
        examples: (0..4).map(|i| photograph(100 + rank * 4 + i)).collect(),
    };
    pairs.iter().enumerate().map(confusion).collect()
}

fn reliability(name: &str, gap: f64) -> Reliability {
    let bins = (0..15_u32).map(|bin| {
        let confidence = (f64::from(bin) + 0.55) / 15.0;
        let count = if bin == 0 {
            0
        } else {
            (40.0 + 700.0 * confidence.powi(3)) as usize
        };
        ReliabilityBin {
            confidence: if count == 0 { 0.0 } else { confidence },
            accuracy: if count == 0 {
                0.0
            } else {
                (confidence - gap * confidence).max(0.0)
            },
            count,
        }
    });
    Reliability {
        name: name.to_owned(),
        bins: bins.collect(),
        expected_calibration_error: gap * 0.7,
    }
}

fn configuration() -> Vec<(String, String)> {
    [
        ("command", "run --data DIR --labels-per-class 64"),
        ("seed", "1"),
        ("optimiser", "adamw, betas [0.9, 0.999], epsilon 1e-8"),
        ("schedule", "cosine, 2 epochs of warm-up"),
        (
            "augmentation",
            "flip, random resized crop (0.5 to 1), colour 0.2",
        ),
        ("device", "cpu, 2 threads"),
    ]
    .map(|(option, value)| (option.to_owned(), value.to_owned()))
    .to_vec()
}

/// Noise alone.
pub fn noise_picture() -> Picture {
    let bytes = (0..crate::data::IMAGE_BYTES).map(|i| (noise(i) * 256.0) as u8);
    Picture::new(bytes.collect()).unwrap()
}

/// Scenery with the grain of a photograph.
fn photograph(seed: usize) -> Picture {
    picture(seed, 1.0)
}

/// Sky, ground and a disc, the sharper the more `detail`, which ends in grain.
fn picture(seed: usize, detail: f64) -> Picture {
    let of = |i: usize| noise(seed * 31 + i);
    let (cx, cy, radius) = (
        25.0 + 46.0 * of(1),
        30.0 + 36.0 * of(2),
        12.0 + 18.0 * of(3),
    );
    let horizon = 40.0 + 30.0 * of(4);
    let blur = 2.0 + 14.0 * (1.0 - detail);
    let mut rgb = Vec::new();
    for y in 0..96 {
        for x in 0..96 {
            let (fx, fy) = (f64::from(x), f64::from(y));
            let step = |distance: f64| 1.0 / (1.0 + (-distance / blur * 2.0).exp());
            let ground = step(fy - horizon);
            let disc = step(radius - (fx - cx).hypot(fy - cy));
            let grain = if detail == 1.0 {
                noise((y * 96 + x) as usize + seed) - 0.5
            } else {
                0.0
            };
            let wave = ((fx * (0.2 + of(5)) + fy * of(6)).sin() * detail) * 18.0;
            for channel in 0..3 {
                let sky = 130.0 + 100.0 * of(10 + channel);
                let soil = 40.0 + 90.0 * of(20 + channel);
                let thing = 60.0 + 190.0 * of(30 + channel);
                let scene = sky * (1.0 - ground) + (soil + wave) * ground;
                let value = scene * (1.0 - disc) + (thing - wave) * disc + 26.0 * grain;
                rgb.push(value.clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture::new(rgb).unwrap()
}

/// A number in [0, 1) for each `i`, by the mixing of SplitMix64.
fn noise(i: usize) -> f64 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
