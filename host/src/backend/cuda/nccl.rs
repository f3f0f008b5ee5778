//! Sums over several GPUs, by NVIDIA's library of collective operations, which is loaded when it is
//! asked for.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cudarc::driver::sys::CUstream;
use cudarc::nccl::sys::{ncclComm_t, ncclDataType_t, ncclRedOp_t};
use libloading::Library;

use super::machine::Number;

/// The name under which every distribution of NCCL 2 has it.
const NAME: &str = "libnccl.so.2";

/// NCCL's outcome of a call; 0 is a success. Later versions know others than cudarc's.
type Outcome = c_int;

type InitAll = unsafe extern "C" fn(*mut ncclComm_t, c_int, *const c_int) -> Outcome;
type AllReduce = unsafe extern "C" fn(
    *const c_void,
    *mut c_void,
    usize,
    ncclDataType_t,
    ncclRedOp_t,
    ncclComm_t,
    CUstream,
) -> Outcome;
type Abort = unsafe extern "C" fn(ncclComm_t) -> Outcome;
type ErrorString = unsafe extern "C" fn(Outcome) -> *const c_char;

/// The library.
pub struct Nccl {
    init_all: InitAll,
    all_reduce: AllReduce,
    abort: Abort,
    error_string: ErrorString,
    /// It stays loaded as long as its functions are here.
    _library: Library,
}

impl Nccl {
    /// Finds it.
    ///
    /// # Errors
    /// Where it cannot be loaded.
    pub fn find() -> Result<Arc<Self>> {
        // SAFETY: loading NCCL runs nothing but its own start.
        let library = unsafe { Library::new(NAME) }.with_context(|| {
            format!(
                "NCCL, which adds up the gradients of several GPUs, cannot be loaded: there is no \
                 {NAME} in the library path; --device cuda:N trains on one GPU without it"
            )
        })?;
        // SAFETY: the types are those of the header of every NCCL 2 that has all of them; an
        // enumeration is an int there.
        unsafe {
            Ok(Arc::new(Self {
                init_all: *library.get::<InitAll>(b"ncclCommInitAll")?,
                all_reduce: *library.get::<AllReduce>(b"ncclAllReduce")?,
                abort: *library.get::<Abort>(b"ncclCommAbort")?,
                error_string: *library.get::<ErrorString>(b"ncclGetErrorString")?,
                _library: library,
            }))
        }
    }

    /// One communicator for each of the GPUs 0 to `gpus` − 1, of one set.
    ///
    /// # Errors
    /// What NCCL says.
    pub fn communicators(self: &Arc<Self>, gpus: usize) -> Result<Vec<Communicator>> {
        let numbers: Vec<c_int> = (0..gpus as c_int).collect();
        let mut handles = vec![null_mut(); gpus];
        // SAFETY: both arrays hold as many values as it is told, and live through the call.
        let outcome =
            unsafe { (self.init_all)(handles.as_mut_ptr(), gpus as c_int, numbers.as_ptr()) };
        self.checked(outcome)
            .with_context(|| format!("NCCL does not join {gpus} GPUs"))?;
        let communicator = |handle| Communicator {
            handle,
            nccl: Arc::clone(self),
        };
        Ok(handles.into_iter().map(communicator).collect())
    }

    fn checked(&self, outcome: Outcome) -> Result<()> {
        if outcome == 0 {
            return Ok(());
        }
        // SAFETY: it takes any outcome.
        let text = unsafe { (self.error_string)(outcome) };
        if text.is_null() {
            bail!("error {outcome}");
        }
        // SAFETY: what is not null is a string that lives as long as the library.
        bail!("{}", unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }
}

/// A GPU's end of a set.
pub struct Communicator {
    handle: ncclComm_t,
    nccl: Arc<Nccl>,
}

// SAFETY: NCCL ties a communicator to a GPU, not to a thread; one thread at a time has it.
unsafe impl Send for Communicator {}

impl Communicator {
    /// Adds up values in place over all GPUs of the set, when the work before on the stream is done.
    ///
    /// # Errors
    /// What NCCL says.
    ///
    /// # Safety
    /// So many values of that kind must lie at the address, in memory of the communicator's GPU, on
    /// which the stream is, until the sum is done.
    pub unsafe fn reduce(
        &self,
        address: u64,
        len: usize,
        number: Number,
        stream: CUstream,
    ) -> Result<()> {
        let values = address as *mut c_void;
        let kind = match number {
            Number::Float => ncclDataType_t::ncclFloat32,
            Number::Double => ncclDataType_t::ncclFloat64,
        };
        // SAFETY: the communicator is alive; the rest is the caller's promise.
        let outcome = unsafe {
            (self.nccl.all_reduce)(
                values,
                values,
                len,
                kind,
                ncclRedOp_t::ncclSum,
                self.handle,
                stream,
            )
        };
        (self.nccl.checked(outcome)).context("NCCL does not add up values over the GPUs")
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // Others may be gone already, for whom an orderly end would wait.
        // SAFETY: it is alive, and used no more.
        unsafe { (self.nccl.abort)(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With NCCL and without, with GPUs and without.
    #[test]
    fn what_cannot_be_joined_is_said() {
        let nccl = match Nccl::find() {
            Ok(nccl) => nccl,
            Err(error) => {
                let error = format!("{error:#}");
                assert!(error.contains(NAME) && error.contains("cuda:N"), "{error}");
                return;
            }
        };
        let error = nccl.communicators(99).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.starts_with("NCCL does not join 99 GPUs: "), "{error}");
        assert!(nccl.checked(0).is_ok());
    }
}
