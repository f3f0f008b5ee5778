//! Views of images: `kernels/images.cu`.

use std::f32::consts::TAU;

use anyhow::{Error, Result};
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
pub fn view_words(image: usize, view: &View, side: usize) -> Result<[u32; VIEW]> {
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
    /// The values of views of `side × side` pixels, whose images lie in `images` as bytes.
    pub fn views(&self, views: Span, images: Span, side: usize, out: Span) -> Result<()> {
        let blocks = views.len() / VIEW;
        check(views, blocks * VIEW);
        check(out, blocks * side * side * 3);
        int(out.len())?;
        self.launch(
            "views",
            [blocks, 1, 1],
            [THREADS, 1, 1],
            &[
                views.into(),
                images.into(),
                int(SIDE)?,
                int(side)?,
                out.into(),
            ],
        )
    }
}
