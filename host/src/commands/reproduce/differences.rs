//! What a run does otherwise than the paper's authors did.

use anyhow::Result;

use super::Reproduction;
use crate::report::number;
use crate::report::reproduction::Difference;
use crate::train::recipe::{Finetune, Keep, Optimiser, Pretrain};
use crate::train::schedule::Schedule;

/// The paper's way and the run's, side by side.
pub fn all(of: &Reproduction<'_>) -> Result<Vec<Difference>> {
    let (config, data) = (of.config, of.data);
    let (pretrain, finetune) = (config.pretrain()?, config.finetune()?);
    let seeds = config.reproduce()?.seeds;
    let row = |what, paper, here| Difference { what, paper, here };
    Ok(vec![
        row(
            "Images",
            "photographs of 1,000 classes: 512,000 unlabelled, 64 a class to learn from, 64,000 to \
             validate",
            format!(
                "{}, {} classes: {} unlabelled, {} labelled to draw from, {} to validate",
                match &config.data {
                    Some(data) => format!("those in {}", data.display()),
                    None => "scenes drawn by code".to_owned(),
                },
                number::count(data.classes.len()),
                number::count(data.unlabelled.len()),
                number::count(data.train.labels.len()),
                number::count(data.val.labels.len())
            ),
        ),
        row(
            "Network",
            "145 M parameters as a VAE",
            match config.network.architecture().name {
                "paper" => "the paper's, layer by layer".to_owned(),
                other => format!("{other}, with its own heads and latent"),
            },
        ),
        row(
            "Training the VAE",
            "180 epochs of Adam at 0.001, batch 128; Σ (x̂ − x)² + KL, summed over the batch; no \
             augmentation",
            vae(pretrain),
        ),
        row(
            "Training the classifiers",
            "up to 100 epochs of SGD at 0.01 with momentum 0.5, batch 256; no augmentation",
            classifiers(finetune),
        ),
        row(
            "Weights reported",
            "the epoch of the best validation accuracy",
            match finetune.keep {
                Keep::Best => "the same, which flatters: the images that choose are reported",
                Keep::Last => "the last epoch",
            }
            .to_owned(),
        ),
        row(
            "Repetitions",
            "one",
            match seeds {
                1 => "one".to_owned(),
                _ => format!(
                    "{seeds} seeds of the classifiers, mean ± standard deviation; one pre-training"
                ),
            },
        ),
    ])
}

fn vae(settings: &Pretrain) -> String {
    let scale = match settings.mean_loss {
        true => "divided by the batch",
        false => "summed over the batch",
    };
    format!(
        "{} epochs of {}, batch {}; {} · Σ (x̂ − x)² + {} · KL, {scale}; {}",
        number::count(settings.epochs),
        rule(settings.optimiser, settings.rate, settings.schedule),
        settings.batch,
        1.0 / (2.0 * settings.sigma2),
        settings.beta,
        views(settings.crop, settings.flip, settings.colour)
    )
}

fn classifiers(settings: &Finetune) -> String {
    let least = match settings.epoch_images {
        1 => String::new(),
        least => format!(" of at least {} images", number::count(least)),
    };
    let smoothing = match settings.smoothing {
        0.0 => String::new(),
        share => format!(", labels smoothed by {share}"),
    };
    format!(
        "{} epochs{least} of {}, batch {}{smoothing}; {}{}",
        number::count(settings.epochs),
        rule(settings.optimiser, settings.rate, settings.schedule),
        settings.batch,
        views(settings.crop, settings.flip, settings.colour),
        match settings.side {
            vae96::SIDE => String::new(),
            side => format!("; the convolutional head learns on images of {side}×{side}"),
        }
    )
}

fn rule(optimiser: Optimiser, rate: f64, schedule: Schedule) -> String {
    let optimiser = match optimiser {
        Optimiser::Adamw => "AdamW",
        Optimiser::Adam => "Adam",
        Optimiser::Sgd => "SGD with momentum 0.9",
        Optimiser::SgdPaper => "SGD with momentum 0.5",
    };
    let course = match schedule {
        Schedule::Constant => "",
        Schedule::Cosine => " falling as a cosine",
    };
    format!("{optimiser} at {rate}{course}")
}

fn views(crop: f64, flip: bool, colour: f64) -> String {
    let mut views = Vec::new();
    if crop < 1.0 {
        views.push(format!("random crops of at least {crop} of the area"));
    }
    if flip {
        views.push("mirrored at random".to_owned());
    }
    if colour > 0.0 {
        views.push(format!("colours changed by up to {colour}"));
    }
    match views.is_empty() {
        true => "no augmentation".to_owned(),
        false => views.join(", "),
    }
}
