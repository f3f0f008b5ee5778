//! Views of images: `kernels/images.cu`.

use std::f32::consts::TAU;

use anyhow::{Error, Result};
use bytemuck::cast_slice;
use vae96::{INPUT, SIDE};

use super::{Gpu, THREADS, check, count, int};
use crate::backend::View;
use crate::backend::cuda::memory::Span;

/// Values of f32 that the bytes of an image take.
pub const IMAGE: usize = INPUT.len() / size_of::<f32>();

/// Values that a view takes.
pub const VIEW: usize = 16;

/// The kernel's `View` of the image of that number, for `side × side` pixels: floats and integers
/// as their bits.
fn words(image: usize, view: &View, side: usize) -> Result<[u32; VIEW]> {
    // Without colours there is no hue to turn.
    let [saturation, hue] = match view.grey {
        true => [0.0, 0.0],
        false => [view.saturation, TAU * view.hue],
    };
    let turn = view.rotation.to_radians();
    let crop = view.crop;
    let [edge, left, top] = view.cutout.pixels(side);
    let number = |value: usize| Ok::<_, Error>(count(value)? as u32);
    Ok([
        number(image)?,
        crop.left.to_bits(),
        crop.top.to_bits(),
        crop.width.to_bits(),
        crop.height.to_bits(),
        view.flip.into(),
        view.brightness.to_bits(),
        view.contrast.to_bits(),
        saturation.to_bits(),
        hue.cos().to_bits(),
        hue.sin().to_bits(),
        turn.cos().to_bits(),
        turn.sin().to_bits(),
        number(edge)?,
        number(left)?,
        number(top)?,
    ])
}

impl Gpu {
    /// The values of views of `side × side` pixels, each of the image of that number of `images`,
    /// which are bytes. What the kernel is told of them goes to `told`.
    ///
    /// # Panics
    /// If there are fewer images: a fault of the caller.
    pub fn views(
        &self,
        views: &[(usize, View)],
        images: Span,
        side: usize,
        told: Span,
        out: Span,
    ) -> Result<()> {
        check(told, views.len() * VIEW);
        check(out, views.len() * side * side * 3);
        int(out.len())?;
        let number = images.len() / IMAGE;
        assert!(views.iter().all(|&(image, _)| image < number));
        let words = (views.iter()).map(|(image, view)| words(*image, view, side));
        let words = words.collect::<Result<Vec<_>>>()?;
        told.upload(cast_slice(words.as_flattened()))?;
        self.launch(
            "views",
            [views.len(), 1, 1],
            [THREADS, 1, 1],
            &[
                told.into(),
                images.into(),
                int(SIDE)?,
                int(side)?,
                out.into(),
            ],
        )
    }
}
