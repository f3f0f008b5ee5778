//! Which labelled images a run sees.

use anyhow::{Result, ensure};
use rand::seq::SliceRandom;

use super::random::{Purpose, rng};

/// Labelled images drawn for a run: indices, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Those to learn from.
    pub train: Vec<usize>,
    /// Those held out, to choose by: they are labelled images too, and count as such.
    pub held_out: Vec<usize>,
}

/// Draws `per_class` images of every class by `seed`, or takes all of them, and holds the last
/// `hold_out` drawn of each class out. `labels` has a class for each image, an index into
/// `classes`.
///
/// Each class's images are drawn one after another, so that N of them contain those of every
/// smaller number.
///
/// # Errors
/// If a class has fewer images than `per_class`, or all of one would be held out.
pub fn split(
    labels: &[usize],
    classes: &[String],
    per_class: Option<usize>,
    hold_out: usize,
    seed: u64,
) -> Result<Split> {
    let mut of_class = vec![Vec::new(); classes.len()];
    for (index, &label) in labels.iter().enumerate() {
        of_class[label].push(index);
    }
    let mut split = Split::default();
    for (class, (mut drawn, name)) in of_class.into_iter().zip(classes).enumerate() {
        drawn.shuffle(&mut rng(seed, Purpose::Split, 0, class as u64));
        if let Some(wanted) = per_class {
            ensure!(
                wanted <= drawn.len(),
                "{wanted} labels per class were asked for, but the class {name} has {} images",
                drawn.len(),
            );
            drawn.truncate(wanted);
        }
        ensure!(
            hold_out == 0 || hold_out < drawn.len(),
            "{hold_out} images of each class cannot be held out: the class {name} has {} labelled \
             images, and one at least must be left to learn from",
            drawn.len(),
        );
        split
            .held_out
            .extend(drawn.split_off(drawn.len() - hold_out));
        split.train.extend(drawn);
    }
    split.train.sort_unstable();
    split.held_out.sort_unstable();
    Ok(split)
}

/// Holds `count` of `images` unlabelled images out, drawn by `seed`.
pub fn hold_out(images: usize, count: usize, seed: u64) -> Split {
    let mut train: Vec<usize> = (0..images).collect();
    train.shuffle(&mut rng(seed, Purpose::HoldOut, 0, 0));
    let mut held_out = train.split_off(images - count.min(images));
    train.sort_unstable();
    held_out.sort_unstable();
    Split { train, held_out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("class {i}")).collect()
    }

    /// `per_class` images of each of three classes, interleaved.
    fn labels(per_class: usize) -> Vec<usize> {
        (0..3 * per_class).map(|i| i % 3).collect()
    }

    proptest! {
        #[test]
        fn more_labels_contain_fewer(seed: u64, images in 2usize..80, a in 1usize..80, b in 1usize..80) {
            let (few, many) = (a.min(b).min(images), a.max(b).min(images));
            let draw = |n| split(&labels(images), &names(3), Some(n), 0, seed).unwrap().train;
            let many: BTreeSet<_> = draw(many).into_iter().collect();
            prop_assert!(draw(few).iter().all(|index| many.contains(index)));
        }

        #[test]
        fn every_class_gets_as_many_as_asked_for_each_image_once(
            seed: u64,
            images in 2usize..80,
            n in 2usize..80,
            hold_out in 0usize..80,
        ) {
            let (n, labels) = (n.min(images), labels(images));
            let hold_out = hold_out.min(n - 1);
            let split = split(&labels, &names(3), Some(n), hold_out, seed).unwrap();
            let of = |indices: &[usize], class| {
                indices.iter().filter(|&&index| labels[index] == class).count()
            };
            for class in 0..3 {
                prop_assert_eq!(of(&split.train, class), n - hold_out);
                prop_assert_eq!(of(&split.held_out, class), hold_out);
            }
            let distinct: BTreeSet<_> = split.train.iter().chain(&split.held_out).collect();
            prop_assert_eq!(distinct.len(), 3 * n);
        }

        #[test]
        fn holding_out_draws_no_other_images(seed: u64, n in 2usize..20) {
            let draw = |hold_out| split(&labels(20), &names(3), Some(n), hold_out, seed).unwrap();
            let Split { mut train, held_out } = draw(1);
            train.extend(held_out);
            train.sort_unstable();
            prop_assert_eq!(train, draw(0).train);
        }
    }

    /// What a seed means must not change from one version to the next.
    #[test]
    fn a_seed_draws_the_same_images_for_ever() {
        let drawn = split(&labels(20), &names(3), Some(2), 0, 3).unwrap();
        assert_eq!(drawn.train, [10, 12, 23, 46, 48, 50]);
        let other = split(&labels(20), &names(3), Some(2), 0, 4).unwrap();
        assert_ne!(drawn, other);
    }

    #[test]
    fn all_images_if_no_number_is_given() {
        let all = split(&labels(5), &names(3), None, 0, 1).unwrap();
        assert_eq!(all.train, (0..15).collect::<Vec<_>>());
    }

    #[test]
    fn errors_name_the_class_and_the_numbers() {
        let labels = [0, 0, 0, 1, 1, 2, 2, 2];
        let error = |per_class, hold_out| {
            let split = split(&labels, &names(3), per_class, hold_out, 1);
            split.unwrap_err().to_string()
        };
        let short = error(Some(3), 0);
        assert!(
            short.contains("3 labels") && short.contains("class 1 has 2"),
            "{short}"
        );
        let held = error(None, 2);
        assert!(
            held.contains("2 images") && held.contains("class 1 has 2"),
            "{held}"
        );
    }
}
