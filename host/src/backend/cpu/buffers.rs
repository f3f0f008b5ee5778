//! Large buffers, used again: a new one would be filled with zeros that nobody reads.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Values from which on a buffer is kept.
const LEAST: usize = 1 << 14;

/// Buffers that are kept; beyond it, those go that lay idle longest.
const MOST: usize = 48;

static IDLE: Mutex<VecDeque<Vec<f32>>> = Mutex::new(VecDeque::new());

/// A buffer of `len` values: whatever they are, for somebody who writes all of them.
pub fn take(len: usize) -> Vec<f32> {
    if len >= LEAST {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // The one given back last, which caches may still hold.
        let found = idle.iter().rposition(|buffer| buffer.len() == len);
        if let Some(buffer) = found.and_then(|found| idle.remove(found)) {
            return buffer;
        }
    }
    vec![0.0; len]
}

/// Gives back a buffer, wherever it came from.
pub fn give(buffer: Vec<f32>) {
    if buffer.len() < LEAST {
        return;
    }
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    idle.push_back(buffer);
    if idle.len() > MOST {
        idle.pop_front();
    }
}
