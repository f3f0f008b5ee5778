//! What a learner will be asked for, so that a machine can say before it begins whether it does.

use std::fmt;

use vae96::{Architecture, Autoencoder, Head};

/// The most that a learner will be asked for at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// The learner.
    pub network: Network,
    /// Its steps; none where it only answers.
    pub steps: Option<Steps>,
    /// The images that it encodes, or tells the classes of, and the latent vectors that it decodes.
    pub answers: Size,
}

impl Work {
    /// A learner that only answers.
    pub fn answers(network: Network, batch: Size) -> Self {
        Self {
            network,
            steps: None,
            answers: batch,
        }
    }
}

/// A network that learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Network {
    /// A VAE of that description.
    Vae(&'static Autoencoder),
    /// A classifier.
    Classifier {
        /// The architecture.
        architecture: &'static Architecture,
        /// Which of its heads.
        head: Head,
        /// Classes.
        classes: usize,
    },
}

/// Steps of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// The batch of each.
    pub batch: Size,
    /// Whether the loss has a contrastive term.
    pub contrast: bool,
    /// Whether inputs are other views than their targets.
    pub corrupts: bool,
    /// Whether some images' answers are shares of all classes.
    pub shares: bool,
    /// Whether weights are averaged.
    pub averages: bool,
}

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Images in it.
    pub count: usize,
    /// Edge of each image, in pixels.
    pub side: usize,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, batch) = match self.steps {
            Some(Steps { batch, .. }) => ("training", batch),
            None => ("using", self.answers),
        };
        let network = match self.network {
            Network::Vae(_) => "VAE",
            Network::Classifier { .. } => "classifier",
        };
        let Size { count, side } = batch;
        write!(
            f,
            "{what} the {network} in batches of {count} images of {side}×{side}"
        )
    }
}
