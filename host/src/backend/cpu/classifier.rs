//! The classifiers.

use anyhow::{Context, Result, bail, ensure};
use vae96::{Architecture, Head, INPUT};

use super::block::Signal;
use super::model::{Model, Networks, input, values};
use super::network::Network;
use super::ops::cross_entropy::cross_entropy;
use super::tape::{Recording, backward};
use crate::backend::{Batch, Classifier, ClassifierLoss, Update};

/// A classifier's networks.
#[derive(Debug)]
pub struct ClassifierNetworks {
    encoder: Network,
    head: Network,
}

/// A classifier that learns on this processor.
pub type CpuClassifier = Model<ClassifierNetworks>;

impl ClassifierNetworks {
    /// The networks of an architecture, checked to end in one logit a class.
    pub fn new(architecture: &'static Architecture, head: Head, classes: usize) -> Result<Self> {
        ensure!(classes > 0, "a classifier needs at least one class");
        let encoder = Network::new(architecture.encoder, INPUT, classes)?;
        let head = Network::new(architecture.head(head), encoder.output, classes)?;
        ensure!(
            head.output.len() == classes,
            "{}: the head makes {} values for {classes} classes",
            architecture.name,
            head.output
        );
        Ok(Self { encoder, head })
    }
}

impl ClassifierNetworks {
    /// A batch of images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Signal> {
        let images = input(batch)?;
        let fits = self.encoder.check(images.shape);
        fits.and_then(|features| self.head.check(features))
            .with_context(|| format!("images of {} do not fit this classifier", images.shape))?;
        Ok(images)
    }
}

impl Networks for ClassifierNetworks {
    fn all(&self) -> Vec<&Network> {
        vec![&self.encoder, &self.head]
    }

    fn all_mut(&mut self) -> Vec<&mut Network> {
        vec![&mut self.encoder, &mut self.head]
    }
}

impl Classifier for CpuClassifier {
    fn step(
        &mut self,
        batch: &Batch,
        labels: &[usize],
        smoothing: f64,
        update: &Update,
    ) -> Result<ClassifierLoss> {
        let networks = &mut self.networks;
        let images = networks.checked(batch)?;
        let classes = networks.head.output.len();
        ensure!(
            labels.len() == batch.count,
            "{} images have {} labels",
            batch.count,
            labels.len()
        );
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            bail!("a label is {label}; there are {classes} classes, counted from 0");
        }
        let mut tape = Recording::default();
        let learn = update.encoder_rate != 0.0;
        let features = networks.encoder.train_if(learn, &mut tape, images)?;
        let logits = networks.head.train(&mut tape, features)?;
        let loss = cross_entropy(&mut tape, &logits.node, classes, labels, smoothing);
        drop(logits);
        let gradients = backward(tape)?;
        self.update(gradients, update)?;
        Ok(loss)
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        let features = self.networks.encoder.infer(self.networks.checked(batch)?)?;
        Ok(values(self.networks.head.infer(features)?))
    }
}
