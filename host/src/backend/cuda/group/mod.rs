//! Training on several machines at once: each has the same weights, learns from its share of every
//! batch, and moves its weights by the gradients of all.
//!
//! What a batch has in common is of the whole batch: BatchNorm's moments, the views that are told
//! from each other, the divergences that free bits are measured by. So the machines compute together
//! what one computes alone, but for the order of sums.
//!
//! Machines are no use to other threads than their own: each has one, which holds its learners
//! (`members`); a group's learner (`learners`) cuts batches, asks all threads, and joins answers.

mod learners;
mod members;

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use vae96::{Architecture, Autoencoder, Head};

use self::learners::Alike;
use self::members::{Member, Members};
use super::classifier::ClassifierNetwork;
use super::device::{self, Device};
use super::machine::Machine;
use super::nccl::{Communicator, Nccl};
use super::ops::Gpu;
use super::queue::Queue;
use super::vae::VaeNetworks;
use crate::backend::work::Work;
use crate::backend::{Backend, Classifier, Precision, Vae, Weights};

/// Machines that learn together.
pub struct Group {
    members: Rc<Members>,
    /// What each of them is.
    name: String,
    precision: Precision,
}

impl Group {
    /// All GPUs of this computer, which are `gpus`, joined by NCCL.
    ///
    /// # Errors
    /// Without a driver, NVRTC or NCCL, or where the GPUs are not all of one kind.
    pub fn of_gpus(gpus: usize, precision: Option<Precision>) -> Result<Self> {
        let nccl = Nccl::find()?;
        let sets = [nccl.communicators(gpus)?, nccl.communicators(gpus)?];
        let [along, beside] = sets.map(|set| Mutex::new(set.into_iter().map(Some).collect()));
        Self::on(gpus, move |rank| {
            let take = |set: &Mutex<Vec<Option<Communicator>>>| {
                let set = set.lock().ok();
                set.and_then(|mut set| set.get_mut(rank)?.take())
                    .context("no communicator")
            };
            let device = Device::open(rank, precision)?;
            let device = device.joined(take(&along)?, take(&beside)?)?;
            Ok(Rc::new(Queue::new(device)))
        })
    }

    /// The machines that `open` gives for the ranks up to `ranks`, each asked for in a thread of its
    /// own. Their sums must be of all of them.
    ///
    /// # Errors
    /// Where there is one that does not open, or is not like the others.
    pub fn on(
        ranks: usize,
        open: impl Fn(usize) -> Result<Rc<dyn Machine>> + Send + Sync + 'static,
    ) -> Result<Self> {
        ensure!(ranks > 0, "a group of no machines");
        let members = Members::start(ranks, open)?;
        let kinds = members.each(|_| {
            |member: &mut Member| Ok((member.cuda.machine.model(), member.cuda.precision()))
        })?;
        for kind in &kinds {
            ensure!(
                *kind == kinds[0],
                "GPUs that train together must be of one kind: there are {} in {} and {} in {}",
                kinds[0].0,
                kinds[0].1,
                kind.0,
                kind.1
            );
        }
        members.each(|_| move |member: &mut Member| sums_are_right(&member.cuda.gpu, ranks))?;
        let (model, precision) = kinds.into_iter().next().context("nobody answered")?;
        Ok(Self {
            members,
            name: format!("{ranks} GPUs, each {model}"),
            precision,
        })
    }
}

/// Sums of every kind over the machines of a group: what does not work there is better said before
/// a training than seen in it.
fn sums_are_right(gpu: &Gpu, ranks: usize) -> Result<()> {
    let ones = || gpu.filled(64, 1.0);
    let (floats, beside, doubles) = (ones()?, ones()?, gpu.filled(64, 0.0)?);
    beside.whole().reduce_beside()?;
    floats.whole().reduce()?;
    // 0 as f64, too.
    doubles.whole().reduce_doubles()?;
    gpu.join()?;
    for (buffer, wanted) in [(floats, ranks), (beside, ranks), (doubles, 0)] {
        let found = buffer.whole().download()?;
        let wrong = found.iter().find(|&&sum| sum != wanted as f32);
        if let Some(sum) = wrong {
            bail!("{ranks} GPUs add up to {sum} where each has one, and not to {wanted}");
        }
    }
    Ok(())
}

/// How many GPUs there are.
///
/// # Errors
/// Without a driver that finds one.
pub fn gpus() -> Result<usize> {
    device::count()
}

impl Backend for Group {
    fn name(&self) -> String {
        format!("{}, in {}", self.name, self.precision)
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn suited_to(&self, work: &Work) -> Result<&dyn Backend> {
        let (work, ranks) = (*work, self.members.ranks());
        // That one has too little memory is no reason not to ask them for less.
        let suited = self
            .members
            .each(|_| move |member: &mut Member| Ok(member.cuda.make_room(&work, ranks)))?;
        suited.into_iter().collect::<Result<()>>()?;
        Ok(self)
    }

    fn vae(&self, autoencoder: &'static Autoencoder, weights: &Weights) -> Result<Box<dyn Vae>> {
        let weights = Arc::new(weights.clone());
        let models = self.members.make(|_| {
            let weights = Arc::clone(&weights);
            move |member: &mut Member| VaeNetworks::model(&member.cuda.gpu, autoencoder, &weights)
        })?;
        let latent = models.first(|model| Ok(model.latent()))?;
        Ok(Box::new(Alike::new(models, latent)))
    }

    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>> {
        let weights = Arc::new(weights.clone());
        let models = self.members.make(|_| {
            let weights = Arc::clone(&weights);
            move |member: &mut Member| {
                ClassifierNetwork::model(&member.cuda.gpu, architecture, head, classes, &weights)
            }
        })?;
        Ok(Box::new(Alike::new(models, classes)))
    }
}
