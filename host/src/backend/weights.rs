//! Named tensors: what backends, files and the quantiser exchange.

use std::collections::{BTreeMap, HashMap};
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

/// Notes kept in a weights file beside the tensors.
pub type Metadata = BTreeMap<String, String>;

impl Weights {
    /// The tensor of that name.
    ///
    /// # Errors
    /// Where there is none; the message names it and what there is.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).with_context(|| {
            let names: Vec<_> = self.0.keys().map(String::as_str).collect();
            format!("no tensor {name:?} among the weights: {}", names.join(", "))
        })
    }

    /// Whether every value is a number: neither infinite nor NaN.
    pub fn are_finite(&self) -> bool {
        self.0
            .values()
            .all(|tensor| tensor.data.iter().all(|value| value.is_finite()))
    }

    /// The file's bytes: safetensors, f32.
    pub fn to_bytes(&self, metadata: &Metadata) -> Result<Vec<u8>> {
        let views = self
            .0
            .iter()
            .map(|(name, tensor)| {
                let bytes = bytemuck::cast_slice(&tensor.data);
                Ok((
                    name,
                    TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?,
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata: HashMap<_, _> = metadata.clone().into_iter().collect();
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Integer tensors (PyTorch's
    /// `num_batches_tracked`) are left out: nothing here reads them.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Metadata)> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let mut weights = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
            if view.dtype() == Dtype::I64 {
                continue;
            }
            ensure!(
                view.dtype() == Dtype::F32,
                "the tensor {name:?} holds {:?}; only F32 is read",
                view.dtype()
            );
            // The bytes of a tensor may begin anywhere in the file, so they are not cast in place.
            let data = bytemuck::pod_collect_to_vec(view.data());
            weights.insert(name.to_owned(), Tensor::new(view.shape(), data));
        }
        Ok((Self(weights), metadata.into_iter().collect()))
    }

    /// Writes a safetensors file, beside its place first and renamed into it when whole.
    pub fn save(&self, path: &Path, metadata: &Metadata) -> Result<()> {
        crate::files::write(path, &self.to_bytes(metadata)?)
    }

    /// Reads a safetensors file.
    pub fn load(path: &Path) -> Result<(Self, Metadata)> {
        let bytes = crate::files::read(path)?;
        Self::from_bytes(&bytes)
            .with_context(|| format!("{} is not a safetensors file of weights", path.display()))
    }
}
