//! Classes that are taught on the device, for C.

use core::ffi::{CStr, c_char};
use core::ptr::NonNull;
use core::slice;

use vae96::prototypes::{self, MAX_FRAMES};
use vae96::{Prototypes, Quantised};

use crate::v96_status::*;
use crate::{V96_MEMORY_ALIGNMENT, v96, v96_answer, v96_status};

/// The most classes that can be taught.
pub const V96_MOST_CLASSES: usize = 16;

/// The most frames that teach a class.
pub const V96_MOST_FRAMES: usize = 64;

/// The most bytes of a class's name, with the zero at its end.
pub const V96_NAME_BYTES: usize = 25;

/// What stands for 1 in similarities and probabilities.
pub const V96_ONE: i32 = 32768;

/// The most features of a network whose answers teach classes.
pub const V96_MOST_FEATURES: usize = 128;

/// Bytes that `V96_MOST_CLASSES` classes take when they are saved, at the most.
pub const V96_SAVED_BYTES: usize = 4548;

/// Bytes of memory for the classes.
#[cfg(target_pointer_width = "32")]
pub const V96_CLASSES_BYTES: usize = 4636;
/// Bytes of memory for the classes.
#[cfg(target_pointer_width = "64")]
pub const V96_CLASSES_BYTES: usize = 4776;

type Taught = Prototypes<V96_MOST_CLASSES, V96_MOST_FEATURES>;

const _: () = {
    assert!(V96_NAME_BYTES == prototypes::NAME_BYTES + 1);
    assert!(V96_ONE == prototypes::ONE);
    assert!(V96_MOST_FRAMES == MAX_FRAMES as usize);
    assert!(V96_CLASSES_BYTES == size_of::<v96_classes>());
    assert!(align_of::<v96_classes>() <= V96_MEMORY_ALIGNMENT);
    assert!(V96_SAVED_BYTES == prototypes::saved_bytes(V96_MOST_CLASSES, V96_MOST_FEATURES));
};

/// Classes that are taught by a few frames each, in memory of the caller's.
pub struct v96_classes {
    taught: Taught,
}

/// One class and how similar a frame is to it.
#[repr(C)]
pub struct v96_match {
    /// The class, counted from 0 in the order in which they were first taught.
    pub class_: usize,
    /// The cosine × `V96_ONE`, from −`V96_ONE` to `V96_ONE`.
    pub similarity: i32,
    /// Its name in UTF-8, and a zero.
    pub name: [c_char; V96_NAME_BYTES],
}

/// Prepares `memory`, of `size` bytes, for classes that the answers of an encoder teach. There are
/// none yet; `v96_load_classes` brings some, and says when a frame is of none of them. There is
/// nothing to close.
///
/// # Safety
/// `network` is what `v96_open` gave; `memory` points to `size` bytes that are nobody else's as long
/// as the classes are used; `made` points to a pointer. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_make_classes(
    network: *const v96,
    memory: *mut u8,
    size: usize,
    made: *mut *mut v96_classes,
) -> v96_status {
    let Some(memory) = NonNull::new(memory) else {
        return V96_NULL;
    };
    if network.is_null() || made.is_null() {
        return V96_NULL;
    }
    if !memory.addr().get().is_multiple_of(V96_MEMORY_ALIGNMENT) {
        return V96_MEMORY_MISALIGNED;
    }
    if size < V96_CLASSES_BYTES {
        return V96_MEMORY_TOO_SMALL;
    }
    // SAFETY: the caller vouches for the handle, which is not null.
    let model = unsafe { (*network).runner.as_ref() }.model();
    let classes = memory.cast::<v96_classes>();
    match Taught::of(model) {
        Ok(taught) => {
            // SAFETY: the caller vouches for the memory, which is large enough and aligned, as was
            // checked, and for `made`, which is not null.
            unsafe {
                classes.write(v96_classes { taught });
                made.write(classes.as_ptr());
            }
            V96_OK
        }
        Err(error) => error.into(),
    }
}

/// Adds a frame to the class of that name, which is added where there is none: `features` is what an
/// encoder gave of the frame.
///
/// # Safety
/// `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `name` is a string
/// that ends with a zero; `features` is the network's latest answer, and no row was pushed since.
/// Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_teach(
    classes: *mut v96_classes,
    name: *const c_char,
    features: *const v96_answer,
) -> v96_status {
    if classes.is_null() || name.is_null() || features.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for all three, and none is null.
    let (taught, name, features) = unsafe {
        (
            &mut (*classes).taught,
            CStr::from_ptr(name),
            quantised(&*features),
        )
    };
    let Ok(name) = name.to_str() else {
        return V96_CLASS_NAME;
    };
    match taught.teach(name, &features) {
        Ok(_) => V96_OK,
        Err(error) => error.into(),
    }
}

/// Forgets the class of that name; those after it move up by one.
///
/// # Safety
/// `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `name` is a string
/// that ends with a zero. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_forget(classes: *mut v96_classes, name: *const c_char) -> v96_status {
    if classes.is_null() || name.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for both, and neither is null.
    let (taught, name) = unsafe { (&mut (*classes).taught, CStr::from_ptr(name)) };
    match name.to_str() {
        Ok(name) if taught.remove(name) => V96_OK,
        _ => V96_NO_SUCH_CLASS,
    }
}

/// Compares a frame with the classes: writes the most similar ones to `matches`, which has room for
/// `room` of them, the best first and of equal ones the lower class, how many they are to `found`,
/// and to `none` the probability × `V96_ONE` that the frame is of none of the classes, or −1 where
/// that was never calibrated.
///
/// # Safety
/// `classes` is what `v96_make_classes` gave; `features` is the network's latest answer, and no row
/// was pushed since; the others may be written to. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_compare(
    classes: *const v96_classes,
    features: *const v96_answer,
    matches: *mut v96_match,
    room: usize,
    found: *mut usize,
    none: *mut i32,
) -> v96_status {
    if classes.is_null()
        || features.is_null()
        || matches.is_null()
        || found.is_null()
        || none.is_null()
    {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for both, and neither is null.
    let (taught, features) = unsafe { (&(*classes).taught, quantised(&*features)) };
    let similarities = match taught.compare(&features) {
        Ok(similarities) => similarities,
        Err(error) => return error.into(),
    };
    let mut count = 0;
    for best in similarities.top_k::<V96_MOST_CLASSES>().iter().take(room) {
        let mut name = [0; V96_NAME_BYTES];
        for (to, from) in name.iter_mut().zip(best.name.bytes()) {
            *to = from as c_char;
        }
        let found = v96_match {
            class_: best.class,
            similarity: best.similarity,
            name,
        };
        // SAFETY: the caller vouches for room for `room` matches, and `count` is below that.
        unsafe { matches.add(count).write(found) };
        count += 1;
    }
    // SAFETY: the caller vouches that both may be written to, and neither is null.
    unsafe {
        found.write(count);
        none.write(similarities.none_of_these().unwrap_or(-1));
    }
    V96_OK
}

/// Writes the classes to `file`, of `size` bytes, and to `length` how many bytes were written:
/// `V96_SAVED_BYTES` at the most.
///
/// # Safety
/// `classes` is what `v96_make_classes` gave; `file` points to `size` bytes, which like `length` may
/// be written to. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_save_classes(
    classes: *const v96_classes,
    file: *mut u8,
    size: usize,
    length: *mut usize,
) -> v96_status {
    if classes.is_null() || file.is_null() || length.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for both, and neither is null.
    let (taught, file) = unsafe { (&(*classes).taught, slice::from_raw_parts_mut(file, size)) };
    match taught.save(file) {
        Ok(written) => {
            // SAFETY: the caller vouches for `length`, which is not null.
            unsafe { length.write(written) };
            V96_OK
        }
        Err(error) => error.into(),
    }
}

/// Takes the classes of a file of `length` bytes, and its calibration, in the place of those there
/// are. Where that fails, they stay. The file is not needed afterwards.
///
/// # Safety
/// `classes` is what `v96_make_classes` gave, and nobody else uses it meanwhile; `file` points to
/// `length` bytes. Each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn v96_load_classes(
    classes: *mut v96_classes,
    file: *const u8,
    length: usize,
) -> v96_status {
    if classes.is_null() || file.is_null() {
        return V96_NULL;
    }
    // SAFETY: the caller vouches for both, and neither is null.
    let (taught, file) = unsafe { (&mut (*classes).taught, slice::from_raw_parts(file, length)) };
    match taught.load(file) {
        Ok(()) => V96_OK,
        Err(error) => error.into(),
    }
}

/// An answer as the crate has it.
///
/// # Safety
/// Its values are still there.
unsafe fn quantised(answer: &v96_answer) -> Quantised<'_> {
    Quantised {
        // SAFETY: the caller vouches for the values.
        values: unsafe { slice::from_raw_parts(answer.values, answer.count) },
        scale: answer.scale,
        zero_point: answer.zero_point,
    }
}
