//! The classifiers.

use anyhow::{Context, Result};
use vae96::{Architecture, Head, INPUT, Shape};

use super::memory::{Arena, Buffer};
use super::model::Model;
use super::network::{Gradients, Network};
use super::ops::Gpu;
use super::pack::Pack;
use crate::backend::checks;
use crate::backend::{Batch, Classifier, Outcome, Target, Update, Weights};

/// A classifier's layers, from the image to the logits.
pub struct ClassifierNetwork(Network);

/// A classifier that learns on a GPU.
pub type CudaClassifier = Model<ClassifierNetwork>;

impl ClassifierNetwork {
    /// The classifier of an architecture, checked to end in one logit a class.
    pub fn model(
        gpu: &Gpu,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<CudaClassifier> {
        checks::classes(classes)?;
        let layers = [architecture.encoder, architecture.head(head)].concat();
        let mut pack = Pack::default();
        let network = Network::new(&layers, INPUT, classes, &mut pack)?;
        checks::logits(architecture.name, network.output, classes)?;
        Model::new(gpu, Self(network), pack, weights)
    }

    /// The shape of a batch's images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Shape> {
        let images = checks::images(batch)?;
        (self.0.check(images))
            .with_context(|| format!("images of {images} do not fit this classifier"))?;
        Ok(images)
    }
}

impl CudaClassifier {
    fn logits_by(&self, values: &Buffer, batch: &Batch) -> Result<Vec<f32>> {
        let network = &self.networks.0;
        let shape = self.networks.checked(batch)?;
        let mut arena = Arena::default();
        let images = arena.place(batch.pixels.len());
        let pass = network.lay_out(&mut arena, batch.count, shape, images)?;
        self.pass(values, arena, |memory| {
            memory.at(images).upload(&batch.pixels)?;
            network.infer(memory, &pass)?;
            memory.at(pass.output).download()
        })
    }
}

impl Classifier for CudaClassifier {
    fn step(&mut self, batch: &Batch, targets: &[Target], update: &Update) -> Result<Vec<Outcome>> {
        let shape = self.networks.checked(batch)?;
        let network = &self.networks.0;
        let classes = network.output.len();
        checks::targets(targets, batch, classes)?;
        let mut arena = Arena::default();
        let images = arena.place(batch.pixels.len());
        let wanted = arena.place(3 * batch.count);
        let outcomes = arena.place_doubles(2 * batch.count);
        let pass = network.lay_out(&mut arena, batch.count, shape, images)?;
        let slots = Gradients::new(&mut arena, [&pass]);
        // A class is a small whole number, which f32 holds exactly.
        let numbers: Vec<f32> = (targets.iter())
            .flat_map(|target| [target.class as f32, target.smoothing, target.weight])
            .collect();
        let outcomes = self.step(arena, slots, update, |networks, memory, backward| {
            let network = &networks.0;
            memory.at(images).upload(&batch.pixels)?;
            memory.at(wanted).upload(&numbers)?;
            network.train(memory, &pass)?;
            let gradient = slots.of_output(&pass);
            memory.gpu.cross_entropy(
                memory.at(pass.output),
                memory.at(wanted),
                memory.at(gradient),
                memory.at(outcomes),
            )?;
            network.backward(memory, &pass, backward, gradient, None)?;
            memory.at(outcomes).download_doubles()
        })?;
        let outcome = |pair: &[f64]| Outcome {
            cross_entropy: pair[0],
            correct: pair[1] != 0.0,
        };
        Ok(outcomes.chunks_exact(2).map(outcome).collect())
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(&self.values, batch)
    }

    fn averaged_logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(self.averaged.as_ref().unwrap_or(&self.values), batch)
    }
}
