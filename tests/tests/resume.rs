//! A training that goes on from a checkpoint, whichever step it was taken after, ends as one that
//! never stopped.

use std::cell::{Cell, RefCell};
use std::fs;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, ensure};
use host::backend::cpu::Cpu;
use host::backend::{
    Backend, Classifier, Form, LayerRates, Learner, Metadata, Optimiser, Pending, Tensor, Update,
    Weights, parameters,
};
use host::data::Labelled;
use host::data::loader::{Drawing, Loaded, Loader, Samples, Source};
use host::data::scenes;
use host::train::checkpoint::{Best, Checkpoint};
use host::train::metrics::{self, Measures, Record, Sums};
use host::train::progress::Progress;
use host::train::recipe::{Finetune, Recipe};
use host::train::run::{Figures, Folder, Plan, Run, Task, only};
use vae96::{EDGE, Head};

const CLASSES: usize = scenes::CLASSES;
const EPOCHS: usize = 3;
const STEPS_PER_EPOCH: usize = 3;
const STEPS: usize = EPOCHS * STEPS_PER_EPOCH;
const QUIET: Progress = Progress { quiet: true };

/// The scores of the epochs: the second is the best.
const SCORES: [f64; EPOCHS] = [0.5, 0.75, 0.25];

/// A classifier that keeps, after each step, what a checkpoint would.
struct Watched {
    classifier: Box<dyn Classifier>,
    optimiser: Optimiser,
    /// Fails at this step, as a machine that is switched off.
    fails_at: usize,
    /// Steps done, by its own count.
    done: usize,
    states: Vec<Checkpoint>,
    sums: Sums,
    best: Option<Best>,
}

impl Watched {
    fn new(optimiser: Optimiser, seed: u64) -> Result<Self> {
        let parameters = parameters::classifier(&EDGE, Head::Conv, CLASSES);
        let weights = Weights::initial(&parameters, seed);
        Ok(Self {
            classifier: Cpu.classifier(&EDGE, Head::Conv, CLASSES, &weights)?,
            optimiser,
            fails_at: usize::MAX,
            done: 0,
            states: Vec::new(),
            sums: Sums::default(),
            best: None,
        })
    }
}

impl Task for Watched {
    fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>> {
        ensure!(
            step == self.done,
            "step {step} follows {} others",
            self.done
        );
        if step == self.fails_at {
            return Err(anyhow!("switched off"));
        }
        let update = Update {
            optimiser: self.optimiser,
            rate: self.rate(step),
            layer_rates: LayerRates::new([("conv1", 0.5), ("conv2", 0.5)]),
            weight_decay: 0.1,
            clip_norm: Some(1.0),
        };
        let Loaded { batch, labels, .. } = only(loaded)?;
        let targets = tests::targets(labels, 0.1);
        let outcomes = self.classifier.step(batch, &targets, &update)?;
        self.classifier.average(0.5)?;
        let figures = vec![("loss", tests::loss(&outcomes))];
        if step.is_multiple_of(STEPS_PER_EPOCH) {
            self.sums = Sums::default();
        }
        self.sums.add(batch.count, &figures);
        self.done += 1;
        self.states.push(Checkpoint {
            step: step + 1,
            weights: self.classifier.weights()?,
            optimiser: self.classifier.optimiser_state()?,
            averaged: self.classifier.averaged()?,
            state: self.state(),
            best: self.best.clone(),
            records: Vec::new(),
            sums: self.sums.clone(),
        });
        Ok(Pending::known(figures))
    }

    fn validate(&mut self, epoch: usize) -> Result<Measures> {
        let score = SCORES[epoch - 1];
        if self.best.as_ref().is_none_or(|best| score > best.score) {
            let averaged = self.classifier.averaged()?;
            self.best = Some(Best {
                score,
                epoch,
                weights: averaged.context("weights are averaged after every step")?,
            });
        }
        Ok(Measures::from([("top1".to_owned(), score)]))
    }

    fn rate(&self, step: usize) -> f64 {
        0.01 / (step + 1) as f64
    }

    fn learner(&mut self) -> &mut dyn Learner {
        &mut *self.classifier
    }

    /// Steps done, in a tensor.
    fn state(&self) -> Weights {
        let steps = Tensor::full([1], self.done as f32);
        Weights([("steps".to_owned(), steps)].into())
    }

    fn set_state(&mut self, state: &Weights) -> Result<()> {
        self.done = state.get("steps")?.data[0] as usize;
        Ok(())
    }
}

fn plan(keep_best: bool) -> Plan {
    Plan {
        name: "test".to_owned(),
        epochs: EPOCHS,
        steps_per_epoch: STEPS_PER_EPOCH,
        score: Some("top1"),
        keep_best,
        patience: 0,
    }
}

/// Small views of the samples.
fn source(samples: Samples, batch: usize) -> Source {
    Source {
        samples,
        drawing: Drawing {
            batch,
            side: 32,
            views: vec![Finetune::defaults(Recipe::Default).augmentation()],
            form: Form::Values,
            seed: 4,
            streams: Drawing::MAIN,
        },
    }
}

/// Trains in `folder` from where it is.
fn go_on(task: &mut dyn Task, folder: &Folder, data: &Labelled, plan: &Plan) -> Result<Weights> {
    let mut run = Run::begin(plan, folder, task, QUIET)?;
    let all = (0..data.labels.len()).collect();
    let source = source(Samples::labelled(data, all), 10);
    let mut loader = Loader::training(vec![source], run.step() as u64)?;
    run.go(task, &mut loader)?;
    run.end(task, &Metadata::default())
}

/// The records without what a clock measured.
fn records(folder: &Folder) -> Result<Vec<Record>> {
    let mut records = metrics::read(&folder.metrics())?;
    for record in &mut records {
        (record.seconds, record.waiting, record.ended) = (0.0, 0.0, 0.0);
    }
    Ok(records)
}

fn data() -> Labelled {
    scenes::dataset(&scenes::Options {
        seed: 3,
        train_per_class: 2,
        val_per_class: 0,
        unlabelled: 0,
    })
    .train
}

fn from_every_step(optimiser: Optimiser, keep_best: bool) -> Result<()> {
    let (data, plan) = (data(), plan(keep_best));
    let root = tempfile::tempdir()?;
    let whole = Folder::make(&root.path().join("whole"))?;
    let mut task = Watched::new(optimiser, 1)?;
    let expected = go_on(&mut task, &whole, &data, &plan)?;
    assert_eq!(task.states.len(), STEPS);
    let kept = task.best.as_ref().map(|best| best.epoch);
    assert_eq!(kept, Some(2));

    let all = records(&whole)?;
    for mut state in task.states {
        let step = state.step;
        // Within an epoch: its end would have written the record and emptied the sums.
        if step.is_multiple_of(STEPS_PER_EPOCH) {
            continue;
        }
        state.records = all[..step / STEPS_PER_EPOCH].to_vec();
        let folder = Folder::make(&root.path().join(step.to_string()))?;
        state.save(&folder.checkpoint())?;
        assert_eq!(Checkpoint::load(&folder.checkpoint())?, state);
        // What a crash may leave: records past the checkpoint, one of them cut short.
        fs::write(folder.metrics(), "{\"epoch\": 9, \"st")?;
        // Another seed: all that matters must come from the checkpoint.
        let mut other = Watched::new(optimiser, 2)?;
        let found = go_on(&mut other, &folder, &data, &plan)?;
        assert_eq!(found, expected, "from step {step}");
        assert_eq!(records(&folder)?, all, "from step {step}");
    }
    Ok(())
}

#[test]
fn from_every_step_with_adamw_to_the_best_weights() -> Result<()> {
    let betas = [0.9, 0.99];
    let epsilon = 1e-8;
    from_every_step(Optimiser::AdamW { betas, epsilon }, true)
}

#[test]
fn from_every_step_with_momentum_to_the_last_weights() -> Result<()> {
    from_every_step(Optimiser::Sgd { momentum: 0.9 }, false)
}

/// Fails at each step in turn, and goes on from what the loop itself has written.
#[test]
fn from_the_last_checkpoint_after_a_failure_at_any_step() -> Result<()> {
    let momentum = Optimiser::Sgd { momentum: 0.9 };
    let (data, plan) = (data(), plan(true));
    let root = tempfile::tempdir()?;
    let whole = Folder::make(&root.path().join("whole"))?;
    let expected = go_on(&mut Watched::new(momentum, 1)?, &whole, &data, &plan)?;
    let folder = Folder::make(&root.path().join("failing"))?;
    for step in 0..STEPS {
        let mut task = Watched::new(momentum, 1)?;
        task.fails_at = step;
        let error = go_on(&mut task, &folder, &data, &plan).unwrap_err();
        assert_eq!(error.to_string(), "switched off");
        assert!(!folder.is_complete());
    }
    let found = go_on(&mut Watched::new(momentum, 1)?, &folder, &data, &plan)?;
    assert_eq!(found, expected);
    assert_eq!(records(&folder)?, records(&whole)?);
    assert_eq!(Weights::load(&folder.weights())?.0, expected);
    Ok(())
}

/// A figure that is no number ends a training before it is written down.
#[test]
fn figures_that_are_no_numbers_are_not_recorded() -> Result<()> {
    struct Diverging(Watched);
    impl Task for Diverging {
        fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>> {
            self.0.step(loaded, step)
        }
        fn validate(&mut self, epoch: usize) -> Result<Measures> {
            let value = if epoch == 2 { f64::NAN } else { 1.0 };
            Ok(Measures::from([("loss".to_owned(), value)]))
        }
        fn rate(&self, step: usize) -> f64 {
            self.0.rate(step)
        }
        fn learner(&mut self) -> &mut dyn Learner {
            self.0.learner()
        }
        fn state(&self) -> Weights {
            self.0.state()
        }
    }
    let root = tempfile::tempdir()?;
    let folder = Folder::make(root.path())?;
    let plan = Plan {
        score: None,
        ..plan(false)
    };
    let mut task = Diverging(Watched::new(Optimiser::Sgd { momentum: 0.5 }, 1)?);
    let mut run = Run::begin(&plan, &folder, &mut task, QUIET)?;
    let source = source(Samples::labelled(&data(), vec![0, 1, 2, 3]), 4);
    let mut loader = Loader::training(vec![source], 0)?;
    let error = run.go(&mut task, &mut loader).unwrap_err().to_string();
    assert!(error.contains("loss became NaN at step 6"), "{error}");
    assert_eq!(records(&folder)?.len(), 1);
    assert_eq!(Checkpoint::load(&folder.checkpoint())?.step, 3);
    Ok(())
}

/// What a task does, but its machine owes the figures.
struct Late {
    task: Watched,
    /// The step whose loss is no number.
    diverges_at: usize,
    begun: Rc<Cell<usize>>,
    /// Steps begun when each step's figures were asked for.
    asked: Rc<RefCell<Vec<usize>>>,
}

impl Late {
    fn new(optimiser: Optimiser, diverges_at: usize) -> Result<Self> {
        Ok(Self {
            task: Watched::new(optimiser, 1)?,
            diverges_at,
            begun: Rc::default(),
            asked: Rc::default(),
        })
    }
}

impl Task for Late {
    fn step(&mut self, loaded: &[Loaded], step: usize) -> Result<Pending<Figures>> {
        let mut figures = self.task.step(loaded, step)?.get()?;
        if step == self.diverges_at {
            figures[0].1 = f64::NAN;
        }
        self.begun.set(step + 1);
        let (begun, asked) = (Rc::clone(&self.begun), Rc::clone(&self.asked));
        Ok(Pending::later(move || {
            asked.borrow_mut().push(begun.get());
            Ok(figures)
        }))
    }
    fn validate(&mut self, epoch: usize) -> Result<Measures> {
        self.task.validate(epoch)
    }
    fn rate(&self, step: usize) -> f64 {
        self.task.rate(step)
    }
    fn learner(&mut self) -> &mut dyn Learner {
        self.task.learner()
    }
    fn state(&self) -> Weights {
        self.task.state()
    }
}

/// A machine that owes its figures leaves the same files, and is asked for them seldom.
#[test]
fn figures_that_come_late_are_recorded_like_others() -> Result<()> {
    let momentum = Optimiser::Sgd { momentum: 0.9 };
    let data = data();
    let plan = Plan {
        epochs: 2,
        steps_per_epoch: 12,
        ..plan(true)
    };
    let root = tempfile::tempdir()?;
    let [at_once, late, diverging] =
        ["at once", "late", "diverging"].map(|name| Folder::make(&root.path().join(name)));
    let (at_once, late, diverging) = (at_once?, late?, diverging?);
    let expected = go_on(&mut Watched::new(momentum, 1)?, &at_once, &data, &plan)?;
    let mut task = Late::new(momentum, usize::MAX)?;
    assert_eq!(go_on(&mut task, &late, &data, &plan)?, expected);
    assert_eq!(records(&late)?, records(&at_once)?);
    let steps = |folder: &Folder| metrics::read_steps(&folder.steps());
    assert_eq!(steps(&late)?, steps(&at_once)?);
    assert_eq!(steps(&late)?.len(), 3);
    let asked = [vec![10; 10], vec![12; 2], vec![22; 10], vec![24; 2]];
    assert_eq!(task.asked.take(), asked.concat());

    // The step that diverged is named, not the one before which it was found out.
    let error = go_on(&mut Late::new(momentum, 3)?, &diverging, &data, &plan);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("loss became NaN at step 4"), "{error}");
    Ok(())
}
