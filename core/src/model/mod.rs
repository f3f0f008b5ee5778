//! The model file, `model.v96`: everything a device needs to run a network, used in place.
//!
//! All numbers are little-endian. The file begins with a [header](Header) of 64 bytes, and four
//! sections follow it in this order, each beginning at a multiple of 16 bytes; bytes between
//! them are zero.
//!
//! | section | holds |
//! | --- | --- |
//! | names | each class's name in UTF-8 and a zero byte; empty if the model names none |
//! | quantisation | a [`Record`] for each layer with weights; then a multiplier (i32) for each of their output channels; then a shift (i8) for each |
//! | weights | of each layer with weights, `output channels × window rows × window columns × input channels`, i8 in [−127, 127]; without gaps |
//! | bias | an i32 for each output channel |
//!
//! # Packed weights
//!
//! In a file of [`WeightLayout::Packed`], the weights of convolutions of 3×3 (stride 1 or 2,
//! padding 1) and 5×5 (stride 2, padding 2) whose rows divide into the pixels that are computed
//! together are words of 32 bits. With z = 2²², an output channel is the sums of the weights over
//! the padding to the left and to the right of a row, and for each row of the window and each input
//! channel the words
//!
//! | window | words |
//! | --- | --- |
//! | 3×3, stride 1 | `(w₂ + 128) + 2⁸w₀ + w₁z` |
//! | 3×3, stride 2 | `w₂ + w₀z`, `w₁` |
//! | 5×5, stride 2 | `w₄ + w₂z`, `w₀z`, `w₃ + w₁z` |
//!
//! Those of linear layers over a single row of an even number of values, at most 516, are words of
//! 16 bits, `a + 2⁸b` for the weights of two output channels; b is zero where there is no second
//! one. Every other layer's weights end at a multiple of 4 bytes. A file of
//! [`WeightLayout::Winograd`] differs in the convolutions of 3×3 with stride 1 alone: they are in
//! the portable order.
//!
//! # Arithmetic
//!
//! A layer's accumulator starts at its bias, which holds `−zero point of the input × sum of the
//! channel's weights` already, and adds `input value × weight` for each tap, padding being the
//! input's zero point. [`requantise`](crate::requantise) says what follows. The image's byte x
//! is the value x − 128, of scale 1/255 and zero point −128. A layer's input has the scale and
//! zero point of the output of the layer with weights before it; pooling keeps both.

mod error;
mod header;
mod order;
mod parameters;
mod sections;
mod write;

use core::ops::Range;

pub use error::ModelError;
pub use header::{Header, WeightLayout};
pub use parameters::{INPUT_SCALE, INPUT_ZERO_POINT, Parameters, Record};
pub use write::Contents;

pub(crate) use header::CRC;
pub(crate) use order::{Order, Weights, weights};
pub(crate) use sections::Sections;

use crate::layer::Layer;
use crate::network::{Architecture, Description, INPUT, Kind, MAX_CLASSES, Network};
use crate::plan::Method;

/// What a model file's address must be a multiple of.
pub const ALIGNMENT: usize = 16;

/// A model file that was checked: what it holds is complete, in range and of one network.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    network: &'static Description,
    parameters: Parameters<'m>,
    names: &'m [u8],
    length: usize,
}

impl<'m> Model<'m> {
    /// Checks a file, once and for all. Nothing is copied.
    ///
    /// # Errors
    /// Whatever is not exactly a model file for a network of this crate, at an address that is a
    /// multiple of [`ALIGNMENT`].
    pub fn parse(file: &'m [u8]) -> Result<Self, ModelError> {
        let header = Header::read(file)?;
        let network = Description::find(header.network, header.kind).ok_or(
            if Kind::ALL.iter().any(|kind| kind.id() == header.kind) {
                ModelError::Network
            } else {
                ModelError::Kind
            },
        )?;
        let layout = WeightLayout::from_id(header.layout).ok_or(ModelError::WeightLayout)?;
        let classes = usize::from(header.classes);
        let fitting = if network.kind.is_classifier() {
            1..=MAX_CLASSES
        } else {
            0..=0
        };
        if !fitting.contains(&classes) {
            return Err(ModelError::Classes);
        }
        let names = usize::try_from(header.names).map_err(|_| ModelError::Sections)?;
        let sections = Sections::of(network.layers, INPUT, classes, layout, names)
            .ok_or(ModelError::Sections)?;
        if !header.states(&sections, file) {
            return Err(ModelError::Sections);
        }
        sections.check_padding(file)?;
        if !file.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(ModelError::Misaligned);
        }

        let section = |range: Range<usize>| file.get(range).ok_or(ModelError::Sections);
        let parameters = Parameters {
            classes,
            layout,
            records: section(sections.records)?.as_chunks().0,
            multipliers: words(section(sections.multipliers)?)?,
            shifts: bytes(section(sections.shifts)?)?,
            weights: bytes(section(sections.weights)?)?,
            bias: words(section(sections.bias)?)?,
        };
        parameters.check(network.layers, INPUT)?;
        Ok(Self {
            network,
            parameters,
            names: checked_names(section(sections.names)?, classes)?,
            length: file.len(),
        })
    }

    /// Checks a file that must be of network `N`.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and [`ModelError::OtherNetwork`].
    pub fn of<N: Network>(file: &'m [u8]) -> Result<Self, ModelError> {
        let model = Self::parse(file)?;
        if model.network.architecture.id != N::ARCHITECTURE.id || model.network.kind != N::KIND {
            return Err(ModelError::OtherNetwork);
        }
        Ok(model)
    }

    /// The network it is for.
    pub const fn network(&self) -> &'static Description {
        self.network
    }

    /// The architecture its network is a part of.
    pub const fn architecture(&self) -> &'static Architecture {
        self.network.architecture
    }

    /// What its network gives.
    pub const fn kind(&self) -> Kind {
        self.network.kind
    }

    /// Its network's layers, from the image to the answer.
    pub const fn layers(&self) -> &'static [Layer] {
        self.network.layers
    }

    /// Which kernels the weights are ordered for.
    pub const fn layout(&self) -> WeightLayout {
        self.parameters.layout
    }

    /// The method of computing convolutions that it is for: the direct one, unless the weights are
    /// ordered for another and a layer of the network runs by that.
    pub const fn method(&self) -> Method {
        let method = self.parameters.layout.method();
        if self.network.ram_bytes(method) > self.network.ram_bytes(Method::Direct) {
            method
        } else {
            Method::Direct
        }
    }

    /// Classes it tells apart; 0 for an encoder.
    pub const fn classes(&self) -> usize {
        self.parameters.classes
    }

    /// The numbers its layers compute with.
    pub const fn parameters(&self) -> &Parameters<'m> {
        &self.parameters
    }

    /// Bytes of the file.
    pub const fn flash_bytes(&self) -> usize {
        self.length
    }

    /// How many values it makes of an image.
    pub fn outputs(&self) -> usize {
        let last = self.layers().last();
        last.map_or(0, |layer| layer.weighted_channels(self.classes()))
    }

    /// A number that is that of the same weights in any [layout](WeightLayout), and almost
    /// certainly another one for other weights: the CRC-32 of quantisation parameters and biases,
    /// which all follow from the weights.
    pub fn fingerprint(&self) -> u32 {
        let Parameters {
            records,
            multipliers,
            shifts,
            bias,
            ..
        } = self.parameters;
        let mut digest = CRC.digest();
        for record in records {
            digest.update(record);
        }
        for word in multipliers.iter().chain(bias) {
            digest.update(&word.to_le_bytes());
        }
        for &shift in shifts {
            digest.update(&[shift as u8]);
        }
        digest.finalize()
    }

    /// The classes' names in their order; nothing if the model names none.
    pub fn names(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        let count = if self.names.is_empty() {
            0
        } else {
            self.classes()
        };
        // Splitting the bytes cannot panic, where splitting the text as the library does might.
        let names = self.names.split(|&byte| byte == 0).take(count);
        names.map(|name| core::str::from_utf8(name).unwrap_or_default())
    }

    /// The name of a class, if the model names its classes.
    pub fn name(&self, class: usize) -> Option<&'m str> {
        self.names().nth(class)
    }
}

fn words(bytes: &[u8]) -> Result<&[i32], ModelError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| ModelError::Misaligned)
}

fn bytes(bytes: &[u8]) -> Result<&[i8], ModelError> {
    bytemuck::try_cast_slice(bytes).map_err(|_| ModelError::Misaligned)
}

/// The section of names, which holds as many as classes, or none.
fn checked_names(section: &[u8], classes: usize) -> Result<&[u8], ModelError> {
    let ends = section.iter().filter(|&&byte| byte == 0).count();
    let complete = ends == classes && section.last() == Some(&0);
    if core::str::from_utf8(section).is_err() || !(section.is_empty() || complete) {
        return Err(ModelError::Names);
    }
    Ok(section)
}
