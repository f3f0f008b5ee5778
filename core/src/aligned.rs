//! A model file in a program's own memory, at an address that suits it.

/// A value at an address that is a multiple of [`ALIGNMENT`](crate::model::ALIGNMENT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

impl<T: ?Sized> core::ops::Deref for Aligned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> core::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A model file as a part of the program: `&'static Aligned<[u8]>`. The path is relative to the
/// source file that names it.
///
/// ```ignore
/// static MODEL: &vae96::Aligned<[u8]> = vae96::include_model!("model.v96");
/// ```
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        const MODEL: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
        MODEL
    }};
}
