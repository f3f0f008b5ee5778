//! Labels for images that have none, from labelled ones that the pre-trained encoder sees as alike:
//! each counts for as much as it is certain (Iscen et al., 2019).

use anyhow::{Context, Result, ensure};
use vae96::{Architecture, Head, Layer};

use super::progress::Progress;
use crate::backend::{Backend, Classifier, Target, Tensor, Weights};
use crate::data::loader::Samples;
use crate::evaluate;
use crate::latent::Rows;
use crate::latent::spread::{Guess, spread};

/// A classifier as it is before fine-tuning.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The network.
    pub architecture: &'static Architecture,
    /// Its head.
    pub head: Head,
    /// All its weights.
    pub weights: &'a Weights,
    /// The layers that were pre-trained.
    pub pretrained: &'a [&'static str],
}

/// The labels that spread to the unlabelled images.
#[derive(Clone, Debug, PartialEq)]
pub struct Propagated {
    guesses: Vec<Guess>,
    /// The mean of their certainties.
    mean: f64,
}

impl Propagated {
    /// Lets the classes of the `labelled` images spread to the `unlabelled` ones. With `align`, all
    /// `classes` are taken to be equally frequent.
    ///
    /// # Errors
    /// Where a layer before the last is not pre-trained, or its features are not finite.
    pub fn new(
        start: Start<'_>,
        backend: &dyn Backend,
        [labelled, unlabelled]: [&Samples; 2],
        classes: usize,
        align: bool,
        progress: Progress,
    ) -> Result<Self> {
        let labels = labelled.labels();
        let network = start.features(backend)?;
        let bar = progress.bar(
            "encoding",
            (labelled.len() + unlabelled.len()) as u64,
            "images",
        );
        let mut values = Vec::new();
        let form = network.classifier.form();
        for samples in [labelled, unlabelled].map(Samples::clone) {
            let features = evaluate::values(samples, evaluate::BATCH, form, |batch| {
                let features = network.classifier.logits(batch)?;
                bar.inc(batch.count as u64);
                Ok(features)
            });
            values.extend(features?);
        }
        bar.finish_and_clear();
        let rows = Rows::new(network.dims, values);
        ensure!(
            rows.are_finite(),
            "the pre-trained encoder sees values that are not finite: its training diverged"
        );
        let found = Self::of(spread(&rows, labels, classes, align));
        progress.tell(&format!(
            "labels of {} images spread to {}, with a certainty of {:.2} in the mean",
            labelled.len(),
            unlabelled.len(),
            found.mean
        ));
        Ok(found)
    }

    fn of(guesses: Vec<Guess>) -> Self {
        let sum: f64 = guesses.iter().map(|guess| guess.certainty).sum();
        let mean = sum / guesses.len().max(1) as f64;
        Self { guesses, mean }
    }

    /// What a classifier is to say of those images: in the mean over all images, their weights add
    /// up to `weight`.
    pub fn targets<'a>(&'a self, images: &'a [usize], weight: f64) -> impl Iterator<Item = Target> {
        let scale = weight / (self.mean.max(f64::MIN_POSITIVE) * images.len() as f64);
        images.iter().map(move |&image| {
            let Guess { class, certainty } = self.guesses[image];
            Target::class(class, 0.0, (scale * certainty) as f32)
        })
    }
}

/// A classifier whose answers are what its last layer would read.
struct Features {
    classifier: Box<dyn Classifier>,
    dims: usize,
}

impl Start<'_> {
    fn features(&self, backend: &dyn Backend) -> Result<Features> {
        let Self {
            architecture, head, ..
        } = *self;
        let layers = architecture.encoder.iter().chain(architecture.head(head));
        let weighted: Vec<&Layer> = layers
            .filter(|layer| layer.weighted_channels(1) > 0)
            .collect();
        let (last, before) = weighted
            .split_last()
            .context("a classifier without weights")?;
        if let Some(random) = before
            .iter()
            .find(|layer| !self.pretrained.contains(&layer.name))
        {
            anyhow::bail!(
                "labels spread by what the layers before the last see, and {} is not pre-trained: \
                 they need `pretrain --depth deep` and the head `conv`; --propagation 0 does without",
                random.name
            );
        }
        let dims = self.weights.get(&format!("{}.weight", last.name))?.shape[1];
        // A last layer that passes on what it reads.
        let mut weights = self.weights.clone();
        let identity = (0..dims * dims).map(|i| f32::from(u8::from(i % (dims + 1) == 0)));
        for (what, tensor) in [
            ("weight", Tensor::new([dims, dims], identity.collect())),
            ("bias", Tensor::full([dims], 0.0)),
        ] {
            weights.0.insert(format!("{}.{what}", last.name), tensor);
        }
        Ok(Features {
            classifier: evaluate::ready(backend, architecture, head, dims, &weights)?,
            dims,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;
    use crate::backend::parameters;
    use crate::data::{IMAGE_BYTES, Images, Labelled};
    use vae96::EDGE;

    /// Images of one colour each, by turns red and blue, the later the paler.
    fn images(count: usize) -> Labelled {
        let image = |i: usize| {
            let pale = (20 * (i / 2)) as u8;
            let colour = if i.is_multiple_of(2) {
                [220, pale, 30]
            } else {
                [30, pale, 220]
            };
            colour.into_iter().cycle().take(IMAGE_BYTES)
        };
        Labelled {
            images: Images::from_bytes((0..count).flat_map(image).collect()),
            labels: (0..count).map(|i| i % 2).collect(),
        }
    }

    fn propagated(pretrained: &[&'static str]) -> Result<Propagated> {
        let weights = Weights::initial(&parameters::classifier(&EDGE, Head::Conv, 2), 3);
        let start = Start {
            architecture: &EDGE,
            head: Head::Conv,
            weights: &weights,
            pretrained,
        };
        let all = images(12);
        let labelled = Samples::labelled(&all, vec![0, 1]);
        let unlabelled = Samples::unlabelled(&all.images, (2..12).collect());
        let quiet = Progress { quiet: true };
        Propagated::new(start, &Cpu, [&labelled, &unlabelled], 2, true, quiet)
    }

    #[test]
    fn images_get_the_class_of_those_that_look_alike() {
        let found = propagated(&["conv1", "conv2", "conv3", "conv4"]).unwrap();
        let classes: Vec<_> = found.guesses.iter().map(|guess| guess.class).collect();
        assert_eq!(classes, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        // Over all images, the weights are those of a mean.
        let all: Vec<_> = (0..10).collect();
        let sum: f32 = found.targets(&all, 2.0).map(|target| target.weight).sum();
        assert!((sum - 2.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn features_of_random_layers_are_refused() {
        let error = format!("{:#}", propagated(&["conv1", "conv2"]).unwrap_err());
        assert!(
            error.contains("conv3") && error.contains("--depth deep"),
            "{error}"
        );
    }

    #[test]
    fn labels_that_say_nothing_weigh_nothing() {
        let nothing = Guess {
            class: 0,
            certainty: 0.0,
        };
        let none = Propagated::of(vec![nothing; 2]);
        assert!(
            none.targets(&[0, 1], 1.0)
                .all(|target| target.weight == 0.0)
        );
    }
}
