//! Numbers that the scripts for PyTorch know too, so that no file has to hold them.

use host::backend::Batch;

/// Values in [-1, 1) from a name and an index.
pub fn formula(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0x811C_9DC5u32, |seed, byte| {
        (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (0..count as u32)
        .map(|index| {
            let mut h = index.wrapping_mul(0x9E37_79B1).wrapping_add(seed);
            h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
            h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
            h ^= h >> 16;
            (f64::from(h >> 8) / f64::from(1 << 23) - 1.0) as f32
        })
        .collect()
}

/// `count` images of `side` × `side` pixels.
pub fn images(count: usize, side: usize) -> Batch {
    let pixels = formula("images", count * side * side * 3)
        .into_iter()
        .map(|value| (value + 1.0) / 2.0)
        .collect();
    Batch {
        count,
        side,
        pixels,
    }
}
