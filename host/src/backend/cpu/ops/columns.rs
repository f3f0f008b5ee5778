//! Sums over the columns of arrays, and loops along their rows.

use crate::backend::cpu::parallel::CHUNK;

/// Rows, or groups of rows taken as one, that are summed in single precision before a sum is
/// carried on in double.
const ROWS: usize = 128;

/// Values of an inner loop, at least: narrow rows are taken several at a time.
const WIDTH: usize = 128;

/// Columns of a `rows × channels` array. Where they are all of a few channels, several rows are
/// taken as one, so that inner loops are long.
pub struct Columns {
    channels: usize,
    start: usize,
    end: usize,
    /// Rows taken as one.
    pub repeat: usize,
}

impl Columns {
    /// Columns `start..end` of an array of `channels` columns.
    pub fn new(channels: usize, start: usize, end: usize) -> Self {
        let repeat = if end - start == channels {
            repeat(channels)
        } else {
            1
        };
        Self {
            channels,
            start,
            end,
            repeat,
        }
    }

    /// Values of the rows that are summed in single precision.
    pub fn block(&self) -> usize {
        ROWS * self.repeat * self.channels
    }

    /// Rows of a task.
    pub fn task_rows(&self) -> usize {
        (CHUNK / (self.end - self.start)).next_multiple_of(ROWS * self.repeat)
    }

    /// The rows, several as one where they are narrow; the last may be shorter.
    #[inline(always)]
    pub fn rows<'a>(&self, values: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let (start, end) = (self.start, self.end);
        let whole = end - start == self.channels;
        values
            .chunks(self.repeat * self.channels)
            .map(move |row| if whole { row } else { &row[start..end] })
    }

    /// A sum for each column of the rows taken as one.
    pub fn zeros(&self) -> Vec<f32> {
        vec![0.0; (self.end - self.start) * self.repeat]
    }

    /// The sums of each column from those of the rows taken as one.
    #[inline(always)]
    pub fn fold(&self, sums: &[f32]) -> Vec<f64> {
        let mut total = vec![0.0; self.end - self.start];
        for part in sums.chunks(total.len()) {
            for (total, sum) in total.iter_mut().zip(part) {
                *total += f64::from(*sum);
            }
        }
        total
    }

    /// The mean of each column over the first of the rows taken as one, beside those: near
    /// enough to the column's values to sum their deviations from it.
    #[inline(always)]
    pub fn centre(&self, values: &[f32]) -> Vec<f32> {
        let Some(row) = self.rows(values).next() else {
            return self.zeros();
        };
        let count = (row.len() / (self.end - self.start)) as f64;
        let means = self.fold(row).into_iter().map(|sum| (sum / count) as f32);
        means.collect::<Vec<f32>>().repeat(self.repeat)
    }
}

/// How many rows of so many channels are taken as one.
pub fn repeat(channels: usize) -> usize {
    (WIDTH / channels).max(1)
}

/// Values of the whole rows of `width` that make up a task.
pub fn task(width: usize) -> usize {
    CHUNK.div_ceil(width) * width
}
