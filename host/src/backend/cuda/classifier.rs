//! The classifiers.

use anyhow::{Context, Result};
use vae96::{Architecture, Head, INPUT, Shape};

use super::images::{Arrival, Brought};
use super::memory::{Arena, Buffer, Slot};
use super::model::Model;
use super::network::{Gradients, Memory, Network, Pass};
use super::ops::Gpu;
use super::pack::Pack;
use super::plan::Plan;
use super::share::Share;
use crate::backend::checks;
use crate::backend::work::{Size, Work};
use crate::backend::{Batch, Classifier, Outcome, Pending, Target, Update, Weights};

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

    /// The memory that it takes of each of `ranks` machines for that work.
    pub fn plan(
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        work: &Work,
        ranks: usize,
    ) -> Result<Plan> {
        let (network, pack) = Self::new(architecture, head, classes)?;
        let Size { count, side } = work.answers;
        let mut passes = vec![Arena::default()];
        let images = Shape::plane(side, side, 3);
        network.lay_out(&mut passes[0], Share::most(count, ranks), images)?;
        if let Some(steps) = work.steps {
            let Size { count, side } = steps.batch;
            let images = Shape::plane(side, side, 3);
            network.fits(images)?;
            let mut arena = Arena::default();
            Step::new(&network, &mut arena, Share::most(count, ranks), images)?;
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
        let images = arena.place(count * shape.len());
        Ok(ClassifierPass {
            arrival,
            images,
            layers: self.0.lay_out(arena, share, shape, images)?,
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
    ) -> Result<Self> {
        let pass = network.lay_out(arena, share, shape)?;
        let count = share.count;
        Ok(Self {
            targets: arena.place(3 * count),
            outcomes: arena.place_doubles(2 * count),
            gradients: Gradients::new(arena, [&pass.layers]),
            pass,
        })
    }
}

impl CudaClassifier {
    fn logits_by(&self, values: &Buffer, batch: &Batch) -> Result<Vec<f32>> {
        let network = &self.networks.0;
        let shape = self.networks.checked(batch)?;
        let mut arena = Arena::default();
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
        let mut arena = Arena::default();
        let step = Step::new(&self.networks, &mut arena, share, shape)?;
        let (pass, slots) = (&step.pass.layers, step.gradients);
        // A class is a small whole number, which f32 holds exactly.
        let numbers: Vec<f32> = (targets.iter())
            .flat_map(|target| [target.class as f32, target.smoothing, target.weight])
            .collect();
        let kept = self.step(share, arena, slots, update, |networks, memory, backward| {
            let network = &networks.0;
            let images = step.pass.bring(memory, batch)?;
            memory.at(step.targets).upload(&numbers)?;
            images.show(memory.gpu)?;
            network.train(memory, pass)?;
            let gradient = slots.of_output(pass);
            memory.gpu.cross_entropy(
                memory.at(pass.output),
                memory.at(step.targets),
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
