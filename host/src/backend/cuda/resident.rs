//! Images that stay on a machine as bytes, for all learners on it: those of an album are read and
//! brought once, and steps that see them again bring nothing of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Result;
use bytemuck::cast_slice_mut;
use rayon::prelude::*;
use vae96::INPUT;

use super::machine::Machine;
use super::memory::{Buffer, Slot, Span};
use crate::backend::{Origin, Picture};

/// Values of f32 that the bytes of an image take.
pub const IMAGE: usize = INPUT.len() / size_of::<f32>();

/// Images of a slab, which has 128 MiB.
const SLAB: usize = (128 << 20) / INPUT.len();

/// Where an image's bytes lie.
#[derive(Clone)]
pub enum Place<'a> {
    /// In the memory of a pass.
    Pass(Span<'a>),
    /// In a slab, which is there as long as somebody knows a place in it.
    Slab(Rc<Buffer>, Slot),
}

impl Place<'_> {
    /// The bytes, as values of f32.
    pub fn span(&self) -> Span<'_> {
        match self {
            Self::Pass(span) => *span,
            Self::Slab(slab, slot) => slab.at(*slot),
        }
    }
}

/// The images that a machine keeps, in slabs that it takes as they fill up.
pub struct Resident {
    machine: Rc<dyn Machine>,
    slabs: RefCell<Slabs>,
}

#[derive(Default)]
struct Slabs {
    all: Vec<Rc<Buffer>>,
    /// Images in the last one.
    filled: usize,
    /// The slab that an image is in, and which of its images it is.
    places: HashMap<Origin, [usize; 2]>,
    /// Whether no more are taken.
    closed: bool,
}

impl Resident {
    /// On this machine.
    pub fn new(machine: Rc<dyn Machine>) -> Self {
        Self {
            machine,
            slabs: RefCell::default(),
        }
    }

    /// Where an image lies, if it is here.
    pub fn find(&self, picture: &Picture) -> Option<Place<'static>> {
        let slabs = self.slabs.borrow();
        let [slab, number] = *slabs.places.get(&picture.origin()?)?;
        Some(Place::Slab(Rc::clone(&slabs.all[slab]), slot(number, 1)))
    }

    /// Brings images of albums, none of which is here yet, in their order and for as long as there
    /// is memory.
    ///
    /// # Errors
    /// Where one can no longer be read, or the machine fails.
    pub fn keep(&self, pictures: &[(Origin, &Picture)]) -> Result<()> {
        let mut slabs = self.slabs.borrow_mut();
        let mut rest = pictures;
        while !rest.is_empty() && slabs.have_room(&self.machine)? {
            let some = rest.len().min(SLAB - slabs.filled);
            slabs.fill(&rest[..some])?;
            rest = &rest[some..];
        }
        Ok(())
    }

    /// Gives all memory back, and takes none before [`reopen`](Self::reopen). Whether there was any.
    pub fn release(&self) -> bool {
        let closed = Slabs {
            closed: true,
            ..Slabs::default()
        };
        !self.slabs.replace(closed).all.is_empty()
    }

    /// Looks for memory again where there was none before.
    pub fn reopen(&self) {
        self.slabs.borrow_mut().closed = false;
    }
}

impl Slabs {
    /// Whether there is a place in the last slab, or memory for another beside what learners may
    /// come to need: a quarter of all that the machine has.
    fn have_room(&mut self, machine: &Rc<dyn Machine>) -> Result<bool> {
        if !self.all.is_empty() && self.filled < SLAB {
            return Ok(true);
        }
        if self.closed {
            return Ok(false);
        }
        let room = machine.room()?;
        let slab = match room.free >= SLAB * INPUT.len() + room.all / 4 {
            // What has no place here has one in the memory of a pass.
            true => Buffer::new(machine, SLAB * IMAGE).ok(),
            false => None,
        };
        match slab {
            Some(slab) => {
                self.all.push(Rc::new(slab));
                self.filled = 0;
            }
            None => self.closed = true,
        }
        Ok(!self.closed)
    }

    /// Brings images to the last slab, which has places for them.
    fn fill(&mut self, pictures: &[(Origin, &Picture)]) -> Result<()> {
        let slab = self.all.len() - 1;
        let read = bytes(pictures.par_iter().map(|&(_, picture)| picture))?;
        let to = self.all[slab].at(slot(self.filled, pictures.len()));
        to.upload(&read)?;
        let origins = pictures.iter().map(|&(origin, _)| origin);
        let numbers = self.filled..;
        self.places
            .extend(origins.zip(numbers.map(|number| [slab, number])));
        self.filled += pictures.len();
        Ok(())
    }
}

/// The place of `count` images of a slab, from that one on.
fn slot(number: usize, count: usize) -> Slot {
    Slot::floats(number * IMAGE, count * IMAGE)
}

/// The bytes of pictures, one after the other, as values of f32; all threads read.
///
/// # Errors
/// Where one can no longer be read.
pub fn bytes<'p>(pictures: impl IndexedParallelIterator<Item = &'p Picture>) -> Result<Vec<f32>> {
    let mut values = vec![0.0; pictures.len() * IMAGE];
    (values.par_chunks_exact_mut(IMAGE).zip(pictures))
        .try_for_each(|(to, picture)| picture.read(cast_slice_mut(to)))?;
    Ok(values)
}
