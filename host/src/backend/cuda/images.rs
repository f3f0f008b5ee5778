//! The images of a step on their way to a network: what the GPU lacks is brought first, and then it
//! makes the views.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use rayon::prelude::*;

use super::memory::{Arena, Slot, Span};
use super::network::Memory;
use super::ops::Gpu;
use super::ops::images::{LUMAS, Told, VIEW};
use super::resident::{IMAGE, Place, bytes};
use crate::backend::{Corruption, Identity, Pixels, Stream, Viewed};

/// Where the table of a step's views lies, with those of their images that do not stay on the GPU and
/// with what is summed up of views while they are made.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    images: Slot,
    table: Slot,
    lumas: Slot,
}

/// Images that have been brought; their views are still to be made.
#[must_use]
pub struct Brought<'a> {
    told: Option<Told<'a>>,
    lumas: Span<'a>,
    batches: Vec<Shown<'a>>,
}

/// A batch of views.
struct Shown<'a> {
    /// Its first view.
    first: usize,
    /// Where the values go.
    to: Span<'a>,
    /// The edge of its images, in pixels.
    side: usize,
    corruption: Option<(Corruption, Stream)>,
}

impl Arrival {
    /// Room for `count` views, each of an image of its own at most.
    pub fn new(arena: &mut Arena, count: usize) -> Self {
        Self {
            images: arena.place(count * IMAGE),
            table: arena.place(count * VIEW),
            lumas: arena.place(count * LUMAS),
        }
    }

    /// Brings batches of `side × side` pixels: values to their slots, or of views all that
    /// [`Brought::show`] makes these values of. It launches nothing.
    pub fn bring<'a>(
        &self,
        memory: Memory<'a>,
        side: usize,
        batches: &[(&Pixels, Slot)],
    ) -> Result<Brought<'a>> {
        let mut all: Vec<&Viewed> = Vec::new();
        let mut brought = Brought {
            told: None,
            lumas: memory.at(self.lumas),
            batches: Vec::new(),
        };
        for &(pixels, to) in batches {
            let to = memory.at(to);
            let (views, corruption) = match pixels {
                Pixels::Values(values) => {
                    to.upload(values)?;
                    continue;
                }
                Pixels::Views(views) => (views, None),
                Pixels::Corrupted(views, corruption, stream) => {
                    (views, Some((*corruption, *stream)))
                }
            };
            brought.batches.push(Shown {
                first: all.len(),
                to,
                side,
                corruption,
            });
            all.extend(views);
        }
        if !all.is_empty() {
            let places = self.places(memory, &all)?;
            let views = places.into_iter().zip(all.iter().map(|viewed| viewed.view));
            let table = memory.at(self.table.first(all.len() * VIEW));
            brought.told = Some(memory.gpu.tell(views, side, table)?);
        }
        Ok(brought)
    }

    /// Where the image of each view lies, once those are brought that the GPU lacks.
    fn places<'a>(&self, memory: Memory<'a>, views: &[&Viewed]) -> Result<Vec<Place<'a>>> {
        let resident = memory.gpu.resident();
        let mut seen = HashSet::new();
        let mut absent: Vec<_> = (views.iter().map(|viewed| &viewed.image))
            .filter(|image| resident.find(image).is_none() && seen.insert(image.identity()))
            .collect();
        let named = absent
            .iter()
            .filter_map(|&image| Some((image.origin()?, image)));
        resident.keep(&named.collect::<Vec<_>>())?;
        absent.retain(|image| resident.find(image).is_none());
        let mut passing: HashMap<Identity, Span<'a>> = HashMap::new();
        if !absent.is_empty() {
            let images = memory.at(self.images.first(absent.len() * IMAGE));
            images.upload(&bytes(absent.par_iter().copied())?)?;
            let spans = (0..).map(|number| images.part(number * IMAGE, IMAGE));
            passing.extend(absent.iter().map(|image| image.identity()).zip(spans));
        }
        let place = |Viewed { image, .. }: &&Viewed| match resident.find(image) {
            Some(place) => place,
            None => Place::Pass(passing[&image.identity()]),
        };
        Ok(views.iter().map(place).collect())
    }
}

impl Brought<'_> {
    /// Makes the views, and corrupts those that are to be.
    pub fn show(self, gpu: &Gpu) -> Result<()> {
        let Some(told) = self.told else {
            return Ok(());
        };
        for shown in self.batches {
            gpu.views(&told, shown.first, shown.to, self.lumas)?;
            if let Some((corruption, stream)) = shown.corruption {
                gpu.corrupt(corruption, &stream, shown.side, shown.to)?;
            }
        }
        Ok(())
    }
}
