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
        // The smallest that fits and is not half empty; of several the one given back last, which
        // caches may still hold.
        let fits = |buffer: &Vec<f32>| (len..=len + len / 2).contains(&buffer.capacity());
        let found = (idle.iter().enumerate().rev())
            .filter(|(_, buffer)| fits(buffer))
            .min_by_key(|(_, buffer)| buffer.capacity())
            .map(|(index, _)| index);
        if let Some(mut buffer) = found.and_then(|index| idle.remove(index)) {
            buffer.resize(len, 0.0);
            return buffer;
        }
    }
    vec![0.0; len]
}

/// A buffer of `len` zeros.
pub fn zeros(len: usize) -> Vec<f32> {
    let mut buffer = take(len);
    buffer.fill(0.0);
    buffer
}

/// Gives back a buffer, wherever it came from.
pub fn give(buffer: Vec<f32>) {
    if buffer.capacity() < LEAST {
        return;
    }
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    idle.push_back(buffer);
    if idle.len() > MOST {
        idle.pop_front();
    }
}
