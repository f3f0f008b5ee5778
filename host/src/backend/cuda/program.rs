//! The kernels, compiled for a GPU by NVRTC when the program starts, and kept for the next start.

use std::ffi::{CString, c_int};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use cudarc::nvrtc::result::{
    NvrtcError, compile_program, create_program, destroy_program, get_program_log,
};
use cudarc::nvrtc::sys;

use super::kernels;
use crate::backend::Precision;
use crate::files;

/// The first version that knows `__grid_constant__`.
const OLDEST: (c_int, c_int) = (11, 7);

/// The compiler.
pub struct Compiler {
    version: (c_int, c_int),
}

impl Compiler {
    /// Finds NVRTC.
    ///
    /// # Errors
    /// Where it cannot be loaded.
    pub fn find() -> Result<Self> {
        // Calls of a library that is not there would panic.
        // SAFETY: loading NVRTC runs nothing but its own start.
        let present = unsafe { sys::is_culib_present() };
        ensure!(
            present,
            "NVRTC, which compiles the kernels, cannot be loaded: there is no libnvrtc in the \
             library path; CUDA 11.7 and later have it"
        );
        let mut version = (0, 0);
        // SAFETY: both pointers are to numbers that live through the call.
        unsafe { sys::nvrtcVersion(&mut version.0, &mut version.1) }.result()?;
        let compiler = Self { version };
        ensure!(
            version >= OLDEST,
            "{compiler} is too old: {}.{} is the first that compiles the kernels",
            OLDEST.0,
            OLDEST.1
        );
        Ok(compiler)
    }

    /// All kernels of a precision as machine code for an architecture, such as `sm_90`.
    ///
    /// # Errors
    /// Where NVRTC knows no such architecture, or it lacks what the precision takes, with what
    /// NVRTC says.
    pub fn compile(&self, architecture: &str, precision: Precision) -> Result<Vec<u8>> {
        let source = CString::new(kernels::program(&kernels::sources(precision)))?;
        let program = Program(create_program(&source, Some(c"vae96.cu"))?);
        let options = [
            format!("--gpu-architecture={architecture}"),
            "--std=c++17".to_owned(),
        ];
        // SAFETY: `program` is alive until it is dropped below.
        let compiled = unsafe { compile_program(program.0, &options) };
        compiled.map_err(|error| {
            let log = program.log().unwrap_or_default();
            anyhow!(
                "{self} cannot compile the kernels for {architecture}: {error}: {}",
                log.trim().replace('\n', "; ")
            )
        })?;
        program.machine_code().map_err(Into::into)
    }

    /// The same from `folder`, or compiled now and put there for the next time, and whether it was
    /// there. `driver` is the driver's version: another one compiles anew.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn cached(
        &self,
        architecture: &str,
        precision: Precision,
        driver: c_int,
        folder: Option<&Path>,
    ) -> Result<(Vec<u8>, bool)> {
        let file = self.file(architecture, precision, driver);
        let path = folder.map(|folder| folder.join(file));
        if let Some(found) = path.as_deref().and_then(|path| files::read(path).ok()) {
            return Ok((found, true));
        }
        let code = self.compile(architecture, precision)?;
        if let Some((folder, path)) = folder.zip(path) {
            // Without a cache the next start takes longer: no reason to end this one.
            let kept = files::make_folder(folder);
            kept.and_then(|()| files::write(&path, &code)).ok();
        }
        Ok((code, false))
    }

    /// The file's name in the cache: all that its content depends on.
    fn file(&self, architecture: &str, precision: Precision, driver: c_int) -> String {
        let mut hasher = DefaultHasher::new();
        kernels::sources(precision).hash(&mut hasher);
        let ((major, minor), hash) = (self.version, hasher.finish());
        format!("{architecture}-{precision}-nvrtc{major}.{minor}-driver{driver}-{hash:016x}.cubin")
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "NVRTC {major}.{minor}")
    }
}

/// NVRTC's handle of a program.
struct Program(sys::nvrtcProgram);

impl Program {
    fn log(&self) -> Result<String> {
        // SAFETY: the program is alive.
        let log = unsafe { get_program_log(self.0) }.context("no log")?;
        let bytes = log.into_iter().map(|c| c as u8).take_while(|&c| c != 0);
        Ok(String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned())
    }

    fn machine_code(&self) -> Result<Vec<u8>, NvrtcError> {
        let mut len = 0;
        // SAFETY: the program is alive, and `len` lives through the call.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut len) }.result()?;
        let mut code = vec![0u8; len];
        // SAFETY: the program is alive, and `code` holds as many bytes as it said.
        unsafe { sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast()) }.result()?;
        Ok(code)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it was created, and is used no more.
        unsafe { destroy_program(self.0) }.ok();
    }
}
