//! Pre-training: the VAE on images without labels.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::RgbImage;
use image::imageops::{FilterType, replace, resize};
use serde::{Deserialize, Serialize};
use vae96::{Autoencoder, SIDE};

use super::metrics::Measures;
use super::progress::Progress;
use super::recipe::{Optimisation, Pretrain};
use super::run::{Figures, Folder, Plan, Run, Task, only};
use crate::backend::work::{self, Size, Steps, Work};
use crate::backend::{
    Backend, Batch, Form, LayerRates, Learner, Metadata, Noise, Pending, Stream, Vae, Weights,
    parameters,
};
use crate::data::Images;
use crate::data::loader::{Drawing, Loaded, Loader, Samples, Source};
use crate::data::random::{Purpose, stream};
use crate::data::split::hold_out;
use crate::files;

/// Images shown in the report.
const SHOWN: usize = 8;
/// Images evaluated together.
const BATCH: usize = 100;

/// What a pre-training is given.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The VAE.
    pub autoencoder: &'static Autoencoder,
    /// How to train.
    pub settings: &'a Pretrain,
    /// All that is random follows from it.
    pub seed: u64,
    /// The weights to begin with; none for the seed's.
    pub init: Option<&'a Weights>,
    /// The images.
    pub images: &'a Images,
}

/// The files beside the weights that show what a VAE does; sheets hold 96×96 images in a row.
pub mod show {
    /// The images held out.
    pub const ORIGINALS: &str = "originals.png";
    /// Their reconstructions after the first epoch.
    pub const FIRST: &str = "reconstructions-first.png";
    /// Their reconstructions after the latest epoch.
    pub const LATEST: &str = "reconstructions.png";
    /// Images decoded from z ~ N(0, 1).
    pub const SAMPLES: &str = "samples.png";
    /// What the latent holds: a [`Latent`](super::LatentUse).
    pub const LATENT: &str = "latent.json";
}

/// How much each dimension of the latent tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatentUse {
    /// Mean KL divergence of each dimension over the images held out, in nats.
    pub kl_per_dimension: Vec<f64>,
}

/// Trains a VAE and gives back its weights; a training that is complete already only gives its
/// weights.
pub fn train(
    request: &Request<'_>,
    backend: &dyn Backend,
    folder: &Folder,
    metadata: &Metadata,
    progress: Progress,
) -> Result<Weights> {
    if folder.is_complete() {
        return Ok(Weights::load(&folder.weights())?.0);
    }
    let Request {
        autoencoder,
        settings,
        seed,
        init,
        images,
    } = *request;
    ensure!(
        images.len() >= 2 * SHOWN,
        "{} unlabelled images are too few to pre-train on; at least {} are needed",
        images.len(),
        2 * SHOWN
    );
    let split = hold_out(images.len(), held_out(images.len()), seed);
    let chosen = split.train;
    let (batch, steps_per_epoch) = pass(settings, chosen.len());
    let plan = Plan {
        name: "pretrain".to_owned(),
        epochs: settings.epochs,
        steps_per_epoch,
        score: None,
        keep_best: false,
        patience: 0,
    };
    let weights = match init {
        Some(weights) => weights.clone(),
        None => Weights::initial(&parameters::vae(autoencoder), seed),
    };
    let backend = backend.suited_to(&work(autoencoder, settings, batch))?;
    // Without a decoder that learns, nothing looks at them.
    let held_out = match settings.decodes() {
        true => split.held_out,
        false => Vec::new(),
    };
    let mut task = PretrainTask {
        vae: backend.vae(autoencoder, &weights)?,
        optimisation: settings.optimisation(),
        settings,
        latent: autoencoder.latent(),
        seed,
        steps: plan.steps(),
        held_out: values(Samples::unlabelled(images, held_out))?,
        folder,
    };
    let mut run = Run::begin(&plan, folder, &mut task, progress)?;
    let source = Source {
        samples: Samples::unlabelled(images, chosen),
        drawing: Drawing {
            batch,
            side: settings.side,
            views: settings.views(),
            form: task.vae.form(),
            seed,
            streams: Drawing::MAIN,
        },
    };
    let mut loader = Loader::training(vec![source], run.step() as u64)?;
    run.go(&mut task, &mut loader)?;
    run.end(&mut task, metadata)
}

/// Images a step and steps an epoch, of `images` images to learn from.
pub fn pass(settings: &Pretrain, images: usize) -> (usize, usize) {
    let batch = settings.batch.min(images);
    (batch, images / batch)
}

/// The batches of the images held out, as values: what is made of them is compared with these.
fn values(held_out: Samples) -> Result<Vec<Batch>> {
    Loader::evaluation(held_out, BATCH, SIDE, Form::Values)?
        .map(|loaded| Ok(loaded?.batch))
        .collect()
}

/// What a training asks of a machine, `images` images a step.
pub fn work(autoencoder: &'static Autoencoder, settings: &Pretrain, images: usize) -> Work {
    Work {
        network: work::Network::Vae(autoencoder),
        steps: Some(Steps {
            batch: Size {
                count: images * settings.views().len(),
                side: settings.side,
            },
            contrast: settings.contrast > 0.0,
            corrupts: !settings.corruption().is_none(),
            shares: false,
            averages: false,
        }),
        answers: Size {
            count: BATCH,
            side: SIDE,
        },
    }
}

/// How many images of `all` are held out to see what the VAE does with images it never saw.
pub fn held_out(all: usize) -> usize {
    (all / 20).clamp(SHOWN, 1000)
}

struct PretrainTask<'a> {
    vae: Box<dyn Vae>,
    optimisation: Optimisation,
    settings: &'a Pretrain,
    latent: usize,
    seed: u64,
    steps: usize,
    held_out: Vec<Batch>,
    folder: &'a Folder,
}

impl PretrainTask<'_> {
    fn noise(&self, purpose: Purpose, index: usize) -> Stream {
        stream(self.seed, purpose, 0, index as u64)
    }
}

/// The VAE's loss an image, without the contrastive term.
fn loss(settings: &Pretrain, reconstruction: f64, kl: f64) -> f64 {
    reconstruction / (2.0 * settings.sigma2) + settings.beta * kl
}

impl Task for PretrainTask<'_> {
    fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>> {
        let Self { settings, seed, .. } = *self;
        let targets = &only(loaded)?.batch;
        let count = targets.count;
        let objective = settings.objective(step, self.steps, count);
        let corruption = settings.corruption();
        let corrupted =
            (!corruption.is_none()).then(|| corruption.apply(targets, seed, step as u64));
        let inputs = corrupted.as_ref().unwrap_or(targets);
        let noise = Noise::Drawn(self.noise(Purpose::Noise, step));
        let update = (self.optimisation).update(step, self.steps, LayerRates::default());
        let loss = (self.vae).learn(inputs, targets, noise, objective, &update)?;
        let settings = settings.clone();
        Ok(loss.map(move |loss| {
            let mean = |sum: f64| sum / count as f64;
            let (reconstruction, kl) = (mean(loss.reconstruction), mean(loss.kl));
            let contrast = mean(loss.contrast);
            if !settings.decodes() {
                return vec![("loss", contrast), ("contrast", contrast)];
            }
            let mut figures = vec![
                ("loss", self::loss(&settings, reconstruction, kl)),
                ("reconstruction", reconstruction),
                ("kl", kl),
            ];
            if settings.contrast > 0.0 {
                figures.push(("contrast", contrast));
            }
            figures
        }))
    }

    fn validate(&mut self, epoch: usize) -> Result<Measures> {
        if !self.settings.decodes() {
            return Ok(Measures::new());
        }
        let (mut images, mut reconstruction) = (0, 0.0);
        let mut kl = vec![0.0; self.latent];
        for (index, batch) in self.held_out.iter().enumerate() {
            let latent = self.vae.encode(batch)?;
            let noise = self.noise(Purpose::ValidationNoise, index);
            let noise = noise.normal(batch.count * self.latent);
            let z: Vec<f32> = latent
                .mean
                .iter()
                .zip(&latent.log_variance)
                .zip(&noise)
                .map(|((mean, log_variance), noise)| mean + noise * (0.5 * log_variance).exp())
                .collect();
            let decoded = self.vae.decode(&z)?;
            images += batch.count;
            reconstruction += squared_error(decoded.values()?, &shrunk(batch, decoded.side)?);
            for (index, (mean, log_variance)) in
                latent.mean.iter().zip(&latent.log_variance).enumerate()
            {
                let (mean, log_variance) = (f64::from(*mean), f64::from(*log_variance));
                kl[index % self.latent] +=
                    -0.5 * (1.0 + log_variance - mean * mean - log_variance.exp());
            }
        }
        let images = images as f64;
        for kl in &mut kl {
            *kl /= images;
        }
        self.show(epoch, &kl)?;
        let (reconstruction, kl) = (reconstruction / images, kl.iter().sum());
        Ok(Measures::from([
            ("loss".to_owned(), loss(self.settings, reconstruction, kl)),
            ("reconstruction".to_owned(), reconstruction),
            ("kl".to_owned(), kl),
        ]))
    }

    fn rate(&self, step: usize) -> f64 {
        self.optimisation.rate(step, self.steps)
    }

    fn learner(&mut self) -> &mut dyn Learner {
        &mut *self.vae
    }
}

impl PretrainTask<'_> {
    /// Writes what the VAE makes of the first images held out, and of noise.
    fn show(&self, epoch: usize, kl: &[f64]) -> Result<()> {
        let Some(first) = self.held_out.first() else {
            return Ok(());
        };
        let shown = SHOWN.min(first.count);
        let originals = first.part(0..shown);
        let decoded = self.vae.decode(&self.vae.encode(&originals)?.mean)?;
        if epoch == 1 {
            write_sheet(&self.folder.file(show::ORIGINALS), &originals)?;
            write_sheet(&self.folder.file(show::FIRST), &decoded)?;
        }
        write_sheet(&self.folder.file(show::LATEST), &decoded)?;
        let noise = self.noise(Purpose::Samples, 0);
        let noise = noise.normal(SHOWN * self.latent);
        write_sheet(&self.folder.file(show::SAMPLES), &self.vae.decode(&noise)?)?;
        let used = LatentUse {
            kl_per_dimension: kl.to_vec(),
        };
        let text = serde_json::to_string(&used)?;
        files::write(&self.folder.file(show::LATENT), text.as_bytes())
    }
}

/// The values of the images shrunk to `side × side`, a whole factor smaller: the means of the
/// pixels.
fn shrunk(batch: &Batch, side: usize) -> Result<Vec<f32>> {
    let factor = batch.side / side;
    let share = 1.0 / (factor * factor) as f32;
    let mut small = vec![0.0; batch.count * side * side * 3];
    // Images follow one another: rows of all of them are rows of one tall image.
    for (row, values) in batch.values()?.chunks_exact(batch.side * 3).enumerate() {
        let target = &mut small[row / factor * side * 3..][..side * 3];
        for (target, pixels) in target
            .chunks_exact_mut(3)
            .zip(values.chunks_exact(factor * 3))
        {
            for (index, value) in pixels.iter().enumerate() {
                target[index % 3] += share * value;
            }
        }
    }
    Ok(small)
}

fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    let squared = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
    a.iter().zip(b).map(squared).sum()
}

/// Writes a batch as one PNG, image beside image, each scaled to 96×96.
fn write_sheet(path: &Path, batch: &Batch) -> Result<()> {
    let side = batch.side;
    let mut sheet = RgbImage::new((batch.count * SIDE) as u32, SIDE as u32);
    for (index, pixels) in batch.values()?.chunks_exact(side * side * 3).enumerate() {
        let bytes = pixels
            .iter()
            .map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8);
        let image = RgbImage::from_raw(side as u32, side as u32, bytes.collect())
            .context("an image of another size")?;
        let scaled = resize(&image, SIDE as u32, SIDE as u32, FilterType::Triangle);
        replace(&mut sheet, &scaled, (index * SIDE) as i64, 0);
    }
    let mut png = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png)?;
    files::write(path, png.get_ref())
}

/// Reads a sheet that a pre-training wrote, as the bytes of its images.
pub fn read_sheet(path: &Path) -> Result<Vec<Vec<u8>>> {
    let sheet = image::load_from_memory(&files::read(path)?)
        .with_context(|| format!("cannot read {}", path.display()))?
        .into_rgb8();
    ensure!(
        sheet.height() as usize == SIDE,
        "{} is {} pixels high; a sheet of images has {SIDE}",
        path.display(),
        sheet.height()
    );
    let images = sheet.width() as usize / SIDE;
    let image = |index: usize| {
        let rows = (0..SIDE).flat_map(|y| {
            let start = (y * sheet.width() as usize + index * SIDE) * 3;
            sheet.as_raw()[start..start + SIDE * 3].iter().copied()
        });
        rows.collect()
    };
    Ok((0..images).map(image).collect())
}
