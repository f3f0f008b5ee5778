//! The loop: steps, epochs, checkpoints, the best weights, an early end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;

use super::checkpoint::{Best, Checkpoint};
use super::metrics::{self, Measures, Record, StepRecord, Sums};
use super::progress::Progress;
use super::tensorboard;
use crate::backend::{Learner, Metadata, Pending, Weights};
use crate::data::loader::{Loaded, Loader};
use crate::files;

/// A checkpoint is written at the end of an epoch, and within one when the last is this old.
const CHECKPOINT_AGE: Duration = Duration::from_secs(60);
/// At the end of an epoch only if the last is so many times as old as it took to write: short epochs
/// do not spend more than a twentieth of their time on it.
const CHECKPOINT_REST: u32 = 19;
/// Every so many steps the loss of one batch is written down.
const STEPS_BETWEEN_RECORDS: usize = 10;

/// The most steps whose figures a machine may owe.
const MOST_PENDING: usize = 10;

/// The means of a step's figures over its batches, by name.
pub type Figures = Vec<(&'static str, f64)>;

/// Something to train.
pub trait Task {
    /// Does one step on the batches of the loader's sources and gives back its figures; `loss` is
    /// one of them.
    fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>>;

    /// Figures over the images held out, after `epoch` (counted from 1).
    fn validate(&mut self, epoch: usize) -> Result<Measures>;

    /// The learning rate of `step`.
    fn rate(&self, step: usize) -> f64;

    /// What learns.
    fn learner(&mut self) -> &mut dyn Learner;

    /// The weights to keep, of those that the training ended with.
    fn finish(&mut self, weights: Weights) -> Result<Weights> {
        Ok(weights)
    }

    /// What a training keeps besides the learner's weights and optimiser, by name.
    fn state(&self) -> Weights {
        Weights::default()
    }

    /// Goes on from [`state`](Self::state).
    fn set_state(&mut self, _state: &Weights) -> Result<()> {
        Ok(())
    }
}

/// The weights that a training would end with now: the averaged ones where there are any.
fn present(task: &mut dyn Task) -> Result<Weights> {
    match task.learner().averaged()? {
        Some(averaged) => Ok(averaged),
        None => task.learner().weights(),
    }
}

/// The batch of a step that has but one.
pub fn only(loaded: &[Loaded]) -> Result<&Loaded> {
    match loaded {
        [one] => Ok(one),
        _ => bail!("a step has {} batches instead of one", loaded.len()),
    }
}

/// How long a training goes on, and with which weights it ends.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the user reads before the progress bar.
    pub name: String,
    /// Epochs.
    pub epochs: usize,
    /// Steps an epoch.
    pub steps_per_epoch: usize,
    /// The figure of [`Task::validate`] by which weights are better; higher is better.
    pub score: Option<&'static str>,
    /// Whether to end with the best weights rather than the last.
    pub keep_best: bool,
    /// Stop after this many epochs without a better score; 0 never does.
    pub patience: usize,
}

impl Plan {
    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.epochs * self.steps_per_epoch
    }
}

/// The files of a training.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    events: bool,
}

impl Folder {
    /// The folder at `path`, made where it does not exist.
    pub fn make(path: &Path) -> Result<Self> {
        files::make_folder(path)?;
        Ok(Self::at(path))
    }

    /// The folder at `path`, as it is.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            events: false,
        }
    }

    /// The same, where a training also writes its curves for TensorBoard if `events` is true.
    pub fn with_events(self, events: bool) -> Self {
        Self { events, ..self }
    }

    /// The folder `name` in it, for a stage of the same run, made where it does not exist.
    pub fn stage(&self, name: &str) -> Result<Self> {
        Ok(Self::make(&self.file(name))?.with_events(self.events))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Every option, resolved.
    pub fn config(&self) -> PathBuf {
        self.file("config.toml")
    }

    /// One record an epoch.
    pub fn metrics(&self) -> PathBuf {
        self.file("metrics.jsonl")
    }

    /// One record every ten steps.
    pub fn steps(&self) -> PathBuf {
        self.file("steps.jsonl")
    }

    /// The curves as TensorBoard reads them, where they are wanted. It finds files by the part
    /// `tfevents` of their names.
    pub fn events(&self) -> Option<PathBuf> {
        self.events.then(|| self.file("events.out.tfevents.vae96"))
    }

    /// The state to resume from.
    pub fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint.safetensors")
    }

    /// The weights at the end; the file is there when the training is complete.
    pub fn weights(&self) -> PathBuf {
        self.file("weights.safetensors")
    }

    /// Whether the training is complete.
    pub fn is_complete(&self) -> bool {
        self.weights().exists()
    }
}

/// A training that goes on.
pub struct Run<'a> {
    plan: &'a Plan,
    folder: &'a Folder,
    progress: Progress,
    bar: ProgressBar,
    step: usize,
    /// The images of the last steps, whose figures are not in the sums yet, and these.
    pending: VecDeque<(usize, Pending<Figures>)>,
    sums: Sums,
    best: Option<Best>,
    records: Vec<Record>,
    /// When the last checkpoint was written, and how long that took.
    saved: Instant,
    saving: Duration,
}

impl<'a> Run<'a> {
    /// Begins a training, or goes on with it where `folder` has a checkpoint: `task` then has the
    /// state it had.
    pub fn begin(
        plan: &'a Plan,
        folder: &'a Folder,
        task: &mut dyn Task,
        progress: Progress,
    ) -> Result<Self> {
        let mut run = Self {
            plan,
            folder,
            progress,
            bar: progress.bar(&plan.name, plan.steps() as u64, "steps"),
            step: 0,
            pending: VecDeque::new(),
            sums: Sums::default(),
            best: None,
            records: Vec::new(),
            saved: Instant::now(),
            saving: Duration::ZERO,
        };
        if folder.checkpoint().exists() {
            let checkpoint = Checkpoint::load(&folder.checkpoint())?;
            task.learner().set_weights(&checkpoint.weights)?;
            task.learner().set_optimiser_state(&checkpoint.optimiser)?;
            if let Some(averaged) = &checkpoint.averaged {
                task.learner().set_averaged(averaged)?;
            }
            task.set_state(&checkpoint.state)?;
            run.step = checkpoint.step;
            run.sums = checkpoint.sums;
            run.best = checkpoint.best;
            run.records = checkpoint.records;
            run.bar.set_position(run.step as u64);
            run.bar.reset_eta();
        }
        metrics::rewrite(&folder.metrics(), &run.records)?;
        let mut steps = match folder.steps().exists() {
            true => metrics::read_steps(&folder.steps())?,
            false => Vec::new(),
        };
        steps.retain(|record| record.step < run.step);
        metrics::rewrite(&folder.steps(), &steps)?;
        if let Some(events) = folder.events() {
            tensorboard::rewrite(&events, &run.records)?;
        }
        Ok(run)
    }

    /// Steps done so far.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Whether no step is left, or the score has not risen for too long.
    pub fn is_over(&self) -> bool {
        let waited = match &self.best {
            Some(best) => self.records.len() - best.epoch,
            None => 0,
        };
        self.step >= self.plan.steps() || (self.plan.patience > 0 && waited >= self.plan.patience)
    }

    /// Trains on the batches of `loader`, which begins with that of [`step`](Self::step), to the
    /// end of the training.
    pub fn go(&mut self, task: &mut dyn Task, loader: &mut Loader<Vec<Loaded>>) -> Result<()> {
        let mut began = Instant::now();
        while !self.is_over() {
            let Some(loaded) = loader.next() else { break };
            let loaded = loaded?;
            let figures = task.step(&loaded, self.step)?;
            let images = loaded.first().map_or(0, |loaded| loaded.batch.count);
            self.pending.push_back((images, figures));
            self.step += 1;
            self.bar.inc(1);
            let epoch_ends = self.step.is_multiple_of(self.plan.steps_per_epoch);
            let save = epoch_ends || self.saved.elapsed() >= CHECKPOINT_AGE;
            self.gather(save || self.pending.len() >= MOST_PENDING)?;
            if epoch_ends {
                let seconds = began.elapsed().as_secs_f64();
                self.end_epoch(task, seconds, loader.waited())?;
                began = Instant::now();
            } else if save {
                self.save(task)?;
            }
        }
        Ok(())
    }

    /// Takes in the figures that are known, or with `wait` all of them.
    fn gather(&mut self, wait: bool) -> Result<()> {
        while let Some((images, figures)) =
            (self.pending).pop_front_if(|(_, figures)| wait || figures.is_known())
        {
            let step = self.step - self.pending.len() - 1;
            let figures = figures.get()?;
            self.check(step + 1, figures.iter().copied())?;
            if step.is_multiple_of(STEPS_BETWEEN_RECORDS) {
                let train = figures.iter().map(|&(name, mean)| (name.to_owned(), mean));
                let record = StepRecord {
                    step,
                    train: train.collect(),
                };
                metrics::append(&self.folder.steps(), &record)?;
            }
            self.sums.add(images, &figures);
            self.bar.set_message(self.message());
        }
        Ok(())
    }

    /// Writes the weights that the training ends with, and gives them back.
    pub fn end(self, task: &mut dyn Task, metadata: &Metadata) -> Result<Weights> {
        self.bar.finish_and_clear();
        let weights = match self.best {
            Some(best) if self.plan.keep_best => best.weights,
            _ => present(task)?,
        };
        let weights = task.finish(weights)?;
        weights.save(&self.folder.weights(), metadata)?;
        Ok(weights)
    }

    /// Figures that are no numbers any more could neither be learned from nor be written down.
    fn check<'f>(
        &self,
        step: usize,
        figures: impl IntoIterator<Item = (&'f str, f64)>,
    ) -> Result<()> {
        for (name, value) in figures {
            ensure!(
                value.is_finite(),
                "{}: the {name} became {value} at step {step}; a lower rate or a clip of 1 keeps \
                 training in bounds",
                self.plan.name
            );
        }
        Ok(())
    }

    fn message(&self) -> String {
        let loss = self.sums.means().get("loss").copied().unwrap_or(f64::NAN);
        format!("loss {loss:.4}")
    }

    fn end_epoch(&mut self, task: &mut dyn Task, seconds: f64, waiting: f64) -> Result<()> {
        let epoch = self.step / self.plan.steps_per_epoch;
        let val = task.validate(epoch)?;
        self.check(
            self.step,
            val.iter().map(|(name, value)| (name.as_str(), *value)),
        )?;
        let record = Record {
            epoch,
            step: self.step,
            rate: task.rate(self.step - 1),
            train: std::mem::take(&mut self.sums).means(),
            val,
            seconds,
            waiting,
            ended: tensorboard::now(),
        };
        if let Some(&score) = self.plan.score.and_then(|name| record.val.get(name))
            && self.best.as_ref().is_none_or(|best| score > best.score)
        {
            self.best = Some(Best {
                score,
                epoch,
                weights: present(task)?,
            });
        }
        let line = self.line(&record);
        self.progress.say(&self.bar, &line);
        metrics::append(&self.folder.metrics(), &record)?;
        if let Some(events) = self.folder.events() {
            tensorboard::append(&events, &record)?;
        }
        self.records.push(record);
        match self.is_over() || self.saved.elapsed() >= CHECKPOINT_REST * self.saving {
            true => self.save(task),
            false => Ok(()),
        }
    }

    fn line(&self, record: &Record) -> String {
        let list = |measures: &Measures| {
            let figure = |(name, value): (&String, &f64)| format!("{name} {value:.4}");
            measures.iter().map(figure).collect::<Vec<_>>().join(" ")
        };
        let val = match record.val.is_empty() {
            true => String::new(),
            false => format!("  val {}", list(&record.val)),
        };
        format!(
            "{:12} epoch {:3}/{}  train {}{val}  {:.1} s",
            self.plan.name,
            record.epoch,
            self.plan.epochs,
            list(&record.train),
            record.seconds
        )
    }

    fn save(&mut self, task: &mut dyn Task) -> Result<()> {
        let began = Instant::now();
        let checkpoint = Checkpoint {
            step: self.step,
            weights: task.learner().weights()?,
            optimiser: task.learner().optimiser_state()?,
            averaged: task.learner().averaged()?,
            state: task.state(),
            best: self.best.clone(),
            records: self.records.clone(),
            sums: self.sums.clone(),
        };
        checkpoint.save(&self.folder.checkpoint())?;
        self.saved = Instant::now();
        self.saving = self.saved - began;
        Ok(())
    }
}
