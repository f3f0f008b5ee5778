//! The door between training and a machine.
//!
//! [`Backend`] makes learners; a learner takes batches and updates weights. Training, data and
//! reports know nothing of the machine behind it, and a backend knows no recipe: it is told the
//! rate, the decay and the noise of every step.

pub mod cpu;
pub mod parameters;
mod weights;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use vae96::{Architecture, Head};

pub use weights::{Metadata, Tensor, Weights};

/// A batch of images, `count × side × side × 3` values in [0, 1], channels innermost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Images in the batch.
    pub count: usize,
    /// Edge of each image, in pixels.
    pub side: usize,
    /// The pixels.
    pub pixels: Vec<f32>,
}

/// What the optimiser does with a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    AdamW {
        /// Decay rates of the first and the second moment.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        epsilon: f64,
    },
    /// Stochastic gradient descent with (heavy-ball) momentum.
    Sgd {
        /// Share of the last step's velocity that stays.
        momentum: f64,
    },
}

/// One update of the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The rule.
    pub optimiser: Optimiser,
    /// Learning rate.
    pub rate: f64,
    /// What the rate is multiplied with for the layers of the encoder; 0 keeps them as they are
    /// (their BatchNorm statistics still move).
    pub encoder_rate: f64,
    /// Decoupled weight decay, on the weights of convolutions and linear layers alone.
    pub weight_decay: f64,
    /// The largest norm of all gradients together; a larger one is scaled down to it.
    pub clip_norm: Option<f64>,
}

/// The VAE's two losses: sums over the images of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VaeLoss {
    /// Σ (x̂ − x)².
    pub reconstruction: f64,
    /// KL divergence of q(z|x) from N(0, 1), in nats.
    pub kl: f64,
}

/// How the two losses are weighed. What is differentiated is
/// `scale × (reconstruction_weight × reconstruction + beta × KL)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeObjective {
    /// Weight of the reconstruction: 1 / (2 σ²) for a Gaussian likelihood.
    pub reconstruction_weight: f64,
    /// Weight of the KL divergence.
    pub beta: f64,
    /// 1 for sums over the batch, 1 / count for means.
    pub scale: f64,
}

/// The latent distribution of a batch, `count × latent` values each.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// μ.
    pub mean: Vec<f32>,
    /// log σ².
    pub log_variance: Vec<f32>,
}

/// A classifier's loss over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassifierLoss {
    /// Sum of the images' cross-entropies against their (smoothed) labels.
    pub cross_entropy: f64,
    /// Images whose best logit is their label's.
    pub correct: usize,
}

/// Something that learns on a machine.
pub trait Learner {
    /// A copy of the weights and BatchNorm statistics, under PyTorch's names and layouts.
    fn weights(&self) -> Result<Weights>;

    /// Replaces the weights and statistics that `weights` names; the others stay.
    /// An unknown name or another shape is an error, and nothing changes.
    fn set_weights(&mut self, weights: &Weights) -> Result<()>;

    /// The optimiser's state: its moments under their weights' names, and the count of steps.
    fn optimiser_state(&self) -> Result<Weights>;

    /// Goes on from [`optimiser_state`](Self::optimiser_state).
    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()>;
}

/// A variational auto-encoder.
pub trait Vae: Learner {
    /// One step of training. `noise` holds ε ~ N(0, 1), `count × latent` values.
    /// The loss is that of the weights before the step.
    fn step(
        &mut self,
        batch: &Batch,
        noise: &[f32],
        objective: VaeObjective,
        update: &Update,
    ) -> Result<VaeLoss>;

    /// μ and log σ² of each image, BatchNorm by its running statistics.
    fn encode(&self, batch: &Batch) -> Result<Latent>;

    /// The image of each latent vector, `count × latent` values, BatchNorm by its running
    /// statistics.
    fn decode(&self, latent: &[f32]) -> Result<Batch>;
}

/// An encoder with a head that tells classes apart.
pub trait Classifier: Learner {
    /// One step of training on the labels' cross-entropy (mean over the batch), each label
    /// smoothed: `1 − smoothing` on its class, `smoothing` spread over all classes.
    /// Loss and count are those of the weights before the step.
    fn step(
        &mut self,
        batch: &Batch,
        labels: &[usize],
        smoothing: f64,
        update: &Update,
    ) -> Result<ClassifierLoss>;

    /// `count × classes` logits, BatchNorm by its running statistics.
    fn logits(&self, batch: &Batch) -> Result<Vec<f32>>;
}

/// A machine that trains.
pub trait Backend {
    /// What it is, in a few words for the user.
    fn name(&self) -> String;

    /// A VAE of that architecture with those weights (all of them, by name).
    fn vae(&self, architecture: &'static Architecture, weights: &Weights) -> Result<Box<dyn Vae>>;

    /// A classifier of that architecture with those weights (all of them, by name).
    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>>;
}

/// Where to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The best there is.
    Auto,
    /// This computer's processor.
    Cpu,
}

/// The backend of a device.
pub fn choose(device: Device) -> Result<Box<dyn Backend>> {
    match device {
        Device::Auto | Device::Cpu => Ok(Box::new(cpu::Cpu)),
    }
}
