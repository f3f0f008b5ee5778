//! Crops and scales an image in one go.

use crate::backend::Crop;

/// The source pixels that one target pixel is made of, along one axis.
struct Taps {
    first: usize,
    weights: std::ops::Range<usize>,
}

/// One axis of a separable filter.
struct Axis {
    taps: Vec<Taps>,
    weights: Vec<f32>,
}

impl Axis {
    /// The triangle (bilinear) filter, widened when shrinking so that every source pixel counts:
    /// what Pillow calls `BILINEAR` and others bilinear with antialiasing. Maps `length` pixels
    /// from `start` on to `count`; pixels beyond `limit` do not exist.
    fn triangle(start: f32, length: f32, limit: usize, count: usize) -> Self {
        let scale = length / count as f32;
        let support = scale.max(1.0);
        let mut axis = Self {
            taps: Vec::with_capacity(count),
            weights: Vec::new(),
        };
        for target in 0..count {
            let centre = start + (target as f32 + 0.5) * scale;
            let first = ((centre - support).floor().max(0.0) as usize).min(limit - 1);
            let last = ((centre + support).ceil() as usize).clamp(first + 1, limit);
            let weight = |source: usize| {
                let distance = (source as f32 + 0.5 - centre).abs() / support;
                (1.0 - distance).max(0.0)
            };
            // Weights of zero at the ends cost as much as the others: leave them out.
            let first = (first..last).find(|&s| weight(s) > 0.0).unwrap_or(first);
            let begin = axis.weights.len();
            axis.weights
                .extend((first..last).map(weight).take_while(|&w| w > 0.0));
            if axis.weights.len() == begin {
                axis.weights.push(1.0);
            }
            let sum: f32 = axis.weights[begin..].iter().sum();
            axis.weights[begin..].iter_mut().for_each(|w| *w /= sum);
            axis.taps.push(Taps {
                first,
                weights: begin..axis.weights.len(),
            });
        }
        axis
    }

    /// The source pixels that are read at all.
    fn reach(&self) -> std::ops::Range<usize> {
        let first = self.taps.first().map_or(0, |taps| taps.first);
        let end = |taps: &Taps| taps.first + taps.weights.len();
        first..self.taps.iter().map(end).max().unwrap_or(first)
    }
}

/// Scales the `crop` of an RGB image, `width` pixels wide, to `side × side` pixels with values in
/// [0, 1]; mirrored left to right if `flip`.
///
/// # Panics
/// If `source` is no whole number of rows, or `out` has not `side × side × 3` values.
pub fn resample(
    source: &[u8],
    width: usize,
    crop: &Crop,
    flip: bool,
    side: usize,
    out: &mut [f32],
) {
    assert!(width > 0 && !source.is_empty() && source.len().is_multiple_of(width * 3));
    assert_eq!(out.len(), side * side * 3);
    let horizontal = Axis::triangle(crop.left, crop.width, width, side);
    let height = source.len() / (width * 3);
    let vertical = Axis::triangle(crop.top, crop.height, height, side);
    let columns = horizontal.reach();

    // Rows first: their sums run along whole rows, which vectorises.
    let mut row = vec![0.0; columns.len() * 3];
    for (taps, out) in vertical.taps.iter().zip(out.chunks_exact_mut(side * 3)) {
        row.fill(0.0);
        for (offset, weight) in vertical.weights[taps.weights.clone()].iter().enumerate() {
            let start = ((taps.first + offset) * width + columns.start) * 3;
            for (sum, &byte) in row.iter_mut().zip(&source[start..]) {
                *sum += weight * f32::from(byte);
            }
        }
        for (target, taps) in horizontal.taps.iter().enumerate() {
            let mut sum = [0.0f32; 3];
            let pixels = row[(taps.first - columns.start) * 3..].chunks_exact(3);
            for (weight, pixel) in horizontal.weights[taps.weights.clone()].iter().zip(pixels) {
                sum[0] += weight * pixel[0];
                sum[1] += weight * pixel[1];
                sum[2] += weight * pixel[2];
            }
            let place = if flip { side - 1 - target } else { target };
            for (out, sum) in out[place * 3..].iter_mut().zip(sum) {
                *out = (sum / 255.0).min(1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;
    use image::imageops::{FilterType, resize};
    use proptest::prelude::*;

    fn picture(width: usize, height: usize) -> Vec<u8> {
        let value = |i: usize| (i * i * 31 + i * 17 + (i / 7) * 91) as u8;
        (0..width * height * 3).map(value).collect()
    }

    fn whole(width: usize, height: usize) -> Crop {
        Crop {
            left: 0.0,
            top: 0.0,
            width: width as f32,
            height: height as f32,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// `image` implements the same filter on its own; it rounds to bytes.
        #[test]
        fn agrees_with_another_implementation(
            width in 1usize..200,
            height in 1usize..200,
            side in 1usize..100,
        ) {
            let source = picture(width, height);
            let mut ours = vec![0.0; side * side * 3];
            resample(&source, width, &whole(width, height), false, side, &mut ours);
            let image = RgbImage::from_raw(width as u32, height as u32, source).unwrap();
            let theirs = resize(&image, side as u32, side as u32, FilterType::Triangle);
            for (ours, &theirs) in ours.iter().zip(theirs.as_raw()) {
                prop_assert!((ours * 255.0 - f32::from(theirs)).abs() < 1.01);
            }
        }

        #[test]
        fn any_crop_stays_within_range(
            left in 0.0f32..95.0,
            top in 0.0f32..95.0,
            share in [0.01f32..1.0, 0.01f32..1.0],
            side in 1usize..100,
        ) {
            let crop = Crop {
                left,
                top,
                width: (96.0 - left) * share[0],
                height: (96.0 - top) * share[1],
            };
            let mut out = vec![-1.0; side * side * 3];
            resample(&[255; 96 * 96 * 3], 96, &crop, false, side, &mut out);
            prop_assert!(out.iter().all(|&v| (0.9999..=1.0).contains(&v)));
        }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let source = picture(96, 96);
        let mut out = vec![0.0; source.len()];
        resample(&source, 96, &whole(96, 96), false, 96, &mut out);
        for (&byte, out) in source.iter().zip(out) {
            assert_eq!(out, f32::from(byte) / 255.0);
        }
    }

    #[test]
    fn a_crop_of_whole_pixels_is_cut_out_and_a_flip_mirrors_it() {
        let source = picture(96, 96);
        let crop = Crop {
            left: 10.0,
            top: 20.0,
            width: 64.0,
            height: 64.0,
        };
        let mut out = [vec![0.0; 64 * 64 * 3], vec![0.0; 64 * 64 * 3]];
        resample(&source, 96, &crop, false, 64, &mut out[0]);
        resample(&source, 96, &crop, true, 64, &mut out[1]);
        for y in 0..64 {
            for x in 0..64 {
                for c in 0..3 {
                    let byte = source[((y + 20) * 96 + x + 10) * 3 + c];
                    assert_eq!(out[0][(y * 64 + x) * 3 + c], f32::from(byte) / 255.0);
                    assert_eq!(
                        out[1][(y * 64 + 63 - x) * 3 + c],
                        out[0][(y * 64 + x) * 3 + c]
                    );
                }
            }
        }
    }
}
