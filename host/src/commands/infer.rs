//! Which network tensors are of, where their file does not say: names and shapes decide.

use anyhow::{Context, Result};
use vae96::{Architecture, Layer};

use super::trained::Label;
use crate::backend::Weights;
use crate::backend::parameters::{self, Parameter};
use crate::train::recipe::{Depth, Head, Network};

/// A part of a network that has tensors of its own.
#[derive(Clone, Copy)]
enum Part {
    Classifier(Head),
    Vae(Depth),
}

const PARTS: [Part; 4] = [
    Part::Classifier(Head::Conv),
    Part::Classifier(Head::Dense),
    Part::Vae(Depth::Shallow),
    Part::Vae(Depth::Deep),
];

/// What tensors may be.
struct Candidate {
    network: Network,
    part: Part,
    classes: usize,
    parameters: Vec<Parameter>,
}

impl Candidate {
    /// None where the network has no such part.
    fn new(network: Network, part: Part, weights: &Weights) -> Option<Self> {
        let architecture = network.architecture();
        let (classes, parameters) = match part {
            Part::Classifier(head) => {
                let classes = classes(architecture, head, weights);
                let parameters = parameters::classifier(architecture, head.into(), classes);
                (classes, parameters)
            }
            Part::Vae(depth) => (0, parameters::vae(network.autoencoder(depth).ok()?)),
        };
        Some(Self {
            network,
            part,
            classes,
            parameters,
        })
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
        let part = match self.part {
            Part::Classifier(Head::Conv) => "conv classifier",
            Part::Classifier(Head::Dense) => "dense classifier",
            Part::Vae(Depth::Shallow) => "VAE",
            Part::Vae(Depth::Deep) => "deep VAE",
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
    let networks = [Network::Edge, Network::Paper].into_iter();
    let candidates = networks.flat_map(|network| PARTS.map(|part| (network, part)));
    let nearest = candidates
        .filter_map(|(network, part)| Candidate::new(network, part, weights))
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
        classifier: match nearest.part {
            Part::Classifier(head) => Some(names(head)),
            Part::Vae(_) => None,
        },
        numbered: true,
    };
    Ok((label, tensors))
}
