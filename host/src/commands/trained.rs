//! Weights that a training left, with what they are.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use vae96::Autoencoder;

use super::config::Config;
use crate::backend::{Backend, Classifier, Metadata, Vae, Weights, parameters};

use crate::train::recipe::{Head, Network};
use crate::train::run::Folder;

/// What a weights file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The network.
    pub network: Network,
    /// The classifier's head and its classes' names; none for a VAE.
    pub classifier: Option<(Head, Vec<String>)>,
}

/// Under this name a [`Label`] lies in a weights file.
const LABEL: &str = "vae96";

impl Label {
    /// Of a VAE.
    pub fn vae(network: Network) -> Self {
        Self {
            network,
            classifier: None,
        }
    }

    /// Of the classifier that `config` describes.
    pub fn classifier(config: &Config, classes: &[String]) -> Result<Self> {
        Ok(Self {
            network: config.network,
            classifier: Some((config.finetune()?.head, classes.to_vec())),
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

impl Trained {
    /// Of the first complete training that `path` is or holds: a weights file, a folder of
    /// `pretrain` or `finetune`, or a folder of `run` and the `stage` in it.
    pub fn load(path: &Path, stage: &str) -> Result<Self> {
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
        let label = metadata
            .get(LABEL)
            .and_then(|label| serde_json::from_str(label).ok())
            .with_context(|| format!("{} does not say which network it is of", file.display()))?;
        Ok(Self { weights, label })
    }

    /// The weights of a pre-trained encoder for `network`.
    pub fn encoder(path: &Path, network: Network) -> Result<Weights> {
        let trained = Self::load(path, "pretrain")?;
        ensure!(
            trained.label.network == network,
            "{} is of the network {}, not {}",
            path.display(),
            trained.label.network.architecture().name,
            network.architecture().name
        );
        Ok(trained.weights)
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
        backend.vae(self.autoencoder()?, &self.weights)
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

    /// The classifier, ready to predict.
    pub fn classifier(&self, backend: &dyn Backend) -> Result<Box<dyn Classifier>> {
        let (head, classes) = self.head()?;
        let architecture = self.label.network.architecture();
        backend.classifier(architecture, head.into(), classes.len(), &self.weights)
    }
}
