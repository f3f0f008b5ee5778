//! The GPU backend on the GPU of this computer, against the processor's backend:
//!
//! ```sh
//! cargo test --release -p tests --features gpu --test cuda_device --test cuda_memory -- --nocapture
//! ```

tests::parity_tests!(tests::gpu::first());
