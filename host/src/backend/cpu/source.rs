//! Arrays that are read piece by piece.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::OnceLock;

use rayon::prelude::*;

use super::buffers;
use super::parallel::CHUNK;

/// A `rows × channels` array that is read where it is needed: stored, or computed from what is.
/// Nothing goes through memory only to be read once.
pub trait Source: Sync {
    /// Values in all.
    fn len(&self) -> usize;

    /// Writes the values from `start` on, which begins a row.
    fn read(&self, start: usize, to: &mut [f32]);

    /// All values.
    fn whole(&self) -> Cow<'_, [f32]>;
}

impl Source for Vec<f32> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn read(&self, start: usize, to: &mut [f32]) {
        to.copy_from_slice(&self[start..start + to.len()]);
    }

    fn whole(&self) -> Cow<'_, [f32]> {
        Cow::Borrowed(self)
    }
}

/// All values of a source of rows of `channels`, computed on all threads.
pub fn read_all(source: &dyn Source, channels: usize) -> Vec<f32> {
    let mut values = buffers::take(source.len());
    let task = CHUNK.div_ceil(channels) * channels;
    (values.par_chunks_mut(task).enumerate())
        .for_each(|(index, values)| source.read(index * task, values));
    values
}

/// A function of each value that depends on its channel alone.
pub trait Elementwise: Send + Sync {
    /// Channels of a row.
    fn channels(&self) -> usize;

    /// What it makes of a whole number of rows.
    fn apply(&self, rows: &[f32], to: &mut [f32]);
}

/// The values of an activation: stored, or a function of stored ones. As a slice they are computed
/// once, when somebody first asks; [`Source::read`] stores nothing.
pub struct Values {
    stored: Vec<f32>,
    function: Option<Box<dyn Elementwise>>,
    computed: OnceLock<Vec<f32>>,
}

impl Values {
    /// What `function` makes of `stored` values.
    pub fn computed(stored: Vec<f32>, function: Box<dyn Elementwise>) -> Self {
        Self {
            stored,
            function: Some(function),
            computed: OnceLock::new(),
        }
    }

    /// The values that are stored.
    pub fn stored(&self) -> &[f32] {
        &self.stored
    }

    /// The values themselves.
    pub fn into_vec(mut self) -> Vec<f32> {
        if self.function.is_some() {
            self.to_vec()
        } else {
            std::mem::take(&mut self.stored)
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(stored: Vec<f32>) -> Self {
        Self {
            stored,
            function: None,
            computed: OnceLock::new(),
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.function {
            None => &self.stored,
            Some(function) => {
                let read = || read_all(self, function.channels());
                self.computed.get_or_init(read)
            }
        }
    }
}

impl Source for Values {
    fn len(&self) -> usize {
        self.stored.len()
    }

    fn read(&self, start: usize, to: &mut [f32]) {
        let stored = &self.stored[start..start + to.len()];
        match &self.function {
            None => to.copy_from_slice(stored),
            Some(function) => function.apply(stored, to),
        }
    }

    fn whole(&self) -> Cow<'_, [f32]> {
        Cow::Borrowed(self)
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        buffers::give(std::mem::take(&mut self.stored));
        self.computed.take().into_iter().for_each(buffers::give);
    }
}
