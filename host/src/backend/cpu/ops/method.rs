//! What a convolution is computed by.

use super::windows::Padded;

/// How windows that slide over a plane meet kernels, `channels × kernel × kernel × plane channels`:
/// each window makes a pixel of a grid.
pub trait Method: Copy + Send + Sync {
    /// Kernels as `spread` reads them.
    type Adjoint: Sync;
    /// What it takes beside images and kernels.
    type Scratch: Default;

    /// The plane within its zeros.
    fn padded(&self) -> Padded;
    /// The grid within its zeros.
    fn padded_grid(&self) -> Padded;
    /// The kernels as `gather` reads them.
    fn pack(&self, weights: &[f32]) -> Vec<f32>;
    /// The kernels for the adjoint.
    fn adjoint(&self, weights: &[f32]) -> Self::Adjoint;
    /// The grid of an image: each window times each kernel.
    fn gather(
        &self,
        padded: &[f32],
        kernels: &[f32],
        grid: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// The adjoint: the plane of an image, to which each window adds its kernels times the values of
    /// its pixel of the grid.
    fn spread(
        &self,
        padded_grid: &[f32],
        kernels: &Self::Adjoint,
        plane: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// How many values `correlate` adds to.
    fn sums(&self) -> usize;
    /// Adds an image's part to what the gradient of the kernels is made of: windows times the values
    /// of their pixels of the grid.
    fn correlate(
        &self,
        padded: &[f32],
        padded_grid: &[f32],
        sums: &mut [f32],
        scratch: &mut Self::Scratch,
    );
    /// The gradient of the weights from those sums.
    fn unpack(&self, sums: &[f32]) -> Vec<f32>;
}
