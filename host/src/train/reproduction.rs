//! What `reproduce` trains: the paper's classifiers, each with how many labels and which seed.

use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};
use serde::{Deserialize, Serialize};

use super::recipe::{Encoder, Head};
use super::settings::settings;

settings! {
    /// The extent of a reproduction.
    Reproduction, ReproductionArguments;
    /// Labelled images a class, separated by commas: the pre-trained classifier and the baseline
    /// are trained with each number, the four settings with the largest. Of a seed, a smaller
    /// number takes a subset of a larger one's. Numbers that a class has not enough images for
    /// are left out.
    labels: LabelCounts,
    /// Seeds that each classifier is trained with, from the run's seed on: a seed draws the
    /// labelled images, the initial head and the order.
    seeds: usize,
}

/// Numbers of labelled images a class: at least one, ascending, none twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct LabelCounts(Vec<usize>);

impl LabelCounts {
    /// Those of which a class with `images` images has enough, and the others.
    pub fn within(&self, images: usize) -> (Vec<usize>, Vec<usize>) {
        self.0.iter().partition(|&&count| count <= images)
    }
}

impl TryFrom<Vec<usize>> for LabelCounts {
    type Error = Error;

    fn try_from(mut counts: Vec<usize>) -> Result<Self> {
        ensure!(!counts.is_empty(), "labels names no number of labels");
        ensure!(
            !counts.contains(&0),
            "labels has 0 in it; a class needs at least 1 labelled image"
        );
        counts.sort_unstable();
        counts.dedup();
        Ok(Self(counts))
    }
}

impl From<LabelCounts> for Vec<usize> {
    fn from(counts: LabelCounts) -> Self {
        counts.0
    }
}

impl FromStr for LabelCounts {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| {
            let wanted = || format!("{part:?} is no number; right is a list such as 1,4,16");
            part.trim().parse().with_context(wanted)
        };
        let counts: Vec<usize> = text.split(',').map(number).collect::<Result<_>>()?;
        counts.try_into()
    }
}

impl Reproduction {
    /// The paper's numbers of labels, or a few of them for images that are for trying things out.
    pub fn defaults(built_in: bool) -> Self {
        let labels = match built_in {
            true => vec![1, 4, 16, 64],
            false => vec![1, 2, 4, 8, 16, 32, 64],
        };
        Self {
            labels: LabelCounts(labels),
            seeds: 3,
        }
    }
}

/// The paper's classifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Convolutional head, the pre-trained encoder goes on learning.
    ConvLearn,
    /// Convolutional head, the pre-trained encoder stays.
    ConvFreeze,
    /// Feed-forward head, the pre-trained encoder goes on learning.
    DenseLearn,
    /// Feed-forward head, the pre-trained encoder stays.
    DenseFreeze,
    /// Convolutional head, all of it from scratch.
    Baseline,
}

impl Setting {
    /// All of them, in the paper's order.
    pub const ALL: [Self; 5] = [
        Self::ConvLearn,
        Self::ConvFreeze,
        Self::DenseLearn,
        Self::DenseFreeze,
        Self::Baseline,
    ];

    /// Its name in files and folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConvLearn => "conv-learn",
            Self::ConvFreeze => "conv-freeze",
            Self::DenseLearn => "dense-learn",
            Self::DenseFreeze => "dense-freeze",
            Self::Baseline => "baseline",
        }
    }

    /// Its head.
    pub fn head(self) -> Head {
        match self {
            Self::ConvLearn | Self::ConvFreeze | Self::Baseline => Head::Conv,
            Self::DenseLearn | Self::DenseFreeze => Head::Dense,
        }
    }

    /// Whether its encoder learns.
    pub fn encoder(self) -> Encoder {
        match self {
            Self::ConvLearn | Self::DenseLearn | Self::Baseline => Encoder::Learn,
            Self::ConvFreeze | Self::DenseFreeze => Encoder::Freeze,
        }
    }
}

/// One classifier to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// Which of the paper's.
    pub setting: Setting,
    /// Labelled images a class.
    pub labels: usize,
    /// What draws these images, the initial head and the order.
    pub seed: u64,
}

impl Training {
    /// The name of its folder.
    pub fn folder(self) -> String {
        let setting = self.setting.name();
        format!("{setting}-{}-labels-seed-{}", self.labels, self.seed)
    }
}

/// The classifiers to train with these numbers of labels, ascending: seed by seed, so that a run
/// that is stopped early has every figure of its first seeds.
pub fn trainings(labels: &[usize], seeds: std::ops::Range<u64>) -> Vec<Training> {
    let Some((&most, fewer)) = labels.split_last() else {
        return Vec::new();
    };
    let of_seed = |seed| {
        let all = Setting::ALL.map(|setting| (setting, most));
        let compared = fewer.iter().rev().flat_map(|&labels| {
            [Setting::ConvLearn, Setting::Baseline].map(|setting| (setting, labels))
        });
        let all = all.into_iter().chain(compared).collect::<Vec<_>>();
        all.into_iter().map(move |(setting, labels)| Training {
            setting,
            labels,
            seed,
        })
    };
    seeds.flat_map(of_seed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn label_counts_are_sorted_and_none_is_there_twice() {
        let counts: LabelCounts = "16, 1,4,1".parse().unwrap();
        assert_eq!(Vec::from(counts.clone()), [1, 4, 16]);
        assert_eq!(counts.within(15), (vec![1, 4], vec![16]));
        for (wrong, part) in [("", "no number"), ("1,x", "\"x\""), ("0,1", "0 in it")] {
            let error = format!("{:#}", wrong.parse::<LabelCounts>().unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn every_setting_at_the_most_labels_and_two_at_each_number() {
        let all = trainings(&[1, 8, 64], 5..7);
        assert_eq!(all.len(), 2 * (5 + 2 * 2));
        let folders: BTreeSet<_> = all.iter().map(|training| training.folder()).collect();
        assert_eq!(folders.len(), all.len());
        assert_eq!(all[4].folder(), "baseline-64-labels-seed-5");
        for seed in [5, 6] {
            for labels in [1, 8, 64] {
                for setting in [Setting::ConvLearn, Setting::Baseline] {
                    let wanted = Training {
                        setting,
                        labels,
                        seed,
                    };
                    assert!(all.contains(&wanted), "{wanted:?}");
                }
            }
        }
        assert!(trainings(&[], 0..3).is_empty());
    }
}
