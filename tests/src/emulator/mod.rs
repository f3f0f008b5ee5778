//! A machine for the GPU backend that runs the GPU's kernels on the processor: the same sources,
//! compiled as C++ with the definitions of `shim.h`.
//!
//! It shows that kernels and launches compute what they should, and that no thread relies on
//! another's work without a barrier between. It shows nothing of speed, of a GPU's own rounding,
//! or of NVRTC.

mod meeting;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::slice;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use host::backend::Precision;
use host::backend::cuda::group::Group;
use host::backend::cuda::kernels;
use host::backend::cuda::launches::Launches;
use host::backend::cuda::machine::{Argument, Launch, Machine, Number, Room, pointers};
use host::backend::cuda::queue::{Graphs, Queue};
use libloading::Library;

use meeting::Meeting;

/// `emulate` of the compiled program.
type Emulate = unsafe extern "C" fn(
    name: *const c_char,
    grid: *const c_uint,
    block: *const c_uint,
    shared: c_uint,
    values: *mut *mut c_void,
    lengths: *const usize,
    count: usize,
) -> c_int;

/// A line of memory as a GPU aligns it.
#[derive(Clone, Copy, PartialEq)]
#[repr(C, align(256))]
struct Line([u32; 64]);

/// What new memory holds: NaN as f32 and as f64, so that whoever reads it before it is written
/// gives himself away.
const FRESH: Line = Line([u32::MAX; 64]);

/// What lies around each piece of memory, and must stay.
const GUARD: Line = Line([0x9e37_79b9; 64]);

/// The processor, in a GPU's place.
pub struct Emulator {
    memory: RefCell<BTreeMap<u64, Vec<Line>>>,
    launched: RefCell<BTreeSet<&'static str>>,
    graphs: Cell<usize>,
    precision: Precision,
    /// Bytes of memory.
    size: usize,
    /// Where it meets the others of its group, and its rank there.
    group: Option<(Arc<Meeting>, usize)>,
    /// Where values lie that are being added up beside, and the values themselves: there is nothing
    /// to be found meanwhile.
    beside: RefCell<Vec<(u64, Vec<f32>)>>,
}

impl Default for Emulator {
    fn default() -> Self {
        Self::with_memory(64 << 30)
    }
}

impl Emulator {
    /// One of so many bytes of memory. It gives what is asked for all the same.
    pub fn with_memory(size: usize) -> Self {
        Self {
            memory: RefCell::default(),
            launched: RefCell::default(),
            graphs: Cell::default(),
            precision: Precision::F32,
            size,
            group: None,
            beside: RefCell::default(),
        }
    }

    /// One of that precision.
    pub fn with_precision(precision: Precision) -> Self {
        Self {
            precision,
            ..Self::default()
        }
    }

    /// Pieces of memory that have not been given back.
    pub fn pieces(&self) -> usize {
        self.memory.borrow().len()
    }

    /// The kernels that have run.
    pub fn launched(&self) -> Vec<&'static str> {
        self.launched.borrow().iter().copied().collect()
    }

    /// How often launches have started as a graph.
    pub fn graphs(&self) -> usize {
        self.graphs.get()
    }

    /// The same as one of a group.
    fn in_group(self, meeting: Arc<Meeting>, rank: usize) -> Self {
        Self {
            group: Some((meeting, rank)),
            ..self
        }
    }

    fn sum(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        let (meeting, rank) = self.group.as_ref().context("it is in no group")?;
        let len = values.len();
        let sums = meeting.sum(*rank, values)?;
        ensure!(sums.len() == len, "the machines brought unlike many values");
        Ok(sums)
    }

    fn sum_floats(&self, values: &mut [f32]) -> Result<()> {
        let sums = self.sum(values.iter().map(|&value| value.into()).collect())?;
        values
            .iter_mut()
            .zip(sums)
            .for_each(|(value, sum)| *value = sum as f32);
        Ok(())
    }
}

/// A group of emulators, each in its thread behind a queue, as GPUs are; `machine` makes that of a
/// rank.
///
/// # Errors
/// Where they are not alike.
pub fn group(
    ranks: usize,
    machine: impl Fn(usize) -> Emulator + Send + Sync + 'static,
) -> Result<Group> {
    let meeting = Arc::new(Meeting::new(ranks));
    Group::on(ranks, move |rank| {
        let machine = machine(rank).in_group(Arc::clone(&meeting), rank);
        Ok(Rc::new(Queue::new(machine)))
    })
}

impl Machine for Emulator {
    fn name(&self) -> String {
        "an emulated GPU".to_owned()
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn room(&self) -> Result<Room> {
        let lines: usize = self.memory.borrow().values().map(Vec::len).sum();
        Ok(Room {
            free: self.size.saturating_sub(size_of::<Line>() * lines),
            all: self.size,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let mut lines = vec![FRESH; bytes.div_ceil(size_of::<Line>()) + 2];
        let last = lines.len() - 1;
        (lines[0], lines[last]) = (GUARD, GUARD);
        let address = lines[1..].as_ptr() as u64;
        self.memory.borrow_mut().insert(address, lines);
        Ok(address)
    }

    unsafe fn free(&self, address: u64) {
        // As a GPU waits for them.
        if !std::thread::panicking() {
            self.join().ok();
        }
        let lines = self.memory.borrow_mut().remove(&address);
        let guards = lines.and_then(|lines| Some((*lines.first()?, *lines.last()?)));
        if !std::thread::panicking() {
            assert!(
                guards == Some((GUARD, GUARD)),
                "a kernel wrote beside its memory"
            );
        }
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise: so many bytes of a piece of memory begin there.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's promise: so many bytes of a piece of memory begin there.
        unsafe { (from as *const u8).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn reduce(&self, address: u64, len: usize, number: Number) -> Result<()> {
        // SAFETY: the caller's promise: so many values of a piece of memory begin there, whose lines
        // are aligned for both kinds; nobody else works on them.
        unsafe {
            match number {
                Number::Float => self.sum_floats(slice::from_raw_parts_mut(address as _, len)),
                Number::Double => {
                    let values: &mut [f64] = slice::from_raw_parts_mut(address as _, len);
                    values.copy_from_slice(&self.sum(values.to_vec())?);
                    Ok(())
                }
            }
        }
    }

    unsafe fn reduce_beside(&self, address: u64, len: usize) -> Result<()> {
        // SAFETY: as in `reduce`.
        let values: &mut [f32] = unsafe { slice::from_raw_parts_mut(address as _, len) };
        let mut kept = vec![f32::NAN; len];
        kept.swap_with_slice(values);
        self.beside.borrow_mut().push((address, kept));
        Ok(())
    }

    fn join(&self) -> Result<()> {
        for (address, mut kept) in self.beside.take() {
            self.sum_floats(&mut kept)?;
            let len = kept.len();
            // SAFETY: `reduce_beside` was promised that they lie there, and that nothing touches
            // them or gives them back before this.
            let values: &mut [f32] = unsafe { slice::from_raw_parts_mut(address as _, len) };
            ensure!(
                values.iter().all(|value| value.is_nan()),
                "values were written while they were being added up"
            );
            values.copy_from_slice(&kept);
        }
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()> {
        let Launch {
            kernel,
            grid,
            block,
        } = launch;
        self.launched.borrow_mut().insert(kernel);
        // SAFETY: the program defines `emulate` with this type.
        let emulate = unsafe { program(self.precision)?.get::<Emulate>(b"emulate")? };
        let name = CString::new(*kernel)?;
        let mut values = pointers(arguments);
        let len = |argument: &Argument| argument.bytes().len();
        let lengths: Vec<_> = arguments.iter().map(len).collect();
        // SAFETY: the caller's promise: the arguments are the kernel's, and memory is where it
        // reads and writes. The other pointers are to a string, to arrays of three, and to as many
        // lengths as there are arguments.
        let outcome = unsafe {
            emulate(
                name.as_ptr(),
                grid.as_ptr(),
                block.as_ptr(),
                kernels::shared_bytes(kernel),
                values.as_mut_ptr(),
                lengths.as_ptr(),
                lengths.len(),
            )
        };
        let outcomes = [
            "",
            "there is no such kernel",
            "a block has too many threads",
            "some threads of a block ended where others waited",
            "its parameters are more, fewer, shorter or longer than the arguments",
            "a block wrote beyond the shared memory that it was given",
            "threads ended with copies on their way",
        ];
        ensure!(outcome == 0, "{kernel}: {}", outcomes[outcome as usize]);
        Ok(())
    }
}

/// Launches one by one, with their arguments.
pub struct Graph(Vec<Launches>);

/// The launch at `index` alone.
fn only(launches: &Launches, index: usize) -> Launches {
    let mut only = Launches::default();
    only.push(&launches.all()[index], &launches.arguments(index));
    only
}

impl Graphs for Emulator {
    type Graph = Graph;

    unsafe fn build(&self, launches: &Launches) -> Result<Graph> {
        let all = 0..launches.all().len();
        Ok(Graph(all.map(|index| only(launches, index)).collect()))
    }

    unsafe fn update(&self, graph: &mut Graph, launches: &Launches, index: usize) -> Result<()> {
        graph.0[index] = only(launches, index);
        Ok(())
    }

    unsafe fn start(&self, graph: &Graph) -> Result<()> {
        self.graphs.set(self.graphs.get() + 1);
        for launches in &graph.0 {
            // SAFETY: the caller's promise.
            unsafe { self.launch(&launches.all()[0], &launches.arguments(0))? };
        }
        Ok(())
    }
}

/// The kernels of a precision, compiled once a process.
fn program(precision: Precision) -> Result<&'static Library> {
    static PROGRAMS: [OnceLock<Result<Library, String>>; 3] = [const { OnceLock::new() }; 3];
    let program = PROGRAMS[precision as usize]
        .get_or_init(|| compile(precision).map_err(|error| format!("{error:#}")));
    program.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The sources of a precision, matrix cores replaced by `mma.h`.
fn sources(precision: Precision) -> Vec<kernels::Source> {
    let mut sources = kernels::sources(precision);
    for source in &mut sources {
        if *source == kernels::INSTRUCTIONS {
            *source = ("mma.h", include_str!("mma.h"));
        }
    }
    sources
}

/// The program with shared memory that is anything when a block begins: a call after each declaration, or in
/// the place of one of what launches give.
fn with_fresh_memory(program: &str) -> String {
    let lines = program.lines().map(|line| {
        let given = line.trim().strip_prefix("extern __shared__ uint4 ");
        if let Some(name) = given.and_then(|given| given.strip_suffix("[];")) {
            return format!("uint4 *const {name} = emulator::given_memory();");
        }
        let declared = line.trim().strip_prefix("__shared__ ");
        let Some(declared) = declared.and_then(|declared| declared.strip_suffix(';')) else {
            return line.to_owned();
        };
        let (variable, _) = declared.split_once('[').unwrap_or((declared, ""));
        let name = variable.rsplit(' ').next().unwrap_or(variable);
        format!("{line} emulator::fresh(&{name}, sizeof {name});")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn compile(precision: Precision) -> Result<Library> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("kernels.cpp");
    let library = folder.path().join("kernels.so");
    let kernels = with_fresh_memory(&kernels::program(&sources(precision)));
    let mut text = format!("{}\n{kernels}\n", include_str!("shim.h"));
    text += "extern \"C\" int emulate(const char *name, const unsigned *grid,\n\
             const unsigned *block, unsigned shared, void **values,\n\
             const size_t *lengths, size_t count) {\n";
    for name in kernels::names(precision) {
        writeln!(text, "EMULATE({name})")?;
    }
    text += "return emulator::UNKNOWN_KERNEL;\n}\n";
    fs::write(&source, text)?;
    // Fortified jumps take a fibre's stack for a fault.
    let compiled = Command::new("c++")
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC"])
        .args([
            "-fno-exceptions",
            "-U_FORTIFY_SOURCE",
            "-D_FORTIFY_SOURCE=0",
            // A GPU stops at values between multiples of their size.
            "-fsanitize=alignment",
            "-fsanitize-undefined-trap-on-error",
        ])
        .arg("-o")
        .args([&library, &source])
        .output()
        .context("cannot run c++, which compiles the kernels for this test")?;
    ensure!(
        compiled.status.success(),
        "the kernels do not compile as C++:\n{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    // SAFETY: loading it runs no code but that of the C++ runtime.
    Ok(unsafe { Library::new(&library)? })
}
