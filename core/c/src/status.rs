//! Errors as numbers.

use vae96::{ModelError, RowError, SavedError, TeachError};

/// What became of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum v96_status {
    /// All went well.
    V96_OK = 0,
    /// A pointer is NULL.
    V96_NULL = 1,
    /// The memory is smaller than the network's macro says.
    V96_MEMORY_TOO_SMALL = 2,
    /// The memory is not at a multiple of `V96_MEMORY_ALIGNMENT`.
    V96_MEMORY_MISALIGNED = 3,
    /// The network is an encoder, which tells no classes apart.
    V96_NO_CLASSES = 4,
    /// A row is not of `V96_ROW_BYTES` bytes; it is ignored.
    V96_ROW_LENGTH = 10,
    /// The image is complete; the row is ignored.
    V96_TOO_MANY_ROWS = 11,
    /// The image is not complete; its rows are forgotten.
    V96_TOO_FEW_ROWS = 12,
    /// The file is shorter than the header of a model.
    V96_MODEL_TOO_SHORT = 20,
    /// The file is no model.
    V96_MODEL_MAGIC = 21,
    /// The model is cut off, or something follows it.
    V96_MODEL_LENGTH = 22,
    /// The model is damaged: its checksum does not match.
    V96_MODEL_CHECKSUM = 23,
    /// The model is of an older or newer version than this library reads.
    V96_MODEL_VERSION = 24,
    /// The model is of another network.
    V96_MODEL_OTHER_NETWORK = 25,
    /// The model's weights are ordered for kernels that this library does not have.
    V96_MODEL_WEIGHT_LAYOUT = 26,
    /// The model is not at a multiple of `V96_MODEL_ALIGNMENT`.
    V96_MODEL_MISALIGNED = 27,
    /// The model's contents contradict each other.
    V96_MODEL_INCONSISTENT = 28,
    /// The features are not as many as the network gives, or more than `V96_MOST_FEATURES`.
    V96_FEATURES = 30,
    /// A class's name is empty, does not fit `V96_NAME_BYTES`, or is not UTF-8.
    V96_CLASS_NAME = 31,
    /// There are `V96_MOST_CLASSES` classes already.
    V96_CLASSES_FULL = 32,
    /// The class was taught `V96_MOST_FRAMES` frames already.
    V96_CLASS_FRAMES = 33,
    /// There is no class of that name.
    V96_NO_SUCH_CLASS = 34,
    /// The file is shorter than the header of a file of classes.
    V96_CLASSES_TOO_SHORT = 40,
    /// The file holds no classes.
    V96_CLASSES_MAGIC = 41,
    /// The file is damaged or cut off, or something follows it: its checksum does not match.
    V96_CLASSES_CHECKSUM = 42,
    /// The file is of an older or newer version than this library reads.
    V96_CLASSES_VERSION = 43,
    /// The classes were taught with another model.
    V96_CLASSES_OTHER_MODEL = 44,
    /// The file's contents contradict each other.
    V96_CLASSES_INCONSISTENT = 45,
    /// The memory to save to is too small.
    V96_CLASSES_SPACE = 46,
}

impl From<RowError> for v96_status {
    fn from(error: RowError) -> Self {
        match error {
            RowError::TooMany => Self::V96_TOO_MANY_ROWS,
            RowError::TooFew => Self::V96_TOO_FEW_ROWS,
            _ => Self::V96_ROW_LENGTH,
        }
    }
}

impl From<ModelError> for v96_status {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::TooShort => Self::V96_MODEL_TOO_SHORT,
            ModelError::Magic => Self::V96_MODEL_MAGIC,
            ModelError::Length => Self::V96_MODEL_LENGTH,
            ModelError::Checksum => Self::V96_MODEL_CHECKSUM,
            ModelError::Version => Self::V96_MODEL_VERSION,
            ModelError::Network | ModelError::Kind | ModelError::OtherNetwork => {
                Self::V96_MODEL_OTHER_NETWORK
            }
            ModelError::WeightLayout => Self::V96_MODEL_WEIGHT_LAYOUT,
            ModelError::Misaligned => Self::V96_MODEL_MISALIGNED,
            _ => Self::V96_MODEL_INCONSISTENT,
        }
    }
}

impl From<TeachError> for v96_status {
    fn from(error: TeachError) -> Self {
        match error {
            TeachError::Name => Self::V96_CLASS_NAME,
            TeachError::Full => Self::V96_CLASSES_FULL,
            TeachError::Frames => Self::V96_CLASS_FRAMES,
            _ => Self::V96_FEATURES,
        }
    }
}

impl From<SavedError> for v96_status {
    fn from(error: SavedError) -> Self {
        match error {
            SavedError::TooShort => Self::V96_CLASSES_TOO_SHORT,
            SavedError::Magic => Self::V96_CLASSES_MAGIC,
            SavedError::Checksum => Self::V96_CLASSES_CHECKSUM,
            SavedError::Version => Self::V96_CLASSES_VERSION,
            SavedError::OtherModel => Self::V96_CLASSES_OTHER_MODEL,
            SavedError::Full => Self::V96_CLASSES_FULL,
            SavedError::Space => Self::V96_CLASSES_SPACE,
            _ => Self::V96_CLASSES_INCONSISTENT,
        }
    }
}
