//! Test frames in flash, in the place of a camera.

use vae96::ROW_BYTES;

/// A frame of 96×96 RGB pixels.
pub struct Frame {
    /// What it shows.
    pub name: &'static str,
    bytes: &'static [u8],
}

impl Frame {
    /// Its rows from top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = &'static [u8; ROW_BYTES]> + use<> {
        let (rows, _) = self.bytes.as_chunks();
        rows.iter()
    }
}

macro_rules! frames {
    ($($name:literal),*) => {
        /// The frames there are.
        pub static FRAMES: [Frame; [$($name),*].len()] = [$(Frame {
            name: $name,
            bytes: include_bytes!(concat!("../frames/", $name, ".rgb")),
        }),*];
    };
}

// Scenes of the built-in data set, as tests/src/frames.rs draws them.
frames!["disc-striped", "triangle-checked"];
