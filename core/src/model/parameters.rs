//! The numbers that a network's layers compute with.

use super::ModelError;
use super::WeightLayout;
use super::order::{Weights, weights};
use super::sections::Counts;
use crate::layer::{Layer, Shape};
use crate::requantise::SHIFTS;

/// Zero point of the image: byte x is the value x − 128.
pub const INPUT_ZERO_POINT: i8 = -128;

/// Scale of the image: bytes stand for numbers in [0, 1].
pub const INPUT_SCALE: f32 = 1.0 / 255.0;

/// How a layer's output is quantised: `real = scale × (value − zero point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Real difference of neighbouring values.
    pub scale: f32,
    /// The value that stands for zero.
    pub zero_point: i8,
    /// The least value: the zero point after a ReLU.
    pub min: i8,
    /// The greatest value.
    pub max: i8,
}

impl Record {
    /// Bytes in a model file; the last one is zero.
    pub const BYTES: usize = 8;

    /// Its bytes in a model file.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [s0, s1, s2, s3] = self.scale.to_le_bytes();
        let [zero_point, min, max] = [self.zero_point as u8, self.min as u8, self.max as u8];
        [s0, s1, s2, s3, zero_point, min, max, 0]
    }

    /// The record of those bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [s0, s1, s2, s3, zero_point, min, max, _] = bytes;
        Self {
            scale: f32::from_le_bytes([s0, s1, s2, s3]),
            zero_point: zero_point as i8,
            min: min as i8,
            max: max as i8,
        }
    }
}

/// The parameters of all layers with weights, one after another. The [module](super) says what
/// each number means.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// Classes told apart; 0 for an encoder.
    pub classes: usize,
    /// How the weights are ordered.
    pub layout: WeightLayout,
    /// A [`Record`] a layer.
    pub records: &'a [[u8; Record::BYTES]],
    /// A multiplier an output channel.
    pub multipliers: &'a [i32],
    /// A shift an output channel.
    pub shifts: &'a [i8],
    /// The weights.
    pub weights: &'a [i8],
    /// A bias an output channel, the input's zero point folded in.
    pub bias: &'a [i32],
}

impl Parameters<'_> {
    /// Checks that these are the parameters of `layers`, all of them, and in range.
    ///
    /// # Errors
    /// [`ModelError`] `Incomplete`, `Scale`, `Clamp`, `Padding`, `Multiplier`, `Shift`, `Weight`,
    /// `Packing`, `Wide`, `Misaligned`.
    pub fn check(&self, layers: &[Layer], input: Shape) -> Result<(), ModelError> {
        let count =
            Counts::of(layers, input, self.classes, self.layout).ok_or(ModelError::Incomplete)?;
        if self.records.len() != count.records
            || self.multipliers.len() != count.channels
            || self.shifts.len() != count.channels
            || self.bias.len() != count.channels
            || self.weights.len() != count.weights
        {
            return Err(ModelError::Incomplete);
        }
        for &bytes in self.records {
            let record = Record::from_bytes(bytes);
            if !record.scale.is_normal() || record.scale < 0.0 {
                return Err(ModelError::Scale);
            }
            if record.min > record.max {
                return Err(ModelError::Clamp);
            }
            if record.to_bytes() != bytes {
                return Err(ModelError::Padding);
            }
        }
        if self.multipliers.iter().any(|&multiplier| multiplier < 0) {
            return Err(ModelError::Multiplier);
        }
        if self.shifts.iter().any(|shift| !SHIFTS.contains(shift)) {
            return Err(ModelError::Shift);
        }
        self.check_weights(layers, input)
    }

    fn check_weights(&self, layers: &[Layer], input: Shape) -> Result<(), ModelError> {
        let (mut shape, mut rest, mut channel) = (input, self.weights, 0);
        for layer in layers {
            let own = weights(layer, shape, self.classes);
            let (bytes, more) = (own.bytes(self.layout))
                .and_then(|count| rest.split_at_checked(count))
                .ok_or(ModelError::Incomplete)?;
            own.check(self.layout, bytes)?;
            if self.layout.is_narrow() {
                self.check_narrow(&own, channel)?;
            }
            (rest, channel) = (more, channel + own.channels);
            shape = layer.output(shape, self.classes);
        }
        Ok(())
    }

    /// Checks that kernels for narrow sums may be used for the layer whose first channel that is.
    pub(crate) fn check_narrow(&self, own: &Weights, channel: usize) -> Result<(), ModelError> {
        let range = channel..channel + own.channels;
        let narrow = own.are_narrow(
            self.bias.get(range.clone()).ok_or(ModelError::Incomplete)?,
            (self.multipliers.get(range.clone())).ok_or(ModelError::Incomplete)?,
            self.shifts.get(range).ok_or(ModelError::Incomplete)?,
        );
        if narrow {
            Ok(())
        } else {
            Err(ModelError::Wide)
        }
    }
}
