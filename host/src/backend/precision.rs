//! How exactly machines multiply.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use serde::{Deserialize, Serialize};

/// How exactly the products of layers are computed: convolutions, linear layers, and their
/// gradients. Their sums, and all else that a training computes and keeps, are f32 or f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Factors are f32.
    F32,
    /// On a GPU's matrix cores, factors rounded to 11 bits.
    Tf32,
    /// On a GPU's matrix cores, factors rounded to 8 bits: the fastest.
    Bf16,
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "f32" => Self::F32,
            "tf32" => Self::Tf32,
            "bf16" => Self::Bf16,
            _ => bail!("{text:?} is no precision: it is f32, tf32 or bf16"),
        })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_read_as_they_are_written() {
        for text in ["f32", "tf32", "bf16"] {
            assert_eq!(text.parse::<Precision>().unwrap().to_string(), text);
        }
        for text in ["", "f16", "BF16"] {
            let error = text.parse::<Precision>().unwrap_err().to_string();
            assert!(error.contains("bf16") && error.contains(text), "{error}");
        }
    }
}
