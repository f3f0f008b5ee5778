//! The GPU itself, through its driver: one stream, on which all work is done in its order, and in a group
//! another for sums beside it.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cudarc::driver::sys::{self, CUfunction, CUfunction_attribute, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, result};
use cudarc::nvrtc::Ptx;

use super::graph::Graph;
use super::kernels;
use super::launches::Launches;
use super::machine::{Argument, Launch, Machine, Number, Room, pointers};
use super::nccl::Communicator;
use super::program::Compiler;
use super::queue::Graphs;
use super::staging::Staging;
use crate::backend::Precision;
use crate::files;

/// The oldest architecture that the kernels are compiled for: Turing.
const OLDEST: (i32, i32) = (7, 5);

/// The oldest whose matrix cores have TF32 and bf16: Ampere.
const OLDEST_MATRIX: (i32, i32) = (8, 0);

/// The oldest driver whose functions are all there, but those of graphs.
const OLDEST_DRIVER: c_int = 11_040;

/// The oldest that has the functions of graphs in their present form.
const OLDEST_GRAPHS: c_int = 12_000;

/// A GPU.
pub struct Device {
    /// It goes first: a sum that never ends would be waited for.
    team: Option<Team>,
    staging: Staging,
    stream: Arc<CudaStream>,
    functions: HashMap<&'static str, CudaFunction>,
    driver: c_int,
    precision: Precision,
    number: usize,
    model: String,
}

/// What joins a GPU to others. Sums wait for each other, as those of one communicator must.
struct Team {
    communicator: Communicator,
    /// The stream of sums beside other work.
    beside: Arc<CudaStream>,
    /// Whether there may be sums on it that the GPU's own stream has not waited for.
    unjoined: Cell<bool>,
}

impl Device {
    /// The GPU of this number, with the kernels of that precision loaded; without one, of the
    /// fastest that it has.
    ///
    /// # Errors
    /// Without such a GPU, or what its kernels need; a [`TooOld`] where the precision is one that
    /// it lacks.
    pub fn open(ordinal: usize, precision: Option<Precision>) -> Result<Self> {
        let (driver, gpus) = found()?;
        ensure!(
            ordinal < gpus,
            "there is no GPU number {ordinal}: the driver finds {gpus}, counted from 0"
        );
        let context = CudaContext::new(ordinal)
            .map_err(|error| refusal(&format!("does not open GPU {ordinal}"), error))?;
        let model = context.name().context("the GPU has no name")?;
        let (major, minor) = context.compute_capability()?;
        ensure!(
            (major, minor) >= OLDEST,
            "{model} is of compute capability {major}.{minor}; the kernels need {}.{} or later",
            OLDEST.0,
            OLDEST.1
        );
        let precision = supported(&model, (major, minor), precision)?;
        let functions = load(&context, &format!("sm_{major}{minor}"), precision, driver)?;
        Ok(Self {
            team: None,
            staging: Staging::default(),
            stream: context.new_stream()?,
            functions,
            driver,
            precision,
            number: ordinal,
            model,
        })
    }

    /// The same GPU in a group.
    ///
    /// # Errors
    /// Where it has no stream for the group's sums.
    pub fn joined(self, communicator: Communicator) -> Result<Self> {
        let team = Team {
            communicator,
            beside: self.stream.context().new_stream()?,
            unjoined: Cell::new(false),
        };
        Ok(Self {
            team: Some(team),
            ..self
        })
    }

    fn team(&self) -> Result<&Team> {
        self.team.as_ref().context("this GPU is in no group")
    }

    fn asynchronous(&self) -> bool {
        self.stream.context().has_async_alloc()
    }

    fn function(&self, kernel: &str) -> Result<CUfunction> {
        let function = self.functions.get(kernel);
        Ok(function
            .with_context(|| format!("no {kernel}"))?
            .cu_function())
    }
}

/// How many GPUs there are: one at least.
///
/// # Errors
/// Without a driver that is new enough, or where it finds none.
pub fn count() -> Result<usize> {
    found().map(|(_, gpus)| gpus)
}

/// The driver's version, and how many GPUs it finds.
fn found() -> Result<(c_int, usize)> {
    // Calls of a library that is not there would panic.
    // SAFETY: loading the driver runs nothing but its own start.
    let present = unsafe { sys::is_culib_present() };
    ensure!(
        present,
        "NVIDIA's driver cannot be loaded: there is no libcuda in the library path"
    );
    let driver = driver_version()?;
    ensure!(
        driver >= OLDEST_DRIVER,
        "NVIDIA's driver is of CUDA {}; {} or later is needed",
        release(driver),
        release(OLDEST_DRIVER)
    );
    let gpus = CudaContext::device_count().map_err(|error| refusal("finds no GPU", error))?;
    let gpus = usize::try_from(gpus).ok().filter(|&gpus| gpus > 0);
    Ok((driver, gpus.context("NVIDIA's driver finds no GPU")?))
}

/// A GPU lacks the precision that it was asked for.
#[derive(Clone, Debug)]
pub struct TooOld {
    model: String,
    capability: (i32, i32),
    precision: Precision,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(
            f,
            "{} is of compute capability {major}.{minor}, and {} takes {}.{} or later; --precision \
             f32 is for every GPU",
            self.model, self.precision, OLDEST_MATRIX.0, OLDEST_MATRIX.1
        )
    }
}

impl std::error::Error for TooOld {}

/// The precision that was asked for, or the fastest of a GPU.
fn supported(
    model: &str,
    capability: (i32, i32),
    precision: Option<Precision>,
) -> Result<Precision, TooOld> {
    match (precision, capability >= OLDEST_MATRIX) {
        (None, true) => Ok(Precision::Bf16),
        (None, false) => Ok(Precision::F32),
        (Some(precision @ (Precision::Tf32 | Precision::Bf16)), false) => Err(TooOld {
            model: model.to_owned(),
            capability,
            precision,
        }),
        (Some(precision), _) => Ok(precision),
    }
}

/// The kernels as functions of a context.
fn load(
    context: &Arc<CudaContext>,
    architecture: &str,
    precision: Precision,
    driver: c_int,
) -> Result<HashMap<&'static str, CudaFunction>> {
    let compiler = Compiler::find()?;
    let folder = files::cache().map(|folder| folder.join("kernels"));
    let (code, cached) = compiler.cached(architecture, precision, driver, folder.as_deref())?;
    let module = match context.load_module(Ptx::from_binary(code)) {
        // What lies in the cache is no program: it is made anew.
        Err(_) if cached => {
            let code = compiler.compile(architecture, precision)?;
            context.load_module(Ptx::from_binary(code))
        }
        loaded => loaded,
    };
    let module = module.map_err(|error| {
        let what = format!(
            "of CUDA {} does not load the kernels of {compiler}",
            release(driver)
        );
        refusal(&what, error)
    })?;
    let function = |name| {
        let function = module.load_function(name)?;
        let shared = kernels::shared_bytes(name);
        if shared > 0 {
            let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let given = function.set_attribute(most, shared.try_into()?);
            let what = format!("gives {name} no {shared} bytes of shared memory");
            given.map_err(|error| refusal(&what, error))?;
        }
        Ok((name, function))
    };
    let names = kernels::names(precision);
    names.into_iter().map(function).collect()
}

/// The version of CUDA that the driver is of: 1000 times the major number and 10 times the minor.
fn driver_version() -> Result<c_int> {
    let mut version = 0;
    // SAFETY: the pointer is to a number that lives through the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(version)
}

/// Such a version as it is written.
fn release(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// What the driver did not do, and what it says of it.
fn refusal(what: &str, error: DriverError) -> anyhow::Error {
    let said = error.error_string().map(|said| said.to_string_lossy());
    match said {
        Ok(said) => anyhow!("NVIDIA's driver {what}: {said}"),
        Err(_) => anyhow!("NVIDIA's driver {what}: {:?}", error.0),
    }
}

impl Machine for Device {
    fn name(&self) -> String {
        format!("GPU {}, {}", self.number, self.model)
    }

    fn model(&self) -> String {
        self.model.clone()
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn room(&self) -> Result<Room> {
        // The driver keeps what was given back until the work before is done.
        let room = self.stream.synchronize();
        let room = room.and_then(|()| self.stream.context().mem_get_info());
        let (free, all) = room.map_err(|error| refusal("does not tell its memory", error))?;
        Ok(Room { free, all })
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let address = if self.asynchronous() {
            // SAFETY: the stream is alive, and all work on this memory is done on it, or joined before
            // it is given back. Its content
            // is anything, which is what is promised.
            unsafe { result::malloc_async(self.stream.cu_stream(), bytes) }
        } else {
            // SAFETY: its content is anything, which is what is promised.
            unsafe { result::malloc_sync(bytes) }
        };
        match address {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let Room { free, all } = self.room()?;
                let megabytes = |bytes: usize| bytes.div_ceil(1 << 20);
                bail!(
                    "the GPU has {} MiB of its {} MiB free, and {} MiB more are needed; a smaller \
                     batch needs less",
                    megabytes(free),
                    megabytes(all),
                    megabytes(bytes)
                )
            }
            address => address.map_err(|error| refusal("gives no memory", error)),
        }
    }

    unsafe fn free(&self, address: u64) {
        if self.join().is_err() {
            // Sums may still go on there: it is not given back.
            return;
        }
        let freed = if self.asynchronous() {
            // SAFETY: the caller's promise; it was allocated on this stream.
            unsafe { result::free_async(address, self.stream.cu_stream()) }
        } else {
            let done = self.stream.synchronize();
            // SAFETY: the caller's promise; the work on it is done.
            done.and_then(|()| unsafe { result::free_sync(address) })
        };
        // A driver that gives nothing back any more says so again at the next call.
        freed.ok();
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise of the address.
        unsafe { self.staging.upload(&self.stream, bytes, to) }
            .map_err(|error| refusal("does not copy to the GPU", error))
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's promise of the address; the stream is alive, and `bytes` are there
        // until the copy is done, for which we wait.
        unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }
            .and_then(|()| self.stream.synchronize())
            .map_err(|error| refusal("does not copy from the GPU", error))
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()> {
        let Launch {
            kernel,
            grid: [gx, gy, gz],
            block: [bx, by, bz],
        } = *launch;
        let function = self.function(kernel)?;
        // SAFETY: the function's module lives as long as `self`, the stream too; the caller's
        // promise of the arguments and of all memory that the kernel touches.
        unsafe {
            result::launch_kernel(
                function,
                (gx, gy, gz),
                (bx, by, bz),
                kernels::shared_bytes(kernel),
                self.stream.cu_stream(),
                &mut pointers(arguments),
            )
        }
        .map_err(|error| refusal(&format!("does not start {kernel}"), error))
    }

    unsafe fn reduce(&self, address: u64, len: usize, number: Number) -> Result<()> {
        self.join()?;
        let stream = self.stream.cu_stream();
        // SAFETY: the caller's promise of the address; memory is given back on this stream, so after
        // the sum.
        unsafe { (self.team()?.communicator).reduce(address, len, number, stream) }
    }

    unsafe fn reduce_beside(&self, address: u64, len: usize) -> Result<()> {
        let team = self.team()?;
        (team.beside.join(&self.stream)).map_err(|error| refusal("does not fork work", error))?;
        team.unjoined.set(true);
        let stream = team.beside.cu_stream();
        // SAFETY: the caller's promise of the address; memory is given back after `join`.
        unsafe { (team.communicator).reduce(address, len, Number::Float, stream) }
    }

    fn join(&self) -> Result<()> {
        match &self.team {
            Some(team) if team.unjoined.get() => {
                (self.stream.join(&team.beside))
                    .map_err(|error| refusal("does not join work", error))?;
                team.unjoined.set(false);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Graphs for Device {
    type Graph = Graph;

    unsafe fn build(&self, launches: &Launches) -> Result<Graph> {
        ensure!(
            self.driver >= OLDEST_GRAPHS,
            "NVIDIA's driver is of CUDA {}; graphs need {} or later",
            release(self.driver),
            release(OLDEST_GRAPHS)
        );
        let function = |launch: &Launch| self.function(launch.kernel);
        let functions: Vec<_> = (launches.all().iter().map(function)).collect::<Result<_>>()?;
        // SAFETY: the functions' module lives as long as `self`, which the caller's graphs do not
        // outlive; the caller's promise of the arguments.
        unsafe { Graph::new(&self.stream, launches, &functions) }
            .map_err(|error| refusal("makes no graph", error))
    }

    unsafe fn update(&self, graph: &mut Graph, launches: &Launches, index: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { graph.update(launches, index) }
            .map_err(|error| refusal("does not change a graph", error))
    }

    unsafe fn start(&self, graph: &Graph) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { graph.start(&self.stream) }
            .map_err(|error| refusal("does not start a graph", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_cores_are_taken_where_there_are_any() {
        let supported = |capability, precision| supported("a GPU", capability, precision);
        let all = [Precision::F32, Precision::Tf32, Precision::Bf16];
        for capability in [(8, 0), (9, 0), (12, 1)] {
            assert_eq!(supported(capability, None).unwrap(), Precision::Bf16);
            for precision in all {
                assert_eq!(supported(capability, Some(precision)).unwrap(), precision);
            }
        }
        for asked in [None, Some(Precision::F32)] {
            assert_eq!(supported((7, 5), asked).unwrap(), Precision::F32);
        }
        for asked in [Precision::Tf32, Precision::Bf16] {
            let error = supported((7, 5), Some(asked)).unwrap_err().to_string();
            for part in ["a GPU", "7.5", "8.0", "--precision f32", &asked.to_string()] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }
}
