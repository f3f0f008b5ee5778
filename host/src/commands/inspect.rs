//! `vae96 inspect`.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Answer;
use crate::cli::InspectCommand;
use crate::evaluate::{self, LayerNeeds, Needs};
use crate::files;

/// A processor that an image could be classified on.
struct Core {
    name: &'static str,
    mhz: f64,
    cycles_per_mac: f64,
}

/// Cycles a multiply-accumulate, as published for int8 networks of this input size on boards: the
/// visual wake words results of MLPerf Tiny.
const CORES: [Core; 4] = [
    Core {
        name: "Cortex-M0+",
        mhz: 48.0,
        cycles_per_mac: 16.0,
    },
    Core {
        name: "Cortex-M4",
        mhz: 120.0,
        cycles_per_mac: 1.9,
    },
    Core {
        name: "Cortex-M33",
        mhz: 160.0,
        cycles_per_mac: 1.27,
    },
    Core {
        name: "Cortex-M7",
        mhz: 480.0,
        cycles_per_mac: 1.0,
    },
];

/// The most flash that common microcontrollers have on their chip, in bytes (the STM32U5 has 4 MiB;
/// most have 2 MiB or less).
const LARGEST_FLASH: usize = 4 << 20;

const MODEL: &str = "milliseconds = MACs × cycles a MAC / clock, with the cycles that MLPerf Tiny's \
    visual wake words results give for tuned int8 stacks; an order of magnitude, not a measurement";

/// Says what a model file holds, needs and costs.
pub fn run(arguments: &InspectCommand) -> Result<Answer> {
    let path = &arguments.model;
    let needs = evaluate::needs(&files::read(path)?)
        .with_context(|| format!("cannot use {}", path.display()))?;
    Ok(Answer {
        json: json(&needs),
        text: text(&needs)?,
    })
}

/// A model's needs in one line.
pub fn summary(needs: &Needs) -> String {
    format!(
        "{} {}, {} bytes of flash, {} bytes of RAM, {:.1} M MACs",
        needs.network,
        needs.kind,
        needs.flash_bytes,
        needs.ram_bytes,
        needs.macs as f64 / 1e6
    )
}

fn milliseconds(core: &Core, macs: usize) -> f64 {
    macs as f64 * core.cycles_per_mac / (core.mhz * 1e3)
}

fn json(needs: &Needs) -> Value {
    let layer = |layer: &LayerNeeds| {
        json!({
            "name": layer.name,
            "out": layer.out.to_string(),
            "macs": layer.macs,
            "weights": layer.weights,
            "flash_bytes": layer.flash_bytes,
            "ram_bytes": layer.ram_bytes,
        })
    };
    let estimate = |core: &Core| {
        json!({
            "core": core.name,
            "mhz": core.mhz,
            "cycles_per_mac": core.cycles_per_mac,
            "milliseconds": milliseconds(core, needs.macs),
        })
    };
    json!({
        "network": needs.network,
        "kind": needs.kind,
        "classes": needs.classes,
        "layout": needs.layout,
        "flash_bytes": needs.flash_bytes,
        "ram_bytes": needs.ram_bytes,
        "fits_on_chip": needs.flash_bytes <= LARGEST_FLASH,
        "macs": needs.macs,
        "layers": needs.layers.iter().map(layer).collect::<Vec<_>>(),
        "estimates": CORES.iter().map(estimate).collect::<Vec<_>>(),
        "estimate_model": MODEL,
    })
}

fn text(needs: &Needs) -> Result<String> {
    let mut text = summary(needs);
    if needs.classes > 0 {
        write!(text, ", {} classes", needs.classes)?;
    }
    write!(text, ", {} weights", needs.layout)?;
    if needs.flash_bytes > LARGEST_FLASH {
        write!(
            text,
            "\n{:.1} MiB of flash: no common microcontroller has so much on its chip ({} MiB at \
             most); it needs memory beside the chip, or the network edge",
            needs.flash_bytes as f64 / f64::from(1 << 20),
            LARGEST_FLASH >> 20
        )?;
    }
    write!(
        text,
        "\n\n{:8} {:>10} {:>12} {:>10} {:>9} {:>8}\n",
        "layer", "out", "MACs", "weights", "flash", "RAM"
    )?;
    for layer in &needs.layers {
        writeln!(
            text,
            "{:8} {:>10} {:>12} {:>10} {:>9} {:>8}",
            layer.name,
            layer.out.to_string(),
            layer.macs,
            layer.weights,
            layer.flash_bytes,
            layer.ram_bytes
        )?;
    }
    writeln!(text, "\nestimated time of one image ({MODEL}):")?;
    for core in &CORES {
        writeln!(
            text,
            "{:11} at {:3} MHz, {:4} cycles a MAC: {:7.0} ms",
            core.name,
            core.mhz,
            core.cycles_per_mac,
            milliseconds(core, needs.macs)
        )?;
    }
    Ok(text.trim_end().to_owned())
}
