//! Which network tensors are of, where their file does not say: names and shapes decide.

use anyhow::{Context, Result};
use vae96::{Architecture, Layer};

use super::trained::Label;
use crate::backend::Weights;
use crate::backend::parameters::{self, Parameter};
use crate::train::recipe::{Head, Network};

/// What tensors may be.
struct Candidate {
    network: Network,
    /// Of a classifier.
    head: Option<Head>,
    classes: usize,
    parameters: Vec<Parameter>,
}

impl Candidate {
    fn new(network: Network, head: Option<Head>, weights: &Weights) -> Self {
        let architecture = network.architecture();
        let classes = head.map_or(0, |head| classes(architecture, head, weights));
        let parameters = match head {
            Some(head) => parameters::classifier(architecture, head.into(), classes),
            None => parameters::vae(architecture),
        };
        Self {
            network,
            head,
            classes,
            parameters,
        }
    }

    /// Tensors that are missing, or of another shape.
    fn misfits(&self, weights: &Weights) -> usize {
        let fits = |parameter: &&Parameter| {
            let tensor = weights.0.get(&parameter.name);
            tensor.is_none_or(|tensor| tensor.shape != parameter.shape)
        };
        self.parameters.iter().filter(fits).count()
    }

    fn name(&self) -> String {
        let part = match self.head {
            Some(Head::Conv) => "conv classifier",
            Some(Head::Dense) => "dense classifier",
            None => "VAE",
        };
        format!("the {part} of {}", self.network.architecture().name)
    }
}

/// As many classes as the last layer has rows.
fn classes(architecture: &Architecture, head: Head, weights: &Weights) -> usize {
    let rows = |layer: &Layer| {
        let tensor = weights.0.get(&format!("{}.weight", layer.name))?;
        tensor.shape.first().copied()
    };
    let layers = architecture.head(head.into());
    layers.last().and_then(rows).unwrap_or(1)
}

/// The network that `weights` are of, classes numbered where it is a classifier, and its tensors
/// alone.
///
/// # Errors
/// Where they are of none; the message names the nearest and the first tensor that differs.
pub fn infer(weights: &Weights) -> Result<(Label, Weights)> {
    let heads = [Some(Head::Conv), Some(Head::Dense), None];
    let networks = [Network::Edge, Network::Paper].into_iter();
    let candidates = networks.flat_map(|network| heads.map(|head| (network, head)));
    let nearest = candidates
        .map(|(network, head)| Candidate::new(network, head, weights))
        .min_by_key(|candidate| candidate.misfits(weights))
        .context("there is no network")?;
    let tensors = weights
        .select(&nearest.parameters)
        .with_context(|| format!("they are nearest to {}", nearest.name()))?;
    let names = |head| {
        let name = |class| format!("class {class}");
        (head, (0..nearest.classes).map(name).collect())
    };
    let label = Label {
        network: nearest.network,
        classifier: nearest.head.map(names),
        numbered: true,
    };
    Ok((label, tensors))
}
