//! Weights that a training left, with what they are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use vae96::{Autoencoder, Kind};

use super::config::Config;
use super::folder::stages;
use super::infer::infer;
use crate::backend::work::{self, Work};
use crate::backend::{Backend, Classifier, Metadata, Vae, Weights, parameters};
use crate::evaluate;
use crate::latent::features;
use crate::train::distillation::Teacher;
use crate::train::recipe::{Head, Network};
use crate::train::run::Folder;

/// What a weights file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The network.
    pub network: Network,
    /// The classifier's head and its classes' names; none for a VAE.
    pub classifier: Option<(Head, Vec<String>)>,
    /// Whether the names are mere numbers: a file from elsewhere, of PyTorch say, has none.
    #[serde(skip)]
    pub numbered: bool,
}

/// Under this name a [`Label`] lies in a weights file.
const LABEL: &str = "vae96";

impl Label {
    /// Of a VAE.
    pub fn vae(network: Network) -> Self {
        Self {
            network,
            classifier: None,
            numbered: false,
        }
    }

    /// Of the classifier that `config` describes.
    pub fn classifier(config: &Config, classes: &[String]) -> Result<Self> {
        Ok(Self {
            network: config.network,
            classifier: Some((config.finetune()?.head, classes.to_vec())),
            numbered: false,
        })
    }

    /// As it lies in a weights file.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata::from([(
            LABEL.to_owned(),
            serde_json::to_string(self)?,
        )]))
    }
}

/// Weights that a training left.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The weights.
    pub weights: Weights,
    /// What they are.
    pub label: Label,
}

/// The weights file that `path` is or holds: a file, that of a folder of `pretrain` or `finetune`,
/// or of the `stage` in a folder of `run`; and what it says of itself.
fn read(path: &Path, stage: &str) -> Result<(PathBuf, Weights, Option<Label>)> {
    ensure!(
        path.exists(),
        "there is no file or folder {}",
        path.display()
    );
    let file = if path.is_file() {
        path.to_owned()
    } else {
        let inner = Folder::at(&path.join(stage));
        let folder = if inner.config().exists() || inner.path().exists() {
            inner
        } else {
            Folder::at(path)
        };
        ensure!(
            folder.weights().exists(),
            "{} holds no weights: the training in it did not end, or it is another folder",
            folder.path().display()
        );
        folder.weights()
    };
    let (weights, metadata) = Weights::load(&file)?;
    ensure!(
        weights.are_finite(),
        "{} holds weights that are infinite or no numbers",
        file.display()
    );
    let label = metadata.get(LABEL).map(|label| {
        serde_json::from_str(label)
            .with_context(|| format!("{} is of another version of vae96", file.display()))
    });
    Ok((file, weights, label.transpose()?))
}

/// The weights file that `path` is or holds, which must not be of another network than `network`.
fn pretrained(path: &Path, network: Network) -> Result<(PathBuf, Weights)> {
    let (file, weights, label) = read(path, stages::PRETRAIN)?;
    if let Some(label) = label {
        ensure!(
            label.network == network,
            "{} is of the network {}, not {}",
            path.display(),
            label.network.architecture().name,
            network.architecture().name,
        );
    }
    Ok((file, weights))
}

fn cannot_begin(network: Network, file: &Path) -> String {
    let name = network.architecture().name;
    format!("the network {name} cannot begin with {}", file.display())
}

impl Trained {
    /// Of the first complete training that `path` is or holds: a weights file, a folder of
    /// `pretrain` or `finetune`, or a folder of `run` and the `stage` in it.
    pub fn load(path: &Path, stage: &str) -> Result<Self> {
        let (file, weights, label) = read(path, stage)?;
        if let Some(label) = label {
            return Ok(Self { weights, label });
        }
        let (label, weights) = infer(&weights)
            .with_context(|| format!("the tensors of {} fit no network", file.display()))?;
        Ok(Self { weights, label })
    }

    /// The weights of a pre-trained encoder for `network`, by vae96 or PyTorch.
    pub fn encoder(path: &Path, network: Network) -> Result<Weights> {
        let (file, weights) = pretrained(path, network)?;
        parameters::pretrained(network.architecture(), &weights)
            .and_then(|autoencoder| weights.select(&parameters::encoder(autoencoder)))
            .with_context(|| cannot_begin(network, &file))
    }

    /// The weights of a VAE of `network` to begin with, by vae96 or PyTorch.
    pub fn init(path: &Path, network: Network, autoencoder: &Autoencoder) -> Result<Weights> {
        let (file, weights) = pretrained(path, network)?;
        weights
            .select(&parameters::vae(autoencoder))
            .with_context(|| cannot_begin(network, &file))
    }

    /// The VAE at `path`, ready to encode.
    ///
    /// # Errors
    /// Where the weights are of a classifier.
    pub fn vae(&self, backend: &dyn Backend, path: &Path) -> Result<Box<dyn Vae>> {
        ensure!(
            self.label.classifier.is_none(),
            "{} is a classifier's training; the latent space is that of a pre-training",
            path.display()
        );
        let autoencoder = self.autoencoder()?;
        let work = Work::answers(work::Network::Vae(autoencoder), features::BATCH);
        (backend.suited_to(&work)?).vae(autoencoder, &self.weights)
    }

    /// What a device runs of the VAE.
    pub fn encoder_kind(&self) -> Result<Kind> {
        let shallow = &self.label.network.architecture().vae;
        Ok(match self.autoencoder()? {
            vae if vae == shallow => Kind::Encoder,
            _ => Kind::DeepEncoder,
        })
    }

    /// The VAE whose encoder is among the weights.
    pub fn autoencoder(&self) -> Result<&'static Autoencoder> {
        parameters::pretrained(self.label.network.architecture(), &self.weights)
    }

    /// The classifier's head and its classes' names.
    ///
    /// # Errors
    /// Where the weights are of a VAE.
    pub fn head(&self) -> Result<(Head, &[String])> {
        let (head, classes) =
            self.label.classifier.as_ref().context(
                "these are the weights of a VAE, not of a classifier: fine-tune one first",
            )?;
        Ok((*head, classes))
    }

    /// Checks that `images`, the classes of a data set, are those of the classifier; of classes
    /// without names, that they are as many.
    pub fn check_classes(&self, images: &[String]) -> Result<()> {
        let (_, classes) = self.head()?;
        if !self.label.numbered {
            return same_classes(images, classes);
        }
        ensure!(
            images.len() == classes.len(),
            "the images are of {} classes; the classifier tells {} apart",
            images.len(),
            classes.len()
        );
        Ok(())
    }

    /// The classifier as others learn from it.
    pub fn teacher(&self) -> Result<Teacher<'_>> {
        let (head, _) = self.head()?;
        Ok(Teacher {
            architecture: self.label.network.architecture(),
            head: head.into(),
            weights: &self.weights,
        })
    }

    /// The classifier, ready to predict.
    pub fn classifier(&self, backend: &dyn Backend) -> Result<Box<dyn Classifier>> {
        let (head, classes) = self.head()?;
        let architecture = self.label.network.architecture();
        evaluate::ready(
            backend,
            architecture,
            head.into(),
            classes.len(),
            &self.weights,
        )
    }
}

/// Checks that the classes of a data set are those that a model names.
pub fn same_classes(images: &[String], classes: &[String]) -> Result<()> {
    let differing = |a: &[String], b: &[String]| {
        let only: Vec<_> = a
            .iter()
            .filter(|class| !b.contains(class))
            .take(5)
            .cloned()
            .collect();
        only.join(", ")
    };
    ensure!(
        images == classes,
        "the images are of other classes than the model's: only the images have [{}], only the \
         model has [{}]",
        differing(images, classes),
        differing(classes, images)
    );
    Ok(())
}
