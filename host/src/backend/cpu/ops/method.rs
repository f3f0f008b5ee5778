//! What a convolution is computed by.

use super::padded::Padded;
use crate::backend::cpu::buffers;

/// How windows that slide over a plane meet kernels, `channels × kernel × kernel × plane channels`:
/// each window makes a pixel of a grid.
pub trait Method: Copy + Send + Sync {
    /// Kernels as a pass over an image reads them.
    type Kernels: Pass;

    /// The plane within its zeros.
    fn padded(&self) -> Padded;
    /// The grid within its zeros.
    fn padded_grid(&self) -> Padded;
    /// The pass from a plane to its grid: each window times each kernel.
    fn gather(&self, weights: &[f32]) -> Self::Kernels;
    /// Its adjoint, from a grid to a plane, to which each window adds its kernels times the values
    /// of its pixel.
    fn spread(&self, weights: &[f32]) -> Self::Kernels;
    /// How many values `correlate` adds to.
    fn sums(&self) -> usize;
    /// Adds an image's part to what the gradient of the kernels is made of: windows times the values
    /// of their pixels of the grid.
    fn correlate(
        &self,
        padded: &[f32],
        padded_grid: &[f32],
        sums: &mut [f32],
        scratch: &mut Scratch,
    );
    /// The gradient of the weights from those sums.
    fn unpack(&self, sums: &[f32]) -> Vec<f32>;
}

/// A pass of kernels over an image.
pub trait Pass: Sync {
    /// From an image within its zeros to all values of `out`.
    fn run(&self, padded: &[f32], out: &mut [f32], scratch: &mut Scratch);
}

/// Two arrays that a method takes beside images and kernels.
#[derive(Clone, Debug, Default)]
pub struct Scratch([Vec<f32>; 2]);

impl Scratch {
    /// The arrays, of those lengths and with whatever values.
    pub fn of(&mut self, lens: [usize; 2]) -> [&mut [f32]; 2] {
        for (values, len) in self.0.iter_mut().zip(lens) {
            if values.len() != len {
                buffers::give(std::mem::replace(values, buffers::take(len)));
            }
        }
        self.0.each_mut().map(Vec::as_mut_slice)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for values in &mut self.0 {
            buffers::give(std::mem::take(values));
        }
    }
}
