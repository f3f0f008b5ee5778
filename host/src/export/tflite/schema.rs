//! The tables of a TensorFlow Lite file, as far as our networks need them (schema.fbs, version 3):
//! the numbers of their fields, and of the values of their enumerations.

/// The version of the schema.
pub const VERSION: u32 = 3;
/// What a file has at byte 4.
pub const IDENTIFIER: &str = "TFL3";

/// A whole file.
pub mod model {
    pub const VERSION: u16 = 0;
    pub const OPERATOR_CODES: u16 = 1;
    pub const SUBGRAPHS: u16 = 2;
    pub const DESCRIPTION: u16 = 3;
    pub const BUFFERS: u16 = 4;
    pub const METADATA: u16 = 6;
}

/// A note, whose text is in a buffer.
pub mod metadata {
    pub const NAME: u16 = 0;
    pub const BUFFER: u16 = 1;
}

/// Bytes.
pub mod buffer {
    pub const DATA: u16 = 0;
}

/// An operation of some version that a file uses.
pub mod operator_code {
    /// For readers from before there were 128 operations.
    pub const DEPRECATED_BUILTIN: u16 = 0;
    pub const VERSION: u16 = 2;
    pub const BUILTIN: u16 = 3;
}

/// Tensors, and the operators between them.
pub mod subgraph {
    pub const TENSORS: u16 = 0;
    pub const INPUTS: u16 = 1;
    pub const OUTPUTS: u16 = 2;
    pub const OPERATORS: u16 = 3;
    pub const NAME: u16 = 4;
}

/// A constant, or a value between two operators.
pub mod tensor {
    pub const SHAPE: u16 = 0;
    pub const TYPE: u16 = 1;
    pub const BUFFER: u16 = 2;
    pub const NAME: u16 = 3;
    pub const QUANTIZATION: u16 = 4;
}

/// The types of tensors.
#[derive(Clone, Copy, Debug)]
#[repr(i8)]
pub enum TensorType {
    Int32 = 2,
    Int8 = 9,
}

/// What integers stand for; with several scales, one for each index of dimension 0.
pub mod quantization {
    pub const SCALE: u16 = 2;
    pub const ZERO_POINT: u16 = 3;
}

/// One operation on tensors.
pub mod operator {
    pub const CODE: u16 = 0;
    pub const INPUTS: u16 = 1;
    pub const OUTPUTS: u16 = 2;
    pub const OPTIONS_TYPE: u16 = 3;
    pub const OPTIONS: u16 = 4;
}

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    AveragePool2d,
    Conv2d,
    FullyConnected,
    MaxPool2d,
    Pad,
}

impl Builtin {
    /// Its number.
    pub fn code(self) -> i8 {
        match self {
            Self::AveragePool2d => 1,
            Self::Conv2d => 3,
            Self::FullyConnected => 9,
            Self::MaxPool2d => 17,
            Self::Pad => 34,
        }
    }

    /// The version: int8 throughout, with a scale a channel for weights. Version 12 of a linear
    /// layer says so outright, but the reference kernels, which do it, are registered up to 11.
    pub fn version(self) -> i32 {
        match self {
            Self::AveragePool2d | Self::MaxPool2d | Self::Pad => 2,
            Self::Conv2d => 3,
            Self::FullyConnected => 4,
        }
    }

    /// The number of its table of options.
    pub fn options(self) -> u8 {
        match self {
            Self::Conv2d => 1,
            Self::AveragePool2d | Self::MaxPool2d => 5,
            Self::FullyConnected => 8,
            Self::Pad => 22,
        }
    }
}

/// Options of a convolution.
pub mod conv {
    pub const PADDING: u16 = 0;
    pub const STRIDE_W: u16 = 1;
    pub const STRIDE_H: u16 = 2;
    pub const ACTIVATION: u16 = 3;
}

/// Options of pooling.
pub mod pool {
    pub const PADDING: u16 = 0;
    pub const STRIDE_W: u16 = 1;
    pub const STRIDE_H: u16 = 2;
    pub const FILTER_W: u16 = 3;
    pub const FILTER_H: u16 = 4;
}

/// Options of a linear layer.
pub mod fully_connected {
    pub const ACTIVATION: u16 = 0;
}

/// How a plane is padded.
#[derive(Clone, Copy, Debug)]
#[repr(i8)]
pub enum Padding {
    Same = 0,
    Valid = 1,
}

/// What an operation ends in.
#[derive(Clone, Copy, Debug)]
#[repr(i8)]
pub enum Activation {
    None = 0,
    Relu = 1,
}
