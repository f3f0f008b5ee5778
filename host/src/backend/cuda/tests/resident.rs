//! Images that stay on a machine: what is read and brought of them, and how they give way.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use vae96::{EDGE, Head, INPUT, SIDE};

use super::super::Cuda;
use super::super::ops::Gpu;
use super::super::ops::images::VIEW;
use super::super::resident::Resident;
use super::{Dry, TARGET, update, whole, zeros};
use crate::backend::work::{self, Size, Steps, Work};
use crate::backend::{Album, Backend, Batch, Classifier, Origin, Picture, Weights, parameters};

/// Images without end, of which one cannot be read.
#[derive(Default)]
struct Zeros {
    number: u64,
    read: AtomicUsize,
}

const UNREADABLE: usize = 1 << 20;

impl Album for Zeros {
    fn number(&self) -> u64 {
        self.number
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<()> {
        ensure!(index != UNREADABLE, "image {index} is gone");
        self.read.fetch_add(1, Ordering::Relaxed);
        out.fill(0);
        Ok(())
    }
}

fn pictures(album: &Arc<Zeros>, indices: impl IntoIterator<Item = usize>) -> Vec<Picture> {
    let picture = |index| Picture::of(Arc::clone(album) as Arc<dyn Album>, index);
    indices.into_iter().map(picture).collect()
}

fn batch(album: &Arc<Zeros>, indices: impl IntoIterator<Item = usize>) -> Batch {
    whole(pictures(album, indices).iter())
}

const MIB: usize = 1 << 20;

/// Bytes of a slab, and the images that it holds.
const SLAB: usize = SLAB_IMAGES * INPUT.len();
const SLAB_IMAGES: usize = 128 * MIB / INPUT.len();

fn weights() -> Weights {
    zeros(&parameters::classifier(&EDGE, Head::Conv, 10))
}

fn classifier(gpu: &Cuda) -> Result<Box<dyn Classifier>> {
    gpu.classifier(&EDGE, Head::Conv, 10, &weights())
}

/// The bytes that a table of so many views takes, and those of as many targets.
fn told(views: usize) -> [usize; 2] {
    [VIEW, 3].map(|values| size_of::<f32>() * views * values)
}

/// By all learners on a machine, while a clone of an album is the same album.
#[test]
fn an_image_of_an_album_is_read_and_brought_once() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let gpu = Cuda::on(machine.clone());
    let album = Arc::new(Zeros::default());
    let other = Arc::new(Zeros {
        number: 1,
        ..Zeros::default()
    });
    let (mut first, mut second) = (classifier(&gpu)?, classifier(&gpu)?);
    machine.uploaded.take();
    let step = |classifier: &mut dyn Classifier, batch: &Batch| {
        let targets = vec![TARGET; batch.count];
        classifier.step(batch, &targets, &update())?;
        anyhow::Ok(machine.uploaded.take())
    };
    let image = INPUT.len();
    let [table, targets] = told(3);
    let found = step(&mut *first, &batch(&album, [5, 0, 5]))?;
    assert_eq!(found, [2 * image, table, targets]);
    for classifier in [&mut first, &mut second] {
        let found = step(&mut **classifier, &batch(&album, [0, 5, 0]))?;
        assert_eq!(found, [table, targets]);
    }
    let found = step(&mut *second, &batch(&album, [0, 6, 5]))?;
    assert_eq!(found, [image, table, targets]);
    // An image of the same place in another album.
    let found = step(&mut *second, &batch(&other, [0, 0, 0]))?;
    assert_eq!(found, [image, table, targets]);
    let reads = [&album, &other].map(|album| album.read.load(Ordering::Relaxed));
    assert_eq!(reads, [3, 1]);
    Ok(())
}

#[test]
fn without_memory_for_a_slab_images_come_in_every_step() -> Result<()> {
    let machine = Rc::new(Dry {
        // A slab would leave less than a quarter.
        size: Some(128 * MIB * 4 / 3),
        ..Dry::default()
    });
    let gpu = Cuda::on(machine.clone());
    let album = Arc::new(Zeros::default());
    let mut classifier = classifier(&gpu)?;
    machine.uploaded.take();
    let [table, targets] = told(3);
    for _ in 0..2 {
        classifier.step(&batch(&album, [5, 0, 5]), &[TARGET; 3], &update())?;
        let found = machine.uploaded.take();
        assert_eq!(found, [2 * INPUT.len(), table, targets]);
    }
    Ok(())
}

#[test]
fn images_fill_slab_after_slab_and_the_rest_has_no_place() -> Result<()> {
    let machine = Rc::new(Dry {
        size: Some(320 * MIB),
        ..Dry::default()
    });
    let resident = Resident::new(machine.clone());
    let album = Arc::new(Zeros::default());
    let all = pictures(&album, 0..2 * SLAB_IMAGES);
    let named: Vec<_> = (all.iter().enumerate())
        .map(|(index, picture)| (Origin { album: 0, index }, picture))
        .collect();
    let (first, rest) = named.split_at(SLAB_IMAGES - 1);
    resident.keep(first)?;
    // The second slab would leave 64 MiB, less than a quarter.
    resident.keep(rest)?;
    assert_eq!(machine.uploaded.take(), [SLAB - INPUT.len(), INPUT.len()]);
    let here = all
        .iter()
        .filter(|picture| resident.find(picture).is_some());
    assert_eq!(here.count(), SLAB_IMAGES);
    let addresses = |index: usize| {
        resident
            .find(&all[index])
            .map(|place| place.span().address())
    };
    assert_eq!(addresses(0), Some(0));
    let last = (SLAB - INPUT.len()) as u64;
    assert_eq!(addresses(SLAB_IMAGES - 1), Some(last));
    Ok(())
}

#[test]
fn an_image_that_cannot_be_read_is_an_error_and_has_no_place() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let resident = Resident::new(machine);
    let album = Arc::new(Zeros::default());
    let all = pictures(&album, [1, UNREADABLE]);
    let named: Vec<_> = (all.iter())
        .filter_map(|picture| Some((picture.origin()?, picture)))
        .collect();
    assert!(resident.keep(&named).is_err());
    assert!(all.iter().all(|picture| resident.find(picture).is_none()));
    resident.keep(&named[..1])?;
    assert!(resident.find(&all[0]).is_some());
    Ok(())
}

/// What is not known when images take their places: a training that comes later, and memory that
/// learners take without a plan.
#[test]
fn images_give_way_to_what_needs_their_memory() -> Result<()> {
    let size = 256 * MIB;
    let machine = Rc::new(Dry {
        size: Some(size),
        ..Dry::default()
    });
    let cuda = Cuda::on(machine.clone());
    let gpu = cuda.gpu();
    let album = Arc::new(Zeros::default());
    let image = &pictures(&album, [0])[0];
    let keep = |gpu: &Gpu| -> Result<bool> {
        gpu.resident()
            .keep(&[(Origin { album: 0, index: 0 }, image)])?;
        Ok(gpu.resident().find(image).is_some())
    };
    let work = |count| Work {
        network: work::Network::Classifier {
            architecture: &EDGE,
            head: Head::Conv,
            classes: 10,
        },
        steps: Some(Steps {
            batch: Size { count, side: SIDE },
            contrast: false,
            corrupts: false,
            shares: false,
            averages: false,
        }),
        answers: Size {
            count: 1,
            side: SIDE,
        },
    };
    assert!(keep(&gpu)?);
    cuda.suited_to(&work(16))?;
    assert!(gpu.resident().find(image).is_some());
    // More than the slab leaves.
    cuda.suited_to(&work(192))?;
    assert!(gpu.resident().find(image).is_none() && machine.held.borrow().is_empty());
    assert!(keep(&gpu)?, "the next training has its images here again");

    let buffer = gpu.buffer((size - 64 * MIB) / size_of::<f32>())?;
    assert!(gpu.resident().find(image).is_none());
    drop(buffer);
    assert!(!keep(&gpu)?, "it does not try again and again");
    assert!(gpu.buffer(size).is_err());
    Ok(())
}

/// Whoever has been told where an image lies may still look there.
#[test]
fn a_place_keeps_its_memory() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let resident = Resident::new(machine.clone());
    let album = Arc::new(Zeros::default());
    let image = &pictures(&album, [7])[0];
    resident.keep(&[(Origin { album: 0, index: 7 }, image)])?;
    let place = resident.find(image);
    assert!(resident.release() && resident.find(image).is_none());
    assert_eq!(machine.held.borrow().len(), 1);
    drop(place);
    assert!(machine.held.borrow().is_empty());
    assert!(!resident.release());
    Ok(())
}
