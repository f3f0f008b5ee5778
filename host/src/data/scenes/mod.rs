//! The built-in data set: scenes drawn by code, so that everything runs without a download.
//!
//! A scene shows one main object, the largest, in front of clutter. Its class is its shape *and*
//! its texture: smaller objects, the background and every class share shapes and textures, all
//! textures and shapes cover the same area, and colours say nothing, so neither alone tells the
//! class.

mod draw;
mod shape;
mod texture;

use rand::RngExt;
use rayon::prelude::*;

use super::random::{Purpose, rng};
use super::{Dataset, IMAGE_BYTES, Images, Labelled};
use draw::draw;
use shape::Shape;
use texture::Texture;

/// How many scenes to draw, and from which seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What all scenes are drawn from.
    pub seed: u64,
    /// Training images of each class.
    pub train_per_class: usize,
    /// Validation images of each class.
    pub val_per_class: usize,
    /// Unlabelled images, of any class.
    pub unlabelled: usize,
}

/// How many classes there are.
pub const CLASSES: usize = Shape::ALL.len() * Texture::ALL.len();

/// Draws the data set. The first images of a part do not depend on how many there are.
pub fn dataset(options: &Options) -> Dataset {
    let labelled = |part, per_class: usize| {
        let labels: Vec<_> = (0..CLASSES * per_class).map(|i| i % CLASSES).collect();
        let images = scenes(options.seed, part, labels.len(), |i| Some(labels[i]));
        Labelled { images, labels }
    };
    Dataset {
        classes: classes(),
        train: labelled(Part::Train, options.train_per_class),
        val: labelled(Part::Val, options.val_per_class),
        unlabelled: scenes(options.seed, Part::Unlabelled, options.unlabelled, |_| None),
        ..Dataset::default()
    }
}

/// The classes' names, sorted.
fn classes() -> Vec<String> {
    let names = (0..CLASSES).map(|class| {
        let (shape, texture) = parts(class);
        format!("{}-{}", shape.name(), texture.name())
    });
    names.collect()
}

fn parts(class: usize) -> (Shape, Texture) {
    let textures = Texture::ALL.len();
    (Shape::ALL[class / textures], Texture::ALL[class % textures])
}

/// The parts of the data set, which share no image.
#[derive(Clone, Copy)]
enum Part {
    Train,
    Val,
    Unlabelled,
}

/// `count` scenes; those without a class show a random one.
fn scenes(
    seed: u64,
    part: Part,
    count: usize,
    class: impl Fn(usize) -> Option<usize> + Sync,
) -> Images {
    let mut bytes = vec![0; count * IMAGE_BYTES];
    let images = bytes.par_chunks_exact_mut(IMAGE_BYTES).enumerate();
    images.for_each(|(i, out)| {
        let mut rng = rng(seed, Purpose::Scene, part as u64, i as u64);
        let class = class(i).unwrap_or_else(|| rng.random_range(0..CLASSES));
        let (shape, texture) = parts(class);
        draw(shape, texture, &mut rng, out);
    });
    Images::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const FEW: Options = Options {
        seed: 1,
        train_per_class: 3,
        val_per_class: 2,
        unlabelled: 10,
    };

    fn all(images: &Images) -> Vec<Vec<u8>> {
        let read = |i| {
            let mut image = vec![0; IMAGE_BYTES];
            images.read(i, &mut image).unwrap();
            image
        };
        (0..images.len()).map(read).collect()
    }

    #[test]
    fn classes_are_pairs_in_sorted_order() {
        let data = dataset(&FEW);
        assert_eq!(data.classes.len(), 12);
        assert!(data.classes.is_sorted());
        assert!(data.classes.contains(&"disc-striped".to_owned()));
        for (part, per_class) in [(&data.train, 3), (&data.val, 2)] {
            assert_eq!(part.images.len(), 12 * per_class);
            for class in 0..12 {
                let count = part.labels.iter().filter(|&&label| label == class).count();
                assert_eq!(count, per_class);
            }
        }
        assert_eq!(data.unlabelled.len(), 10);
    }

    #[test]
    fn every_scene_is_another() {
        let data = dataset(&FEW);
        let parts = [&data.train.images, &data.val.images, &data.unlabelled];
        let scenes: HashSet<_> = parts.into_iter().flat_map(all).collect();
        assert_eq!(scenes.len(), 36 + 24 + 10);
    }

    #[test]
    fn a_seed_gives_the_same_scenes_whatever_the_threads_and_the_counts() {
        let more = Options {
            train_per_class: 4,
            unlabelled: 20,
            ..FEW
        };
        let few = dataset(&FEW);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        let more = pool.build().unwrap().install(|| dataset(&more));
        assert_eq!(all(&few.train.images), all(&more.train.images)[..36]);
        assert_eq!(all(&few.unlabelled), all(&more.unlabelled)[..10]);
        let other = dataset(&Options { seed: 2, ..FEW });
        assert_ne!(all(&few.val.images), all(&other.val.images));
    }

    /// Mean colours must not tell the classes apart: a nearest-mean rule stays near chance.
    #[test]
    fn colours_say_nothing() {
        let data = dataset(&Options {
            train_per_class: 60,
            val_per_class: 40,
            ..FEW
        });
        let mean = |image: &Vec<u8>| {
            let mut mean = [0.0; 3];
            for (i, &byte) in image.iter().enumerate() {
                mean[i % 3] += f64::from(byte) / (96.0 * 96.0);
            }
            mean
        };
        let mut means = [[0.0; 3]; CLASSES];
        for (image, &label) in all(&data.train.images).iter().zip(&data.train.labels) {
            for (sum, value) in means[label].iter_mut().zip(mean(image)) {
                *sum += value / 60.0;
            }
        }
        let distance = |a: &[f64; 3], b: &[f64; 3]| -> f64 {
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let images = all(&data.val.images);
        let right = images
            .iter()
            .zip(&data.val.labels)
            .filter(|(image, label)| {
                let colour = mean(image);
                let nearest = (0..CLASSES)
                    .min_by(|&a, &b| {
                        distance(&means[a], &colour).total_cmp(&distance(&means[b], &colour))
                    })
                    .unwrap();
                nearest == **label
            });
        let share = right.count() as f64 / images.len() as f64;
        assert!(share < 0.16, "{share}, chance is 0.083");
    }
}
