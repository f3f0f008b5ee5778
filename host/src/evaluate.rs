//! What a classifier says of images: a float one on a backend, or a model file through the very
//! code that runs on a device.

pub mod inference;
mod needs;
mod predictions;

use anyhow::{Result, anyhow, ensure};
use vae96::model::Model;
use vae96::{Architecture, Head, Quantised, SIDE};

pub use needs::{LayerNeeds, Needs, needs};
pub use predictions::Predictions;

use crate::backend::work::{Network, Size, Work};
use crate::backend::{Backend, Batch, Classifier, Form, Weights};
use crate::data::Labelled;
use crate::data::loader::{Loader, Samples};

/// Images evaluated together.
pub const BATCH: Size = Size {
    count: 100,
    side: SIDE,
};

/// A classifier for [`BATCH`], on that machine or the one it names where it has too little memory.
pub fn ready(
    backend: &dyn Backend,
    architecture: &'static Architecture,
    head: Head,
    classes: usize,
    weights: &Weights,
) -> Result<Box<dyn Classifier>> {
    let network = Network::Classifier {
        architecture,
        head,
        classes,
    };
    let backend = backend.suited_to(&Work::answers(network, BATCH))?;
    backend.classifier(architecture, head, classes, weights)
}

/// What a float classifier says of `samples`.
pub fn classifier(
    classifier: &dyn Classifier,
    classes: usize,
    samples: Samples,
) -> Result<Predictions> {
    let logits_of = |batch: &Batch| classifier.logits(batch);
    answers(classes, samples, classifier.form(), logits_of)
}

/// What `logits_of` says of `samples`, batch by batch in that form.
pub fn answers(
    classes: usize,
    samples: Samples,
    form: Form,
    logits_of: impl Fn(&Batch) -> Result<Vec<f32>>,
) -> Result<Predictions> {
    let labels = samples.labels().to_vec();
    Predictions::new(values(samples, BATCH, form, logits_of)?, labels, classes)
}

/// What `values_of` gives of all `samples` in order, in batches of that size and form.
pub fn values(
    samples: Samples,
    size: Size,
    form: Form,
    values_of: impl Fn(&Batch) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    for loaded in Loader::evaluation(samples, size.count, size.side, form)? {
        values.extend(values_of(&loaded?.batch)?);
    }
    Ok(values)
}

/// What the model file says of `data`, on all cores.
pub fn model(file: &[u8], data: &Labelled) -> Result<Predictions> {
    let file = Aligned::new(file);
    let model = parse(file.bytes())?;
    let classes = model.classes();
    ensure!(
        classes > 0,
        "the model file is of an encoder, which tells no classes apart"
    );
    if let Some(label) = data.labels.iter().find(|&&label| label >= classes) {
        anyhow::bail!(
            "the images have {} classes; the model tells {classes} apart",
            label + 1
        );
    }
    let rows = inference::each(&model, &data.images, real)?;
    Predictions::new(rows.concat(), data.labels.clone(), classes)
}

/// The real numbers that the model gives for one image, 96×96 RGB bytes. `buffer` is that of
/// [`inference::buffer`].
pub fn logits(model: &Model<'_>, image: &[u8], buffer: &mut [i32]) -> Result<Vec<f32>> {
    inference::one(model, image, buffer, real)
}

fn real(answer: Quantised<'_>) -> Vec<f32> {
    answer.iter().collect()
}

/// Checks a model file.
pub fn parse(file: &[u8]) -> Result<Model<'_>> {
    Model::parse(file).map_err(|error| anyhow!("not a model file of this version: {error}"))
}

/// Bytes at an address that a model file needs.
pub struct Aligned {
    words: Vec<u128>,
    len: usize,
}

impl Aligned {
    /// A copy of `bytes` at such an address.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self {
            words,
            len: bytes.len(),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}
