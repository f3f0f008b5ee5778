//! Answers of a machine that works on while nobody waits for them.

use anyhow::Result;

/// What a machine gives once it has done what was asked of it before.
pub struct Pending<T>(State<T>);

enum State<T> {
    Known(T),
    Later(Box<dyn FnOnce() -> Result<T>>),
}

impl<T: 'static> Pending<T> {
    /// What is known already.
    pub fn known(value: T) -> Self {
        Self(State::Known(value))
    }

    /// What `get` gives when the machine is done.
    pub fn later(get: impl FnOnce() -> Result<T> + 'static) -> Self {
        Self(State::Later(Box::new(get)))
    }

    /// Whether [`get`](Self::get) gives it at once.
    pub fn is_known(&self) -> bool {
        matches!(self.0, State::Known(_))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// Where the machine has failed.
    pub fn get(self) -> Result<T> {
        match self.0 {
            State::Known(value) => Ok(value),
            State::Later(get) => get(),
        }
    }

    /// What `of` makes of it.
    pub fn map<U: 'static>(self, of: impl FnOnce(T) -> U + 'static) -> Pending<U> {
        match self.0 {
            State::Known(value) => Pending::known(of(value)),
            State::Later(get) => Pending::later(|| Ok(of(get()?))),
        }
    }
}
