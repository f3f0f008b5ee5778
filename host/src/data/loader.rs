//! Batches, made ready on other threads while a step runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::augment::{Augmentation, View};
use super::random::{Purpose, rng};
use super::{IMAGE_BYTES, Images, Labelled};
use crate::backend::{Album, Batch, Form, Picture, Pixels, Viewed};

/// Batches that wait for the consumer. One more is being made.
const AHEAD: usize = 2;

/// Some of a store's images, with their classes if they have any.
#[derive(Clone)]
pub struct Samples {
    images: Images,
    indices: Vec<usize>,
    /// The class of each index; empty if the images have none.
    labels: Vec<usize>,
}

impl Samples {
    /// The labelled images of those indices.
    pub fn labelled(from: &Labelled, indices: Vec<usize>) -> Self {
        Self {
            images: from.images.clone(),
            labels: indices.iter().map(|&index| from.labels[index]).collect(),
            indices,
        }
    }

    /// `count` of the images with their classes, spread evenly; all of them for 0.
    pub fn spread(from: &Labelled, count: usize) -> Self {
        let all = from.labels.len();
        let count = if count == 0 { all } else { count.min(all) };
        Self::labelled(from, (0..count).map(|i| i * all / count).collect())
    }

    /// The class of each image; none without classes.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// So many of them, or all where there are no more, drawn at random.
    pub fn drawn(&self, count: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut drawn: Vec<usize> = (0..self.len()).collect();
        drawn.shuffle(rng);
        drawn.truncate(count);
        let of = |all: &[usize]| drawn.iter().map(|&sample| all[sample]).collect();
        Self {
            images: self.images.clone(),
            indices: of(&self.indices),
            labels: match self.labels.is_empty() {
                true => Vec::new(),
                false => of(&self.labels),
            },
        }
    }

    /// Those images of `images`, without classes.
    pub fn unlabelled(images: &Images, indices: Vec<usize>) -> Self {
        Self {
            images: images.clone(),
            indices,
            labels: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// How batches are drawn for training.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Images a batch.
    pub batch: usize,
    /// Edge of the images, in pixels.
    pub side: usize,
    /// How the views of each image vary, one view after the other: a batch holds the first view of
    /// all its images, then the second of all, …
    pub views: Vec<Augmentation>,
    /// Whether views are made here, or by the machine that trains.
    pub form: Form,
    /// What orders and views are drawn from.
    pub seed: u64,
    /// The streams of random numbers for the order and for the views.
    pub streams: [Purpose; 2],
}

impl Drawing {
    /// The streams of the images that a training is about.
    pub const MAIN: [Purpose; 2] = [Purpose::Order, Purpose::View];
    /// The streams of the unlabelled images that come beside labelled ones.
    pub const BESIDE: [Purpose; 2] = [Purpose::UnlabelledOrder, Purpose::UnlabelledView];
}

/// Images and how batches are drawn from them.
#[derive(Clone)]
pub struct Source {
    /// The images.
    pub samples: Samples,
    /// How they are drawn.
    pub drawing: Drawing,
}

/// A batch that is ready for a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The pixels.
    pub batch: Batch,
    /// The class of each image of the batch; empty if the images have none.
    pub labels: Vec<usize>,
    /// The index of each image of the batch in its store.
    pub indices: Vec<usize>,
}

/// Batches in their order, each made before it is asked for.
///
/// Values are read and made on rayon's threads, so the consumer must not be one of a pool that it
/// fills alone; the images of views are read by the machine that makes these. What comes out depends on the arguments only, never on threads or time.
pub struct Loader<T = Loaded> {
    /// Taken on dropping, so that the thread finds nobody listening and ends.
    batches: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
    started: Option<Instant>,
    waited: Duration,
}

impl Loader<Vec<Loaded>> {
    /// Batches without end for training, one of each source a step, from step `first` on: step s
    /// of a resumed run is step s of an uninterrupted one.
    ///
    /// Epoch after epoch, each in its own random order, the images of a source form one sequence,
    /// and step s takes its s-th piece. So every batch is full, every image is seen once an epoch,
    /// and a set smaller than a batch works too; a batch may span two epochs.
    ///
    /// # Errors
    /// If a source has no samples, or no thread can be started.
    pub fn training(sources: Vec<Source>, first: u64) -> Result<Self> {
        for Source { samples, drawing } in &sources {
            ensure!(!samples.is_empty(), "there are no images to train on");
            ensure!(drawing.batch > 0, "a batch has at least one image, not 0");
        }
        Self::start(move |send| {
            let mut orders: Vec<_> = (sources.iter())
                .map(|source| Order::new(source.samples.len(), &source.drawing))
                .collect();
            for step in first.. {
                let batches = sources.iter().zip(&mut orders);
                let batches = batches
                    .map(|(source, order)| source.draw(order, step))
                    .collect();
                if send.send(batches).is_err() {
                    return;
                }
            }
        })
    }
}

impl Source {
    /// The batch of a step.
    fn draw(&self, order: &mut Order, step: u64) -> Result<Loaded> {
        let Self { samples, drawing } = self;
        let start = step * drawing.batch as u64;
        let positions = start..start + drawing.batch as u64;
        let drawn: Vec<_> = positions
            .map(|position| {
                let (epoch, sample) = order.at(position);
                let index = samples.indices[sample] as u64;
                let mut rng = rng(drawing.seed, drawing.streams[1], epoch, index);
                let view = |augmentation: &Augmentation| augmentation.draw(&mut rng);
                (sample, drawing.views.iter().map(view).collect::<Vec<_>>())
            })
            .collect();
        let view = |view: usize| {
            drawn
                .iter()
                .map(move |(sample, views)| (*sample, views[view]))
        };
        let picked: Vec<_> = (0..drawing.views.len()).flat_map(view).collect();
        load(samples, &picked, drawing.side, drawing.form)
    }
}

impl Loader {
    /// All images as they are in that form, once and in order; the last batch may be short.
    ///
    /// # Errors
    /// If `batch` is 0, or no thread can be started.
    pub fn evaluation(samples: Samples, batch: usize, side: usize, form: Form) -> Result<Self> {
        ensure!(batch > 0, "a batch has at least one image, not 0");
        Self::start(move |send| {
            for start in (0..samples.len()).step_by(batch) {
                let end = samples.len().min(start + batch);
                let picked: Vec<_> = (start..end).map(|sample| (sample, View::WHOLE)).collect();
                if send.send(load(&samples, &picked, side, form)).is_err() {
                    return;
                }
            }
        })
    }
}

impl<T: Send + 'static> Loader<T> {
    fn start(work: impl FnOnce(SyncSender<Result<T>>) + Send + 'static) -> Result<Self> {
        let (send, batches) = sync_channel(AHEAD);
        let thread = thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || work(send))
            .context("cannot start a thread to load images")?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
            started: None,
            waited: Duration::ZERO,
        })
    }

    /// Share of the time since the first batch was there that the consumer has waited for
    /// further ones, in [0, 1].
    pub fn waited(&self) -> f64 {
        let elapsed = self.started.map_or(Duration::ZERO, |start| start.elapsed());
        match elapsed.is_zero() {
            true => 0.0,
            false => self.waited.div_duration_f64(elapsed),
        }
    }
}

impl<T> Iterator for Loader<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let asked = Instant::now();
        let loaded = self.batches.as_ref()?.recv();
        match self.started {
            Some(_) => self.waited += asked.elapsed(),
            None => self.started = Some(Instant::now()),
        }
        match loaded {
            Ok(loaded) => Some(loaded),
            // A thread that failed must not look like one that has finished.
            Err(_) => self
                .thread
                .take()?
                .join()
                .is_err()
                .then(|| Err(anyhow!("the thread that loads images has failed"))),
        }
    }
}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Nobody listens any more, so how it ended no longer matters.
            thread.join().ok();
        }
    }
}

/// The sequence of all epochs.
struct Order {
    seed: u64,
    purpose: Purpose,
    epoch: u64,
    permutation: Vec<usize>,
}

impl Order {
    fn new(len: usize, drawing: &Drawing) -> Self {
        let mut order = Self {
            seed: drawing.seed,
            purpose: drawing.streams[0],
            epoch: 0,
            permutation: (0..len).collect(),
        };
        order.shuffle(0);
        order
    }

    fn shuffle(&mut self, epoch: u64) {
        self.epoch = epoch;
        let len = self.permutation.len();
        self.permutation.clear();
        self.permutation.extend(0..len);
        let mut rng = rng(self.seed, self.purpose, epoch, 0);
        self.permutation.shuffle(&mut rng);
    }

    /// The epoch and the sample at a place of the sequence.
    fn at(&mut self, position: u64) -> (u64, usize) {
        let len = self.permutation.len() as u64;
        let epoch = position / len;
        if epoch != self.epoch {
            self.shuffle(epoch);
        }
        (epoch, self.permutation[(position % len) as usize])
    }
}

fn load(samples: &Samples, picked: &[(usize, View)], side: usize, form: Form) -> Result<Loaded> {
    let pixels = match form {
        Form::Values => Pixels::Values(values(samples, picked, side)?),
        Form::Views => Pixels::Views(views(samples, picked)),
    };
    let of = |from: &[usize]| picked.iter().map(|(sample, _)| from[*sample]).collect();
    Ok(Loaded {
        batch: Batch {
            count: picked.len(),
            side,
            pixels,
        },
        labels: match samples.labels.is_empty() {
            true => Vec::new(),
            false => of(&samples.labels),
        },
        indices: of(&samples.indices),
    })
}

/// The views, made.
fn values(samples: &Samples, picked: &[(usize, View)], side: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; picked.len() * side * side * 3];
    values
        .par_chunks_exact_mut(side * side * 3)
        .zip(picked)
        .try_for_each_init(
            || vec![0; IMAGE_BYTES],
            |image, (out, (sample, view))| {
                samples.images.read(samples.indices[*sample], image)?;
                view.apply(image, side, out);
                anyhow::Ok(())
            },
        )?;
    Ok(values)
}

/// The views and what they are of, which is read where it is not known yet.
fn views(samples: &Samples, picked: &[(usize, View)]) -> Vec<Viewed> {
    let album: Arc<dyn Album> = Arc::new(samples.images.clone());
    let viewed = |(sample, view): &(usize, View)| Viewed {
        image: Picture::of(Arc::clone(&album), samples.indices[*sample]),
        view: *view,
    };
    picked.iter().map(viewed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all(images: &Images) -> Samples {
        Samples::unlabelled(images, (0..images.len()).collect())
    }
    /// Image i has the value i throughout and the class i mod 3.
    fn labelled(len: usize) -> Labelled {
        let bytes = (0..len).flat_map(|i| [i as u8; IMAGE_BYTES]).collect();
        Labelled {
            images: Images::from_bytes(bytes),
            labels: (0..len).map(|i| i % 3).collect(),
        }
    }

    fn drawing(batch: usize, augmentation: Augmentation) -> Drawing {
        Drawing {
            batch,
            side: 64,
            views: vec![augmentation],
            form: Form::Values,
            seed: 5,
            streams: Drawing::MAIN,
        }
    }

    fn varied() -> Augmentation {
        Augmentation {
            area: 0.3..=1.0,
            ratio: 4.0 / 3.0,
            flip: 0.5,
            brightness: 0.3,
            contrast: 0.3,
            saturation: 0.3,
            ..Augmentation::NONE
        }
    }

    fn take(samples: Samples, drawing: Drawing, first: u64, count: usize) -> Vec<Loaded> {
        let loader = Loader::training(vec![Source { samples, drawing }], first).unwrap();
        loader.take(count).flat_map(Result::unwrap).collect()
    }

    #[test]
    fn an_epoch_sees_every_image_once_in_an_order_of_its_own() {
        let data = labelled(20);
        let samples = Samples::labelled(&data, (5..17).collect());
        let batches = take(samples, drawing(4, Augmentation::NONE), 0, 6);
        let indices: Vec<_> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        let (first, second) = indices.split_at(12);
        assert_ne!(first, second);
        for epoch in [first, second] {
            let seen: BTreeSet<_> = epoch.iter().copied().collect();
            assert_eq!(seen, (5..17).collect());
        }
        for Loaded {
            batch,
            labels,
            indices,
        } in batches
        {
            assert_eq!((batch.count, batch.side, labels.len()), (4, 64, 4));
            let images = batch.values().unwrap().chunks(64 * 64 * 3);
            for ((pixels, label), index) in images.zip(labels).zip(indices) {
                assert_eq!(label, index % 3);
                let value = index as f32 / 255.0;
                assert!(pixels.iter().all(|pixel| (pixel - value).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn fewer_images_than_a_batch_fill_it_over_epochs() {
        let samples = all(&labelled(3).images);
        let batches = take(samples, drawing(5, Augmentation::NONE), 0, 3);
        let indices: Vec<_> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        for epoch in indices.chunks(3) {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 3);
        }
        assert!(batches.iter().all(|b| b.labels.is_empty()));
    }

    #[test]
    fn a_resumed_run_draws_what_an_uninterrupted_one_does() {
        let data = labelled(10);
        let samples = Samples::labelled(&data, (0..10).collect());
        let whole = take(samples.clone(), drawing(4, varied()), 0, 9);
        for first in [1, 4, 7] {
            let rest = take(
                samples.clone(),
                drawing(4, varied()),
                first,
                9 - first as usize,
            );
            assert_eq!(rest, whole[first as usize..]);
        }
    }

    #[test]
    fn views_differ_from_epoch_to_epoch() {
        let image = (0..IMAGE_BYTES).map(|i| (i * i) as u8).collect();
        let samples = all(&Images::from_bytes(image));
        let batches = take(samples, drawing(1, varied()), 0, 2);
        assert_ne!(batches[0].batch, batches[1].batch);
    }

    #[test]
    fn views_of_a_batch_come_one_after_the_other() {
        let samples = Samples::labelled(&labelled(10), (0..10).collect());
        let drawing = Drawing {
            views: vec![varied(), Augmentation::NONE],
            ..drawing(4, varied())
        };
        let one = Drawing {
            views: vec![varied()],
            ..drawing.clone()
        };
        let both = take(samples.clone(), drawing, 1, 1).remove(0);
        let first = take(samples, one, 1, 1).remove(0);
        assert_eq!((both.batch.count, first.batch.count), (8, 4));
        assert_eq!(both.labels, [first.labels.clone(), first.labels].concat());
        assert_eq!(
            both.indices,
            [first.indices.clone(), first.indices].concat()
        );
        let (varied, whole) = both.batch.values().unwrap().split_at(4 * 64 * 64 * 3);
        assert_eq!(varied, first.batch.values().unwrap());
        for (pixels, index) in whole.chunks(64 * 64 * 3).zip(both.indices) {
            assert!(
                pixels
                    .iter()
                    .all(|v| (v - index as f32 / 255.0).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn sources_are_drawn_side_by_side() {
        let data = labelled(10);
        let source = |samples, batch, streams| Source {
            samples,
            drawing: Drawing {
                streams,
                ..drawing(batch, varied())
            },
        };
        let some = Samples::labelled(&data, vec![1, 2]);
        let all = all(&data.images);
        let sources = vec![
            source(some.clone(), 4, Drawing::MAIN),
            source(all.clone(), 3, Drawing::BESIDE),
        ];
        let steps = Loader::training(sources, 0).unwrap().take(3);
        let steps: Vec<Vec<Loaded>> = steps.map(Result::unwrap).collect();
        let alone = take(some, drawing(4, varied()), 0, 3);
        for (step, alone) in steps.iter().zip(alone) {
            assert_eq!(step[0], alone);
            assert_eq!((step[1].batch.count, step[1].labels.len()), (3, 0));
        }
        assert_ne!(
            take(all, drawing(3, varied()), 0, 1)[0].indices,
            steps[0][1].indices
        );
    }

    #[test]
    fn threads_do_not_matter() {
        let samples = all(&labelled(10).images);
        let picked: Vec<_> = (0..10)
            .map(|sample| {
                (
                    sample,
                    varied().draw(&mut rng(1, Purpose::View, 0, sample as u64)),
                )
            })
            .collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            pool.install(|| load(&samples, &picked, 64, Form::Values))
                .unwrap()
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn evaluation_sees_all_in_order_and_keeps_the_short_batch() {
        let samples = Samples::labelled(&labelled(8), (1..8).collect());
        let loader = Loader::evaluation(samples, 3, 96, Form::Values).unwrap();
        let batches: Vec<_> = loader.map(Result::unwrap).collect();
        let counts: Vec<_> = batches.iter().map(|b| b.batch.count).collect();
        assert_eq!(counts, [3, 3, 1]);
        let indices = batches.iter().flat_map(|b| b.indices.clone());
        assert!(indices.eq(1..8));
        let labels = batches.iter().flat_map(|b| b.labels.clone());
        assert!(labels.eq((1..8).map(|i| i % 3)));
        assert_eq!(batches[1].batch.values().unwrap()[0], 4.0 / 255.0);
    }

    #[test]
    fn a_machine_that_makes_views_is_told_the_same() {
        let image = (0..IMAGE_BYTES).map(|i| (i * i) as u8).collect();
        let samples = all(&Images::from_bytes(image));
        let drawing = |form| Drawing {
            views: vec![varied(), varied()],
            form,
            ..drawing(3, varied())
        };
        let values = take(samples.clone(), drawing(Form::Values), 1, 1).remove(0);
        let told = take(samples, drawing(Form::Views), 1, 1).remove(0);
        assert!(told.batch.values().is_err());
        let Pixels::Views(views) = &told.batch.pixels else {
            panic!("no views");
        };
        assert_eq!((told.batch.count, views.len()), (6, 6));
        let made = views.iter().flat_map(|viewed| {
            let (mut image, mut out) = (vec![0; IMAGE_BYTES], vec![0.0; 64 * 64 * 3]);
            viewed.image.read(&mut image).unwrap();
            viewed.view.apply(&image, 64, &mut out);
            out
        });
        assert!(made.eq(values.batch.values().unwrap().iter().copied()));
        // However often it is seen, it is one image, in every step.
        let origin = views[0].image.origin();
        assert!(origin.is_some() && views.iter().all(|other| other.image.origin() == origin));
        assert_eq!((told.labels, told.indices), (values.labels, values.indices));
    }

    #[test]
    fn evaluation_tells_of_whole_images() {
        let samples = Samples::labelled(&labelled(8), (3..8).collect());
        let batches = |form| -> Vec<Loaded> {
            let loader = Loader::evaluation(samples.clone(), 3, 96, form).unwrap();
            loader.map(Result::unwrap).collect()
        };
        let (told, values) = (batches(Form::Views), batches(Form::Values));
        assert_eq!(told.len(), values.len());
        for (told, values) in told.iter().zip(&values) {
            let Pixels::Views(views) = &told.batch.pixels else {
                panic!("no views");
            };
            assert!(views.iter().all(|viewed| viewed.view == View::WHOLE));
            let images = views
                .iter()
                .map(|viewed| viewed.image.origin().unwrap().index);
            assert!(images.eq(values.indices.iter().copied()));
            assert_eq!(
                (told.batch.count, told.batch.side),
                (values.batch.count, 96)
            );
            assert_eq!(
                (&told.labels, &told.indices),
                (&values.labels, &values.indices)
            );
        }
    }

    #[test]
    fn nothing_to_train_on_is_an_error_and_nothing_to_evaluate_is_none() {
        let none = || all(&Images::default());
        let source = Source {
            samples: none(),
            drawing: drawing(4, varied()),
        };
        assert!(Loader::training(vec![source], 0).is_err());
        let nothing = Loader::evaluation(none(), 4, 96, Form::Values).unwrap();
        assert_eq!(nothing.count(), 0);
    }

    #[test]
    fn a_failed_thread_is_an_error() {
        let mut loader = Loader::<Loaded>::start(|_| panic!("on purpose")).unwrap();
        assert!(loader.next().unwrap().is_err());
        assert!(loader.next().is_none());
    }

    #[test]
    fn only_the_consumers_wait_counts() {
        let samples = all(&labelled(4).images);
        let source = Source {
            samples,
            drawing: drawing(1, Augmentation::NONE),
        };
        let mut loader = Loader::training(vec![source], 0).unwrap();
        assert_eq!(loader.waited(), 0.0);
        loader.next().unwrap().unwrap();
        thread::sleep(Duration::from_millis(50));
        loader.next().unwrap().unwrap();
        assert!(loader.waited() < 0.5);
    }
}
