//! What a run found: one HTML page that opens without a network, and one table for the terminal.
//!
//! A [`Report`] is plain data. [`html`] and [`table`] only lay it out, so the same report gives
//! the same bytes; its quantities are computed from a
//! classifier's [`Predictions`](crate::evaluate::Predictions). Any part may be
//! absent, and the page then has no section for it.
//!
//! Plots are SVG written by hand and coloured by the page's style sheet: a plot drawn by
//! `plotters` has its colours and font sizes fixed, and could follow neither a dark scheme nor a
//! printer.

mod markup;
mod measures;
pub(crate) mod number;
mod page;
mod picture;
mod plot;
pub mod reproduction;
mod sections;
mod terminal;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use measures::{
    ACTIVE_NATS, ConfusedPair, Interval, active_dimensions, confusions, most_confused, reliability,
    wilson,
};
pub use page::html;
pub use picture::Picture;
pub use terminal::table;

/// All that a page says. Empty lists and `None` leave out their sections.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The page's heading.
    pub title: String,
    /// The network's name.
    pub network: String,
    /// The images of the run.
    pub data: DataSummary,
    /// Final accuracies, in the order to show them.
    pub results: Vec<ResultRow>,
    /// The model file.
    pub model: Option<ModelSummary>,
    /// The paper's experiments; they have the auto-encoder's pre-training in them.
    pub reproduction: Option<reproduction::Reproduction>,
    /// The variational auto-encoder.
    pub pretraining: Option<Pretraining>,
    /// Its latent space.
    pub latent: Option<LatentSpace>,
    /// The classifiers' training, in the order of their colours.
    pub classifiers: Vec<ClassifierCurve>,
    /// The most confused pairs of classes, worst first; the page shows the first ten.
    pub confusions: Vec<Confusion>,
    /// Whose predictions [`confusions`](Self::confusions) are, such as `"fine-tuned int8"`.
    pub confusions_of: String,
    /// Confidence against accuracy, one a model.
    pub reliability: Vec<Reliability>,
    /// Every option of the run, resolved: name and value.
    pub configuration: Vec<(String, String)>,
    /// What a reader must know of how the figures were measured, a sentence or two each.
    /// The page defines its own quantities by itself.
    pub notes: Vec<String>,
}

/// The images of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DataSummary {
    /// The classes' names, in the order of their indices.
    pub classes: Vec<String>,
    /// Labelled images trained on.
    pub train: usize,
    /// Labelled images of each class trained on; `None` where classes differ or there are none.
    pub labels_per_class: Option<usize>,
    /// Labelled images reported on.
    pub val: usize,
    /// Images pre-trained on.
    pub unlabelled: usize,
    /// Files that could not be read as images.
    pub skipped: usize,
}

/// The accuracy of one model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ResultRow {
    /// The model, such as `"fine-tuned int8"`.
    pub name: String,
    /// Share of images whose best class is their label, in [0, 1].
    pub top1: f64,
    /// Share of images whose label is among the best five, in [0, 1].
    pub top5: f64,
    /// Images evaluated.
    pub images: usize,
    /// The name of the row to give the difference from; `None` or an unknown name gives none.
    pub versus: Option<String>,
    /// A remark; may be empty.
    pub note: String,
}

/// What a model needs of a device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelSummary {
    /// Bytes of the model file.
    pub flash_bytes: usize,
    /// Bytes of state while an image is classified: line buffers, sums and scores.
    pub ram_bytes: usize,
    /// Multiply-accumulates for one image.
    pub macs: usize,
    /// The layers in order; may be empty.
    pub layers: Vec<LayerRow>,
}

/// What a layer needs of a device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LayerRow {
    /// Its name.
    pub name: String,
    /// The shape it makes, such as `24×24×32`.
    pub out: String,
    /// Multiply-accumulates for one image.
    pub macs: usize,
    /// Bytes of weights, biases and quantisation parameters.
    pub flash_bytes: usize,
    /// Bytes of its line buffers and sums.
    pub ram_bytes: usize,
}

/// The pre-training of a variational auto-encoder.
#[derive(Clone, Debug, Default)]
pub struct Pretraining {
    /// The losses, epoch by epoch.
    pub epochs: Vec<VaeEpoch>,
    /// Images and what became of them.
    pub reconstructions: Reconstructions,
    /// Images decoded from z ~ N(0, 1); the page shows the first sixteen.
    pub samples: Vec<Picture>,
    /// Mean KL divergence of each latent dimension over held-out images, in nats.
    pub kl_per_dimension: Vec<f64>,
}

/// The losses of one epoch: means over images. A value that is not finite leaves a gap.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VaeEpoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Σ (x̂ − x)² of a training image.
    pub train_reconstruction: f64,
    /// KL divergence of a training image, in nats.
    pub train_kl: f64,
    /// Σ (x̂ − x)² of a validation image.
    pub val_reconstruction: f64,
    /// KL divergence of a validation image, in nats.
    pub val_kl: f64,
    /// Contrastive loss of a view of a training image, in nats.
    pub train_contrast: f64,
}

/// The same images three times over; the page shows the first eight of each.
#[derive(Clone, Debug, Default)]
pub struct Reconstructions {
    /// The images.
    pub originals: Vec<Picture>,
    /// Their reconstructions after the first epoch.
    pub first_epoch: Vec<Picture>,
    /// Their reconstructions after the last epoch.
    pub last_epoch: Vec<Picture>,
}

/// What lies where in the latent space.
#[derive(Clone, Debug, Default)]
pub struct LatentSpace {
    /// Ways through it.
    pub interpolations: Vec<Interpolation>,
    /// Images and what lies near them.
    pub neighbours: Vec<Neighbours>,
    /// Images among which neighbours were looked for.
    pub among: usize,
    /// Images with labels on a plane: where each lies, and its class.
    pub map: Vec<([f64; 2], usize)>,
}

/// The straight way from one image to another.
#[derive(Clone, Debug)]
pub struct Interpolation {
    /// The image where it begins.
    pub from: Picture,
    /// What the decoder makes of equal steps on it.
    pub steps: Vec<Picture>,
    /// The image where it ends.
    pub to: Picture,
}

/// An image and those that lie nearest to it.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// The image.
    pub query: Picture,
    /// The others, nearest first.
    pub nearest: Vec<Picture>,
}

/// The training of one classifier.
#[derive(Clone, Debug, Default)]
pub struct ClassifierCurve {
    /// Which one, such as `"baseline"`.
    pub name: String,
    /// Its losses and accuracies, epoch by epoch.
    pub epochs: Vec<ClassifierEpoch>,
}

/// One epoch of a classifier. A value that is not finite leaves a gap.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClassifierEpoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean cross-entropy of a training image, in nats, as it was minimised (smoothed labels,
    /// augmented images).
    pub train_loss: f64,
    /// Share of training images classified rightly while they were trained on, in [0, 1].
    pub train_accuracy: f64,
    /// Mean cross-entropy of a validation image, in nats.
    pub val_loss: f64,
    /// Top-1 accuracy on validation images, in [0, 1].
    pub val_top1: f64,
    /// Top-5 accuracy on validation images, in [0, 1].
    pub val_top5: f64,
}

/// Images of one class taken for another.
#[derive(Clone, Debug, Default)]
pub struct Confusion {
    /// The class they belong to.
    pub truth: String,
    /// The class they were taken for.
    pub predicted: String,
    /// Images taken for it.
    pub count: usize,
    /// Images of the true class.
    pub of: usize,
    /// Some of those images; the page shows the first four.
    pub examples: Vec<Picture>,
}

/// How far a model's confidence can be believed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reliability {
    /// The model, such as `"int8"`.
    pub name: String,
    /// Bins of equal width over confidence, from 0 to 1.
    pub bins: Vec<ReliabilityBin>,
    /// Mean distance of confidence from accuracy, in [0, 1].
    pub expected_calibration_error: f64,
}

/// The images whose confidence falls into one bin.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReliabilityBin {
    /// Their mean confidence; 0 in an empty bin.
    pub confidence: f64,
    /// Share of them classified rightly; 0 in an empty bin.
    pub accuracy: f64,
    /// How many they are.
    pub count: usize,
}
