//! A trained network in other people's formats: [`tflite`] and [`onnx`].
//!
//! Each is written from the layers that [`quantise`](crate::quantise) gives, in floats or in the
//! very integers of a model file.

pub mod onnx;
pub mod tflite;

use std::path::Path;

use clap::ValueEnum;
use vae96::network::Description;

/// The formats to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// vae96's own model file, int8, which `core` runs.
    V96,
    /// TensorFlow Lite, int8: input 1×96×96×3 (NHWC), each value a byte of RGB less 128. Its
    /// reference kernels give the same bytes as `core`.
    Tflite,
    /// ONNX, float: input N×3×96×96 (NCHW), RGB in [0, 1]. Needs no images to calibrate on.
    Onnx,
    /// ONNX, int8 in QDQ form with the scales of the model file: the same float input.
    OnnxInt8,
}

impl Format {
    /// The format that a file's ending says; vae96's own where it says none.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("onnx") => Self::Onnx,
            Some("tflite") => Self::Tflite,
            _ => Self::V96,
        }
    }

    /// The ending of its files.
    pub fn ending(self) -> &'static str {
        match self {
            Self::V96 => "v96",
            Self::Tflite => "tflite",
            Self::Onnx | Self::OnnxInt8 => "onnx",
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What is exported, beside the numbers.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The network.
    pub network: &'static Description,
    /// What a file says of it by name: class names, options.
    pub notes: Vec<(String, String)>,
}

impl Subject {
    /// In a few words.
    fn title(&self) -> String {
        format!("{} {}", self.network.architecture.name, self.network.kind)
    }

    /// What the network's answer is called.
    fn answer(&self) -> &'static str {
        match self.network.kind.is_classifier() {
            true => "logits",
            false => "mean",
        }
    }
}

/// What the image is called.
const IMAGE: &str = "image";
