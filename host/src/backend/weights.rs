//! Named tensors: what backends, files and the quantiser exchange.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A dense array of f32, outermost dimension first.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its dimensions; none for a scalar.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Vec<f32>,
}

impl Tensor {
    /// # Panics
    /// Where the shape does not hold as many values as `data`: a fault of the caller's code.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{shape:?}");
        Self { shape, data }
    }

    /// A tensor of one value throughout.
    pub fn full(shape: impl Into<Vec<usize>>, value: f32) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self {
            shape,
            data: vec![value; len],
        }
    }
}

/// Tensors by name, under PyTorch's names and in its layouts: convolutions `out × in × height ×
/// width`, transposed ones `in × out × height × width`, linear layers `out × in` with a plane
/// flattened channel by channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);
