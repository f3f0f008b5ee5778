//! One training step, timed.
fn main() {}
