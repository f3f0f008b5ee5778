//! Where emulated GPUs of a group, each in its thread, add up their values.

use std::mem;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// How long one waits for the others: far longer than what they do between two sums.
const PATIENCE: Duration = Duration::from_secs(60);

/// The meeting of so many machines.
pub struct Meeting {
    ranks: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The values of those that have come.
    brought: Vec<Option<Vec<f64>>>,
    /// Sums so far, and the last of them.
    sums: usize,
    last: Vec<f64>,
    /// Those that have not fetched the last sum.
    absent: usize,
}

impl Meeting {
    /// Of so many.
    pub fn new(ranks: usize) -> Self {
        Self {
            ranks,
            state: Mutex::new(State {
                brought: vec![None; ranks],
                ..State::default()
            }),
            changed: Condvar::new(),
        }
    }

    /// The sums of the values of all machines, added up in the order of their ranks.
    ///
    /// # Errors
    /// Where one of them does not come, or brings more or fewer values.
    pub fn sum(&self, rank: usize, values: Vec<f64>) -> Result<Vec<f64>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of the sum before may still be on their way out.
        let mut state = self.wait(state, |state| state.absent > 0)?;
        let number = state.sums;
        ensure!(
            state.brought[rank].replace(values).is_none(),
            "machine {rank} has come twice"
        );
        if state.brought.iter().all(Option::is_some) {
            let all = mem::replace(&mut state.brought, vec![None; self.ranks]);
            let all: Vec<Vec<f64>> = all.into_iter().flatten().collect();
            let alike = all.iter().all(|values| values.len() == all[0].len());
            let columns = 0..if alike { all[0].len() } else { 0 };
            state.last = columns
                .map(|column| all.iter().map(|values| values[column]).sum())
                .collect();
            state.sums += 1;
            state.absent = self.ranks;
            self.changed.notify_all();
        }
        let mut state = self.wait(state, |state| state.sums == number)?;
        let sums = state.last.clone();
        state.absent -= 1;
        self.changed.notify_all();
        Ok(sums)
    }

    fn wait<'a>(
        &self,
        state: std::sync::MutexGuard<'a, State>,
        on: impl Fn(&State) -> bool,
    ) -> Result<std::sync::MutexGuard<'a, State>> {
        let waited = (self.changed).wait_timeout_while(state, PATIENCE, |state| on(state));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            bail!("a machine of the group waited for another in vain");
        }
        Ok(state)
    }
}
