//! What a classifier says: logits, probabilities, the best classes.

use crate::model::Model;
use crate::quantised::Quantised;

/// One logit a class.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    values: Quantised<'a>,
    model: &'a Model<'a>,
}

/// One class and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score<'a> {
    /// The class, counted from 0.
    pub class: usize,
    /// Its name, if the model names its classes.
    pub name: Option<&'a str>,
    /// Its logit.
    pub logit: f32,
    /// Its softmax probability.
    pub probability: f32,
}

impl<'a> Logits<'a> {
    /// The logits that a classifier's output stands for. Values beyond the model's classes are
    /// left out.
    pub fn new(values: &'a [i8], model: &'a Model<'_>) -> Self {
        let values = values.get(..model.classes()).unwrap_or(values);
        Self {
            values: Quantised::new(values, model.parameters()),
            model,
        }
    }

    /// The 8-bit logits with their scale and zero point.
    pub const fn quantised(&self) -> Quantised<'a> {
        self.values
    }

    /// The logits, class by class.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        self.values.iter()
    }

    /// The softmax probabilities, class by class.
    pub fn probabilities(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let softmax = Softmax::of(&self.values);
        let values = self.values.values;
        values.iter().map(move |&value| softmax.probability(value))
    }

    /// The `K` best classes, the best one first; of equal ones the lower class first. Fewer if
    /// there are fewer classes.
    pub fn top_k<const K: usize>(&self) -> heapless::Vec<Score<'a>, K> {
        let softmax = Softmax::of(&self.values);
        let mut best = heapless::Vec::new();
        let mut last = None;
        while let Some((class, value)) = self.best_after(last) {
            let score = Score {
                class,
                name: self.model.name(class),
                logit: self.values.real(value),
                probability: softmax.probability(value),
            };
            if best.push(score).is_err() {
                break;
            }
            last = Some((class, value));
        }
        best
    }

    /// The best class, of equal ones the lowest; class 0 where there is none.
    pub fn best(&self) -> usize {
        self.best_after(None).map_or(0, |(class, _)| class)
    }

    /// The class that comes after another in the order of the best.
    fn best_after(&self, last: Option<(usize, i8)>) -> Option<(usize, i8)> {
        let mut best: Option<(usize, i8)> = None;
        for (class, &value) in self.values.values.iter().enumerate() {
            let is_after = last.is_none_or(|(last_class, last)| {
                value < last || (value == last && class > last_class)
            });
            if is_after && best.is_none_or(|(_, best)| value > best) {
                best = Some((class, value));
            }
        }
        best
    }
}

/// `exp(logit − greatest) / sum`, which neither overflows nor divides by zero.
#[derive(Clone, Copy)]
struct Softmax {
    greatest: i8,
    scale: f32,
    sum: f32,
}

impl Softmax {
    fn of(logits: &Quantised<'_>) -> Self {
        let mut softmax = Self {
            greatest: logits.values.iter().copied().max().unwrap_or_default(),
            scale: logits.scale,
            sum: 1.0,
        };
        softmax.sum = logits.values.iter().map(|&v| softmax.probability(v)).sum();
        softmax
    }

    fn probability(&self, value: i8) -> f32 {
        let below = i32::from(value) - i32::from(self.greatest);
        libm::expf(below as f32 * self.scale) / self.sum
    }
}
