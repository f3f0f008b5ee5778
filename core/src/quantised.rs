//! A vector of 8-bit values that stand for real numbers.

use crate::model::{Parameters, Record};

/// What a network gives: values, and what they stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantised<'a> {
    /// The values.
    pub values: &'a [i8],
    /// Real difference of neighbouring values.
    pub scale: f32,
    /// The value that stands for zero.
    pub zero_point: i8,
}

impl<'a> Quantised<'a> {
    /// The output of a network with those parameters.
    pub(crate) fn new(values: &'a [i8], parameters: &Parameters<'_>) -> Self {
        let record = parameters.records.last().copied().unwrap_or_default();
        let Record {
            scale, zero_point, ..
        } = Record::from_bytes(record);
        Self {
            values,
            scale,
            zero_point,
        }
    }

    /// The real number that `value` stands for: `scale × (value − zero point)`.
    pub fn real(&self, value: i8) -> f32 {
        let steps = i32::from(value) - i32::from(self.zero_point);
        steps as f32 * self.scale
    }

    /// The real numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let Self { values, .. } = *self;
        let quantised = *self;
        values.iter().map(move |&value| quantised.real(value))
    }
}
