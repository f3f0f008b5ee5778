//! Kernels for Cortex-M3 and above; pools and linear layers for those with the instructions for
//! signal processing.

mod conv;
#[cfg(dsp)]
pub(crate) mod halves;
#[cfg(dsp)]
mod linear;
#[cfg(dsp)]
mod pool;
#[cfg(dsp)]
pub(crate) mod winograd;

pub(crate) use conv::{halving3, halving5, unit3};
#[cfg(dsp)]
pub(crate) use {
    linear::paired_linear,
    pool::{add_columns, max_pool_row},
};
