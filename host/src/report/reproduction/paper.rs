//! The paper's own values: *Exploring VAEs to Empower Self-Supervised Learning* (Mody, Panda,
//! Nabila), its authors' training logs and plotting notebook. Accuracies are per cent.

/// What Table 1 gives for every number of labels alike, top-1 and top-5.
pub const TABLE: (f64, f64) = (8.41, 20.7);

/// Labels a class of Table 1, and the top-1 accuracy that the authors' plotting notebook draws.
pub const NOTEBOOK: [(usize, f64); 7] = [
    (1, 0.5),
    (2, 1.2),
    (4, 1.9),
    (8, 3.1),
    (16, 4.4),
    (32, 5.9),
    (64, 8.4),
];

/// The best validation top-1 of each setting with 64 labels a class.
const SETTINGS: [(&str, f64); 5] = [
    ("conv-learn", 8.4),
    ("conv-freeze", 7.3),
    ("dense-learn", 5.6),
    ("dense-freeze", 4.9),
    ("baseline", 7.9),
];

/// The epoch of the best convolutional, learning classifier, and its last epoch's top-1.
pub const BEST_EPOCH: usize = 8;
/// Where that classifier ends after it overfits.
pub const OVERFITTED_TOP1: f64 = 5.5;
/// Top-5 points of the best over the baseline.
pub const TOP5_GAIN: f64 = 1.55;

/// Training loss of an image, the mean of each epoch.
pub const EPOCH_LOSSES: [f64; 7] = [854.0, 662.0, 634.0, 620.0, 612.0, 605.0, 601.0];
/// Validation loss of an image: epoch and value.
pub const VALIDATION_LOSS: (usize, f64) = (7, 598.0);

/// Training loss of an image over single batches of 128: steps done before, and value.
pub const STEP_LOSSES: [(usize, f64); 5] = [
    (0, 6675.0),
    (40, 1880.0),
    (100, 1493.0),
    (200, 1183.0),
    (290, 1090.0),
];

/// The best validation top-1 of a setting, by its name in files.
pub fn top1(setting: &str) -> Option<f64> {
    let found = SETTINGS.iter().find(|(name, _)| *name == setting)?;
    Some(found.1)
}

/// The notebook's top-1 with so many labels a class.
pub fn notebook(labels: usize) -> Option<f64> {
    let found = NOTEBOOK.iter().find(|(count, _)| *count == labels)?;
    Some(found.1)
}
