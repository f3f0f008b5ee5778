//! Where the sections of a model file lie: it follows from the network, the number of classes
//! and the length of the names.

use core::ops::Range;

use super::order::weights;
use super::{ALIGNMENT, Header, ModelError, Record, WeightLayout};
use crate::layer::{Layer, Shape};

/// The bytes that each part of a file takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sections {
    pub names: Range<usize>,
    pub records: Range<usize>,
    pub multipliers: Range<usize>,
    pub shifts: Range<usize>,
    pub weights: Range<usize>,
    pub bias: Range<usize>,
    /// Length of the file.
    pub length: usize,
}

impl Sections {
    /// The sections of a file for those layers. `None` where they are longer than memory.
    pub fn of(
        layers: &[Layer],
        input: Shape,
        classes: usize,
        layout: WeightLayout,
        names: usize,
    ) -> Option<Self> {
        let count = Counts::of(layers, input, classes, layout)?;
        let mut at = Header::BYTES;
        let names = take(&mut at, Some(names), ALIGNMENT)?;
        let records = take(&mut at, count.records.checked_mul(Record::BYTES), ALIGNMENT)?;
        let multipliers = take(&mut at, count.channels.checked_mul(4), 4)?;
        let shifts = take(&mut at, Some(count.channels), 1)?;
        let weights = take(&mut at, Some(count.weights), ALIGNMENT)?;
        let bias = take(&mut at, count.channels.checked_mul(4), ALIGNMENT)?;
        Some(Self {
            names,
            records,
            multipliers,
            shifts,
            weights,
            bias,
            length: at,
        })
    }

    /// Checks that the bytes between the sections are zero.
    pub fn check_padding(&self, file: &[u8]) -> Result<(), ModelError> {
        for gap in [
            self.names.end..self.records.start,
            self.shifts.end..self.weights.start,
            self.weights.end..self.bias.start,
        ] {
            let gap = file.get(gap).ok_or(ModelError::Sections)?;
            if gap.iter().any(|&byte| byte != 0) {
                return Err(ModelError::Padding);
            }
        }
        Ok(())
    }
}

/// The next range of `length` bytes from a multiple of `alignment` on.
fn take(at: &mut usize, length: Option<usize>, alignment: usize) -> Option<Range<usize>> {
    let start = at.checked_next_multiple_of(alignment)?;
    let end = start.checked_add(length?)?;
    *at = end;
    Some(start..end)
}

/// How many parameters of each sort layers have.
pub(super) struct Counts {
    /// Layers with weights.
    pub records: usize,
    /// Their output channels.
    pub channels: usize,
    /// Bytes of their weights.
    pub weights: usize,
}

impl Counts {
    pub fn of(
        layers: &[Layer],
        input: Shape,
        classes: usize,
        layout: WeightLayout,
    ) -> Option<Self> {
        let mut shape = input;
        let mut count = Self {
            records: 0,
            channels: 0,
            weights: 0,
        };
        for layer in layers {
            let channels = layer.weighted_channels(classes);
            count.records += usize::from(channels > 0);
            count.channels = count.channels.checked_add(channels)?;
            let weights = weights(layer, shape, classes).bytes(layout)?;
            count.weights = count.weights.checked_add(weights)?;
            shape = layer.output(shape, classes);
        }
        Some(count)
    }
}
