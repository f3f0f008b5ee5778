//! Where input rows come from.

use crate::network::SIDE;

/// Bytes of one input row: 96 RGB pixels.
pub const ROW_BYTES: usize = SIDE * 3;

/// A source of 96 rows of 96 RGB pixels.
pub trait RowSource {
    /// Why a row could not be had.
    type Error;

    /// Writes row `y`, 0 at the top. Rows are asked for once each, from 0 to 95.
    fn row(&mut self, y: usize, row: &mut [u8; ROW_BYTES]) -> Result<(), Self::Error>;
}
