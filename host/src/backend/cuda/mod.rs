//! Training on a GPU: the networks of `vae96` as launches of our own kernels.
//!
//! ```text
//! vae, classifier ─▶ network, images ─▶ ops ─▶ machine ◀─ queue ◀─ device ─▶ program ─▶ kernels
//!   ▲    └─▶ model ─▶ optimiser ─────────┘└▶ resident ┘               └───▶ staging, graph, nccl
//! group
//! ```
//! `queue` gathers `launches`, and starts those of a step by one call where they are the same as in
//! an earlier step.
//!
//! `pack` lays out the tensors of a model, and each pass lays out its activations (`memory`) before
//! it launches anything: all of it is arithmetic on the host, so that `plan` knows the memory of a
//! training before it begins. Activations and weights lie as in the CPU's backend; sums have a
//! fixed order, so the same seed gives the same bits on the same GPU.
//!
//! A step brings what it reads before it launches anything. Images come as bytes, of which views are
//! made there, and stay (`resident`): all learners on a machine share them, and they give way where
//! a learner needs their memory. Noise is made there of the numbers that the processor would draw.
//!
//! A step is of a `share` of a batch: the whole of it on one GPU, and a part on each of a `group`,
//! which add up what the batch has in common.

mod classifier;
#[allow(unsafe_code)]
mod device;
#[allow(unsafe_code)]
mod graph;
pub mod group;
mod images;
pub mod kernels;
pub mod launches;
#[allow(unsafe_code)]
pub mod machine;
pub mod memory;
mod model;
#[allow(unsafe_code)]
mod nccl;
mod network;
pub mod ops;
mod optimiser;
mod pack;
mod plan;
#[allow(unsafe_code)]
pub mod program;
#[allow(unsafe_code)]
pub mod queue;
pub mod resident;
mod share;
#[allow(unsafe_code)]
mod staging;
#[cfg(test)]
#[allow(unsafe_code)]
mod tests;
mod vae;

use std::rc::Rc;

use anyhow::{Result, ensure};
use vae96::{Architecture, Autoencoder, Head};

use self::classifier::ClassifierNetwork;
use self::device::Device;
use self::machine::Machine;
use self::ops::Gpu;
use self::queue::Queue;
use self::vae::VaeNetworks;
use super::work::{Network, Work};
use super::{Backend, Classifier, Precision, Vae, Weights};

pub use device::TooOld;
pub use plan::TooLittle;

/// A machine that runs the kernels.
#[derive(Clone)]
pub struct Cuda {
    machine: Rc<dyn Machine>,
    gpu: Gpu,
}

impl Cuda {
    /// Trains on the GPU of this number, counted from 0, in that precision; without one, in the
    /// fastest that it has.
    ///
    /// # Errors
    /// Without a driver, without NVRTC, without such a GPU, or where it is too old; a [`TooOld`]
    /// where it is too old for that precision alone.
    pub fn new(ordinal: usize, precision: Option<Precision>) -> Result<Self> {
        let device = Device::open(ordinal, precision)?;
        Ok(Self::on(Rc::new(Queue::new(device))))
    }

    /// Trains on this machine.
    pub fn on(machine: Rc<dyn Machine>) -> Self {
        Self {
            gpu: Gpu::new(Rc::clone(&machine)),
            machine,
        }
    }

    /// What launches kernels on it.
    pub fn gpu(&self) -> Gpu {
        self.gpu.clone()
    }
}

impl Cuda {
    /// Sees to it that there is memory for that work, which `ranks` machines share; images that stay
    /// there give back what it takes.
    fn make_room(&self, work: &Work, ranks: usize) -> Result<()> {
        let machines = (self.precision(), ranks);
        let plan = match work.network {
            Network::Vae(autoencoder) => VaeNetworks::plan(autoencoder, work, machines),
            Network::Classifier {
                architecture,
                head,
                classes,
            } => ClassifierNetwork::plan(architecture, head, classes, work, machines),
        };
        let wanted = plan?.bytes();
        let mut room = self.machine.room()?;
        if wanted > room.free && self.gpu.resident().release() {
            room = self.machine.room()?;
        }
        self.gpu.resident().reopen();
        ensure!(
            wanted <= room.free,
            TooLittle {
                work: *work,
                wanted,
                room
            }
        );
        Ok(())
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        format!("{}, in {}", self.machine.name(), self.precision())
    }

    fn precision(&self) -> Precision {
        self.machine.precision()
    }

    /// Itself, if its memory does, of which images that stay there give back what the work takes;
    /// else the error is a [`TooLittle`].
    fn suited_to(&self, work: &Work) -> Result<&dyn Backend> {
        self.make_room(work, 1)?;
        Ok(self)
    }

    fn vae(&self, autoencoder: &'static Autoencoder, weights: &Weights) -> Result<Box<dyn Vae>> {
        Ok(Box::new(VaeNetworks::model(
            &self.gpu,
            autoencoder,
            weights,
        )?))
    }

    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>> {
        let model = ClassifierNetwork::model(&self.gpu, architecture, head, classes, weights)?;
        Ok(Box::new(model))
    }
}
