//! Learners of a group: each machine has one with the same weights, and takes its share of a batch.

use std::sync::Arc;

use anyhow::Result;
use vae96::Shape;

use super::members::Held;
use crate::backend::checks;
use crate::backend::cuda::classifier::ClassifierNetwork;
use crate::backend::cuda::model::Model;
use crate::backend::cuda::share::Share;
use crate::backend::cuda::vae::{Lesson, VaeNetworks};
use crate::backend::{
    Batch, Classifier, Form, Latent, Learner, Noise, Outcome, Pending, Stream, Target, Update, Vae,
    VaeLoss, VaeObjective, Weights,
};

/// A learner at each machine.
pub struct Alike<N> {
    models: Held<Model<N>>,
    /// Values that it makes of an image: of μ, or logits.
    width: usize,
}

impl<N: 'static> Alike<N> {
    /// Of learners that make so many values of an image.
    pub fn new(models: Held<Model<N>>, width: usize) -> Self {
        Self { models, width }
    }

    /// Asks each machine about its share of `count` things, or the first about few of them.
    fn shared<U, F>(&self, count: usize, of: impl Fn(Share) -> F) -> Result<Vec<U>>
    where
        U: Send + 'static,
        F: FnOnce(&mut Model<N>) -> Result<U> + Send + 'static,
    {
        let ranks = self.models.ranks();
        match count < ranks {
            true => Ok(vec![self.models.first(of(Share::whole(count)))?]),
            false => (self.models).each(|rank| of(Share::of(count, rank, ranks))),
        }
    }

    /// Begins a step on each machine's share; what `join` makes of the shares' answers. Few images
    /// are everyone's, and the first one's answer is that of all.
    fn begin<U, V, F>(
        &self,
        count: usize,
        of: impl Fn(Share) -> F,
        join: fn(Vec<U>) -> V,
    ) -> Result<Pending<V>>
    where
        U: Send + 'static,
        V: 'static,
        F: FnOnce(&mut Model<N>) -> Result<Pending<U>> + Send + 'static,
    {
        let ranks = self.models.ranks();
        let share = |rank| Share::of(count, rank, ranks);
        let pending = self.models.make(|rank| of(share(rank)))?;
        let whole = share(0).is_whole();
        Ok(Pending::later(move || {
            let mut answers = pending.take(Pending::get)?;
            if whole {
                answers.truncate(1);
            }
            Ok(join(answers))
        }))
    }

    /// Does the same at each machine, of equal weights.
    fn with_weights(
        &self,
        weights: &Weights,
        run: fn(&mut Model<N>, &Weights) -> Result<()>,
    ) -> Result<()> {
        let weights = Arc::new(weights.clone());
        self.models.each(|_| {
            let weights = Arc::clone(&weights);
            move |model: &mut Model<N>| run(model, &weights)
        })?;
        Ok(())
    }
}

impl<N: 'static> Learner for Alike<N> {
    fn form(&self) -> Form {
        Form::Views
    }

    fn weights(&self) -> Result<Weights> {
        self.models.first(|model| model.weights())
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        self.with_weights(weights, |model, weights| model.set_weights(weights))
    }

    fn optimiser_state(&self) -> Result<Weights> {
        self.models.first(|model| model.optimiser_state())
    }

    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()> {
        self.with_weights(state, |model, state| model.set_optimiser_state(state))
    }

    fn average(&mut self, decay: f64) -> Result<()> {
        let average = |_| move |model: &mut Model<N>| model.average(decay);
        self.models.each(average).map(|_| ())
    }

    fn averaged(&self) -> Result<Option<Weights>> {
        self.models.first(|model| model.averaged())
    }

    fn set_averaged(&mut self, weights: &Weights) -> Result<()> {
        self.with_weights(weights, |model, weights| model.set_averaged(weights))
    }
}

/// Noise on its way to another thread.
enum Sent {
    Values(Vec<f32>),
    Drawn(Stream),
}

impl Sent {
    fn new(noise: Noise) -> Self {
        match noise {
            Noise::Values(values) => Self::Values(values.to_vec()),
            Noise::Drawn(stream) => Self::Drawn(stream),
        }
    }

    fn noise(&self) -> Noise<'_> {
        match self {
            Self::Values(values) => Noise::Values(values),
            Self::Drawn(stream) => Noise::Drawn(*stream),
        }
    }
}

impl Vae for Alike<VaeNetworks> {
    fn learn(
        &mut self,
        inputs: &Batch,
        targets: &Batch,
        noise: Noise,
        objective: VaeObjective,
        update: &Update,
    ) -> Result<Pending<VaeLoss>> {
        checks::images(inputs)?;
        checks::vae_step(inputs, targets, noise, self.width, &objective)?;
        let others = objective.decodes() && !std::ptr::eq(inputs, targets);
        let of = |share: Share| {
            let inputs = inputs.part(share.images());
            let targets = others.then(|| targets.part(share.images()));
            let noise = Sent::new(noise.part(share.values(self.width)));
            let update = update.clone();
            move |model: &mut Model<VaeNetworks>| {
                model.learn_share(&Lesson {
                    share,
                    inputs: &inputs,
                    targets: targets.as_ref(),
                    noise: noise.noise(),
                    objective,
                    update: &update,
                })
            }
        };
        self.begin(inputs.count, of, |losses| {
            let sum = |of: fn(&VaeLoss) -> f64| losses.iter().map(of).sum();
            VaeLoss {
                reconstruction: sum(|loss| loss.reconstruction),
                kl: sum(|loss| loss.kl),
                contrast: sum(|loss| loss.contrast),
            }
        })
    }

    fn encode(&self, batch: &Batch) -> Result<Latent> {
        checks::images(batch)?;
        let latents = self.shared(batch.count, |share| {
            let batch = batch.part(share.images());
            move |model: &mut Model<VaeNetworks>| model.encode(&batch)
        })?;
        let join = |of: fn(&Latent) -> &[f32]| latents.iter().map(of).collect::<Vec<_>>().concat();
        Ok(Latent {
            mean: join(|latent| &latent.mean),
            log_variance: join(|latent| &latent.log_variance),
        })
    }

    fn decode(&self, latent: &[f32]) -> Result<Batch> {
        let count = checks::latents(latent, Shape::vector(self.width))?;
        let images = self.shared(count, |share| {
            let latent = latent[share.values(self.width)].to_vec();
            move |model: &mut Model<VaeNetworks>| model.decode(&latent)
        })?;
        let side = images.first().map_or(0, |images| images.side);
        let mut all = Batch::new(0, side, Vec::new());
        for images in images {
            all.append(images)?;
        }
        Ok(all)
    }
}

impl Alike<ClassifierNetwork> {
    fn logits_by(
        &self,
        batch: &Batch,
        logits: fn(&Model<ClassifierNetwork>, &Batch) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        checks::images(batch)?;
        let all = self.shared(batch.count, |share| {
            let batch = batch.part(share.images());
            move |model: &mut Model<ClassifierNetwork>| logits(model, &batch)
        })?;
        Ok(all.concat())
    }
}

impl Classifier for Alike<ClassifierNetwork> {
    fn learn(
        &mut self,
        batch: &Batch,
        targets: &[Target],
        update: &Update,
    ) -> Result<Pending<Vec<Outcome>>> {
        checks::images(batch)?;
        checks::targets(targets, batch, self.width)?;
        let of = |share: Share| {
            let batch = batch.part(share.images());
            let (targets, update) = (targets[share.images()].to_vec(), update.clone());
            move |model: &mut Model<ClassifierNetwork>| {
                model.learn_share(share, &batch, &targets, &update)
            }
        };
        self.begin(batch.count, of, |outcomes| outcomes.concat())
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(batch, |model, batch| model.logits(batch))
    }

    fn averaged_logits(&self, batch: &Batch) -> Result<Vec<f32>> {
        self.logits_by(batch, |model, batch| model.averaged_logits(batch))
    }
}
