//! Launches that wait for each other, so that those of a step start by one call: what was asked for
//! in the same order before is started as a graph.

use std::cell::{Cell, RefCell};
use std::mem;

use anyhow::{Error, Result};

use super::launches::Launches;
use super::machine::{Argument, Launch, Machine, Number, Room};
use crate::backend::Precision;

/// Fewer launches are started one by one: a graph would save nothing.
const LEAST: usize = 8;

/// Sequences of launches that are remembered: an epoch has steps, the last of another size, and
/// passes of several networks over validation images.
const MOST: usize = 16;

/// A machine that can start many kernels by one call. Its own launches start at once.
pub trait Graphs: Machine {
    /// Launches one after the other, made ready.
    type Graph;

    /// Makes launches ready.
    ///
    /// # Errors
    /// Where it cannot; they are then to be started one by one.
    ///
    /// # Safety
    /// The arguments must be values of the kernels' parameters, one each, in their order; the graph
    /// must be gone before the machine.
    unsafe fn build(&self, launches: &Launches) -> Result<Self::Graph>;

    /// Gives the launch at `index` its arguments in `launches`, from the next start on.
    ///
    /// # Safety
    /// The arguments must be such values; the graph must be this machine's, of launches that differ
    /// from these in their arguments alone.
    unsafe fn update(
        &self,
        graph: &mut Self::Graph,
        launches: &Launches,
        index: usize,
    ) -> Result<()>;

    /// Starts them all.
    ///
    /// # Safety
    /// The graph must be this machine's; its kernels must find memory wherever they read or write.
    unsafe fn start(&self, graph: &Self::Graph) -> Result<()>;
}

/// A machine whose launches wait until something comes that must not be done before them.
pub struct Queue<M: Graphs> {
    pending: RefCell<Launches>,
    // Graphs go before their machine.
    history: RefCell<History<M::Graph>>,
    /// Why launches did not start, when nobody could be told.
    failure: Cell<Option<Error>>,
    machine: M,
}

impl<M: Graphs> Queue<M> {
    /// Before that machine.
    pub fn new(machine: M) -> Self {
        Self {
            pending: RefCell::default(),
            history: RefCell::new(History(Vec::new())),
            failure: Cell::default(),
            machine,
        }
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }
}

impl<M: Graphs> Machine for Queue<M> {
    fn name(&self) -> String {
        self.machine.name()
    }

    fn model(&self) -> String {
        self.machine.model()
    }

    fn precision(&self) -> Precision {
        self.machine.precision()
    }

    fn room(&self) -> Result<Room> {
        self.flush()?;
        self.machine.room()
    }

    /// The launches that wait know nothing of it, so they may come later.
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.machine.allocate(bytes)
    }

    unsafe fn free(&self, address: u64) {
        if let Err(error) = self.flush() {
            self.failure.set(Some(error));
        }
        // SAFETY: the caller's promise; no launch waits that could touch this memory.
        unsafe { self.machine.free(address) };
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        self.flush()?;
        // SAFETY: the caller's promise.
        unsafe { self.machine.upload(bytes, to) }
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.flush()?;
        // SAFETY: the caller's promise.
        unsafe { self.machine.download(from, bytes) }
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()> {
        self.pending.borrow_mut().push(launch, arguments);
        Ok(())
    }

    unsafe fn reduce(&self, address: u64, len: usize, number: Number) -> Result<()> {
        self.flush()?;
        // SAFETY: the caller's promise.
        unsafe { self.machine.reduce(address, len, number) }
    }

    unsafe fn reduce_beside(&self, address: u64, len: usize) -> Result<()> {
        self.flush()?;
        // SAFETY: the caller's promise.
        unsafe { self.machine.reduce_beside(address, len) }
    }

    fn join(&self) -> Result<()> {
        self.flush()?;
        self.machine.join()
    }

    fn flush(&self) -> Result<()> {
        let mut pending = self.pending.borrow_mut();
        let started = match self.failure.take() {
            Some(error) => Err(error),
            None => (self.history.borrow_mut()).start(&self.machine, &mut pending),
        };
        // What has not started never will: what it reads may be missing.
        pending.clear();
        started
    }
}

/// The sequences of launches that came last, the very last first.
struct History<G>(Vec<Known<G>>);

impl<G> History<G> {
    /// Starts launches, and leaves nothing of use in their place.
    fn start(&mut self, machine: &impl Graphs<Graph = G>, pending: &mut Launches) -> Result<()> {
        if pending.all().len() < LEAST {
            return one_by_one(machine, pending);
        }
        if let Some(known) = self.find(pending.all()) {
            return known.start(machine, pending);
        }
        one_by_one(machine, pending)?;
        self.0.truncate(MOST - 1);
        let known = Known {
            last: mem::take(pending),
            form: Form::New,
        };
        self.0.insert(0, known);
        Ok(())
    }

    fn find(&mut self, launches: &[Launch]) -> Option<&mut Known<G>> {
        let same = |known: &Known<G>| known.last.all() == launches;
        let place = self.0.iter().position(same)?;
        self.0[..=place].rotate_right(1);
        self.0.first_mut()
    }
}

/// Launches that came before, with their last arguments.
struct Known<G> {
    last: Launches,
    form: Form<G>,
}

/// How launches start.
enum Form<G> {
    /// One by one, since they may never come again.
    New,
    /// Together, with the last arguments.
    Graph(G),
    /// One by one, since the machine makes no graph of them.
    Plain,
}

impl<G> Known<G> {
    /// Starts the same launches with the arguments that they have now.
    fn start(&mut self, machine: &impl Graphs<Graph = G>, pending: &mut Launches) -> Result<()> {
        match &mut self.form {
            Form::New => {
                // SAFETY: `Queue::launch` was promised that the arguments are the kernels'; a
                // queue's graphs go before its machine.
                let graph = unsafe { machine.build(pending) };
                self.form = graph.map_or(Form::Plain, Form::Graph);
            }
            Form::Graph(graph) => {
                let updated = pending.changed(&self.last).try_for_each(|index| {
                    // SAFETY: the same; the launches are those that it was built of.
                    unsafe { machine.update(graph, pending, index) }
                });
                if updated.is_err() {
                    self.form = Form::Plain;
                }
            }
            Form::Plain => {}
        }
        mem::swap(&mut self.last, pending);
        match &self.form {
            // SAFETY: the graph has the arguments of these launches; `Queue::launch` was promised
            // their memory, which `Queue::free` gives back only when they have started.
            Form::Graph(graph) => unsafe { machine.start(graph) },
            Form::New | Form::Plain => one_by_one(machine, &self.last),
        }
    }
}

fn one_by_one(machine: &impl Machine, launches: &Launches) -> Result<()> {
    for (index, launch) in launches.all().iter().enumerate() {
        // SAFETY: `Queue::launch` was promised it; `Queue::free` gives memory back only when the
        // launches have started.
        unsafe { machine.launch(launch, &launches.arguments(index))? };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use anyhow::{bail, ensure};

    /// A machine that computes nothing, and keeps what it did.
    #[derive(Default)]
    struct Log {
        done: RefCell<Vec<Done>>,
        /// The launches that have started, with their first arguments.
        launched: RefCell<Vec<(Launch, i32)>>,
        /// What it cannot do.
        refused: Cell<Option<Done>>,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Done {
        Room,
        Allocate,
        Free,
        Upload,
        Download,
        Reduce,
        ReduceBeside,
        Join,
        Launch,
        Build,
        Update,
        Start,
    }

    impl Log {
        fn put(&self, done: Done) -> Result<()> {
            self.done.borrow_mut().push(done);
            ensure!(self.refused.get() != Some(done), "no {done:?}");
            Ok(())
        }

        fn count(&self, what: Done) -> usize {
            let done = self.done.borrow();
            done.iter().filter(|&&done| done == what).count()
        }
    }

    fn first(launches: &Launches, index: usize) -> (Launch, i32) {
        let arguments = launches.arguments(index);
        let number = bytemuck::pod_read_unaligned(arguments[0].bytes());
        (launches.all()[index], number)
    }

    impl Machine for Log {
        fn name(&self) -> String {
            "nothing".to_owned()
        }

        fn precision(&self) -> Precision {
            Precision::F32
        }

        fn room(&self) -> Result<Room> {
            self.put(Done::Room)?;
            Ok(Room { free: 0, all: 0 })
        }

        fn allocate(&self, _: usize) -> Result<u64> {
            self.put(Done::Allocate)?;
            Ok(0)
        }

        unsafe fn free(&self, _: u64) {
            self.put(Done::Free).ok();
        }

        unsafe fn upload(&self, _: &[u8], _: u64) -> Result<()> {
            self.put(Done::Upload)
        }

        unsafe fn download(&self, _: u64, _: &mut [u8]) -> Result<()> {
            self.put(Done::Download)
        }

        unsafe fn reduce(&self, _: u64, _: usize, _: Number) -> Result<()> {
            self.put(Done::Reduce)
        }

        unsafe fn reduce_beside(&self, _: u64, _: usize) -> Result<()> {
            self.put(Done::ReduceBeside)
        }

        fn join(&self) -> Result<()> {
            self.put(Done::Join)
        }

        unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()> {
            self.put(Done::Launch)?;
            let mut launches = Launches::default();
            launches.push(launch, arguments);
            self.launched.borrow_mut().push(first(&launches, 0));
            Ok(())
        }
    }

    impl Graphs for Log {
        type Graph = Vec<(Launch, i32)>;

        unsafe fn build(&self, launches: &Launches) -> Result<Self::Graph> {
            self.put(Done::Build)?;
            let all = 0..launches.all().len();
            Ok(all.map(|index| first(launches, index)).collect())
        }

        unsafe fn update(
            &self,
            graph: &mut Self::Graph,
            launches: &Launches,
            index: usize,
        ) -> Result<()> {
            self.put(Done::Update)?;
            graph[index] = first(launches, index);
            Ok(())
        }

        unsafe fn start(&self, graph: &Self::Graph) -> Result<()> {
            self.put(Done::Start)?;
            self.launched.borrow_mut().extend(graph);
            Ok(())
        }
    }

    /// Asks for launches of these arguments, of a width that tells sequences apart.
    fn ask(queue: &Queue<Log>, width: u32, arguments: &[i32]) -> Vec<(Launch, i32)> {
        let launch = Launch {
            kernel: "any",
            grid: [width, 1, 1],
            block: [1; 3],
        };
        for &argument in arguments {
            // SAFETY: nothing touches memory.
            unsafe { queue.launch(&launch, &[argument.into()]) }.unwrap();
        }
        let of = |&argument| (launch, argument);
        arguments.iter().map(of).collect()
    }

    type Call<'a> = &'a dyn Fn(&Queue<Log>);

    fn queue() -> Queue<Log> {
        Queue::new(Log::default())
    }

    /// Asks for launches, starts them, and sees that all have started with their own arguments;
    /// what the machine did.
    fn run(queue: &Queue<Log>, width: u32, arguments: &[i32]) -> Vec<Done> {
        let expected = ask(queue, width, arguments);
        queue.flush().unwrap();
        assert_eq!(queue.machine().launched.take(), expected);
        queue.machine().done.take()
    }

    const EIGHT: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

    #[test]
    fn launches_wait_for_what_must_come_after_them() {
        let queue = queue();
        // SAFETY: nothing touches memory.
        let all: [(Done, Call); 7] = unsafe {
            [
                (Done::Room, &|queue| drop(queue.room())),
                (Done::Upload, &|queue| queue.upload(&[], 0).unwrap()),
                (Done::Download, &|queue| queue.download(0, &mut []).unwrap()),
                (Done::Reduce, &|queue| {
                    queue.reduce(0, 0, Number::Float).unwrap()
                }),
                (Done::ReduceBeside, &|queue| {
                    queue.reduce_beside(0, 0).unwrap()
                }),
                (Done::Join, &|queue| queue.join().unwrap()),
                (Done::Free, &|queue| queue.free(0)),
            ]
        };
        for (what, call) in all {
            let mut expected = ask(&queue, 1, &[1, 2]);
            queue.allocate(4).unwrap();
            expected.extend(ask(&queue, 1, &[3]));
            assert_eq!(queue.machine().done.take(), [Done::Allocate]);
            call(&queue);
            assert_eq!(queue.machine().launched.take(), expected);
            let launches = [Done::Launch; 3];
            assert_eq!(
                queue.machine().done.take(),
                [&launches[..], &[what]].concat()
            );
        }
    }

    #[test]
    fn launches_that_come_again_start_as_a_graph() {
        let queue = queue();
        assert_eq!(run(&queue, 1, &EIGHT), [Done::Launch; 8]);
        assert_eq!(run(&queue, 1, &EIGHT), [Done::Build, Done::Start]);
        assert_eq!(run(&queue, 1, &EIGHT), [Done::Start]);
        let mut others = EIGHT;
        (others[2], others[7]) = (-2, -7);
        let two = [Done::Update, Done::Update, Done::Start];
        assert_eq!(run(&queue, 1, &others), two);
        assert_eq!(run(&queue, 1, &others), [Done::Start]);
        assert_eq!(run(&queue, 1, &EIGHT), two);
        // Another width, another number of them.
        assert_eq!(run(&queue, 2, &EIGHT), [Done::Launch; 8]);
        assert_eq!(run(&queue, 1, &[0; 9]), [Done::Launch; 9]);
        assert_eq!(run(&queue, 2, &EIGHT), [Done::Build, Done::Start]);
        assert_eq!(run(&queue, 1, &EIGHT), [Done::Start]);
    }

    #[test]
    fn few_launches_start_one_by_one() {
        let queue = queue();
        assert_eq!(run(&queue, 1, &[]), []);
        for _ in 0..3 {
            assert_eq!(run(&queue, 1, &EIGHT[1..]), [Done::Launch; 7]);
        }
    }

    #[test]
    fn what_came_long_ago_is_forgotten() {
        let queue = queue();
        let others = |widths: std::ops::Range<u32>| {
            for width in widths {
                assert_eq!(run(&queue, width, &EIGHT), [Done::Launch; 8]);
            }
        };
        others(0..1);
        run(&queue, 0, &EIGHT);
        others(1..MOST as u32);
        assert_eq!(run(&queue, 0, &EIGHT), [Done::Start]);
        others(MOST as u32..2 * MOST as u32 - 1);
        assert_eq!(run(&queue, 0, &EIGHT), [Done::Start]);
        others(2 * MOST as u32..3 * MOST as u32);
        others(0..1);
    }

    #[test]
    fn without_graphs_launches_start_one_by_one() {
        let queue = queue();
        queue.machine().refused.set(Some(Done::Build));
        run(&queue, 1, &EIGHT);
        let once = [&[Done::Build][..], &[Done::Launch; 8]].concat();
        assert_eq!(run(&queue, 1, &EIGHT), once);
        queue.machine().refused.take();
        assert_eq!(run(&queue, 1, &EIGHT), [Done::Launch; 8]);

        let others = EIGHT.map(|argument| -argument);
        run(&queue, 2, &EIGHT);
        run(&queue, 2, &EIGHT);
        queue.machine().refused.set(Some(Done::Update));
        let once = [&[Done::Update][..], &[Done::Launch; 8]].concat();
        assert_eq!(run(&queue, 2, &others), once);
        assert_eq!(run(&queue, 2, &EIGHT), [Done::Launch; 8]);
    }

    #[test]
    fn what_does_not_start_is_told_once_and_dropped() -> Result<()> {
        let queue = queue();
        for (refused, runs) in [(Done::Launch, 0), (Done::Start, 2)] {
            for _ in 0..runs {
                run(&queue, 1, &EIGHT);
            }
            queue.machine().refused.set(Some(refused));
            ask(&queue, 1, &EIGHT);
            // SAFETY: nothing touches memory.
            unsafe { queue.free(0) };
            assert_eq!(queue.machine().count(Done::Free), 1);
            // What comes now may read what was to be made.
            ask(&queue, 1, &EIGHT);
            // SAFETY: nothing touches memory.
            unsafe { queue.free(0) };
            assert_eq!(queue.machine().count(refused), 1);
            let Err(error) = queue.room() else {
                bail!("no error");
            };
            assert_eq!(error.to_string(), format!("no {refused:?}"));
            queue.machine().refused.take();
            queue.room()?;
            queue.machine().done.take();
            assert!(queue.machine().launched.take().is_empty());
        }
        Ok(())
    }
}
