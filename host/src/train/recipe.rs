//! The options of both stages, and their defaults.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::settings::settings;
use crate::backend::{self, Update};
use crate::data::augment::Augmentation;

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// What was measured to work best.
    Default,
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

/// Whether the encoder goes on learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// Its weights learn, at `encoder_rate` times the head's rate.
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
    /// Passes over the unlabelled images.
    epochs: usize,
    /// Images a step.
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
    /// Weight of the KL divergence.
    beta: f64,
    /// Share of all steps over which β rises from 0.
    beta_warmup: f64,
    /// Variance σ² of the Gaussian likelihood: small for sharp images, large for small KL. The
    /// paper's plain sum of squares is 0.5.
    sigma2: f64,
    /// Divide the loss by the number of images in a batch.
    mean_loss: bool,
    /// Random crops keep at least this share of the image's area; 1 keeps it whole.
    crop: f64,
    /// Mirror images at random.
    flip: bool,
    /// Largest change of brightness, contrast and saturation, as a share.
    colour: f64,
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
    /// What the rate is multiplied with for a pre-trained encoder (from scratch it learns at the
    /// full rate).
    encoder_rate: f64,
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
    /// Edge of the training crops in pixels. Networks that end in a global average may train on
    /// smaller images than the 96 they are used with; it takes less time.
    side: usize,
    /// Random crops keep at least this share of the image's area; 1 keeps it whole.
    crop: f64,
    /// Mirror images at random.
    flip: bool,
    /// Largest change of brightness, contrast and saturation, as a share.
    colour: f64,
    /// Validation images looked at after an epoch, spread evenly over all of them; 0 for all. The
    /// figures a run ends with are always of all.
    val_images: usize,
    /// Which weights to end with.
    keep: Keep,
    /// Stop after this many epochs without a better validation accuracy; 0 never does.
    patience: usize,
}

impl Pretrain {
    /// The defaults of a recipe.
    pub fn defaults(recipe: Recipe) -> Self {
        match recipe {
            Recipe::Default => Self {
                epochs: 20,
                batch: 128,
                optimiser: Optimiser::Adamw,
                rate: 2e-3,
                schedule: Schedule::Cosine,
                warmup: 0.05,
                weight_decay: 0.01,
                clip: 0.0,
                beta: 1.0,
                beta_warmup: 0.2,
                sigma2: 0.1,
                mean_loss: true,
                crop: 0.5,
                flip: true,
                colour: 0.0,
            },
            Recipe::Paper => Self {
                epochs: 180,
                batch: 128,
                optimiser: Optimiser::Adam,
                rate: 1e-3,
                schedule: Schedule::Constant,
                warmup: 0.0,
                weight_decay: 0.0,
                clip: 0.0,
                beta: 1.0,
                beta_warmup: 0.0,
                sigma2: 0.5,
                mean_loss: false,
                crop: 1.0,
                flip: false,
                colour: 0.0,
            },
        }
    }

    /// How its training images are varied.
    pub fn augmentation(&self) -> Augmentation {
        augmentation(self.crop, self.flip, self.colour)
    }
}

impl Finetune {
    /// The defaults of a recipe.
    pub fn defaults(recipe: Recipe) -> Self {
        match recipe {
            Recipe::Default => Self {
                head: Head::Conv,
                encoder: Encoder::Learn,
                labels_per_class: 64,
                epochs: 80,
                epoch_images: 2560,
                batch: 64,
                optimiser: Optimiser::Adamw,
                rate: 5e-3,
                encoder_rate: 1.0,
                schedule: Schedule::Cosine,
                warmup: 0.1,
                weight_decay: 0.05,
                clip: 0.0,
                smoothing: 0.1,
                side: 80,
                crop: 0.25,
                flip: true,
                colour: 0.4,
                val_images: 1000,
                keep: Keep::Last,
                patience: 0,
            },
            Recipe::Paper => Self {
                head: Head::Conv,
                encoder: Encoder::Learn,
                labels_per_class: 64,
                epochs: 100,
                epoch_images: 1,
                batch: 256,
                optimiser: Optimiser::SgdPaper,
                rate: 0.01,
                encoder_rate: 1.0,
                schedule: Schedule::Constant,
                warmup: 0.0,
                weight_decay: 0.0,
                clip: 0.0,
                smoothing: 0.0,
                side: 96,
                crop: 1.0,
                flip: false,
                colour: 0.0,
                val_images: 0,
                keep: Keep::Best,
                patience: 0,
            },
        }
    }

    /// How its training images are varied.
    pub fn augmentation(&self) -> Augmentation {
        augmentation(self.crop, self.flip, self.colour)
    }
}

fn augmentation(crop: f64, flip: bool, colour: f64) -> Augmentation {
    Augmentation {
        area: crop as f32..=1.0,
        // A crop of the whole area has no room for another ratio.
        ratio: if crop < 1.0 { 4.0 / 3.0 } else { 1.0 },
        flip: if flip { 0.5 } else { 0.0 },
        brightness: colour as f32,
        contrast: colour as f32,
        saturation: colour as f32,
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
    /// The encoder's share of it.
    pub encoder_rate: f64,
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
    /// The update of `step` among `steps`.
    pub fn update(&self, step: usize, steps: usize) -> Update {
        let warmup = (self.warmup * steps as f64).round() as usize;
        Update {
            optimiser: self.optimiser.rule(),
            rate: self.rate * self.schedule.at(step, steps, warmup),
            encoder_rate: self.encoder_rate,
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
            encoder_rate: 1.0,
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
        }
    }
}

impl Finetune {
    /// What its optimiser does; `pretrained` tells whether the encoder has learned before.
    pub fn optimisation(&self, pretrained: bool) -> Optimisation {
        Optimisation {
            optimiser: self.optimiser,
            rate: self.rate,
            encoder_rate: match (self.encoder, pretrained) {
                (Encoder::Freeze, _) => 0.0,
                (Encoder::Learn, true) => self.encoder_rate,
                (Encoder::Learn, false) => 1.0,
            },
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
        }
    }
}
