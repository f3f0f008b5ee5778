//! The variational auto-encoder.

use std::slice::from_ref;
use std::sync::Arc;

use anyhow::{Context, Result};
use dfdx::tensor::NoneTape;
use vae96::{Autoencoder, INPUT, Shape};

use super::block::Signal;
use super::model::{Model, Networks, input, values};
use super::network::Network;
use super::ops::average_pool::average_pool;
use super::ops::contrast::contrast;
use super::ops::latent::{Divergence, sample};
use super::ops::reconstruction::squared_error;
use super::source::Values;
use super::tape::{Node, Recording, backward};
use crate::backend::checks;
use crate::backend::{
    Batch, Contrast, Latent, LayerRates, Noise, Pending, Update, Vae, VaeLoss, VaeObjective,
};

/// A VAE's networks.
#[derive(Clone, Debug)]
pub struct VaeNetworks {
    encoder: Network,
    bottleneck: Network,
    mean: Network,
    log_variance: Network,
    projector: Network,
    decoder: Network,
}

/// A VAE that learns on this processor.
pub type CpuVae = Model<VaeNetworks>;

impl VaeNetworks {
    /// The networks of a description, checked to give back what they take, or that shrunk.
    pub fn new(autoencoder: &'static Autoencoder) -> Result<Self> {
        let encoder = Network::new(autoencoder.encoder, INPUT, 0)?;
        let bottleneck = Network::new(autoencoder.bottleneck, encoder.output, 0)?;
        let latent = Shape::vector(autoencoder.latent());
        let networks = Self {
            mean: Network::new(from_ref(&autoencoder.mean), bottleneck.output, 0)?,
            log_variance: Network::new(from_ref(&autoencoder.log_variance), bottleneck.output, 0)?,
            projector: Network::new(autoencoder.projector, latent, 0)?,
            decoder: Network::new(autoencoder.decoder, latent, 0)?,
            encoder,
            bottleneck,
        };
        checks::latent(networks.mean.output, networks.log_variance.output)?;
        checks::shrink(networks.decoder.output, INPUT)?;
        Ok(networks)
    }

    /// A batch of images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Signal> {
        let images = input(batch)?;
        let features = self.encoder.check(images.shape);
        features
            .and_then(|features| self.bottleneck.check(features))
            .and_then(|features| self.mean.check(features))
            .with_context(|| format!("images of {} do not fit this VAE", images.shape))?;
        Ok(images)
    }

    /// μ and log σ² in training.
    fn train_encoder(
        &mut self,
        tape: &mut Recording,
        images: Signal,
        rates: &LayerRates,
    ) -> Result<(Signal, Signal)> {
        let features = self.encoder.train(tape, images, rates)?;
        let features = self.bottleneck.train(tape, features, rates)?;
        let mean = self.mean.train(tape, features.clone(), rates)?;
        let log_variance = self.log_variance.train(tape, features, rates)?;
        Ok((mean, log_variance))
    }

    /// The contrastive term in training.
    fn train_contrast(
        &mut self,
        tape: &mut Recording,
        mean: Signal,
        term: Contrast,
        scale: f64,
        rates: &LayerRates,
    ) -> Result<f64> {
        let views = self.projector.train(tape, mean, rates)?;
        let weight = (scale * term.weight) as f32;
        let temperature = term.temperature as f32;
        Ok(contrast(
            tape,
            &views.node,
            views.shape.len(),
            temperature,
            weight,
        ))
    }
}

impl Networks for VaeNetworks {
    fn all(&self) -> Vec<&Network> {
        vec![
            &self.encoder,
            &self.bottleneck,
            &self.mean,
            &self.log_variance,
            &self.projector,
            &self.decoder,
        ]
    }

    fn all_mut(&mut self) -> Vec<&mut Network> {
        vec![
            &mut self.encoder,
            &mut self.bottleneck,
            &mut self.mean,
            &mut self.log_variance,
            &mut self.projector,
            &mut self.decoder,
        ]
    }
}

impl Vae for CpuVae {
    fn learn(
        &mut self,
        inputs: &Batch,
        targets: &Batch,
        noise: Noise,
        objective: VaeObjective,
        update: &Update,
    ) -> Result<Pending<VaeLoss>> {
        let networks = &mut self.networks;
        let images = networks.checked(inputs)?;
        let latent = networks.mean.output.len();
        checks::vae_step(inputs, targets, noise, latent, &objective)?;
        let factor = checks::shrink(networks.decoder.output, images.shape)?;
        let rates = &update.layer_rates;
        let mut tape = Recording::default();
        let (mean, log_variance) = networks.train_encoder(&mut tape, images, rates)?;
        let divergence = Divergence {
            weight: (objective.scale * objective.beta) as f32,
            free_bits: objective.free_bits,
        };
        let (node, kl) = sample(
            &mut tape,
            &mean.node,
            &log_variance.node,
            &noise.values(inputs.count * latent),
            latent,
            divergence,
        );
        let mut loss = VaeLoss {
            kl,
            ..VaeLoss::default()
        };
        let code = Signal {
            shape: mean.shape,
            node,
        };
        drop(log_variance);
        if let Some(term) = objective.contrast {
            loss.contrast =
                networks.train_contrast(&mut tape, mean, term, objective.scale, rates)?;
        }
        if objective.decodes() {
            let decoded = networks.decoder.train(&mut tape, code, rates)?;
            let targets = shrunk(targets, factor)?;
            let weight = (objective.scale * objective.reconstruction_weight) as f32;
            loss.reconstruction = squared_error(&mut tape, &decoded.node, &targets, weight);
        }
        let gradients = backward(tape)?;
        self.update(gradients, update)?;
        Ok(Pending::known(loss))
    }

    fn encode(&self, batch: &Batch) -> Result<Latent> {
        let features = self.networks.encoder.infer(self.networks.checked(batch)?)?;
        let features = self.networks.bottleneck.infer(features)?;
        Ok(Latent {
            mean: values(self.networks.mean.infer(features.clone())?),
            log_variance: values(self.networks.log_variance.infer(features)?),
        })
    }

    fn decode(&self, latent: &[f32]) -> Result<Batch> {
        let shape = self.networks.mean.output;
        let count = checks::latents(latent, shape)?;
        let node = Node::constant(latent.to_vec());
        let images = self.networks.decoder.infer(Signal { shape, node })?;
        let side = images.shape.height;
        Ok(Batch::new(count, side, values(images)))
    }
}

/// The images a decoder is to make: the means over `factor × factor` pixels.
fn shrunk(images: &Batch, factor: usize) -> Result<Arc<Values>> {
    let Signal { shape, node } = input(images)?;
    Ok(match factor {
        1 => node.values,
        _ => average_pool(&mut NoneTape, &node, shape, (factor, factor)).values,
    })
}
