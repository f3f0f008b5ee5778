//! Writing a model file; the caller brings the memory.

use core::ops::Range;

use super::header::seal;
use super::{Header, ModelError, Parameters, Sections};
use crate::network::{Description, INPUT, MAX_CLASSES};

/// What a model file is made of.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The network.
    pub network: &'static Description,
    /// The numbers.
    pub parameters: Parameters<'a>,
    /// A name a class; none at all for an encoder, or to leave classes without names.
    pub names: &'a [&'a str],
}

impl Contents<'_> {
    /// Bytes of the file.
    ///
    /// # Errors
    /// What [`Model::parse`](super::Model::parse) would say of the classes, names and parameters.
    pub fn length(&self) -> Result<usize, ModelError> {
        self.sections().map(|sections| sections.length)
    }

    /// Writes the file to `file`, which must be [`length`](Self::length) bytes long.
    ///
    /// # Errors
    /// Those of `length`, and [`ModelError::Length`].
    pub fn write(&self, file: &mut [u8]) -> Result<(), ModelError> {
        let sections = self.sections()?;
        if file.len() != sections.length {
            return Err(ModelError::Length);
        }
        let header = Header {
            network: self.network.architecture.id,
            kind: self.network.kind.id(),
            layout: self.parameters.layout.id(),
            classes: u16::try_from(self.parameters.classes).map_err(|_| ModelError::Classes)?,
            names: u32::try_from(sections.names.len()).map_err(|_| ModelError::Names)?,
        };
        let header = header.encode(&sections).ok_or(ModelError::Length)?;
        let names = (self.names.iter()).flat_map(|name| name.bytes().chain([0]));
        let Parameters {
            records,
            multipliers,
            shifts,
            weights,
            bias,
            ..
        } = self.parameters;

        file.fill(0);
        let mut put = |range: Range<usize>, bytes: &mut dyn Iterator<Item = u8>| {
            let section = file.get_mut(range).unwrap_or_default();
            for (to, from) in section.iter_mut().zip(bytes) {
                *to = from;
            }
        };
        put(0..Header::BYTES, &mut header.into_iter());
        put(sections.names, &mut { names });
        put(sections.records, &mut records.iter().flatten().copied());
        put(
            sections.multipliers,
            &mut multipliers.iter().flat_map(|word| word.to_le_bytes()),
        );
        put(sections.shifts, &mut shifts.iter().map(|&byte| byte as u8));
        put(
            sections.weights,
            &mut weights.iter().map(|&byte| byte as u8),
        );
        put(
            sections.bias,
            &mut bias.iter().flat_map(|word| word.to_le_bytes()),
        );
        seal(file);
        Ok(())
    }

    fn sections(&self) -> Result<Sections, ModelError> {
        let classes = self.parameters.classes;
        let fitting = if self.network.kind.is_classifier() {
            1..=MAX_CLASSES
        } else {
            0..=0
        };
        if !fitting.contains(&classes) {
            return Err(ModelError::Classes);
        }
        if !self.names.is_empty() && self.names.len() != classes
            || self.names.iter().any(|name| name.contains('\0'))
        {
            return Err(ModelError::Names);
        }
        self.parameters.check(self.network.layers, INPUT)?;
        let names = self.names.iter().map(|name| name.len() + 1).sum();
        let layout = self.parameters.layout;
        Sections::of(self.network.layers, INPUT, classes, layout, names).ok_or(ModelError::Length)
    }
}
