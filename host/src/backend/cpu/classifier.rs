//! The classifiers.

use anyhow::{Context, Result};
use vae96::{Architecture, Head, INPUT};

use super::block::Signal;
use super::model::{Model, Networks, input, values};
use super::network::Network;
use super::ops::cross_entropy::cross_entropy;
use super::tape::{Recording, backward};
use crate::backend::checks;
use crate::backend::{Batch, Classifier, Learner, Outcome, Pending, Target, Update, Weights};

/// A classifier's layers, from the image to the logits.
#[derive(Clone, Debug)]
pub struct ClassifierNetwork(Network);

/// A classifier that learns on this processor.
pub type CpuClassifier = Model<ClassifierNetwork>;

impl ClassifierNetwork {
    /// The network of an architecture, checked to end in one logit a class.
    pub fn new(architecture: &'static Architecture, head: Head, classes: usize) -> Result<Self> {
        checks::classes(classes)?;
        let layers = [architecture.encoder, architecture.head(head)].concat();
        let network = Network::new(&layers, INPUT, classes)?;
        checks::logits(architecture.name, network.output, classes)?;
        Ok(Self(network))
    }

    /// A batch of images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Signal> {
        let images = input(batch)?;
        (self.0.check(images.shape))
            .with_context(|| format!("images of {} do not fit this classifier", images.shape))?;
        Ok(images)
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(values(self.0.infer(self.checked(batch)?)?))
    }
}

/// A classifier's weights with BatchNorm's statistics taken anew, as their means over the images of
/// these batches (precise BatchNorm: Wu and Johnson, 2021); as they are without batches.
///
/// # Errors
/// For weights that are not this classifier's, and batches that it does not take.
pub fn recalibrated(
    architecture: &'static Architecture,
    head: Head,
    weights: &Weights,
    classes: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Weights> {
    let network = ClassifierNetwork::new(architecture, head, classes)?;
    let mut model = Model::new(network, weights)?;
    let mut seen = 0;
    for batch in batches {
        let batch = batch?;
        seen += batch.count;
        let images = model.networks.checked(&batch)?;
        let momentum = batch.count as f64 / seen as f64;
        model.networks.0.follow(images, momentum)?;
    }
    model.weights()
}

impl Networks for ClassifierNetwork {
    fn all(&self) -> Vec<&Network> {
        vec![&self.0]
    }

    fn all_mut(&mut self) -> Vec<&mut Network> {
        vec![&mut self.0]
    }
}

impl Classifier for CpuClassifier {
    fn learn(
        &mut self,
        batch: &Batch,
        targets: &[Target],
        update: &Update,
    ) -> Result<Pending<Vec<Outcome>>> {
        let images = self.networks.checked(batch)?;
        let network = &mut self.networks.0;
        let classes = network.output.len();
        checks::targets(targets, batch, classes)?;
        let mut tape = Recording::default();
        let logits = network.train(&mut tape, images, &update.layer_rates)?;
        let outcomes = cross_entropy(&mut tape, &logits.node, classes, targets);
        drop(logits);
        let gradients = backward(tape)?;
        self.update(gradients, update)?;
        Ok(Pending::known(outcomes))
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.networks.logits(batch)
    }

    fn averaged_logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.averaged
            .as_ref()
            .unwrap_or(&self.networks)
            .logits(batch)
    }
}
