//! Named tensors: what backends, files and the quantiser exchange.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};
use half::{bf16, f16};
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

/// What PyTorch's BatchNorm has beside its statistics, and nothing here reads.
const BATCHES: &str = "num_batches_tracked";

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

    /// Reads a safetensors file, by [`to_bytes`](Self::to_bytes) or by PyTorch: floats of other
    /// widths become f32, and BatchNorm's counts of batches are left out.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Metadata)> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let mut weights = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
            if name.ends_with(BATCHES) {
                continue;
            }
            let data = floats(&view).with_context(|| format!("the tensor {name:?}"))?;
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

/// A tensor's values. Its bytes may begin anywhere in the file, so they are not cast in place.
fn floats(view: &TensorView<'_>) -> Result<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| value(bytes))
            .collect()
    }
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Ok(bytemuck::pod_collect_to_vec(bytes)),
        Dtype::F64 => Ok(each(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
        Dtype::F16 => Ok(each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Ok(each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        other => bail!("holds {other:?}; only F16, BF16, F32 and F64 are read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the one tensor `name`.
    fn file(name: &str, dtype: Dtype, bytes: &[u8]) -> Vec<u8> {
        let len = bytes.len() * 8 / dtype.bitsize();
        let view = TensorView::new(dtype, vec![len], bytes).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    }

    #[test]
    fn floats_of_every_width_are_read() {
        // 1, −2 and the smallest normal number of half precision, bit by bit.
        let half: Vec<u8> = [0x3c00u16, 0xc000, 0x0400].map(u16::to_le_bytes).concat();
        let brain: Vec<u8> = [0x3f80u16, 0xc000, 0x3880].map(u16::to_le_bytes).concat();
        let values = [1.0, -2.0, 2f32.powi(-14)];
        let single = values.map(f32::to_le_bytes).concat();
        let double = values.map(|value| f64::from(value).to_le_bytes()).concat();
        for (dtype, bytes) in [
            (Dtype::F16, half),
            (Dtype::BF16, brain),
            (Dtype::F32, single),
            (Dtype::F64, double),
        ] {
            let (weights, _) = Weights::from_bytes(&file("w", dtype, &bytes)).unwrap();
            assert_eq!(weights.get("w").unwrap().data, values, "{dtype:?}");
        }
    }

    #[test]
    fn integers_are_refused_but_for_counts_of_batches() {
        let seven = 7i64.to_le_bytes();
        let counts = file("conv1_bn.num_batches_tracked", Dtype::I64, &seven);
        let (weights, _) = Weights::from_bytes(&counts).unwrap();
        assert_eq!(weights, Weights::default());
        let error = Weights::from_bytes(&file("steps", Dtype::I64, &seven)).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("steps") && said.contains("I64"), "{said}");
    }
}
