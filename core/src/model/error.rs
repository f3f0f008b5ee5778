//! What can be wrong with a model file.

/// Why a model file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// It is shorter than a header.
    TooShort,
    /// It does not begin as a model file does.
    Magic,
    /// It is cut off, or something follows it.
    Length,
    /// Its checksum does not match.
    Checksum,
    /// It is of a version this crate does not read.
    Version,
    /// Its network is unknown.
    Network,
    /// Its kind is unknown.
    Kind,
    /// Its weights are ordered for kernels that this crate does not have.
    WeightLayout,
    /// Its number of classes does not fit its network.
    Classes,
    /// Its sections do not lie where this network's do.
    Sections,
    /// Bytes that must be zero are not.
    Padding,
    /// Its address is not a multiple of [`ALIGNMENT`](super::ALIGNMENT).
    Misaligned,
    /// Its class names are not UTF-8, or not as many as classes.
    Names,
    /// A layer's parameters are not as many as the layer needs.
    Incomplete,
    /// A scale is not a positive number.
    Scale,
    /// A least output is above the greatest.
    Clamp,
    /// A multiplier is negative.
    Multiplier,
    /// A shift is out of range.
    Shift,
    /// A weight is −128.
    Weight,
    /// Packed weights are not such as packing makes them.
    Packing,
    /// A bias, or a multiplier and its shift, is too great for packed weights.
    Wide,
    /// It is a model of another network than asked for.
    OtherNetwork,
}

impl core::fmt::Display for ModelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the file is shorter than the header of a model file",
            Self::Magic => "the file is not a vae96 model",
            Self::Length => "the model file is cut off, or something follows it",
            Self::Checksum => "the model file is damaged: its checksum does not match",
            Self::Version => "the model file is of a version that is not supported",
            Self::Network => "the model file's network is unknown",
            Self::Kind => "the model file's kind is unknown",
            Self::WeightLayout => "the model file's weights are ordered for other kernels",
            Self::Classes => "the model file's number of classes does not fit its network",
            Self::Sections => "the model file's sections do not lie where its network's do",
            Self::Padding => "bytes of the model file that must be zero are not",
            Self::Misaligned => "the model is not at an address that is a multiple of 16",
            Self::Names => "the model's class names are not UTF-8, or not as many as classes",
            Self::Incomplete => "the model's parameters are not as many as its layers need",
            Self::Scale => "a scale of the model is not a positive number",
            Self::Clamp => "a least output of the model is above the greatest",
            Self::Multiplier => "a multiplier of the model is negative",
            Self::Shift => "a shift of the model is out of range",
            Self::Weight => "a weight of the model is −128",
            Self::Packing => "the model's packed weights are not packed as they must be",
            Self::Wide => "a bias or multiplier of the model is too great for packed weights",
            Self::OtherNetwork => "the model is of another network than asked for",
        })
    }
}

impl core::error::Error for ModelError {}
