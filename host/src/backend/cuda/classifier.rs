//! The classifiers.

use anyhow::{Context, Result};
use vae96::{Architecture, Head, INPUT, Shape};

use super::images::{Arrival, Brought};
use super::memory::{Arena, Buffer, Kind, Slot};
use super::model::Model;
use super::network::{Gradients, Memory, Network, Pass};
use super::ops::Gpu;
use super::pack::Pack;
use super::plan::Plan;
use super::share::Share;
use crate::backend::checks;
use crate::backend::work::{Size, Work};
use crate::backend::{
    Answer, Batch, Classifier, Outcome, Pending, Precision, Target, Update, Weights,
};

/// A classifier's layers, from the image to the logits.
pub struct ClassifierNetwork(Network);

/// A classifier that learns on a GPU.
pub type CudaClassifier = Model<ClassifierNetwork>;

impl ClassifierNetwork {
    /// The layers of an architecture, checked to end in one logit a class, and their tensors.
    fn new(
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
    ) -> Result<(Self, Pack)> {
        checks::classes(classes)?;
        let layers = [architecture.encoder, architecture.head(head)].concat();
        let mut pack = Pack::default();
        let network = Network::new(&layers, INPUT, classes, &mut pack)?;
        checks::logits(architecture.name, network.output, classes)?;
        Ok((Self(network), pack))
    }

    /// The classifier of an architecture.
    pub fn model(
        gpu: &Gpu,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<CudaClassifier> {
        let (network, pack) = Self::new(architecture, head, classes)?;
        Model::new(gpu, network, pack, weights)
    }

    /// The memory that it takes of each of so many machines of that precision for that work.
    pub fn plan(
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        work: &Work,
        (precision, ranks): (Precision, usize),
    ) -> Result<Plan> {
        let (network, pack) = Self::new(architecture, head, classes)?;
        let Size { count, side } = work.answers;
        let mut passes = vec![Arena::new(precision)];
        let images = Shape::plane(side, side, 3);
        network.lay_out(&mut passes[0], Share::most(count, ranks), images)?;
        if let Some(steps) = work.steps {
            let Size { count, side } = steps.batch;
            let images = Shape::plane(side, side, 3);
            network.fits(images)?;
            let mut arena = Arena::new(precision);
            let share = Share::most(count, ranks);
            Step::new(&network, &mut arena, share, images, steps.shares)?;
            passes.push(arena);
        }
        Ok(Plan::new(&pack, work.steps, passes))
    }

    /// The shape of a batch's images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Shape> {
        let images = checks::images(batch)?;
        self.fits(images)?;
        Ok(images)
    }

    fn fits(&self, images: Shape) -> Result<()> {
        (self.0.check(images))
            .with_context(|| format!("images of {images} do not fit this classifier"))?;
        Ok(())
    }

    fn lay_out(&self, arena: &mut Arena, share: Share, shape: Shape) -> Result<ClassifierPass> {
        let count = share.count;
        let arrival = Arrival::new(arena, count);
        let images = arena.place_values(count * shape.len());
        Ok(ClassifierPass {
            arrival,
            images,
            layers: self.0.lay_out(arena, share, shape, images, Kind::F32)?,
        })
    }
}

/// A pass from images to logits.
struct ClassifierPass {
    arrival: Arrival,
    images: Slot,
    layers: Pass,
}

impl ClassifierPass {
    fn bring<'a>(&self, memory: Memory<'a>, batch: &Batch) -> Result<Brought<'a>> {
        let images = [(&batch.pixels, self.images)];
        self.arrival.bring(memory, batch.side, &images)
    }
}

/// A step's slots.
struct Step {
    pass: ClassifierPass,
    /// Class, smoothing and weight of each image.
    targets: Slot,
    /// The share of each class, where answers are distributions.
    shares: Option<Slot>,
    /// Cross-entropy of each image and whether it is right, f64.
    outcomes: Slot,
    gradients: Gradients,
}

impl Step {
    fn new(
        network: &ClassifierNetwork,
        arena: &mut Arena,
        share: Share,
        shape: Shape,
        shares: bool,
    ) -> Result<Self> {
        let pass = network.lay_out(arena, share, shape)?;
        let count = share.count;
        Ok(Self {
            targets: arena.place(3 * count),
            shares: shares.then(|| arena.place(count * network.0.output.len())),
            outcomes: arena.place_doubles(2 * count),
            gradients: Gradients::new(arena, [&pass.layers]),
            pass,
        })
    }
}

/// Class, smoothing and weight; a negative smoothing for shares. A class is a small whole number,
/// which f32 holds exactly.
fn numbers(target: &Target) -> [f32; 3] {
    let smoothing = match target.answer {
        Answer::Class { smoothing, .. } => smoothing,
        Answer::Shares(_) => -1.0,
    };
    [target.answer.class() as f32, smoothing, target.weight]
}

/// The share of each class for each target, where any has them; zeros for the others.
fn shares(targets: &[Target], classes: usize) -> Option<Vec<f32>> {
    let mut all = None;
    for (index, target) in targets.iter().enumerate() {
        if let Answer::Shares(shares) = &target.answer {
            let all = all.get_or_insert_with(|| vec![0.0; targets.len() * classes]);
            all[index * classes..][..classes].copy_from_slice(shares);
        }
    }
    all
}

impl CudaClassifier {
    fn logits_by(&self, values: &Buffer, batch: &Batch) -> Result<Vec<f32>> {
        let network = &self.networks.0;
        let shape = self.networks.checked(batch)?;
        let mut arena = Arena::new(self.gpu.precision());
        let pass = (self.networks).lay_out(&mut arena, Share::whole(batch.count), shape)?;
        self.pass(values, arena, |memory| {
            pass.bring(memory, batch)?.show(memory.gpu)?;
            network.infer(memory, &pass.layers)?;
            memory.at(pass.layers.output).download()
        })
    }

    /// A step on a share of a batch, and its outcomes.
    pub fn learn_share(
        &mut self,
        share: Share,
        batch: &Batch,
        targets: &[Target],
        update: &Update,
    ) -> Result<Pending<Vec<Outcome>>> {
        let shape = self.networks.checked(batch)?;
        let mut arena = Arena::new(self.gpu.precision());
        let shares = shares(targets, self.networks.0.output.len());
        let step = Step::new(&self.networks, &mut arena, share, shape, shares.is_some())?;
        let (pass, slots) = (&step.pass.layers, step.gradients);
        let numbers: Vec<f32> = targets.iter().flat_map(numbers).collect();
        let kept = self.step(share, arena, slots, update, |networks, memory, backward| {
            let network = &networks.0;
            let images = step.pass.bring(memory, batch)?;
            memory.at(step.targets).upload(&numbers)?;
            if let (Some(slot), Some(shares)) = (step.shares, &shares) {
                memory.at(slot).upload(shares)?;
            }
            images.show(memory.gpu)?;
            network.train(memory, pass)?;
            let gradient = slots.of_output(pass);
            memory.gpu.cross_entropy(
                memory.at(pass.output),
                [step.targets, step.shares.unwrap_or(step.targets)].map(|slot| memory.at(slot)),
                memory.at(gradient),
                memory.at(step.outcomes),
            )?;
            network.backward(memory, pass, backward, gradient, None)?;
            memory.gpu.keep(memory.at(step.outcomes))
        })?;
        let outcome = |pair: &[f64]| Outcome {
            cross_entropy: pair[0],
            correct: pair[1] != 0.0,
        };
        Ok(Pending::later(move || {
            let outcomes = kept.whole().download_doubles()?;
            Ok(outcomes.chunks_exact(2).map(outcome).collect())
        }))
    }
}

impl Classifier for CudaClassifier {
    fn learn(
        &mut self,
        batch: &Batch,
        targets: &[Target],
        update: &Update,
    ) -> Result<Pending<Vec<Outcome>>> {
        checks::images(batch)?;
        checks::targets(targets, batch, self.networks.0.output.len())?;
        self.learn_share(Share::whole(batch.count), batch, targets, update)
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(&self.values, batch)
    }

    fn averaged_logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(self.averaged.as_ref().unwrap_or(&self.values), batch)
    }
}
