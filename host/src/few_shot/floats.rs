//! The same features, classified in real numbers.

use anyhow::{Result, anyhow};
use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};

use super::episodes::Episode;
use super::features::Features;

/// A classifier in real numbers, taught by an episode.
pub enum Float {
    /// The class whose mean is nearest.
    Mean(Vec<Vec<f64>>),
    /// The class whose sum of signed roots is at the smallest angle: the prototypes' formula.
    Angle(Vec<Vec<f64>>),
    /// The class of the greatest value of a linear function.
    Linear(Linear),
}

/// Ridge regression (Hoerl and Kennard, 1970) of each class's indicator on the features, less their
/// mean, with a penalty of the mean squared length of the features.
pub struct Linear {
    mean: Vec<f64>,
    weights: Vec<Vec<f64>>,
}

impl Float {
    /// The three of them.
    pub fn all(features: &Features, episode: &Episode) -> Result<[Self; 3]> {
        let means = sums(features, episode, |image| reals(features, image))
            .into_iter()
            .zip(&episode.taught)
            .map(|(sum, images)| sum.iter().map(|sum| sum / images.len() as f64).collect());
        let angles = sums(features, episode, |image| roots(features, image));
        Ok([
            Self::Angle(angles),
            Self::Mean(means.collect()),
            Self::Linear(Linear::fit(features, episode)?),
        ])
    }

    /// The class of an image, of equal ones the lowest.
    pub fn classify(&self, features: &Features, image: usize) -> usize {
        match self {
            Self::Mean(means) => {
                let image = reals(features, image);
                best(means.iter().map(|mean| -squared_distance(&image, mean)))
            }
            Self::Angle(sums) => {
                let image = roots(features, image);
                best(
                    sums.iter()
                        .map(|sum| dot(&image, sum) / dot(sum, sum).sqrt().max(1e-9)),
                )
            }
            Self::Linear(linear) => {
                let image = less(&reals(features, image), &linear.mean);
                best(linear.weights.iter().map(|weights| dot(&image, weights)))
            }
        }
    }
}

impl Linear {
    fn fit(features: &Features, episode: &Episode) -> Result<Self> {
        let of_class = episode.taught.iter().enumerate();
        let images: Vec<(usize, Vec<f64>)> = of_class
            .flat_map(|(class, images)| images.iter().map(move |&image| (class, image)))
            .map(|(class, image)| (class, reals(features, image)))
            .collect();
        let (count, classes) = (images.len(), episode.taught.len());
        let dims = images.first().map_or(0, |(_, image)| image.len());
        let mut mean = vec![0.0; dims];
        for (_, image) in &images {
            mean.iter_mut()
                .zip(image)
                .for_each(|(mean, x)| *mean += x / count as f64);
        }
        let centred: Vec<_> = images.iter().map(|(_, image)| less(image, &mean)).collect();
        // (X Xᵀ + λ) α = Y, with as many unknowns a class as there are images.
        let mut kernel = Mat::from_fn(count, count, |i, j| dot(&centred[i], &centred[j]));
        let penalty = (0..count).map(|i| kernel[(i, i)]).sum::<f64>() / count as f64 + 1e-9;
        for i in 0..count {
            kernel[(i, i)] += penalty;
        }
        let indicators = Mat::from_fn(count, classes, |i, class| {
            f64::from(u8::from(images[i].0 == class)) - 1.0 / classes as f64
        });
        let factor = Llt::new(kernel.as_ref(), Side::Lower)
            .map_err(|error| anyhow!("ridge regression failed: {error:?}"))?;
        let solution = factor.solve(&indicators);
        let mut weights = vec![vec![0.0; dims]; classes];
        for (class, weights) in weights.iter_mut().enumerate() {
            for (i, image) in centred.iter().enumerate() {
                let share = solution[(i, class)];
                weights
                    .iter_mut()
                    .zip(image)
                    .for_each(|(weight, x)| *weight += share * x);
            }
        }
        Ok(Self { mean, weights })
    }
}

/// The sum of what `values` makes of each class's images.
fn sums(
    features: &Features,
    episode: &Episode,
    values: impl Fn(usize) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let dims = features.dims();
    let sum = |images: &Vec<usize>| {
        let mut sum = vec![0.0; dims];
        for &image in images {
            sum.iter_mut()
                .zip(values(image))
                .for_each(|(sum, x)| *sum += x);
        }
        sum
    };
    episode.taught.iter().map(sum).collect()
}

fn reals(features: &Features, image: usize) -> Vec<f64> {
    features.row(image).iter().map(f64::from).collect()
}

fn roots(features: &Features, image: usize) -> Vec<f64> {
    let root = |x: f64| x.signum() * x.abs().sqrt();
    reals(features, image).into_iter().map(root).collect()
}

fn best(values: impl Iterator<Item = f64>) -> usize {
    let first = (0, f64::NEG_INFINITY);
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().fold(first, better).0
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn less(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes on two axes, two images each, and one image of each to ask about.
    fn lesson() -> (Features, Episode) {
        let values = vec![90, 10, 70, -10, 10, 60, -10, 100, 50, 20, 20, 50];
        let episode = Episode {
            taught: vec![vec![0, 1], vec![2, 3]],
            known: vec![(4, 0), (5, 1)],
            unknown: Vec::new(),
        };
        (Features::new(2, values, 0.5, 0), episode)
    }

    #[test]
    fn all_tell_axes_apart() {
        let (features, episode) = lesson();
        for float in Float::all(&features, &episode).unwrap() {
            for &(image, class) in &episode.known {
                assert_eq!(float.classify(&features, image), class);
            }
        }
    }

    /// The optimality condition of ridge regression: Xᵀ(Y − XW) = λW.
    #[test]
    fn ridge_regression_is_where_its_gradient_vanishes() {
        let (features, episode) = lesson();
        let linear = Linear::fit(&features, &episode).unwrap();
        let images: Vec<_> = (0..4)
            .map(|i| less(&reals(&features, i), &linear.mean))
            .collect();
        let penalty = images.iter().map(|image| dot(image, image)).sum::<f64>() / 4.0;
        for (class, weights) in linear.weights.iter().enumerate() {
            for (axis, weight) in weights.iter().enumerate() {
                let pull = |(i, image): (usize, &Vec<f64>)| {
                    let indicator = if i / 2 == class { 0.5 } else { -0.5 };
                    image[axis] * (indicator - dot(image, weights))
                };
                let pull: f64 = images.iter().enumerate().map(pull).sum();
                assert!((pull - penalty * weight).abs() < 1e-6, "{pull}");
            }
        }
    }
}
