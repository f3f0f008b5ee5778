//! The options of both stages, and their defaults.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use vae96::Autoencoder;

use super::schedule::{Schedule, ramp};
use super::settings::settings;
use crate::backend::{self, Contrast, Corruption, LayerRates, Target, Update, VaeObjective};
use crate::data::augment::Augmentation;

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// What was measured to work best.
    Default,
    /// What was measured to work best with up to about 16 labels a class: an encoder pre-trained by
    /// the contrastive term alone and frozen, labels that spread to the unlabelled images.
    FewLabels,
    /// What the paper's authors did: their optimisers, batches and losses, no augmentation.
    Paper,
}

/// The networks to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// For microcontrollers: 0.1 M weights as a classifier.
    Edge,
    /// The paper's: 145 M parameters as a VAE.
    Paper,
}

/// The optimisers to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Adam with decoupled weight decay, β 0.9 and 0.99.
    Adamw,
    /// Adam with PyTorch's β, 0.9 and 0.999.
    Adam,
    /// Gradient descent with momentum 0.9.
    Sgd,
    /// Gradient descent with the paper's momentum, 0.5.
    SgdPaper,
}

/// The classifier's layers after the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Convolutions and pooling: small and accurate.
    Conv,
    /// Linear layers.
    Dense,
}

/// How much of the classifier a VAE pre-trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The first two convolutions, as in the paper.
    Shallow,
    /// All layers of the convolutional classifier but the last.
    Deep,
}

/// Whether the encoder goes on learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// Its weights learn, at `encoder_rate` times the rate of the layers that are new.
    Learn,
    /// Its weights stay; its BatchNorm statistics still follow the data.
    Freeze,
}

/// Which weights a training ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The last epoch's: the validation figures stay unbiased.
    Last,
    /// Those of the best validation accuracy, as in the paper: the figure is then a little too
    /// good, since the same images chose it.
    Best,
}

settings! {
    /// How a VAE is trained.
    Pretrain, PretrainArguments;
    /// How much of the classifier the VAE's encoder is.
    depth: Depth,
    /// Passes over the unlabelled images.
    epochs: usize,
    /// Images a step; with a contrastive term each is seen in two views.
    batch: usize,
    /// The optimiser.
    optimiser: Optimiser,
    /// The highest learning rate.
    rate: f64,
    /// How the rate changes.
    schedule: Schedule,
    /// Share of all steps over which the rate rises to its highest.
    warmup: f64,
    /// Decoupled weight decay on the weights of convolutions and linear layers.
    weight_decay: f64,
    /// Largest norm of the gradient; 0 for no limit.
    clip: f64,
    /// Weight of the VAE's own loss, reconstruction and KL divergence; 0 leaves a contrastive term
    /// alone.
    vae: f64,
    /// Weight of the KL divergence.
    beta: f64,
    /// Share of all steps over which β rises from 0.
    beta_warmup: f64,
    /// Variance σ² of the Gaussian likelihood: small for sharp images, large for small KL. The
    /// paper's plain sum of squares is 0.5.
    sigma2: f64,
    /// Nats a dimension of the latent may hold free of charge; keeps dimensions from falling
    /// silent.
    free_bits: f64,
    /// Weight of a contrastive term: the latents of two views of an image are to be more alike than
    /// those of different images. Makes features that tell objects apart; needs strong crops and
    /// colours. 0 for none.
    contrast: f64,
    /// Temperature of the contrastive term: lower ones dwell on the most similar images.
    temperature: f64,
    /// Share of each image's 8×8 patches that the encoder does not see and the decoder has to fill
    /// in.
    mask: f64,
    /// Standard deviation of noise on what the encoder sees, for the decoder to take away.
    noise: f64,
    /// Divide the loss by the number of images in a batch.
    mean_loss: bool,
    /// Edge of the training crops in pixels. Smaller ones than the 96 of use take less time; only
    /// the deep VAE, which ends in a global average, can do with 64 or 32.
    side: usize,
    /// Random crops keep at least this share of the image's area; 1 keeps it whole.
    crop: f64,
    /// Mirror images at random.
    flip: bool,
    /// Largest change of brightness, contrast and saturation, as a share.
    colour: f64,
    /// Largest turn of hues, as a share of the circle.
    hue: f64,
    /// Share of views without colours.
    grey: f64,
}

settings! {
    /// How a classifier is trained.
    Finetune, FinetuneArguments;
    /// The classifier's layers after the encoder.
    head: Head,
    /// Whether the encoder learns.
    encoder: Encoder,
    /// Labelled images a class, drawn by the seed: a smaller number takes a subset of a larger
    /// one's. 0 takes all there are.
    labels_per_class: usize,
    /// Passes over the labelled images.
    epochs: usize,
    /// Fewest images of a pass: fewer labelled ones are repeated.
    epoch_images: usize,
    /// Images a step.
    batch: usize,
    /// The optimiser.
    optimiser: Optimiser,
    /// The highest learning rate.
    rate: f64,
    /// What the rate is multiplied with for pre-trained layers (from scratch all learn at the full
    /// rate). Gentle rates keep what few labels could not teach again.
    encoder_rate: f64,
    /// What it is multiplied with once more for each pre-trained layer nearer to the image.
    layer_decay: f64,
    /// Share of all steps in which the new layers alone learn, before the pre-trained ones join.
    probe: f64,
    /// How the rate changes.
    schedule: Schedule,
    /// Share of all steps over which the rate rises to its highest.
    warmup: f64,
    /// Decoupled weight decay on the weights of convolutions and linear layers.
    weight_decay: f64,
    /// Largest norm of the gradient; 0 for no limit.
    clip: f64,
    /// Label smoothing: the share of the target that is spread over all classes.
    smoothing: f64,
    /// Decay of the running average of the weights, which is what is validated and kept; 0 keeps
    /// the last weights instead.
    average: f64,
    /// Edge of the training crops in pixels. Networks that end in a global average may train on
    /// smaller images than the 96 they are used with; it takes less time.
    side: usize,
    /// Random crops keep at least this share of the image's area; 1 keeps it whole.
    crop: f64,
    /// Mirror images at random.
    flip: bool,
    /// Largest change of brightness, contrast and saturation, as a share.
    colour: f64,
    /// Weight of learning from the unlabelled images too (FixMatch): where the averaged network is
    /// sure of a slightly varied view, its answer becomes the label of a strongly varied one. 0, as
    /// from scratch unless told otherwise, learns from labels alone.
    consistency: f64,
    /// Unlabelled images a step, for consistency, propagation and distillation.
    consistency_batch: usize,
    /// Share of all steps over which that weight rises from 0.
    consistency_warmup: f64,
    /// The least probability that makes the network's answer a label.
    confidence: f64,
    /// Correct its answers, and labels that spread, towards all classes being equally frequent.
    align: bool,
    /// Slightly varied views keep at least this share of the image's area.
    weak_crop: f64,
    /// Strongly varied views keep at least this share of the image's area.
    strong_crop: f64,
    /// Largest change of their brightness, contrast and saturation, as a share.
    strong_colour: f64,
    /// Share of them without colours.
    strong_grey: f64,
    /// Largest turn of them, in degrees.
    strong_rotation: f64,
    /// Edge of the square hidden of them, as a share of theirs.
    strong_cutout: f64,
    /// Weight of learning from the unlabelled images by labels that spread to them (label
    /// propagation): from the labelled images to those that the pre-trained encoder sees as alike,
    /// and on to those like them. It has to be pre-trained up to the last layer, as a deep VAE's
    /// is. 0 for none.
    #[serde(default)] // Runs from before there was any say nothing of it.
    propagation: f64,
    /// Weight of learning from the unlabelled images by what the classifiers of `--teacher` say of
    /// them (knowledge distillation): 1 where there are some, unless told otherwise.
    #[serde(default)] // Runs from before there was any say nothing of it.
    distillation: f64,
    /// Images by which BatchNorm's statistics are taken anew in the end (precise BatchNorm):
    /// unlabelled ones, or labelled ones where there are none, whole and as large as in use, where
    /// training saw crops. 0, as from scratch unless told otherwise, keeps those of training.
    #[serde(default)] // Runs from before there was any say nothing of it.
    precise_bn: usize,
    /// Validation images looked at after an epoch, spread evenly over all of them; 0 for all. The
    /// figures a run ends with are always of all.
    val_images: usize,
    /// Which weights to end with.
    keep: Keep,
    /// Stop after this many epochs without a better validation accuracy; 0 never does.
    patience: usize,
}

impl Pretrain {
    /// The defaults of a recipe, for a VAE of that depth.
    pub fn defaults(recipe: Recipe, depth: Depth) -> Self {
        let shallow = Self {
            depth,
            epochs: 20,
            batch: 128,
            optimiser: Optimiser::Adamw,
            rate: 2e-3,
            schedule: Schedule::Cosine,
            warmup: 0.05,
            weight_decay: 0.01,
            clip: 0.0,
            vae: 1.0,
            beta: 1.0,
            beta_warmup: 0.2,
            sigma2: 0.1,
            free_bits: 0.0,
            contrast: 0.0,
            temperature: 0.2,
            mask: 0.0,
            noise: 0.0,
            mean_loss: true,
            side: vae96::SIDE,
            crop: 0.5,
            flip: true,
            colour: 0.0,
            hue: 0.0,
            grey: 0.0,
        };
        let deep = Self {
            epochs: 80,
            batch: 256,
            rate: 3e-3,
            contrast: 1000.0,
            side: 64,
            crop: 0.2,
            colour: 0.5,
            hue: 0.1,
            grey: 0.2,
            ..shallow.clone()
        };
        match (recipe, depth) {
            (Recipe::Default | Recipe::FewLabels, Depth::Shallow) => shallow,
            (Recipe::Default, Depth::Deep) => deep,
            (Recipe::FewLabels, Depth::Deep) => Self {
                vae: 0.0,
                hue: 0.0,
                ..deep
            },
            (Recipe::Paper, _) => Self {
                epochs: 180,
                optimiser: Optimiser::Adam,
                rate: 1e-3,
                schedule: Schedule::Constant,
                warmup: 0.0,
                weight_decay: 0.0,
                beta_warmup: 0.0,
                sigma2: 0.5,
                mean_loss: false,
                crop: 1.0,
                flip: false,
                ..shallow
            },
        }
    }

    /// Whether the VAE learns to decode: else its encoder alone does, by the contrastive term.
    pub fn decodes(&self) -> bool {
        self.vae > 0.0
    }

    /// How its training images are varied: the views of each.
    pub fn views(&self) -> Vec<Augmentation> {
        let view = Augmentation {
            hue: self.hue as f32,
            grey: self.grey,
            ..varied(self.crop, self.flip, self.colour)
        };
        let views = if self.contrast > 0.0 { 2 } else { 1 };
        vec![view; views]
    }

    /// What is learned at `step` of `steps`, of a batch of `count` views.
    pub fn objective(&self, step: usize, steps: usize, count: usize) -> VaeObjective {
        let rise = (self.beta_warmup * steps as f64).round() as usize;
        VaeObjective {
            reconstruction_weight: self.vae / (2.0 * self.sigma2),
            beta: self.vae * self.beta * ramp(step, rise),
            free_bits: self.free_bits,
            contrast: (self.contrast > 0.0).then_some(Contrast {
                weight: self.contrast,
                temperature: self.temperature,
            }),
            scale: if self.mean_loss {
                1.0 / count as f64
            } else {
                1.0
            },
        }
    }

    /// What is done to what the encoder sees.
    pub fn corruption(&self) -> Corruption {
        Corruption {
            mask: self.mask,
            noise: self.noise,
        }
    }
}

impl Finetune {
    /// The defaults of a recipe.
    pub fn defaults(recipe: Recipe) -> Self {
        let default = Self {
            head: Head::Conv,
            encoder: Encoder::Learn,
            labels_per_class: 64,
            epochs: 80,
            epoch_images: 2560,
            batch: 64,
            optimiser: Optimiser::Adamw,
            rate: 5e-3,
            encoder_rate: 0.05,
            layer_decay: 1.0,
            probe: 0.0,
            schedule: Schedule::Cosine,
            warmup: 0.1,
            weight_decay: 0.05,
            clip: 0.0,
            smoothing: 0.0,
            average: 0.99,
            side: 80,
            crop: 0.25,
            flip: true,
            colour: 0.4,
            consistency: 1.0,
            consistency_batch: 128,
            consistency_warmup: 0.2,
            confidence: 0.8,
            align: true,
            weak_crop: 0.7,
            strong_crop: 0.25,
            strong_colour: 0.5,
            strong_grey: 0.1,
            strong_rotation: 15.0,
            strong_cutout: 0.4,
            propagation: 0.0,
            distillation: 0.0,
            precise_bn: 2048,
            val_images: 1000,
            keep: Keep::Last,
            patience: 0,
        };
        match recipe {
            Recipe::Default => default,
            Recipe::FewLabels => Self {
                encoder: Encoder::Freeze,
                labels_per_class: 0,
                epochs: 25,
                side: 64,
                consistency: 0.0,
                propagation: 1.0,
                ..default
            },
            Recipe::Paper => Self {
                epochs: 100,
                epoch_images: 1,
                batch: 256,
                optimiser: Optimiser::SgdPaper,
                rate: 0.01,
                encoder_rate: 1.0,
                schedule: Schedule::Constant,
                warmup: 0.0,
                weight_decay: 0.0,
                average: 0.0,
                side: vae96::SIDE,
                crop: 1.0,
                flip: false,
                colour: 0.0,
                consistency: 0.0,
                precise_bn: 0,
                val_images: 0,
                keep: Keep::Best,
                ..default
            },
        }
    }

    /// What is known to work best for labels alone: without unlabelled images, and all layers have
    /// as much to learn.
    pub fn labels_alone(&self) -> Self {
        Self {
            encoder: Encoder::Learn,
            encoder_rate: 1.0,
            smoothing: 0.1,
            average: 0.0,
            ..self.without_unlabelled()
        }
    }

    /// What is known to work best with teachers: of the unlabelled images they say all.
    pub fn taught(&self) -> Self {
        Self {
            distillation: 1.0,
            precise_bn: self.precise_bn,
            ..self.without_unlabelled()
        }
    }

    /// The same without unlabelled images.
    pub fn without_unlabelled(&self) -> Self {
        Self {
            consistency: 0.0,
            propagation: 0.0,
            distillation: 0.0,
            precise_bn: 0,
            ..self.clone()
        }
    }

    /// Views of unlabelled images that are learned from.
    pub fn lessons(&self) -> usize {
        [self.consistency, self.propagation, self.distillation]
            .map(|weight| usize::from(weight > 0.0))
            .iter()
            .sum()
    }

    /// What it is to say of images of those classes, the loss their mean.
    pub fn targets(&self, classes: &[usize]) -> Vec<Target> {
        let (smoothing, weight) = (self.smoothing as f32, 1.0 / classes.len() as f32);
        let target = |&class: &usize| Target::class(class, smoothing, weight);
        classes.iter().map(target).collect()
    }

    /// How its labelled images are varied.
    pub fn augmentation(&self) -> Augmentation {
        varied(self.crop, self.flip, self.colour)
    }

    /// The views of each unlabelled image: for consistency a slightly and a strongly varied one, for
    /// propagation and for distillation one like the labelled images'.
    pub fn unlabelled_views(&self) -> Vec<Augmentation> {
        let mut views = Vec::new();
        if self.consistency > 0.0 {
            views.extend(self.weak_and_strong());
        }
        for weight in [self.propagation, self.distillation] {
            if weight > 0.0 {
                views.push(self.augmentation());
            }
        }
        views
    }

    fn weak_and_strong(&self) -> [Augmentation; 2] {
        let weak = varied(self.weak_crop, self.flip, 0.0);
        let strong = Augmentation {
            grey: self.strong_grey,
            rotation: self.strong_rotation as f32,
            cutout: self.strong_cutout as f32,
            ..varied(self.strong_crop, self.flip, self.strong_colour)
        };
        [weak, strong]
    }
}

fn varied(crop: f64, flip: bool, colour: f64) -> Augmentation {
    Augmentation {
        area: crop as f32..=1.0,
        // A crop of the whole area has no room for another ratio.
        ratio: if crop < 1.0 { 4.0 / 3.0 } else { 1.0 },
        flip: if flip { 0.5 } else { 0.0 },
        brightness: colour as f32,
        contrast: colour as f32,
        saturation: colour as f32,
        ..Augmentation::NONE
    }
}

impl Network {
    /// The network's description.
    pub fn architecture(self) -> &'static vae96::Architecture {
        match self {
            Self::Edge => &vae96::EDGE,
            Self::Paper => &vae96::PAPER,
        }
    }

    /// Its VAE of a depth.
    ///
    /// # Errors
    /// Where it has none.
    pub fn autoencoder(self, depth: Depth) -> Result<&'static Autoencoder> {
        let architecture = self.architecture();
        match depth {
            Depth::Shallow => Ok(&architecture.vae),
            Depth::Deep => architecture.deep_vae.as_ref().with_context(|| {
                format!(
                    "the network {} has no deep VAE; --depth shallow is its own",
                    architecture.name
                )
            }),
        }
    }
}

impl From<Head> for vae96::Head {
    fn from(head: Head) -> Self {
        match head {
            Head::Conv => Self::Conv,
            Head::Dense => Self::Dense,
        }
    }
}

impl Optimiser {
    /// The rule that a backend follows.
    pub fn rule(self) -> backend::Optimiser {
        let epsilon = 1e-8;
        match self {
            Self::Adamw => backend::Optimiser::AdamW {
                betas: [0.9, 0.99],
                epsilon,
            },
            Self::Adam => backend::Optimiser::AdamW {
                betas: [0.9, 0.999],
                epsilon,
            },
            Self::Sgd => backend::Optimiser::Sgd { momentum: 0.9 },
            Self::SgdPaper => backend::Optimiser::Sgd { momentum: 0.5 },
        }
    }
}

/// What both stages' settings say of the optimiser.
#[derive(Clone, Copy, Debug)]
pub struct Optimisation {
    /// The optimiser.
    pub optimiser: Optimiser,
    /// The highest learning rate.
    pub rate: f64,
    /// How the rate changes.
    pub schedule: Schedule,
    /// Share of all steps over which it rises.
    pub warmup: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest norm of the gradient; 0 for no limit.
    pub clip: f64,
}

impl Optimisation {
    /// The learning rate of `step` among `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let warmup = (self.warmup * steps as f64).round() as usize;
        self.rate * self.schedule.at(step, steps, warmup)
    }

    /// The update of `step` among `steps`.
    pub fn update(&self, step: usize, steps: usize, layer_rates: LayerRates) -> Update {
        Update {
            optimiser: self.optimiser.rule(),
            rate: self.rate(step, steps),
            layer_rates,
            weight_decay: self.weight_decay,
            clip_norm: (self.clip > 0.0).then_some(self.clip),
        }
    }
}

impl Pretrain {
    /// What its optimiser does.
    pub fn optimisation(&self) -> Optimisation {
        Optimisation {
            optimiser: self.optimiser,
            rate: self.rate,
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
        }
    }
}

impl Finetune {
    /// What its optimiser does.
    pub fn optimisation(&self) -> Optimisation {
        Optimisation {
            optimiser: self.optimiser,
            rate: self.rate,
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
        }
    }

    /// What the rate of each pre-trained layer (from the image on) is multiplied with at `step` of
    /// `steps`.
    pub fn layer_rates(
        &self,
        pretrained: &[&'static str],
        step: usize,
        steps: usize,
    ) -> LayerRates {
        let probing = (step as f64) < self.probe * steps as f64;
        let learn = self.encoder == Encoder::Learn && !probing;
        let rate = |place: usize| match learn {
            true => self.encoder_rate * self.layer_decay.powi(place as i32),
            false => 0.0,
        };
        let nearest_last = pretrained.iter().rev().enumerate();
        LayerRates::new(nearest_last.map(|(place, &layer)| (layer, rate(place))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [&str; 3] = ["conv1", "conv2", "conv3"];

    fn rates(settings: &Finetune, step: usize) -> [f64; 4] {
        let rates = settings.layer_rates(&LAYERS, step, 100);
        ["conv1", "conv2", "conv3", "fc1"].map(|layer| rates.of(layer))
    }

    #[test]
    fn pretrained_layers_wait_for_the_probe_and_learn_slower_towards_the_image() {
        let settings = Finetune {
            encoder_rate: 0.4,
            layer_decay: 0.5,
            probe: 0.25,
            ..Finetune::defaults(Recipe::Default)
        };
        assert_eq!(rates(&settings, 24), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(rates(&settings, 25), [0.1, 0.2, 0.4, 1.0]);
        let frozen = Finetune {
            encoder: Encoder::Freeze,
            ..settings
        };
        assert_eq!(rates(&frozen, 99), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_contrastive_term_needs_two_views() {
        let mut settings = Pretrain::defaults(Recipe::Paper, Depth::Shallow);
        assert_eq!(settings.views(), [Augmentation::NONE]);
        settings.contrast = 1.0;
        assert_eq!(settings.views().len(), 2);
    }
}
