//! The threads of a group, one a machine, and what they hold.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};

use crate::backend::cuda::Cuda;
use crate::backend::cuda::machine::Machine;

/// How long the others may still take when one has failed: they may wait for it for ever.
const GRACE: Duration = Duration::from_secs(10);

const NOTHING: &str = "a member of the group holds no such thing";

/// What a thread is asked to do.
type Task = Box<dyn FnOnce(&mut Member) + Send>;

/// A machine in its thread.
pub struct Member {
    /// The machine.
    pub cuda: Cuda,
    held: HashMap<u64, Box<dyn Any>>,
}

impl Member {
    fn get<T: 'static>(&mut self, number: u64) -> Result<&mut T> {
        let held = self.held.get_mut(&number);
        held.and_then(|held| held.downcast_mut()).context(NOTHING)
    }

    fn take<T: 'static>(&mut self, number: u64) -> Result<T> {
        let held = self.held.remove(&number);
        let held = held.and_then(|held| held.downcast().ok());
        held.map(|held| *held).context(NOTHING)
    }
}

/// The machines of a group. What one is asked for all are, at the same time.
pub struct Members {
    tasks: Vec<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
    numbers: Cell<u64>,
    /// Whether some have failed where others have not.
    apart: Cell<bool>,
}

impl Members {
    /// Starts `ranks` threads, each with the machine that `open` gives it.
    ///
    /// # Errors
    /// Where one of them gets none.
    pub fn start(
        ranks: usize,
        open: impl Fn(usize) -> Result<Rc<dyn Machine>> + Send + Sync + 'static,
    ) -> Result<Rc<Self>> {
        let open = Arc::new(open);
        let (said, opened) = mpsc::channel();
        let mut this = Self {
            tasks: Vec::new(),
            threads: Vec::new(),
            numbers: Cell::default(),
            apart: Cell::default(),
        };
        for rank in 0..ranks {
            let (sender, tasks) = mpsc::channel();
            let (open, said) = (Arc::clone(&open), said.clone());
            let thread = thread::Builder::new().name(format!("rank {rank}"));
            let thread = thread.spawn(move || match open(rank) {
                Ok(machine) => {
                    said.send(Ok(())).ok();
                    drop(said);
                    serve(Cuda::on(machine), &tasks);
                }
                Err(error) => drop(said.send(Err(error))),
            });
            this.threads.push(thread.context("cannot start a thread")?);
            this.tasks.push(sender);
        }
        drop(said);
        opened.iter().collect::<Result<Vec<()>>>()?;
        Ok(Rc::new(this))
    }

    /// How many they are.
    pub fn ranks(&self) -> usize {
        self.tasks.len()
    }

    /// What each of them answers; `of` makes the question for its rank.
    ///
    /// # Errors
    /// What the first of them said that failed. Unless all have, they may no longer be alike, and
    /// are asked nothing any more.
    pub fn each<T, F>(&self, of: impl Fn(usize) -> F) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Member) -> Result<T> + Send + 'static,
    {
        self.ask((0..self.ranks()).map(of).collect(), None)
    }

    /// The same of a question that may have no answer.
    ///
    /// # Errors
    /// Where there is none for so long, too.
    pub fn each_within<T, F>(&self, patience: Duration, of: impl Fn(usize) -> F) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Member) -> Result<T> + Send + 'static,
    {
        self.ask((0..self.ranks()).map(of).collect(), Some(patience))
    }

    /// What the first of them answers.
    ///
    /// # Errors
    /// What it said.
    pub fn first<T, F>(&self, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Member) -> Result<T> + Send + 'static,
    {
        let answers = self.ask(vec![run], None)?;
        answers.into_iter().next().context("nobody answered")
    }

    /// Asks the first of them one question each.
    fn ask<T, F>(&self, questions: Vec<F>, patience: Option<Duration>) -> Result<Vec<T>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Member) -> Result<T> + Send + 'static,
    {
        ensure!(
            !self.apart.get(),
            "a GPU of the group has failed before, and the others cannot go on without it"
        );
        let asked = questions.len();
        let (sender, answers) = mpsc::channel();
        for (rank, run) in questions.into_iter().enumerate() {
            let sender = sender.clone();
            // Where the thread is gone, there is no answer either.
            let task = move |member: &mut Member| drop(sender.send((rank, run(member))));
            self.tasks[rank].send(Box::new(task)).ok();
        }
        drop(sender);
        let mut good = Vec::new();
        let mut failed: Vec<(usize, Error)> = Vec::new();
        loop {
            // For ever, as long as nobody has failed.
            let patience = if failed.is_empty() {
                patience
            } else {
                Some(GRACE)
            };
            let answer = match patience {
                None => answers.recv().ok(),
                Some(patience) => answers.recv_timeout(patience).ok(),
            };
            match answer {
                Some((rank, Ok(answer))) => good.push((rank, answer)),
                Some((rank, Err(error))) => failed.push((rank, error)),
                None => break,
            }
        }
        if good.len() == asked {
            good.sort_by_key(|&(rank, _)| rank);
            return Ok(good.into_iter().map(|(_, answer)| answer).collect());
        }
        self.apart.set(failed.len() < asked);
        let first = failed.into_iter().min_by_key(|&(rank, _)| rank);
        Err(match first {
            Some((_, error)) if !self.apart.get() => error,
            Some((rank, error)) => error.context(format!("GPU {rank} of the group")),
            None => anyhow!("a GPU's thread has ended, or waits for another in vain"),
        })
    }

    /// What each of them makes and keeps.
    pub fn make<T, F>(self: &Rc<Self>, of: impl Fn(usize) -> F) -> Result<Held<T>>
    where
        T: 'static,
        F: FnOnce(&mut Member) -> Result<T> + Send + 'static,
    {
        let held = Held {
            members: Rc::clone(self),
            number: self.numbers.get(),
            of: PhantomData,
        };
        let number = held.number;
        self.numbers.set(number + 1);
        self.each(|rank| {
            let make = of(rank);
            move |member: &mut Member| {
                let made = make(member)?;
                member.held.insert(number, Box::new(made));
                Ok(())
            }
        })?;
        Ok(held)
    }
}

/// Does what a thread is asked for, until nobody can ask any more.
fn serve(cuda: Cuda, tasks: &Receiver<Task>) {
    let mut member = Member {
        cuda,
        held: HashMap::new(),
    };
    for task in tasks {
        task(&mut member);
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.tasks.clear();
        // Those that wait for another for ever end with the process.
        if !self.apart.get() {
            for thread in self.threads.drain(..) {
                thread.join().ok();
            }
        }
    }
}

/// Something that each of the members has: a `T` of its own.
pub struct Held<T> {
    members: Rc<Members>,
    number: u64,
    of: PhantomData<fn() -> T>,
}

impl<T: 'static> Held<T> {
    /// The members.
    pub fn ranks(&self) -> usize {
        self.members.ranks()
    }

    /// What each of them answers of it; `of` makes the question for its rank.
    pub fn each<U, F>(&self, of: impl Fn(usize) -> F) -> Result<Vec<U>>
    where
        U: Send + 'static,
        F: FnOnce(&mut T) -> Result<U> + Send + 'static,
    {
        let number = self.number;
        self.members.each(|rank| {
            let run = of(rank);
            move |member: &mut Member| run(member.get(number)?)
        })
    }

    /// What the first of them answers of it.
    pub fn first<U, F>(&self, run: F) -> Result<U>
    where
        U: Send + 'static,
        F: FnOnce(&mut T) -> Result<U> + Send + 'static,
    {
        let number = self.number;
        (self.members).first(move |member: &mut Member| run(member.get(number)?))
    }

    /// What each of them makes of it and keeps.
    pub fn make<U, F>(&self, of: impl Fn(usize) -> F) -> Result<Held<U>>
    where
        U: 'static,
        F: FnOnce(&mut T) -> Result<U> + Send + 'static,
    {
        let number = self.number;
        self.members.make(|rank| {
            let make = of(rank);
            move |member: &mut Member| make(member.get(number)?)
        })
    }

    /// What it becomes at each of them.
    pub fn take<U>(self, of: fn(T) -> Result<U>) -> Result<Vec<U>>
    where
        U: Send + 'static,
    {
        let number = self.number;
        self.members
            .each(|_| move |member: &mut Member| of(member.take(number)?))
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let number = self.number;
        for tasks in &self.members.tasks {
            // A thread that is gone holds nothing.
            let forget = move |member: &mut Member| drop(member.held.remove(&number));
            tasks.send(Box::new(forget)).ok();
        }
    }
}
