//! The door between training and a machine.
//!
//! [`Backend`] makes learners; a learner takes batches and updates weights. Training, data and
//! reports know nothing of the machine behind it, and a backend knows no recipe: it is told the
//! rate, the decay and the noise of every step.

mod batch;
mod checks;
mod choice;
pub mod cpu;
pub mod cuda;
mod description;
mod layout;
mod noise;
pub mod parameters;
mod pending;
mod picture;
mod precision;
mod weights;
pub mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use vae96::{Architecture, Autoencoder, Head};

use self::work::Work;

pub use batch::{Batch, Corruption, Crop, Form, HIDDEN, PATCH, Pixels, Square, View, Viewed};
pub use choice::{Auto, Device, choose};
pub use noise::{Noise, Stream};
pub use pending::Pending;
pub use picture::{Album, Identity, Origin, Picture};
pub use precision::Precision;
pub use weights::{Metadata, Tensor, Weights};

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
    /// What it is multiplied with.
    pub layer_rates: LayerRates,
    /// Decoupled weight decay, on the weights of convolutions and linear layers alone.
    pub weight_decay: f64,
    /// The largest norm of all gradients together; a larger one is scaled down to it.
    pub clip_norm: Option<f64>,
}

/// What the learning rate is multiplied with, layer by layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerRates(BTreeMap<&'static str, f64>);

impl LayerRates {
    /// The factors of the layers named; 1 for all others.
    pub fn new(factors: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        Self(factors.into_iter().collect())
    }

    /// The factor of a layer. 0 keeps its weights as they are, while its BatchNorm statistics
    /// still move.
    pub fn of(&self, layer: &str) -> f64 {
        self.0.get(layer).copied().unwrap_or(1.0)
    }
}

/// The VAE's losses: sums over the images of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VaeLoss {
    /// Σ (x̂ − x)²; 0 where it has no weight, since nothing is decoded then.
    pub reconstruction: f64,
    /// KL divergence of q(z|x) from N(0, 1), in nats.
    pub kl: f64,
    /// Cross-entropy of telling an image's other view from all others, in nats; 0 without a
    /// contrastive term.
    pub contrast: f64,
}

/// How the losses are weighed. What is differentiated is
/// `scale × (reconstruction_weight × reconstruction + beta × KL + contrast × contrast.weight)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeObjective {
    /// Weight of the reconstruction: 1 / (2 σ²) for a Gaussian likelihood. At 0 nothing is decoded,
    /// and the decoder stays as it is.
    pub reconstruction_weight: f64,
    /// Weight of the KL divergence.
    pub beta: f64,
    /// A dimension of the latent whose mean KL divergence over the batch is below this, in nats,
    /// adds no KL to the loss ("free bits", Kingma et al., 2016); [`VaeLoss::kl`] counts it all the
    /// same.
    pub free_bits: f64,
    /// The contrastive term, if there is one.
    pub contrast: Option<Contrast>,
    /// 1 for sums over the batch, 1 / count for means.
    pub scale: f64,
}

impl VaeObjective {
    /// Whether images are decoded.
    pub fn decodes(&self) -> bool {
        self.reconstruction_weight != 0.0
    }
}

/// A contrastive term between the two views of each image: the first half of the batch holds one
/// view of each, the second half the others in the same order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// Weight in the loss.
    pub weight: f64,
    /// Temperature of the softmax over all other views.
    pub temperature: f64,
}

/// The latent distribution of a batch, `count × latent` values each.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// μ.
    pub mean: Vec<f32>,
    /// log σ².
    pub log_variance: Vec<f32>,
}

/// What a classifier is to say of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The answer.
    pub answer: Answer,
    /// Weight of the image's cross-entropy in the loss; the weights of a mean over n images are
    /// 1 / n.
    pub weight: f32,
}

/// A distribution over classes.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One class.
    Class {
        /// The class.
        class: usize,
        /// Share of the answer that is spread over all classes.
        smoothing: f32,
    },
    /// The share of each class.
    Shares(Arc<[f32]>),
}

impl Target {
    /// One class, of which `smoothing` is spread over all.
    pub const fn class(class: usize, smoothing: f32, weight: f32) -> Self {
        let answer = Answer::Class { class, smoothing };
        Self { answer, weight }
    }
}

impl Answer {
    /// The class that is right: the first of the largest share.
    pub fn class(&self) -> usize {
        match self {
            Self::Class { class, .. } => *class,
            Self::Shares(shares) => first_maximum(shares),
        }
    }
}

/// Where the largest value is first.
pub fn first_maximum(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// What a classifier said of an image in training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Cross-entropy against the target's answer.
    pub cross_entropy: f64,
    /// Whether the best logit is the target's.
    pub correct: bool,
}

/// Something that learns on a machine.
pub trait Learner {
    /// The form of images that it takes with the least work for the processor.
    fn form(&self) -> Form {
        Form::Values
    }

    /// A copy of the weights and BatchNorm statistics, under PyTorch's names and layouts.
    fn weights(&self) -> Result<Weights>;

    /// Replaces the weights and statistics that `weights` names; the others stay.
    /// An unknown name or another shape is an error, and nothing changes.
    fn set_weights(&mut self, weights: &Weights) -> Result<()>;

    /// The optimiser's state: its moments under their weights' names, and the count of steps.
    fn optimiser_state(&self) -> Result<Weights>;

    /// Goes on from [`optimiser_state`](Self::optimiser_state).
    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()>;

    /// Moves the averaged weights and statistics towards the present ones:
    /// `average ← decay · average + (1 − decay) · present`. The first call copies.
    fn average(&mut self, decay: f64) -> Result<()>;

    /// A copy of the averaged weights and statistics; none before the first
    /// [`average`](Self::average).
    fn averaged(&self) -> Result<Option<Weights>>;

    /// Replaces the averaged weights and statistics, all of them.
    fn set_averaged(&mut self, weights: &Weights) -> Result<()>;
}

/// A variational auto-encoder.
pub trait Vae: Learner {
    /// One step of training: the images `targets` are to be made of `inputs`, which are the same
    /// images, hidden in part or noisy. `noise` is ε ~ N(0, 1), `count × latent` values.
    /// The loss is that of the weights before the step.
    fn learn(
        &mut self,
        inputs: &Batch,
        targets: &Batch,
        noise: Noise,
        objective: VaeObjective,
        update: &Update,
    ) -> Result<Pending<VaeLoss>>;

    /// [`learn`](Self::learn), and its loss when the machine is done.
    fn step(
        &mut self,
        inputs: &Batch,
        targets: &Batch,
        noise: Noise,
        objective: VaeObjective,
        update: &Update,
    ) -> Result<VaeLoss> {
        (self.learn(inputs, targets, noise, objective, update)?).get()
    }

    /// μ and log σ² of each image, BatchNorm by its running statistics.
    fn encode(&self, batch: &Batch) -> Result<Latent>;

    /// The image of each latent vector, `count × latent` values, BatchNorm by its running
    /// statistics; its side is the decoder's.
    fn decode(&self, latent: &[f32]) -> Result<Batch>;
}

/// An encoder with a head that tells classes apart.
pub trait Classifier: Learner {
    /// One step of training on the weighted sum of the images' cross-entropies.
    /// The outcomes are those of the weights before the step.
    fn learn(
        &mut self,
        batch: &Batch,
        targets: &[Target],
        update: &Update,
    ) -> Result<Pending<Vec<Outcome>>>;

    /// [`learn`](Self::learn), and its outcomes when the machine is done.
    fn step(&mut self, batch: &Batch, targets: &[Target], update: &Update) -> Result<Vec<Outcome>> {
        self.learn(batch, targets, update)?.get()
    }

    /// `count × classes` logits, BatchNorm by its running statistics.
    fn logits(&self, batch: &Batch) -> Result<Vec<f32>>;

    /// The logits of the averaged weights; those of the present ones before the first
    /// [`average`](Learner::average).
    fn averaged_logits(&self, batch: &Batch) -> Result<Vec<f32>>;
}

/// A machine that trains.
pub trait Backend {
    /// What it is and its precision, in a few words for the user.
    fn name(&self) -> String;

    /// How exactly it computes a layer's products.
    fn precision(&self) -> Precision;

    /// The machine for that work: this one, or another in its place.
    ///
    /// # Errors
    /// Where the work takes more memory than the machine has free.
    fn suited_to(&self, work: &Work) -> Result<&dyn Backend>;

    /// A VAE of that description with those weights (all of them, by name).
    fn vae(&self, autoencoder: &'static Autoencoder, weights: &Weights) -> Result<Box<dyn Vae>>;

    /// A classifier of that architecture with those weights (all of them, by name).
    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>>;
}
