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

pub use super::device::count as gpus;

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytemuck::cast_slice;
use vae96::{Architecture, Autoencoder, Head};

use self::learners::Alike;
use self::members::{Member, Members};
use super::classifier::ClassifierNetwork;
use super::device::Device;
use super::machine::Machine;
use super::nccl::Nccl;
use super::ops::Gpu;
use super::queue::Queue;
use super::vae::VaeNetworks;
use crate::backend::work::Work;
use crate::backend::{Backend, Classifier, Precision, Vae, Weights};

/// How long the first sums may take; NCCL makes its connections for them.
const PATIENCE: Duration = Duration::from_secs(60);

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
        let communicators = Nccl::find()?.communicators(gpus)?;
        let communicators = Mutex::new(communicators.into_iter().map(Some).collect::<Vec<_>>());
        Self::on(gpus, move |rank| {
            let mine = communicators.lock().ok();
            let mine = mine.and_then(|mut all| all.get_mut(rank)?.take());
            let device = Device::open(rank, precision)?;
            let device = device.joined(mine.context("no communicator")?)?;
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
        let check = |_| move |member: &mut Member| sums_are_right(&member.cuda.gpu, ranks);
        (members.each_within(PATIENCE, check)).context("the GPUs do not work together")?;
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
    let (floats, beside, doubles) = (ones()?, ones()?, gpu.buffer(64)?);
    let (floats, beside, doubles) = (floats.whole(), beside.whole(), doubles.whole());
    doubles.upload(cast_slice(&[1.0f64; 32]))?;
    beside.reduce_beside()?;
    floats.reduce()?;
    doubles.reduce_doubles()?;
    gpu.join()?;
    let mut sums = doubles.download_doubles()?;
    for span in [floats, beside] {
        sums.extend(span.download()?.into_iter().map(f64::from));
    }
    match sums.into_iter().find(|&sum| sum != ranks as f64) {
        Some(sum) => bail!("where each of {ranks} has a 1, their sum is {sum}"),
        None => Ok(()),
    }
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
