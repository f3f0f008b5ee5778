//! Draws of classes and images: some to teach, others to ask about.

use anyhow::{Result, ensure};
use rand::seq::SliceRandom;
use vae96::model::Model;

use super::Taught;
use super::features::Features;
use crate::data::random::{Purpose, rng};

/// Images asked about, of each class that is taught.
const ASKED: usize = 20;

/// The images of each class, by index.
pub type OfClass = Vec<Vec<usize>>;

/// What is taught and asked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The images that teach each class.
    pub taught: OfClass,
    /// Other images of those classes, each with its class.
    pub known: Vec<(usize, usize)>,
    /// As many images of other classes, where there are so many.
    pub unknown: Vec<usize>,
}

impl Episode {
    /// The prototypes of what is taught, as classes named by their numbers.
    ///
    /// # Errors
    /// If the features are not the model's.
    pub fn teach(&self, model: &Model<'_>, features: &Features) -> Result<Box<Taught>> {
        let mut taught = Box::new(Taught::of(model)?);
        for (class, images) in self.taught.iter().enumerate() {
            for &image in images {
                taught.teach(&class.to_string(), &features.row(image))?;
            }
        }
        Ok(taught)
    }
}

/// The images of each class that has some.
pub fn of_class(labels: &[usize]) -> OfClass {
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let mut images = vec![Vec::new(); classes];
    for (image, &label) in labels.iter().enumerate() {
        images[label].push(image);
    }
    images.retain(|images| !images.is_empty());
    images
}

/// Halves the classes by `seed`, the second half the larger one.
pub fn halves(mut images: OfClass, seed: u64) -> (OfClass, OfClass) {
    images.shuffle(&mut rng(seed, Purpose::Episodes, 1, 0));
    let second = images.split_off(images.len() / 2);
    (images, second)
}

/// Checks that episodes can be drawn: classes beside those taught, and images of each to ask about.
///
/// # Errors
/// That say how many there are and should be.
pub fn check(images: &OfClass, ways: usize, shots: usize) -> Result<()> {
    ensure!(
        images.len() > ways,
        "{ways} classes are taught at a time, and at least one other must be there to ask about; \
         there are {}",
        images.len()
    );
    let fewest = images.iter().map(Vec::len).min().unwrap_or(0);
    ensure!(
        fewest > shots,
        "{shots} images teach a class, and at least one other must be there to ask about; one of \
         the classes has {fewest}"
    );
    Ok(())
}

/// Episode number `draw` of `seed`: `ways` classes of those, taught by `shots` images each.
pub fn draw(images: &OfClass, ways: usize, shots: usize, seed: u64, draw: u64) -> Episode {
    let mut rng = rng(seed, Purpose::Episodes, 0, draw);
    let mut images = images.clone();
    images.shuffle(&mut rng);
    images
        .iter_mut()
        .for_each(|images| images.shuffle(&mut rng));
    let others = images.split_off(ways.min(images.len()));
    let mut unknown = others.concat();
    unknown.shuffle(&mut rng);
    let mut episode = Episode {
        taught: Vec::new(),
        known: Vec::new(),
        unknown,
    };
    for (class, mut images) in images.into_iter().enumerate() {
        let asked = images.split_off(shots.min(images.len()));
        episode
            .known
            .extend(asked.into_iter().take(ASKED).map(|image| (image, class)));
        episode.taught.push(images);
    }
    episode.unknown.truncate(episode.known.len());
    episode
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn what_is_asked_was_not_taught(
            labels in prop::collection::vec(0usize..6, 1..200),
            ways in 1usize..6,
            shots in 1usize..6,
            seed: u64,
        ) {
            let images = of_class(&labels);
            prop_assume!(check(&images, ways, shots).is_ok());
            let episode = draw(&images, ways, shots, seed, 3);
            prop_assert_eq!(&episode, &draw(&images, ways, shots, seed, 3));
            prop_assert_eq!(episode.taught.len(), ways);
            let mut seen = BTreeSet::new();
            let mut classes = BTreeSet::new();
            for taught in &episode.taught {
                prop_assert_eq!(taught.len(), shots);
                classes.extend(taught.iter().map(|&image| labels[image]));
                prop_assert!(taught.iter().all(|&image| seen.insert(image)));
            }
            prop_assert_eq!(classes.len(), ways);
            for &(image, class) in &episode.known {
                prop_assert!(seen.insert(image));
                prop_assert_eq!(labels[image], labels[episode.taught[class][0]]);
            }
            prop_assert!(!episode.unknown.is_empty());
            prop_assert!(episode.unknown.len() <= episode.known.len());
            for &image in &episode.unknown {
                prop_assert!(seen.insert(image) && !classes.contains(&labels[image]));
            }
        }

        #[test]
        fn halves_share_no_class(labels in prop::collection::vec(0usize..9, 0..99), seed: u64) {
            let images = of_class(&labels);
            let (first, second) = halves(images.clone(), seed);
            prop_assert!(first.len() == images.len() / 2);
            let mut all = [first, second].concat();
            all.sort();
            let mut images = images;
            images.sort();
            prop_assert_eq!(all, images);
        }
    }

    #[test]
    fn too_little_to_draw_from_is_refused() {
        let said = |labels: &[usize], ways, shots| {
            check(&of_class(labels), ways, shots)
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[], 1, 1).contains("there are 0"));
        assert!(said(&[0, 0, 1, 1], 2, 1).contains("there are 2"));
        assert!(said(&[0, 0, 1, 1, 1], 1, 2).contains("has 2"));
    }
}
