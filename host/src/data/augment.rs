//! Random views of an image.
//!
//! Drawing a view and applying it are apart: a GPU applies what was drawn here
//! (`backend/cuda/kernels/images.cu`).

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};
use vae96::SIDE;

use super::IMAGE_BYTES;
use super::resample::resample;
use super::rotate::rotate;
pub use crate::backend::{Crop, HIDDEN, Square, View};

/// How much views vary. Crops are torchvision's `RandomResizedCrop` (Szegedy et al., 2014),
/// brightness, contrast and saturation its `ColorJitter`, in that order.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Share of the image's area that a crop has.
    pub area: RangeInclusive<f32>,
    /// The largest ratio of a crop's longer side to its shorter one.
    pub ratio: f32,
    /// Probability that a view is mirrored left to right.
    pub flip: f64,
    /// Brightness is multiplied with a factor from 1 − this to 1 + this.
    pub brightness: f32,
    /// Contrast likewise.
    pub contrast: f32,
    /// Saturation likewise.
    pub saturation: f32,
    /// Hues are turned by up to this share of the whole circle, either way.
    pub hue: f32,
    /// Probability that a view has no colours.
    pub grey: f64,
    /// Views are turned by up to so many degrees, either way.
    pub rotation: f32,
    /// A square whose edge has this share of the view's is hidden (DeVries and Taylor, 2017).
    pub cutout: f32,
}

impl Augmentation {
    /// Every view is the image itself.
    pub const NONE: Self = Self {
        area: 1.0..=1.0,
        ratio: 1.0,
        flip: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue: 0.0,
        grey: 0.0,
        rotation: 0.0,
        cutout: 0.0,
    };

    /// Draws a view of a 96×96 image.
    pub fn draw(&self, rng: &mut impl Rng) -> View {
        let crop = self.draw_crop(rng);
        let flip = rng.random_bool(self.flip);
        let mut factor =
            |strength: f32| rng.random_range((1.0 - strength).max(0.0)..=1.0 + strength);
        View {
            crop,
            flip,
            brightness: factor(self.brightness),
            contrast: factor(self.contrast),
            saturation: factor(self.saturation),
            grey: rng.random_bool(self.grey),
            rotation: rng.random_range(-self.rotation..=self.rotation),
            cutout: self.draw_cutout(rng),
            hue: rng.random_range(-self.hue..=self.hue),
        }
    }

    fn draw_cutout(&self, rng: &mut impl Rng) -> Square {
        if self.cutout == 0.0 {
            return View::WHOLE.cutout;
        }
        Square {
            edge: self.cutout,
            left: rng.random_range(0.0..=1.0 - self.cutout),
            top: rng.random_range(0.0..=1.0 - self.cutout),
        }
    }

    /// A crop of random area and ratio that fits; after ten that do not, the whole image.
    fn draw_crop(&self, rng: &mut impl Rng) -> Crop {
        let side = SIDE as f32;
        let log_ratio = self.ratio.ln();
        for _ in 0..10 {
            let area = side * side * rng.random_range(self.area.clone());
            let ratio = rng.random_range(-log_ratio..=log_ratio).exp();
            let (width, height) = ((area * ratio).sqrt(), (area / ratio).sqrt());
            if width <= side && height <= side {
                return Crop {
                    left: rng.random_range(0.0..=side - width),
                    top: rng.random_range(0.0..=side - height),
                    width,
                    height,
                };
            }
        }
        View::WHOLE.crop
    }
}

impl View {
    /// Writes this view of `image` ([`IMAGE_BYTES`] bytes) as `side × side × 3` values in [0, 1].
    ///
    /// # Panics
    /// If `image` or `out` has another length.
    pub fn apply(&self, image: &[u8], side: usize, out: &mut [f32]) {
        assert_eq!(image.len(), IMAGE_BYTES);
        resample(image, SIDE, &self.crop, self.flip, side, out);
        if self.rotation != 0.0 {
            rotate(out, side, self.rotation);
        }
        if self.brightness != 1.0 {
            map_pixels(out, |_| 0.0, self.brightness);
        }
        if self.contrast != 1.0 {
            let lumas = out.chunks_exact(3).map(luma);
            let mean = lumas.sum::<f32>() / (side * side) as f32;
            map_pixels(out, |_| mean, self.contrast);
        }
        if self.hue != 0.0 && !self.grey {
            turn_hues(out, self.hue);
        }
        let saturation = if self.grey { 0.0 } else { self.saturation };
        if saturation != 1.0 {
            map_pixels(out, luma, saturation);
        }
        self.cutout.hide(side, out);
    }
}

impl Square {
    /// Hides the square of `side × side × 3` values.
    fn hide(&self, side: usize, pixels: &mut [f32]) {
        let [edge, left, top] = self.pixels(side);
        if edge == 0 {
            return;
        }
        let columns = left * 3..(left + edge).min(side) * 3;
        for row in pixels.chunks_exact_mut(side * 3).skip(top).take(edge) {
            row[columns.clone()].fill(HIDDEN);
        }
    }
}

/// Moves every value away from (or towards) its pixel's reference by `factor`, within [0, 1].
fn map_pixels(pixels: &mut [f32], reference: impl Fn(&[f32]) -> f32, factor: f32) {
    for pixel in pixels.chunks_exact_mut(3) {
        let reference = reference(pixel);
        for value in pixel {
            *value = (reference + factor * (*value - reference)).clamp(0.0, 1.0);
        }
    }
}

/// Turns every pixel's chroma by `turn` of the circle and keeps its luma, within [0, 1]: a rotation
/// in the plane of I and Q of the NTSC's YIQ (FCC, 1953).
fn turn_hues(pixels: &mut [f32], turn: f32) {
    const FROM_RGB: [[f32; 3]; 2] = [[0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]];
    const TO_RGB: [[f32; 2]; 3] = [[0.956, 0.619], [-0.272, -0.647], [-1.106, 1.703]];
    let (sin, cos) = (std::f32::consts::TAU * turn).sin_cos();
    for pixel in pixels.chunks_exact_mut(3) {
        let luma = luma(pixel);
        let [i, q] = FROM_RGB.map(|row| row[0] * pixel[0] + row[1] * pixel[1] + row[2] * pixel[2]);
        let (i, q) = (cos * i - sin * q, sin * i + cos * q);
        for (value, [by_i, by_q]) in pixel.iter_mut().zip(TO_RGB) {
            *value = (luma + by_i * i + by_q * q).clamp(0.0, 1.0);
        }
    }
}

/// Luma of an RGB pixel, ITU-R BT.601.
fn luma(pixel: &[f32]) -> f32 {
    0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Purpose, rng};

    const STRONG: Augmentation = Augmentation {
        area: 0.2..=1.0,
        ratio: 4.0 / 3.0,
        flip: 0.5,
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.1,
        grey: 0.2,
        rotation: 15.0,
        cutout: 0.4,
    };

    fn picture() -> Vec<u8> {
        (0..IMAGE_BYTES)
            .map(|i| (i * i * 31 + i * 17) as u8)
            .collect()
    }

    fn apply(view: &View, image: &[u8], side: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; side * side * 3];
        view.apply(image, side, &mut out);
        out
    }

    #[test]
    fn no_augmentation_draws_the_image_itself() {
        for index in 0..100 {
            let view = Augmentation::NONE.draw(&mut rng(1, Purpose::View, 0, index));
            assert_eq!(view, View::WHOLE);
        }
        let image = picture();
        let bytes = image.iter().map(|&byte| f32::from(byte) / 255.0);
        assert_eq!(apply(&View::WHOLE, &image, SIDE), bytes.collect::<Vec<_>>());
    }

    #[test]
    fn views_keep_to_what_was_asked_for() {
        let mut areas = 0.0;
        let (mut flips, mut greys) = (0, 0);
        for index in 0..1000 {
            let view = STRONG.draw(&mut rng(1, Purpose::View, 0, index));
            let Crop {
                left,
                top,
                width,
                height,
            } = view.crop;
            assert!(left >= 0.0 && top >= 0.0);
            assert!(left + width <= 96.001 && top + height <= 96.001);
            let area = width * height / (96.0 * 96.0);
            assert!((0.199..1.001).contains(&area));
            assert!((0.749..1.334).contains(&(width / height)));
            assert!(view.rotation.abs() <= 15.0 && view.hue.abs() <= 0.1);
            let Square { edge, left, top } = view.cutout;
            assert!(edge == 0.4 && left.min(top) >= 0.0 && left.max(top) <= 0.6);
            for factor in [view.brightness, view.contrast, view.saturation] {
                assert!((0.6..=1.4).contains(&factor));
            }
            areas += area / 1000.0;
            flips += usize::from(view.flip);
            greys += usize::from(view.grey);
        }
        // Large narrow crops do not fit, so the mean lies a little below the range's middle.
        assert!((0.52..0.62).contains(&areas), "{areas}");
        assert!((440..560).contains(&flips), "{flips}");
        assert!((160..240).contains(&greys), "{greys}");
    }

    #[test]
    fn values_stay_within_range() {
        let image = picture();
        for index in 0..50 {
            let view = STRONG.draw(&mut rng(2, Purpose::View, 0, index));
            for side in [64, 96] {
                let out = apply(&view, &image, side);
                assert!(out.iter().all(|v| (0.0..=1.0).contains(v)));
            }
        }
    }

    /// The values that torchvision 0.29 gives (`adjust_brightness`, `adjust_contrast`,
    /// `adjust_saturation` in turn) for an image half (200, 100, 50), half (20, 40, 60).
    #[test]
    fn colours_change_as_elsewhere() {
        let mut image = [200, 100, 50].repeat(IMAGE_BYTES / 6);
        image.extend([20, 40, 60].repeat(IMAGE_BYTES / 6));
        let view = View {
            brightness: 1.2,
            contrast: 0.8,
            saturation: 1.3,
            ..View::WHOLE
        };
        let out = apply(&view, &image, SIDE);
        let expected = [
            [0.914_09, 0.424_68, 0.179_98],
            [0.132_41, 0.230_29, 0.328_17],
        ];
        for (pixel, expected) in [&out[..3], &out[out.len() - 3..]].into_iter().zip(expected) {
            for (value, expected) in pixel.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-4, "{pixel:?}");
            }
        }
    }

    /// A third of the circle takes red to near green and green to near blue, luma kept.
    #[test]
    fn hues_turn_and_luma_stays() {
        let mut pixels = vec![0.6, 0.4, 0.4, 0.4, 0.5, 0.4, 0.3, 0.3, 0.3];
        let before = pixels.clone();
        turn_hues(&mut pixels, 1.0 / 3.0);
        for (after, before) in pixels.chunks(3).zip(before.chunks(3)) {
            assert!((luma(after) - luma(before)).abs() < 2e-3, "{after:?}");
        }
        let largest = |pixel: &[f32]| (0..3).max_by(|&a, &b| pixel[a].total_cmp(&pixel[b]));
        assert_ne!(largest(&pixels[..3]), Some(0), "{pixels:?}");
        assert!(
            pixels[6..].iter().all(|v| (v - 0.3).abs() < 1e-3),
            "{pixels:?}"
        );
        let mut back = pixels.clone();
        turn_hues(&mut back, -1.0 / 3.0);
        for (back, before) in back.iter().zip(&before) {
            assert!((back - before).abs() < 5e-3, "{back} {before}");
        }
    }

    #[test]
    fn a_square_of_a_view_is_hidden() {
        let view = View {
            cutout: Square {
                edge: 0.25,
                left: 0.5,
                top: 0.75,
            },
            ..View::WHOLE
        };
        let (image, whole) = (picture(), apply(&View::WHOLE, &picture(), 64));
        for (index, (value, before)) in apply(&view, &image, 64).iter().zip(whole).enumerate() {
            let (row, column) = (index / 3 / 64, index / 3 % 64);
            let inside = row >= 48 && (32..48).contains(&column);
            assert_eq!(
                *value,
                if inside { HIDDEN } else { before },
                "{row} {column}"
            );
        }
    }

    #[test]
    fn no_saturation_is_grey_and_no_contrast_is_flat() {
        let image = picture();
        let unsaturated = View {
            saturation: 0.0,
            ..View::WHOLE
        };
        let grey = View {
            grey: true,
            ..View::WHOLE
        };
        for view in [unsaturated, grey] {
            for pixel in apply(&view, &image, 64).chunks(3) {
                assert!((pixel[0] - pixel[1]).abs() < 1e-6 && (pixel[1] - pixel[2]).abs() < 1e-6);
            }
        }
        let flat = View {
            contrast: 0.0,
            ..View::WHOLE
        };
        let out = apply(&flat, &image, 64);
        assert!(out.iter().all(|v| (v - out[0]).abs() < 1e-6));
    }
}
