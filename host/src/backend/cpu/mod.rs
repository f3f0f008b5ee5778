//! Training on the CPU: the networks of `vae96` on dfdx's tape, with operations of our own.
//!
//! ```text
//! vae, classifier ─▶ network ─▶ block ─▶ ops ─▶ kernel, gemm
//!        └─▶ optimiser ─▶ parameter ─▶ gradient
//! ```
//! Activations lie as `image × row × column × channel`; weights are turned from PyTorch's layouts
//! into ours, and back, at [`Learner`](super::Learner)'s door. Every sum has a fixed order, so the
//! same seed gives the same bits on any number of threads.

mod block;
mod buffers;
mod classifier;
mod gemm;
mod gradient;
#[allow(unsafe_code)]
mod kernel;
mod model;
mod network;
mod ops;
mod optimiser;
mod parallel;
mod parameter;
mod source;
mod tape;
mod vae;

use anyhow::Result;
use vae96::{Architecture, Autoencoder, Head};

use self::classifier::ClassifierNetwork;
pub use self::classifier::recalibrated;
use self::model::Model;
use self::vae::VaeNetworks;
use super::work::Work;
use super::{Backend, Classifier, Precision, Vae, Weights};

/// This machine's processor, with as many threads as rayon's global pool has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> String {
        format!("CPU, {} threads", rayon::current_num_threads())
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Itself: the system finds memory, or says that there is none.
    fn suited_to(&self, _: &Work) -> Result<&dyn Backend> {
        Ok(self)
    }

    fn vae(&self, autoencoder: &'static Autoencoder, weights: &Weights) -> Result<Box<dyn Vae>> {
        let networks = VaeNetworks::new(autoencoder)?;
        Ok(Box::new(Model::new(networks, weights)?))
    }

    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>> {
        let networks = ClassifierNetwork::new(architecture, head, classes)?;
        Ok(Box::new(Model::new(networks, weights)?))
    }
}
