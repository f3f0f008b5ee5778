//! The images of a batch on their way to a network.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use bytemuck::cast_slice_mut;

use super::memory::{Arena, Slot};
use super::network::Memory;
use super::ops::images::{IMAGE, VIEW};
use crate::backend::{Batch, Pixels, Viewed};

/// Where images of bytes and their views lie during a pass.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    images: Slot,
    views: Slot,
}

impl Arrival {
    /// Room for `count` views, each of an image of its own at most.
    pub fn new(arena: &mut Arena, count: usize) -> Self {
        Self {
            images: arena.place(count * IMAGE),
            views: arena.place(count * VIEW),
        }
    }

    /// Brings the batch's values to a slot: as they are, or made of bytes, of which each image comes
    /// once.
    pub fn bring(&self, memory: Memory, batch: &Batch, to: Slot) -> Result<()> {
        let to = memory.at(to);
        let viewed = match &batch.pixels {
            Pixels::Values(values) => return to.upload(values),
            Pixels::Views(viewed) => viewed,
        };
        let mut distinct: Vec<&[u8]> = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut views = Vec::with_capacity(viewed.len());
        for Viewed { image, view } in viewed {
            let address = Arc::as_ptr(image).cast::<u8>();
            let number = *numbers.entry(address).or_insert_with(|| {
                distinct.push(image);
                distinct.len() - 1
            });
            views.push((number, *view));
        }
        let mut values = vec![0.0; distinct.len() * IMAGE];
        for (to, image) in values.chunks_exact_mut(IMAGE).zip(distinct) {
            cast_slice_mut(to).copy_from_slice(image);
        }
        let images = memory.at(self.images.first(values.len()));
        images.upload(&values)?;
        let told = memory.at(self.views.first(views.len() * VIEW));
        memory.gpu.views(&views, images, batch.side, told, to)
    }
}
