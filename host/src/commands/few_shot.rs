//! `vae96 few-shot`: how right taught classes are.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Answer;
use super::taught::{encoder, load, validation};
use crate::cli::FewShotCommand;
use crate::evaluate::Aligned;
use crate::few_shot::features::Features;
use crate::few_shot::measure::{Found, Options, Spread, TRUE_ACCEPTS, measure};
use crate::few_shot::{calibrate, episodes};
use crate::files;
use crate::train::progress::Progress;

/// Measures.
pub fn run(arguments: &FewShotCommand, progress: Progress) -> Result<Answer> {
    let FewShotCommand {
        ways, shots, seed, ..
    } = *arguments;
    ensure!(ways > 0, "--ways is 0; it must be at least 1");
    ensure!(shots > 0, "--shots is 0; it must be at least 1");
    let file = Aligned::new(&files::read(&arguments.model)?);
    let model = encoder(&file, &arguments.model)?;
    let given = match &arguments.prototypes {
        Some(path) => Some(load(&model, path)?.calibration().with_context(|| {
            format!(
                "{} is not calibrated: teach --calibrate does it",
                path.display()
            )
        })?),
        None => None,
    };
    let shown = validation(arguments.data.clone(), progress)?;
    let features = Features::of(&model, &shown.images)?;
    let all = episodes::of_class(&shown.labels);
    let (calibration, images) = match given {
        Some(calibration) => (calibration, all),
        None => {
            let (first, second) = episodes::halves(all, seed);
            let calibration = calibrate::fit(&model, &features, &first, seed).context(
                "cannot calibrate on half of the classes; --prototypes takes the calibration of a \
                 file",
            )?;
            (calibration, second)
        }
    };
    let options = |shots| Options {
        ways,
        shots,
        draws: arguments.draws,
        seed,
    };
    let found = (1..=shots)
        .map(|shots| measure(&model, calibration, &features, &images, options(shots)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Answer {
        json: json!({
            "classes": images.len(),
            "ways": ways,
            "draws": arguments.draws,
            "shots": found.iter().map(entry).collect::<Vec<_>>(),
        }),
        text: table(&found, images.len(), arguments),
    })
}

fn entry(found: &Found) -> Value {
    let spread = |spread: Spread| json!({ "mean": spread.mean, "deviation": spread.deviation });
    json!({
        "shots": found.shots,
        "prototypes": spread(found.prototypes),
        "float": spread(found.float),
        "float_mean": spread(found.mean),
        "float_linear": spread(found.linear),
        "none": {
            "auroc": found.none.auroc,
            "true_accepts": TRUE_ACCEPTS,
            "false_accepts": found.none.false_accepts,
            "calibration_error": found.none.calibration_error,
        },
    })
}

fn table(found: &[Found], classes: usize, arguments: &FewShotCommand) -> String {
    let mut text = format!(
        "{} of {classes} classes at a time, {} draws; top-1 (%) and its deviation over draws\n\n\
         {:>6} {:>13} {:>13} {:>13} {:>13}   none: AUROC  false accepts  ECE\n",
        arguments.ways,
        arguments.draws,
        "images",
        "prototypes",
        "in floats",
        "float mean",
        "linear"
    );
    let spread = |spread: Spread| {
        format!(
            "{:.1} ± {:.1}",
            100.0 * spread.mean,
            100.0 * spread.deviation
        )
    };
    for row in found {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>6} {:>13} {:>13} {:>13} {:>13} {:>13.3} {:>14.3} {:>6.3}",
            row.shots,
            spread(row.prototypes),
            spread(row.float),
            spread(row.mean),
            spread(row.linear),
            row.none.auroc,
            row.none.false_accepts,
            row.none.calibration_error
        );
    }
    let _ = write!(
        text,
        "\nfalse accepts: of frames of other classes, where {:.0} % of the taught ones' are accepted",
        100.0 * TRUE_ACCEPTS
    );
    text
}
