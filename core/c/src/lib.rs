//! vae96 for C callers: `v96.h` is made of this file, and says all they need.
//!
//! The caller brings the memory, of a size that is a macro, and gets an error code where Rust
//! would get an error. `unsafe` is found here alone, where pointers come in.
#![cfg_attr(target_os = "none", no_std)]
#![allow(non_camel_case_types, reason = "the names are C's")]

mod status;
mod taught;

use core::ffi::c_char;
use core::ptr::{self, NonNull};
use core::slice;

pub use status::v96_status;
pub use taught::*;
use v96_status::*;
use vae96::{
    Classifier, Classifies, Edge, EdgeDeepEncoder, EdgeDeepEncoderWinograd, EdgeDense, EdgeEncoder,
    EdgeWinograd, Encoder, Encodes, Logits, Model, ModelError, Quantised, ROW_BYTES, RowError,
};

/// Rows of an image, and pixels of a row.
pub const V96_SIDE: usize = 96;

/// Bytes of a row: red, green and blue of each pixel.
pub const V96_ROW_BYTES: usize = 288;

/// What the address of a model must be a multiple of.
pub const V96_MODEL_ALIGNMENT: usize = 16;

/// What the address of the memory must be a multiple of.
pub const V96_MEMORY_ALIGNMENT: usize = 8;

/// Bytes of memory for `V96_EDGE`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_BYTES: usize = 15056;
/// Bytes of memory for `V96_EDGE`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_BYTES: usize = 15136;

/// Bytes of memory for `V96_EDGE_DENSE`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_DENSE_BYTES: usize = 9696;
/// Bytes of memory for `V96_EDGE_DENSE`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_DENSE_BYTES: usize = 9776;

/// Bytes of memory for `V96_EDGE_ENCODER`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_ENCODER_BYTES: usize = 7152;
/// Bytes of memory for `V96_EDGE_ENCODER`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_ENCODER_BYTES: usize = 7232;

/// Bytes of memory for `V96_EDGE_DEEP_ENCODER`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_DEEP_ENCODER_BYTES: usize = 14184;
/// Bytes of memory for `V96_EDGE_DEEP_ENCODER`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_DEEP_ENCODER_BYTES: usize = 14264;

/// Bytes of memory for `V96_EDGE_WINOGRAD`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_WINOGRAD_BYTES: usize = 30768;
/// Bytes of memory for `V96_EDGE_WINOGRAD`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_WINOGRAD_BYTES: usize = 30848;

/// Bytes of memory for `V96_EDGE_DEEP_ENCODER_WINOGRAD`.
#[cfg(target_pointer_width = "32")]
pub const V96_EDGE_DEEP_ENCODER_WINOGRAD_BYTES: usize = 29896;
/// Bytes of memory for `V96_EDGE_DEEP_ENCODER_WINOGRAD`.
#[cfg(target_pointer_width = "64")]
pub const V96_EDGE_DEEP_ENCODER_WINOGRAD_BYTES: usize = 29976;

const _: () = {
    assert!(V96_SIDE == vae96::SIDE);
    assert!(V96_ROW_BYTES == vae96::ROW_BYTES);
    assert!(V96_MODEL_ALIGNMENT == vae96::model::ALIGNMENT);
    assert!(V96_EDGE_BYTES == V96_EDGE.bytes);
    assert!(V96_EDGE_DENSE_BYTES == V96_EDGE_DENSE.bytes);
    assert!(V96_EDGE_ENCODER_BYTES == V96_EDGE_ENCODER.bytes);
    assert!(V96_EDGE_DEEP_ENCODER_BYTES == V96_EDGE_DEEP_ENCODER.bytes);
    assert!(V96_EDGE_WINOGRAD_BYTES == V96_EDGE_WINOGRAD.bytes);
    assert!(V96_EDGE_DEEP_ENCODER_WINOGRAD_BYTES == V96_EDGE_DEEP_ENCODER_WINOGRAD.bytes);
};

/// A handle, or what is wrong with the model.
type Opening = Result<NonNull<v96>, ModelError>;

/// A network: what a model must be for. A program is linked with those alone that it names.
pub struct v96_network {
    bytes: usize,
    open: unsafe fn(NonNull<u8>, &'static [u8]) -> Opening,
}

/// `edge` with its convolutional head.
#[unsafe(no_mangle)]
pub static V96_EDGE: v96_network = v96_network::of::<Classifier<'static, Edge>>();

/// `edge` with its dense head.
#[unsafe(no_mangle)]
pub static V96_EDGE_DENSE: v96_network = v96_network::of::<Classifier<'static, EdgeDense>>();

/// The encoder of the `edge` VAE: it gives the mean of the latent.
#[unsafe(no_mangle)]
pub static V96_EDGE_ENCODER: v96_network = v96_network::of::<Encoder<'static, EdgeEncoder>>();

/// The encoder of the deep `edge` VAE: it gives the mean of the latent, from which classes are taught.
#[unsafe(no_mangle)]
pub static V96_EDGE_DEEP_ENCODER: v96_network =
    v96_network::of::<Encoder<'static, EdgeDeepEncoder>>();

/// `V96_EDGE` in more memory and fewer cycles, with models whose weights are ordered for it
/// (`vae96 export --target cortex-m4-winograd`).
#[unsafe(no_mangle)]
pub static V96_EDGE_WINOGRAD: v96_network = v96_network::of::<Classifier<'static, EdgeWinograd>>();

/// `V96_EDGE_DEEP_ENCODER` in more memory and fewer cycles, likewise.
#[unsafe(no_mangle)]
pub static V96_EDGE_DEEP_ENCODER_WINOGRAD: v96_network =
    v96_network::of::<Encoder<'static, EdgeDeepEncoderWinograd>>();

/// A network with its model and line buffers, in memory of the caller's.
pub struct v96 {
    runner: NonNull<dyn Runner>,
}

/// What a network made of an image: real number = scale × (value − zero point).
#[repr(C)]
pub struct v96_answer {
    /// One value a class, or a latent's; they stay until the next row is pushed.
    pub values: *const i8,
    /// How many values.
    pub count: usize,
    /// Real difference of neighbouring values.
    pub scale: f32,
    /// The value that stands for zero.
    pub zero_point: i8,
}

/// One class and how well it fits.
#[repr(C)]
pub struct v96_score {
    /// The class, counted from 0.
    pub class_: usize,
    /// Its softmax probability.
    pub probability: f32,
    /// Its name in UTF-8, a part of the model; NULL if the model names none.
    pub name: *const c_char,
}

/// What C does with a network of any type.
trait Runner {
    fn push(&mut self, row: &[u8; ROW_BYTES]) -> Result<(), RowError>;
    fn finish(&mut self) -> Result<Quantised<'_>, RowError>;
    fn restart(&mut self);
    fn model(&self) -> &Model<'static>;
}

/// How a runner begins.
trait Open: Runner + Sized + 'static {
    fn new(model: &'static [u8]) -> Result<Self, ModelError>;
}

macro_rules! runner {
    ($runner:ident: $role:ident, |$answer:ident| $values:expr) => {
        impl<N: $role> Runner for $runner<'static, N> {
            fn push(&mut self, row: &[u8; ROW_BYTES]) -> Result<(), RowError> {
                self.push(row)
            }

            fn finish(&mut self) -> Result<Quantised<'_>, RowError> {
                self.finish().map(|$answer| $values)
            }

            fn restart(&mut self) {
                self.restart();
            }

            fn model(&self) -> &Model<'static> {
                self.model()
            }
        }

        impl<N: $role + 'static> Open for $runner<'static, N> {
            #[inline(always)]
            fn new(model: &'static [u8]) -> Result<Self, ModelError> {
                $runner::new(model)
            }
        }
    };
}

runner!(Classifier: Classifies, |logits| logits.quantised());
runner!(Encoder: Encodes, |mean| mean);

/// A handle and what it is a handle of, as they lie in the caller's memory.
#[repr(C)]
struct Opened<R> {
    handle: v96,
    runner: R,
}

impl v96_network {
    const fn of<R: Open>() -> Self {
        const { assert!(align_of::<Opened<R>>() <= V96_MEMORY_ALIGNMENT) };
        Self {
            bytes: size_of::<Opened<R>>(),
            open: Self::open_in::<R>,
        }
    }

    /// Makes a runner where it is to be.
    ///
    /// # Safety
    /// `memory` is aligned for an `Opened<R>`, and as large, and nobody else's until the runner
    /// is no longer used.
    unsafe fn open_in<R: Open>(memory: NonNull<u8>, model: &'static [u8]) -> Opening {
        let opened = memory.cast::<Opened<R>>();
        // SAFETY: the caller vouches for the memory, so its fields may be written.
        unsafe {
            let runner = &raw mut (*opened.as_ptr()).runner;
            runner.write(R::new(model)?);
            let runner: NonNull<dyn Runner> = NonNull::new_unchecked(runner);
            (&raw mut (*opened.as_ptr()).handle).write(v96 { runner });
        }
        Ok(opened.cast())
    }
}

/// Checks a model and makes a network of it ready in `memory`, of `size` bytes: the macro that is
/// named after the network. Both must stay as they are until the network is no longer used; there
/// is nothing to close.
///
/// # Safety
/// `model` points to `length` bytes that do not change, `memory` to `size` bytes that are nobody
/// else's, both as long as the network is used; `opened` points to a pointer. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_open(
    network: Option<&'static v96_network>,
    model: *const u8,
    length: usize,
    memory: *mut u8,
    size: usize,
    opened: *mut *mut v96,
) -> v96_status {
    let (Some(network), Some(memory)) = (network, NonNull::new(memory)) else {
        return V96_NULL;
    };
    if model.is_null() || opened.is_null() {
        return V96_NULL;
    }
    if !memory.addr().get().is_multiple_of(V96_MEMORY_ALIGNMENT) {
        return V96_MEMORY_MISALIGNED;
    }
    if size < network.bytes {
        return V96_MEMORY_TOO_SMALL;
    }
    // SAFETY: the caller vouches for the model's bytes, and neither pointer is null. The memory is
    // large enough and aligned, as was checked, and the caller's to give.
    let result = unsafe { (network.open)(memory, slice::from_raw_parts(model, length)) };
    match result {
        Ok(handle) => {
            // SAFETY: the caller vouches that a pointer may be written there; it is not null.
            unsafe { opened.write(handle.as_ptr()) };
            V96_OK
        }
        Err(error) => error.into(),
    }
}

/// Takes the image's next row of `length` bytes, from top to bottom, and computes all it can from
/// it. The row is not needed afterwards.
///
/// # Safety
/// `network` is what `v96_open` gave, and nobody else uses it meanwhile; `row` points to `length`
/// bytes. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_push_row(
    network: *mut v96,
    row: *const u8,
    length: usize,
) -> v96_status {
    if network.is_null() || row.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for the row, which is not null.
    let row = unsafe { slice::from_raw_parts(row, length) };
    let Ok(row) = row.try_into() else {
        return V96_ROW_LENGTH;
    };
    // SAFETY: the caller vouches for the handle, whose runner nobody else uses.
    match unsafe { (*network).runner.as_mut() }.push(row) {
        Ok(()) => V96_OK,
        Err(error) => error.into(),
    }
}

/// Gives the answer to the image that was pushed. The next row begins a new image.
///
/// # Safety
/// `network` is what `v96_open` gave, and nobody else uses it meanwhile; `answer` may be written
/// to. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_finish(network: *mut v96, answer: *mut v96_answer) -> v96_status {
    if network.is_null() || answer.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for the handle, whose runner nobody else uses.
    match unsafe { (*network).runner.as_mut() }.finish() {
        Ok(values) => {
            let given = v96_answer {
                values: values.values.as_ptr(),
                count: values.values.len(),
                scale: values.scale,
                zero_point: values.zero_point,
            };
            // SAFETY: the caller vouches for `answer`, which is not null.
            unsafe { answer.write(given) };
            V96_OK
        }
        Err(error) => error.into(),
    }
}

/// Forgets the rows received: the next one begins a new image.
///
/// # Safety
/// `network` is what `v96_open` gave, and nobody else uses it meanwhile. It may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_restart(network: *mut v96) -> v96_status {
    if network.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for the handle, whose runner nobody else uses.
    unsafe { (*network).runner.as_mut() }.restart();
    V96_OK
}

/// The most probable class of a classifier's answer, of equal ones the lowest.
///
/// # Safety
/// `network` is what `v96_open` gave, `answer` is its latest, and no row was pushed since; `best`
/// may be written to. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_best(
    network: *const v96,
    answer: *const v96_answer,
    best: *mut v96_score,
) -> v96_status {
    if network.is_null() || answer.is_null() || best.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for the handle and the answer, whose values are still there.
    let (model, values) = unsafe {
        let answer = &*answer;
        let values = slice::from_raw_parts(answer.values, answer.count);
        ((*network).runner.as_ref().model(), values)
    };
    let scores = Logits::new(values, model).top_k::<1>();
    let Some(score) = scores.first().filter(|_| model.kind().is_classifier()) else {
        return V96_NO_CLASSES;
    };
    let score = v96_score {
        class_: score.class,
        probability: score.probability,
        // In the model a zero follows each name.
        name: score.name.map_or(ptr::null(), |name| name.as_ptr().cast()),
    };
    // SAFETY: the caller vouches for `best`, which is not null.
    unsafe { best.write(score) };
    V96_OK
}

/// Nothing in the library panics, so this is never linked into a program.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
