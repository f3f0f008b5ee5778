//! Runs layers that are known at run time only: any model file a host meets.

use crate::layer::{Layer, Shape};
use crate::model::{Model, ModelError, Parameters};
use crate::network::INPUT;
use crate::plan::{self, Method, PlanError};
use crate::quantised::Quantised;
use crate::stream::{Described, RowError, Stream};

/// Why layers, parameters and a buffer do not make a running network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterpreterError {
    /// The layers are not a network that a device can run.
    Plan(PlanError),
    /// The parameters are not those of the layers.
    Parameters(ModelError),
    /// The buffer is shorter than [`plan::buffer_words`].
    Buffer,
}

impl core::fmt::Display for InterpreterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Parameters(error) => error.fmt(f),
            Self::Buffer => f.write_str("the buffer is too short for the network"),
        }
    }
}

impl core::error::Error for InterpreterError {}

/// A network in a buffer of the caller's, for one image after another. Its answers are those of
/// [`Classifier`](crate::Classifier) and [`Encoder`](crate::Encoder), from the same code.
pub struct Interpreter<'a> {
    input: Shape,
    parameters: Parameters<'a>,
    stream: Stream<Described<'a>, &'a mut [i32]>,
}

impl<'a> Interpreter<'a> {
    /// A network of those layers for images of the shape `input`.
    ///
    /// # Errors
    /// See [`InterpreterError`].
    pub fn new(
        layers: &'a [Layer],
        input: Shape,
        parameters: Parameters<'a>,
        buffer: &'a mut [i32],
    ) -> Result<Self, InterpreterError> {
        let classes = parameters.classes;
        plan::check(layers, input, classes).map_err(InterpreterError::Plan)?;
        (parameters.check(layers, input)).map_err(InterpreterError::Parameters)?;
        if buffer.len() < plan::buffer_words(layers, input, classes, Method::Direct) {
            return Err(InterpreterError::Buffer);
        }
        let plan = Described::new(layers, input, classes);
        Ok(Self {
            input,
            parameters,
            stream: Stream::new(plan, buffer),
        })
    }

    /// The network of a model file; the buffer holds
    /// [`Description::buffer_words`](crate::network::Description::buffer_words).
    ///
    /// # Errors
    /// [`InterpreterError::Buffer`].
    pub fn of(model: &Model<'a>, buffer: &'a mut [i32]) -> Result<Self, InterpreterError> {
        Self::new(model.layers(), INPUT, *model.parameters(), buffer)
    }

    /// The same with the model's weights interleaved for this processor: the same answers, sooner.
    ///
    /// # Errors
    /// [`InterpreterError::Buffer`].
    #[cfg(feature = "std")]
    pub fn interleaved(
        model: &Model<'a>,
        weights: crate::Interleaved<'a>,
        buffer: &'a mut [i32],
    ) -> Result<Self, InterpreterError> {
        let mut network = Self::of(model, buffer)?;
        network.stream.plan.interleave(weights);
        Ok(network)
    }

    /// Takes the image's next row, from top to bottom, and computes all it can from it.
    ///
    /// # Errors
    /// [`RowError::TooMany`] for a row below the image, [`RowError::Length`] for a row of
    /// another length; both are ignored.
    pub fn push(&mut self, row: &[u8]) -> Result<(), RowError> {
        if row.len() != self.input.row() {
            return Err(RowError::Length);
        }
        if self.stream.rows() >= self.input.height {
            return Err(RowError::TooMany);
        }
        self.stream.push(row, &self.parameters);
        Ok(())
    }

    /// The network's answer. The next row pushed begins a new image.
    ///
    /// # Errors
    /// [`RowError::TooFew`] before the last row; the rows received are forgotten.
    pub fn finish(&mut self) -> Result<Quantised<'_>, RowError> {
        let rows = self.stream.rows();
        self.restart();
        if rows < self.input.height {
            return Err(RowError::TooFew);
        }
        Ok(Quantised::new(self.stream.output(), &self.parameters))
    }

    /// Forgets the rows received: the next one begins a new image.
    pub fn restart(&mut self) {
        self.stream.restart();
    }
}
