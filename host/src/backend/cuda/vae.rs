//! The variational auto-encoder.

use std::slice::from_ref;

use anyhow::{Context, Result};
use vae96::{Autoencoder, INPUT, Shape};

use super::images::{Arrival, Brought};
use super::memory::{Arena, Kind, Slot};
use super::model::Model;
use super::network::{Backward, Gradients, Memory, Network, Pass};
use super::ops::Gpu;
use super::ops::losses::{Comparison, Divergences, Latents, PART};
use super::ops::pools::Pool;
use super::pack::Pack;
use super::plan::Plan;
use super::share::Share;
use crate::backend::checks;
use crate::backend::work::{Size, Steps, Work};
use crate::backend::{
    Batch, Latent, Noise, Pending, Pixels, Precision, Update, Vae, VaeLoss, VaeObjective, Weights,
};

/// A VAE's networks.
pub struct VaeNetworks {
    encoder: Network,
    bottleneck: Network,
    mean: Network,
    log_variance: Network,
    projector: Network,
    decoder: Network,
}

/// A VAE that learns on a GPU.
pub type CudaVae = Model<VaeNetworks>;

impl VaeNetworks {
    /// The networks of a description, checked to give back what they take, or that shrunk, and
    /// their tensors.
    fn new(autoencoder: &'static Autoencoder) -> Result<(Self, Pack)> {
        let mut pack = Pack::default();
        let encoder = Network::new(autoencoder.encoder, INPUT, 0, &mut pack)?;
        let bottleneck = Network::new(autoencoder.bottleneck, encoder.output, 0, &mut pack)?;
        let features = bottleneck.output;
        let latent = Shape::vector(autoencoder.latent());
        let networks = Self {
            mean: Network::new(from_ref(&autoencoder.mean), features, 0, &mut pack)?,
            log_variance: Network::new(
                from_ref(&autoencoder.log_variance),
                features,
                0,
                &mut pack,
            )?,
            projector: Network::new(autoencoder.projector, latent, 0, &mut pack)?,
            decoder: Network::new(autoencoder.decoder, latent, 0, &mut pack)?,
            encoder,
            bottleneck,
        };
        checks::latent(networks.mean.output, networks.log_variance.output)?;
        checks::shrink(networks.decoder.output, INPUT)?;
        Ok((networks, pack))
    }

    /// The VAE of a description.
    pub fn model(
        gpu: &Gpu,
        autoencoder: &'static Autoencoder,
        weights: &Weights,
    ) -> Result<CudaVae> {
        let (networks, pack) = Self::new(autoencoder)?;
        Model::new(gpu, networks, pack, weights)
    }

    /// The memory that it takes of each of so many machines of that precision for that work.
    pub fn plan(
        autoencoder: &'static Autoencoder,
        work: &Work,
        (precision, ranks): (Precision, usize),
    ) -> Result<Plan> {
        let (networks, pack) = Self::new(autoencoder)?;
        let Size { count, side } = work.answers;
        let mut passes = [(); 2].map(|()| Arena::new(precision)).to_vec();
        let share = Share::most(count, ranks);
        let images = Shape::plane(side, side, 3);
        networks.lay_out_encoder(&mut passes[0], share, images, share.count)?;
        networks.lay_out_decoder(&mut passes[1], share.count)?;
        if let Some(Steps {
            batch: Size { count, side },
            contrast,
            corrupts,
            ..
        }) = work.steps
        {
            let images = Shape::plane(side, side, 3);
            networks.fits(images)?;
            let mut arena = Arena::new(precision);
            let share = Share::most(count, ranks);
            let views = if corrupts { 2 } else { 1 } * share.count;
            Step::new(&networks, &mut arena, share, views, images, contrast)?;
            passes.push(arena);
        }
        Ok(Plan::new(&pack, work.steps, passes))
    }

    /// The shape of a batch's images, of any size that all layers take.
    fn checked(&self, batch: &Batch) -> Result<Shape> {
        let images = checks::images(batch)?;
        self.fits(images)?;
        Ok(images)
    }

    fn fits(&self, images: Shape) -> Result<()> {
        let features = self.encoder.check(images);
        features
            .and_then(|features| self.bottleneck.check(features))
            .and_then(|features| self.mean.check(features))
            .with_context(|| format!("images of {images} do not fit this VAE"))?;
        Ok(())
    }

    /// A pass of a share of a batch; `views` come for it at most.
    fn lay_out_encoder(
        &self,
        arena: &mut Arena,
        share: Share,
        shape: Shape,
        views: usize,
    ) -> Result<EncoderPass> {
        let arrival = Arrival::new(arena, views);
        let images = arena.place_values(share.count * shape.len());
        let values = arena.kind();
        let encoder = (self.encoder).lay_out(arena, share, shape, images, values)?;
        let (shape, slot) = (encoder.shape, encoder.output);
        let bottleneck = (self.bottleneck).lay_out(arena, share, shape, slot, values)?;
        let (shape, slot) = (bottleneck.shape, bottleneck.output);
        Ok(EncoderPass {
            arrival,
            images,
            mean: (self.mean).lay_out(arena, share, shape, slot, Kind::F32)?,
            log_variance: (self.log_variance).lay_out(arena, share, shape, slot, Kind::F32)?,
            encoder,
            bottleneck,
        })
    }

    /// A pass from latent vectors, which lie in the slot, to images.
    fn lay_out_decoder(&self, arena: &mut Arena, count: usize) -> Result<(Slot, Pass)> {
        let latent = self.mean.output;
        let code = arena.place_values(count * latent.len());
        let share = Share::whole(count);
        let pass = (self.decoder).lay_out(arena, share, latent, code, Kind::F32)?;
        Ok((code, pass))
    }
}

/// A pass from images to μ and log σ².
struct EncoderPass {
    arrival: Arrival,
    images: Slot,
    encoder: Pass,
    bottleneck: Pass,
    mean: Pass,
    log_variance: Pass,
}

/// What a step's decoder is to make.
enum Targets<'a> {
    /// Nothing.
    None,
    /// The inputs.
    Inputs,
    /// Others.
    Others(&'a Batch),
}

impl<'a> Targets<'a> {
    /// Those that a step decodes, if there are others than the inputs.
    fn new(others: Option<&'a Batch>, objective: &VaeObjective) -> Self {
        match (objective.decodes(), others) {
            (false, _) => Self::None,
            (true, None) => Self::Inputs,
            (true, Some(targets)) => Self::Others(targets),
        }
    }

    /// Views that come beside those of the inputs.
    fn views(&self) -> usize {
        match self {
            Self::Others(Batch {
                pixels: Pixels::Views(views) | Pixels::Corrupted(views, ..),
                ..
            }) => views.len(),
            _ => 0,
        }
    }
}

/// A step's slots.
struct Step {
    share: Share,
    encoder: EncoderPass,
    noise: Slot,
    losses: Losses,
    /// Each dimension's divergence over the whole batch, in f64.
    divergence: Slot,
    code: Slot,
    decoder: Pass,
    /// The targets, as the decoder is to make them.
    targets: Slot,
    /// The targets before they are shrunk, and how, where they are.
    shrunk: Option<(Slot, Pool)>,
    contrast: Option<(Pass, Comparison)>,
    gradients: StepGradients,
}

/// Where a step's losses lie, in f64, and the part of each.
#[derive(Clone, Copy)]
struct Losses {
    all: Slot,
    /// Σ (x̂ − x)².
    reconstruction: Slot,
    /// Each dimension's divergence.
    divergence: Slot,
    /// The loss of each view of the whole batch; none without a contrastive term.
    contrast: Slot,
}

impl Losses {
    /// Of `latent` dimensions and `views` views of the whole batch.
    fn new(arena: &mut Arena, latent: usize, views: usize) -> Self {
        let all = arena.place_doubles(1 + latent + views);
        Self {
            all,
            reconstruction: all.part(0, 2),
            divergence: all.part(2, 2 * latent),
            contrast: all.part(2 + 2 * latent, 2 * views),
        }
    }
}

/// Where the gradients lie that networks hand on to each other.
struct StepGradients {
    code: Slot,
    mean: Slot,
    log_variance: Slot,
    /// Of what μ and log σ² read.
    features: Slot,
    /// Of the encoder's output; the same without a bottleneck.
    encoded: Slot,
    /// Of what the contrastive term compares; μ's without a projector.
    views: Slot,
    /// For the layers between.
    layers: Gradients,
}

/// Which networks' outputs a gradient is wanted of: those after something that learns.
struct Wanted {
    encoded: bool,
    features: bool,
    mean: bool,
    code: bool,
    views: bool,
    decoded: bool,
}

impl Step {
    /// Of a share of a batch; `views` come for it at most.
    fn new(
        networks: &VaeNetworks,
        arena: &mut Arena,
        share: Share,
        views: usize,
        shape: Shape,
        contrast: bool,
    ) -> Result<Self> {
        let count = share.count;
        let encoder = networks.lay_out_encoder(arena, share, shape, views)?;
        let latent = networks.mean.output;
        let vectors = count * latent.len();
        let code = arena.place_values(vectors);
        let mut decoder = (networks.decoder).lay_out(arena, share, latent, code, Kind::F32)?;
        networks.decoder.open(&mut decoder);
        let targets = arena.place_values(decoder.output.len);
        let factor = checks::shrink(networks.decoder.output, shape)?;
        let shrunk = match factor {
            1 => None,
            _ => Some((
                arena.place_values(count * shape.len()),
                Pool::new(count, shape, factor, factor),
            )),
        };
        arena.need(2 * decoder.output.len.div_ceil(PART));
        let mean = arena.place_values(vectors);
        let losses = Losses::new(arena, latent.len(), if contrast { share.total } else { 0 });
        let divergence = match share.is_whole() {
            true => losses.divergence,
            false => arena.place_doubles(latent.len()),
        };
        let (contrast, views) = if contrast {
            let from = encoder.mean.output;
            let pass = (networks.projector).lay_out(arena, share, latent, from, Kind::F32)?;
            let comparison = Comparison::new(arena, share, pass.shape.len(), losses.contrast);
            let views = match networks.projector.is_empty() {
                true => mean,
                false => arena.place_values(pass.output.len),
            };
            (Some((pass, comparison)), views)
        } else {
            (None, mean)
        };
        let features = arena.place_values(encoder.bottleneck.output.len);
        let encoded = match networks.bottleneck.is_empty() {
            true => features,
            false => arena.place_values(encoder.encoder.output.len),
        };
        let passes = [&encoder.encoder, &encoder.bottleneck, &decoder];
        let projector = contrast.as_ref().map(|(pass, _)| pass);
        let layers = Gradients::new(arena, passes.into_iter().chain(projector));
        Ok(Self {
            share,
            noise: arena.place(vectors),
            losses,
            divergence,
            code,
            decoder,
            targets,
            shrunk,
            contrast,
            gradients: StepGradients {
                code: arena.place_values(vectors),
                mean,
                log_variance: arena.place_values(vectors),
                features,
                encoded,
                views,
                layers,
            },
            encoder,
        })
    }

    fn latents<'a>(&self, memory: Memory<'a>) -> Latents<'a> {
        Latents {
            count: self.share.count,
            mean: memory.at(self.encoder.mean.output),
            log_variance: memory.at(self.encoder.log_variance.output),
            noise: memory.at(self.noise),
            divergence: memory.at(self.losses.divergence),
        }
    }

    /// Brings all that the step reads. Targets that are the inputs come once.
    fn bring<'a>(
        &self,
        memory: Memory<'a>,
        inputs: &Batch,
        targets: &Targets,
        noise: Noise,
    ) -> Result<Brought<'a>> {
        let mut images = vec![(&inputs.pixels, self.encoder.images)];
        if let Targets::Others(targets) = targets {
            let to = self.shrunk.map_or(self.targets, |(whole, _)| whole);
            images.push((&targets.pixels, to));
        }
        let brought = (self.encoder.arrival).bring(memory, inputs.side, &images)?;
        if let Noise::Values(values) = noise {
            memory.at(self.noise).upload(values)?;
        }
        Ok(brought)
    }

    /// Makes the values that the step reads of what has been brought.
    fn prepare(
        &self,
        memory: Memory,
        images: Brought,
        targets: &Targets,
        noise: Noise,
    ) -> Result<()> {
        images.show(memory.gpu)?;
        if let Noise::Drawn(stream) = noise {
            memory.gpu.normal(&stream, memory.at(self.noise))?;
        }
        self.make_targets(memory, targets)
    }

    /// Makes what the decoder is to make.
    fn make_targets(&self, memory: Memory, targets: &Targets) -> Result<()> {
        let images = memory.at(self.encoder.images);
        let to = memory.at(self.targets);
        match (targets, self.shrunk) {
            (Targets::None, _) | (_, None) => Ok(()),
            (Targets::Inputs, Some((_, pool))) => memory.gpu.average_pool(pool, images, to),
            (Targets::Others(_), Some((whole, pool))) => {
                memory.gpu.average_pool(pool, memory.at(whole), to)
            }
        }
    }

    fn forward(
        &self,
        networks: &VaeNetworks,
        memory: Memory,
        objective: &VaeObjective,
    ) -> Result<()> {
        let pass = &self.encoder;
        networks.encoder.train(memory, &pass.encoder)?;
        networks.bottleneck.train(memory, &pass.bottleneck)?;
        networks.mean.train(memory, &pass.mean)?;
        networks.log_variance.train(memory, &pass.log_variance)?;
        let code = memory.at(self.code);
        memory.gpu.sample(self.latents(memory), code)?;
        if !self.share.is_whole() {
            let all = memory.at(self.divergence);
            memory.gpu.copy(memory.at(self.losses.divergence), all)?;
            all.reduce_doubles()?;
        }
        if let Some((pass, _)) = &self.contrast {
            networks.projector.train(memory, pass)?;
        }
        match objective.decodes() {
            true => networks.decoder.train(memory, &self.decoder),
            false => Ok(()),
        }
    }

    /// The losses and all gradients.
    fn backward(
        &self,
        networks: &VaeNetworks,
        memory: Memory,
        backward: &mut Backward,
        objective: &VaeObjective,
    ) -> Result<()> {
        let gpu = memory.gpu;
        let slots = &self.gradients;
        let wanted = Wanted::new(networks, backward);
        if objective.decodes() {
            self.backward_decoder(networks, memory, backward, objective, &wanted)?;
        } else {
            gpu.fill(memory.at(self.losses.reconstruction), 0.0)?;
            gpu.clear(memory.at(slots.code))?;
        }
        let compared = self.backward_contrast(networks, memory, backward, objective, &wanted)?;
        if wanted.code {
            let both = [memory.at(slots.mean), memory.at(slots.log_variance)];
            let code = memory.at(slots.code);
            let all = Divergences {
                count: self.share.total,
                each: memory.at(self.divergence),
            };
            gpu.sample_backward(self.latents(memory), code, all, objective, compared, both)?;
        }
        let pass = &self.encoder;
        let to = |add| wanted.features.then_some((slots.features, add));
        if wanted.code || compared {
            (networks.mean).backward(memory, &pass.mean, backward, slots.mean, to(false))?;
        }
        if wanted.code {
            let (network, gradient) = (&networks.log_variance, slots.log_variance);
            network.backward(memory, &pass.log_variance, backward, gradient, to(true))?;
        }
        if wanted.features && (wanted.code || compared) {
            let to = wanted.encoded.then_some((slots.encoded, false));
            let (network, gradient) = (&networks.bottleneck, slots.features);
            network.backward(memory, &pass.bottleneck, backward, gradient, to)?;
            (networks.encoder).backward(memory, &pass.encoder, backward, slots.encoded, None)?;
        }
        Ok(())
    }

    /// The reconstruction.
    fn backward_decoder(
        &self,
        networks: &VaeNetworks,
        memory: Memory,
        backward: &mut Backward,
        objective: &VaeObjective,
        wanted: &Wanted,
    ) -> Result<()> {
        let (slots, pass) = (&self.gradients, &self.decoder);
        let decoded = slots.layers.of_output(pass);
        memory.gpu.squared_error(
            [memory.at(pass.output), memory.at(self.targets)],
            networks.decoder.ending(memory),
            (objective.scale * objective.reconstruction_weight) as f32,
            memory.at(decoded),
            memory.scratch(),
            memory.at(self.losses.reconstruction),
        )?;
        if wanted.decoded {
            let to = wanted.code.then_some((slots.code, false));
            (networks.decoder).backward(memory, pass, backward, decoded, to)?;
        }
        Ok(())
    }

    /// The contrastive term; whether it has given a gradient of μ.
    fn backward_contrast(
        &self,
        networks: &VaeNetworks,
        memory: Memory,
        backward: &mut Backward,
        objective: &VaeObjective,
        wanted: &Wanted,
    ) -> Result<bool> {
        let (Some((pass, comparison)), Some(term)) = (&self.contrast, objective.contrast) else {
            return Ok(false);
        };
        let slots = &self.gradients;
        memory.gpu.contrast(
            comparison,
            |slot| memory.at(slot),
            [memory.at(pass.output), memory.at(slots.views)],
            term,
            (objective.scale * term.weight) as f32,
            memory.scratch(),
        )?;
        if wanted.views {
            let to = wanted.mean.then_some((slots.mean, false));
            (networks.projector).backward(memory, pass, backward, slots.views, to)?;
        }
        Ok(wanted.mean)
    }

    /// This share's part of the losses, which lie side by side.
    fn loss(&self, memory: Memory) -> Result<Pending<VaeLoss>> {
        let kept = memory.gpu.keep(memory.at(self.losses.all))?;
        let Losses {
            all,
            reconstruction,
            divergence,
            mut contrast,
        } = self.losses;
        if self.contrast.is_some() {
            let own = self.share.values(2);
            contrast = contrast.part(own.start, own.len());
        }
        Ok(Pending::later(move || {
            let values = kept.whole().download_doubles()?;
            let sum = |slot: Slot| -> f64 {
                let start = (slot.start - all.start) / 2;
                let values = &values[start..start + slot.len / 2];
                values.iter().fold(0.0, |sum, value| sum + value)
            };
            Ok(VaeLoss {
                reconstruction: sum(reconstruction),
                kl: sum(divergence),
                contrast: sum(contrast),
            })
        }))
    }
}

impl Wanted {
    fn new(networks: &VaeNetworks, backward: &Backward) -> Self {
        let learns = |network: &Network| network.learns(backward.rates());
        let encoded = learns(&networks.encoder);
        let features = encoded || learns(&networks.bottleneck);
        let mean = features || learns(&networks.mean);
        let log_variance = features || learns(&networks.log_variance);
        let code = mean && log_variance;
        Self {
            encoded,
            features,
            mean,
            code,
            views: mean || learns(&networks.projector),
            decoded: code || learns(&networks.decoder),
        }
    }
}

/// A VAE's step on a share of a batch: what it learns from, and how.
pub struct Lesson<'a> {
    /// The share.
    pub share: Share,
    /// Its inputs.
    pub inputs: &'a Batch,
    /// What they are to become; none where this is the inputs themselves.
    pub targets: Option<&'a Batch>,
    /// Its noise.
    pub noise: Noise<'a>,
    /// What is learnt, of the whole batch.
    pub objective: VaeObjective,
    /// How weights move.
    pub update: &'a Update,
}

impl CudaVae {
    /// A step on a share of a batch, and its part of the losses.
    pub fn learn_share(&mut self, lesson: &Lesson) -> Result<Pending<VaeLoss>> {
        let &Lesson {
            share,
            inputs,
            noise,
            objective,
            update,
            ..
        } = lesson;
        let networks = &self.networks;
        let shape = networks.checked(inputs)?;
        let targets = Targets::new(lesson.targets, &objective);
        let mut arena = Arena::new(self.gpu.precision());
        let views = inputs.count + targets.views();
        let contrast = objective.contrast.is_some();
        let mut step = Step::new(networks, &mut arena, share, views, shape, contrast)?;
        if matches!(targets, Targets::Inputs) && step.shrunk.is_none() {
            step.targets = step.encoder.images;
        }
        let slots = step.gradients.layers;
        self.step(share, arena, slots, update, |networks, memory, backward| {
            let images = step.bring(memory, inputs, &targets, noise)?;
            step.prepare(memory, images, &targets, noise)?;
            step.forward(networks, memory, &objective)?;
            step.backward(networks, memory, backward, &objective)?;
            step.loss(memory)
        })
    }

    /// The length of a latent vector.
    pub fn latent(&self) -> usize {
        self.networks.mean.output.len()
    }
}

impl Vae for CudaVae {
    fn learn(
        &mut self,
        inputs: &Batch,
        targets: &Batch,
        noise: Noise,
        objective: VaeObjective,
        update: &Update,
    ) -> Result<Pending<VaeLoss>> {
        checks::images(inputs)?;
        checks::vae_step(inputs, targets, noise, self.latent(), &objective)?;
        self.learn_share(&Lesson {
            share: Share::whole(inputs.count),
            inputs,
            targets: (!std::ptr::eq(inputs, targets)).then_some(targets),
            noise,
            objective,
            update,
        })
    }

    fn encode(&self, batch: &Batch) -> Result<Latent> {
        let networks = &self.networks;
        let shape = networks.checked(batch)?;
        let mut arena = Arena::new(self.gpu.precision());
        let share = Share::whole(batch.count);
        let pass = networks.lay_out_encoder(&mut arena, share, shape, batch.count)?;
        self.pass(&self.values, arena, |memory| {
            let images = [(&batch.pixels, pass.images)];
            let images = pass.arrival.bring(memory, batch.side, &images)?;
            images.show(memory.gpu)?;
            networks.encoder.infer(memory, &pass.encoder)?;
            networks.bottleneck.infer(memory, &pass.bottleneck)?;
            networks.mean.infer(memory, &pass.mean)?;
            networks.log_variance.infer(memory, &pass.log_variance)?;
            Ok(Latent {
                mean: memory.at(pass.mean.output).download()?,
                log_variance: memory.at(pass.log_variance.output).download()?,
            })
        })
    }

    fn decode(&self, latent: &[f32]) -> Result<Batch> {
        let networks = &self.networks;
        let shape = networks.mean.output;
        let count = checks::latents(latent, shape)?;
        let mut arena = Arena::new(self.gpu.precision());
        let (code, pass) = networks.lay_out_decoder(&mut arena, count)?;
        self.pass(&self.values, arena, |memory| {
            memory.at(code).upload(latent)?;
            networks.decoder.infer(memory, &pass)?;
            let images = memory.at(pass.output).download()?;
            Ok(Batch::new(count, pass.shape.height, images))
        })
    }
}
