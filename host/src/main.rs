//! The command line of vae96.
fn main() {}
