//! How a rate changes while training goes on.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The shape of the learning rate after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The same rate to the end.
    Constant,
    /// Half a cosine from the full rate to 0.
    Cosine,
}

impl Schedule {
    /// The share of the full rate at `step` of `steps` (both counted from 0), with a linear
    /// warm-up over the first `warmup` steps.
    pub fn at(self, step: usize, steps: usize, warmup: usize) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let rest = steps.saturating_sub(warmup).max(1) as f64;
                let done = (step - warmup) as f64 / rest;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

/// A linear rise from 0 to 1 over the first `rise` steps.
pub fn ramp(step: usize, rise: usize) -> f64 {
    if rise == 0 {
        1.0
    } else {
        (step as f64 / rise as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_warms_up_peaks_and_ends_near_zero() {
        let at = |step| Schedule::Cosine.at(step, 110, 10);
        assert!((at(0) - 0.1).abs() < 1e-12);
        assert!((at(9) - 1.0).abs() < 1e-12);
        assert!((at(10) - 1.0).abs() < 1e-12);
        assert!((at(60) - 0.5).abs() < 1e-12);
        assert!(at(109) > 0.0 && at(109) < 0.001);
        assert!((10..109).all(|step| at(step + 1) < at(step)));
    }

    #[test]
    fn a_ramp_rises_once() {
        assert_eq!(
            [ramp(0, 4), ramp(2, 4), ramp(9, 4), ramp(0, 0)],
            [0.0, 0.5, 1.0, 1.0]
        );
    }
}
