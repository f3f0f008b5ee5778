//! Images to the features that a model file makes of them.

use anyhow::{Result, ensure};
use vae96::Quantised;
use vae96::model::Model;
use vae96::prototypes::MAX_FEATURES;

use crate::data::Images;
use crate::evaluate::inference;

/// The features of images: one row of 8-bit values an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    dims: usize,
    values: Vec<i8>,
    scale: f32,
    zero_point: i8,
}

impl Features {
    /// Rows that lie one after the other, with the scale and zero point of the model's output.
    ///
    /// # Panics
    /// If `dims` is 0.
    pub fn new(dims: usize, values: Vec<i8>, scale: f32, zero_point: i8) -> Self {
        assert!(dims > 0, "no features");
        Self {
            dims,
            values,
            scale,
            zero_point,
        }
    }

    /// What the model, which must be of an encoder, makes of images, on all cores.
    pub fn of(model: &Model<'_>, images: &Images) -> Result<Self> {
        check(model)?;
        let rows = inference::each(model, images, Self::row_of)?;
        let (scale, zero_point) = rows
            .first()
            .map_or((1.0, 0), |row| (row.scale, row.zero_point));
        let values = rows.iter().flat_map(|row| &row.values).copied().collect();
        Ok(Self::new(model.outputs(), values, scale, zero_point))
    }

    fn row_of(answer: Quantised<'_>) -> Self {
        let values = answer.values.to_vec();
        Self::new(values.len(), values, answer.scale, answer.zero_point)
    }

    /// Features of an image.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// An image's features.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn row(&self, index: usize) -> Quantised<'_> {
        Quantised {
            values: &self.values[index * self.dims..][..self.dims],
            scale: self.scale,
            zero_point: self.zero_point,
        }
    }
}

/// What a model makes of one image, 96×96 RGB bytes: a single row. `buffer` is that of
/// [`inference::buffer`].
pub fn one(model: &Model<'_>, image: &[u8], buffer: &mut [i32]) -> Result<Features> {
    inference::one(model, image, buffer, Features::row_of)
}

/// Whether classes can be taught with what a model gives.
pub fn check(model: &Model<'_>) -> Result<()> {
    ensure!(
        !model.kind().is_classifier(),
        "classes are taught with an encoder, and the model is a classifier: export one with \
         --kind encoder, of a pre-training"
    );
    ensure!(
        model.outputs() <= MAX_FEATURES,
        "the model gives {} features; at most {MAX_FEATURES} can be used",
        model.outputs()
    );
    Ok(())
}
