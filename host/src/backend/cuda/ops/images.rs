//! Views of images: `kernels/images.cu`.

use std::f32::consts::TAU;

use anyhow::{Error, Result};
use bytemuck::{cast, cast_slice};
use vae96::SIDE;

use super::{Gpu, THREADS, check, count, int};
use crate::backend::View;
use crate::backend::cuda::memory::Span;
use crate::backend::cuda::resident::{IMAGE, Place};

/// Values that a view takes.
pub const VIEW: usize = 18;

/// Pixels of a view that a block makes, as the kernels have it.
const PIXELS: usize = 4 * THREADS;

/// Values of scratch memory that a view takes at most: the sum of its lumas for each block, in f64.
pub const LUMAS: usize = 2 * (SIDE * SIDE).div_ceil(PIXELS);

/// Views that the machine has been told of, and their images, which stay until they are seen.
pub struct Told<'a> {
    table: Span<'a>,
    images: Vec<Place<'a>>,
    side: usize,
}

/// The kernel's `View` of the image at that address, for `side × side` pixels: floats and integers
/// as their bits.
fn words(image: u64, view: &View, side: usize) -> Result<[u32; VIEW]> {
    // Without colours there is no hue to turn.
    let [saturation, hue] = match view.grey {
        true => [0.0, 0.0],
        false => [view.saturation, TAU * view.hue],
    };
    let turn = view.rotation.to_radians();
    let crop = view.crop;
    let [edge, left, top] = view.cutout.pixels(side);
    let number = |value: usize| Ok::<_, Error>(count(value)? as u32);
    let [address, rest]: [u32; 2] = cast(image);
    Ok([
        address,
        rest,
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
        // It ends at a multiple of an address.
        0,
    ])
}

impl Gpu {
    /// Tells the machine of views of `side × side` pixels, each of an image that lies on it. It
    /// launches nothing.
    pub fn tell<'a>(
        &self,
        views: impl IntoIterator<Item = (Place<'a>, View)>,
        side: usize,
        table: Span<'a>,
    ) -> Result<Told<'a>> {
        let (mut images, mut all) = (Vec::new(), Vec::new());
        for (image, view) in views {
            check(image.span(), IMAGE);
            all.push(words(image.span().address(), &view, side)?);
            images.push(image);
        }
        check(table, all.len() * VIEW);
        table.upload(cast_slice(all.as_flattened()))?;
        Ok(Told {
            table,
            images,
            side,
        })
    }

    /// The values of as many views as `out` holds, from that one on; `lumas` is scratch memory.
    ///
    /// # Panics
    /// If the machine has been told of fewer: a fault of the caller.
    pub fn views(&self, told: &Told, first: usize, out: Span, lumas: Span) -> Result<()> {
        let side = told.side;
        let count = out.len() / (side * side * 3);
        self.check_values(&[out]);
        check(out, count * side * side * 3);
        assert!(first + count <= told.images.len());
        int(out.len())?;
        assert!(count * LUMAS <= lumas.len());
        let arguments = [
            told.table.part(first * VIEW, count * VIEW).into(),
            int(SIDE)?,
            int(side)?,
            out.into(),
            lumas.into(),
        ];
        let grid = [(side * side).div_ceil(PIXELS), count, 1];
        self.launch("views", grid, [THREADS, 1, 1], &arguments)?;
        self.launch("tints", grid, [THREADS, 1, 1], &arguments)
    }
}
