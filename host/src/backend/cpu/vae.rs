//! The variational auto-encoder.

use std::slice::from_ref;

use anyhow::{Result, ensure};
use vae96::{Architecture, INPUT, SIDE, Shape};

use super::block::Signal;
use super::model::{Model, Networks, input, values};
use super::network::Network;
use super::ops::latent::sample;
use super::ops::reconstruction::squared_error;
use super::tape::{Node, Recording, backward};
use crate::backend::{Batch, Latent, Update, Vae, VaeLoss, VaeObjective};

/// A VAE's networks.
#[derive(Debug)]
pub struct VaeNetworks {
    encoder: Network,
    bottleneck: Network,
    mean: Network,
    log_variance: Network,
    decoder: Network,
}

/// A VAE that learns on this processor.
pub type CpuVae = Model<VaeNetworks>;

impl VaeNetworks {
    /// The networks of an architecture, checked to give back what they take.
    pub fn new(architecture: &'static Architecture) -> Result<Self> {
        let Architecture {
            encoder,
            bottleneck,
            mean,
            log_variance,
            decoder,
            ..
        } = architecture;
        let encoder = Network::new(encoder, INPUT, 0)?;
        let bottleneck = Network::new(bottleneck, encoder.output, 0)?;
        let networks = Self {
            mean: Network::new(from_ref(mean), bottleneck.output, 0)?,
            log_variance: Network::new(from_ref(log_variance), bottleneck.output, 0)?,
            decoder: Network::new(decoder, Shape::vector(architecture.latent()), 0)?,
            encoder,
            bottleneck,
        };
        ensure!(
            networks.mean.output == networks.log_variance.output,
            "{}: μ has {} values, log σ² {}",
            architecture.name,
            networks.mean.output,
            networks.log_variance.output
        );
        ensure!(
            networks.decoder.output == INPUT,
            "{}: the decoder makes {}, not {INPUT}",
            architecture.name,
            networks.decoder.output
        );
        Ok(networks)
    }

    /// μ, log σ² in training; the encoder records only if `learn_encoder`.
    fn train_encoder(
        &mut self,
        tape: &mut Recording,
        images: Signal,
        learn_encoder: bool,
    ) -> Result<(Node, Node)> {
        let features = self.encoder.train_if(learn_encoder, tape, images)?;
        let features = self.bottleneck.train(tape, features)?;
        let mean = self.mean.train(tape, features.clone())?;
        let log_variance = self.log_variance.train(tape, features)?;
        Ok((mean.node, log_variance.node))
    }
}

impl Networks for VaeNetworks {
    fn all(&self) -> Vec<&Network> {
        vec![
            &self.encoder,
            &self.bottleneck,
            &self.mean,
            &self.log_variance,
            &self.decoder,
        ]
    }

    fn all_mut(&mut self) -> Vec<&mut Network> {
        vec![
            &mut self.encoder,
            &mut self.bottleneck,
            &mut self.mean,
            &mut self.log_variance,
            &mut self.decoder,
        ]
    }
}

impl Vae for CpuVae {
    fn step(
        &mut self,
        batch: &Batch,
        noise: &[f32],
        objective: VaeObjective,
        update: &Update,
    ) -> Result<VaeLoss> {
        let images = checked(batch)?;
        let latent = self.networks.mean.output;
        ensure!(
            noise.len() == batch.count * latent.len(),
            "{} images need noise of {} values, not {}",
            batch.count,
            batch.count * latent.len(),
            noise.len()
        );
        let pixels = images.node.values.clone();
        let mut tape = Recording::default();
        let learn = update.encoder_rate != 0.0;
        let (mean, log_variance) = self.networks.train_encoder(&mut tape, images, learn)?;
        let kl_weight = (objective.scale * objective.beta) as f32;
        let (node, kl) = sample(&mut tape, &mean, &log_variance, noise, kl_weight);
        let latent = Signal {
            shape: latent,
            node,
        };
        let decoded = self.networks.decoder.train(&mut tape, latent)?;
        let weight = (objective.scale * objective.reconstruction_weight) as f32;
        let reconstruction = squared_error(&mut tape, &decoded.node, &pixels, weight);
        drop((mean, log_variance, decoded));
        let gradients = backward(tape)?;
        self.update(gradients, update)?;
        Ok(VaeLoss { reconstruction, kl })
    }

    fn encode(&self, batch: &Batch) -> Result<Latent> {
        let features = self.networks.encoder.infer(checked(batch)?)?;
        let features = self.networks.bottleneck.infer(features)?;
        Ok(Latent {
            mean: values(self.networks.mean.infer(features.clone())?),
            log_variance: values(self.networks.log_variance.infer(features)?),
        })
    }

    fn decode(&self, latent: &[f32]) -> Result<Batch> {
        let shape = self.networks.mean.output;
        ensure!(
            !latent.is_empty() && latent.len().is_multiple_of(shape.len()),
            "{} values are no whole number of latent vectors of {}",
            latent.len(),
            shape.len()
        );
        let node = Node::constant(latent.to_vec());
        let images = self.networks.decoder.infer(Signal { shape, node })?;
        Ok(Batch {
            count: latent.len() / shape.len(),
            side: SIDE,
            pixels: values(images),
        })
    }
}

/// A batch of the one size a VAE takes.
fn checked(batch: &Batch) -> Result<Signal> {
    ensure!(
        batch.side == SIDE,
        "a VAE takes images of {SIDE}×{SIDE}, not {side}×{side}",
        side = batch.side
    );
    input(batch)
}
