//! The images of a step: their values, or how they are seen in images of bytes.

use std::ops::Range;

use anyhow::{Result, bail, ensure};
use vae96::SIDE;

use super::{Picture, Stream};

/// A batch of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Images in the batch.
    pub count: usize,
    /// Edge of each image, in pixels.
    pub side: usize,
    /// The pixels.
    pub pixels: Pixels,
}

/// What the pixels of a batch are told by.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// `count × side × side × 3` values in [0, 1], channels innermost.
    Values(Vec<f32>),
    /// A view for each image, from which a machine makes the values.
    Views(Vec<Viewed>),
    /// The same, and how the values are corrupted then. The stream is the first image's; each next
    /// one has the [next](Stream::numbered).
    Corrupted(Vec<Viewed>, Corruption, Stream),
}

/// The forms of [`Pixels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Pixels::Values`], which every machine takes.
    Values,
    /// [`Pixels::Views`].
    Views,
}

/// An image and how it is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Viewed {
    /// The image. Views of one image share it.
    pub image: Picture,
    /// The view.
    pub view: View,
}

/// One view of a 96×96 image. What each part does to the pixels, and in which order, says
/// [`View::apply`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// What of the image is seen.
    pub crop: Crop,
    /// Whether it is mirrored left to right.
    pub flip: bool,
    /// Factor of the brightness.
    pub brightness: f32,
    /// Factor of the distance from the view's mean luma.
    pub contrast: f32,
    /// Factor of the distance from the pixel's luma.
    pub saturation: f32,
    /// By what share of the circle its hues are turned.
    pub hue: f32,
    /// Whether it has no colours.
    pub grey: bool,
    /// By how many degrees it is turned.
    pub rotation: f32,
    /// What of it is hidden.
    pub cutout: Square,
}

/// A rectangle of an image, in pixels of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Its left edge.
    pub left: f32,
    /// Its upper edge.
    pub top: f32,
    /// Its width.
    pub width: f32,
    /// Its height.
    pub height: f32,
}

/// A square within a view, all in shares of the view's edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Square {
    /// Its edge; 0 for no square at all.
    pub edge: f32,
    /// Its left edge.
    pub left: f32,
    /// Its upper edge.
    pub top: f32,
}

/// What is done to the values of images. In which order, and by which random numbers, says
/// [`Corruption::apply`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corruption {
    /// Share of the image's patches that are hidden, in [0, 1].
    pub mask: f64,
    /// Standard deviation of the uniform noise added to each value.
    pub noise: f64,
}

/// Edge of the patches that are hidden or shown, in pixels.
pub const PATCH: usize = 8;

/// What hidden pixels hold: nothing that an image is likely to say.
pub const HIDDEN: f32 = 0.5;

impl View {
    /// The image itself.
    pub const WHOLE: Self = Self {
        crop: Crop {
            left: 0.0,
            top: 0.0,
            width: SIDE as f32,
            height: SIDE as f32,
        },
        flip: false,
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        hue: 0.0,
        grey: false,
        rotation: 0.0,
        cutout: Square {
            edge: 0.0,
            left: 0.0,
            top: 0.0,
        },
    };
}

impl Square {
    /// Its edge, its left and its upper edge in a view of `side × side` pixels.
    pub fn pixels(&self, side: usize) -> [usize; 3] {
        [self.edge, self.left, self.top].map(|share| (share * side as f32).round() as usize)
    }
}

impl Batch {
    /// Images of `side × side × 3` values each.
    pub fn new(count: usize, side: usize, values: Vec<f32>) -> Self {
        Self {
            count,
            side,
            pixels: Pixels::Values(values),
        }
    }

    /// The values.
    ///
    /// # Errors
    /// Where they are told by views, which wait for a machine that makes them.
    pub fn values(&self) -> Result<&[f32]> {
        match &self.pixels {
            Pixels::Values(values) => Ok(values),
            Pixels::Views(_) | Pixels::Corrupted(..) => {
                bail!("a batch of views has no values before a GPU has made them")
            }
        }
    }

    /// A copy of the images of that range.
    ///
    /// # Panics
    /// If there are fewer images.
    pub fn part(&self, images: Range<usize>) -> Self {
        let image = self.side * self.side * 3;
        Self {
            count: images.len(),
            side: self.side,
            pixels: match &self.pixels {
                Pixels::Values(values) => {
                    Pixels::Values(values[images.start * image..images.end * image].to_vec())
                }
                Pixels::Views(views) => Pixels::Views(views[images].to_vec()),
                Pixels::Corrupted(views, corruption, stream) => {
                    let stream = stream.numbered(images.start);
                    Pixels::Corrupted(views[images].to_vec(), *corruption, stream)
                }
            },
        }
    }

    /// Adds images of the same size.
    ///
    /// # Errors
    /// Where they are of another size, or told in another form; where any are corrupted.
    pub fn append(&mut self, images: Self) -> Result<()> {
        ensure!(
            images.side == self.side,
            "images of {other}×{other} cannot join a batch of {side}×{side}",
            other = images.side,
            side = self.side
        );
        match (&mut self.pixels, images.pixels) {
            (Pixels::Values(values), Pixels::Values(more)) => values.extend(more),
            (Pixels::Views(views), Pixels::Views(more)) => views.extend(more),
            _ => bail!("values, views and corrupted views cannot be one batch"),
        }
        self.count += images.count;
        Ok(())
    }
}
