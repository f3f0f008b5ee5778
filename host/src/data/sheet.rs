//! A contact sheet: images side by side in one picture.

use std::io::Cursor;

use anyhow::{Context, Result};
use image::{ImageFormat, Rgb, RgbImage};

/// Images of a row, so that ranks can be counted off.
const COLUMNS: usize = 10;
/// Pixels between images.
const GAP: usize = 4;

/// A PNG of `images`, each `side × side` RGB bytes, ten a row from left to right.
///
/// # Errors
/// If there are so many that no PNG is as large.
///
/// # Panics
/// If an image has fewer bytes.
pub fn png(images: &[Vec<u8>], side: usize) -> Result<Vec<u8>> {
    let pitch = side + GAP;
    let pixels = |count: usize| u32::try_from((count * pitch).saturating_sub(GAP));
    let too_many = || format!("{} images are too many for one sheet", images.len());
    let width = pixels(COLUMNS.min(images.len())).with_context(too_many)?;
    let height = pixels(images.len().div_ceil(COLUMNS)).with_context(too_many)?;
    let sheet = RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let image = images.get(y / pitch * COLUMNS + x / pitch);
        let (x, y) = (x % pitch, y % pitch);
        match image {
            Some(image) if x < side && y < side => {
                let at = (y * side + x) * 3;
                Rgb([image[at], image[at + 1], image[at + 2]])
            }
            _ => Rgb([255; 3]),
        }
    });
    let mut png = Cursor::new(Vec::new());
    sheet
        .write_to(&mut png, ImageFormat::Png)
        .with_context(too_many)?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_rows_of_ten() {
        let images: Vec<_> = (0..13_u8).map(|i| vec![i; 2 * 2 * 3]).collect();
        let sheet = image::load_from_memory(&png(&images, 2).unwrap()).unwrap();
        let sheet = sheet.into_rgb8();
        assert_eq!(sheet.dimensions(), (10 * 6 - 4, 2 * 6 - 4));
        for (i, image) in images.iter().enumerate() {
            let (left, top) = ((i % 10 * 6) as u32, (i / 10 * 6) as u32);
            for (x, y) in [(0, 0), (1, 1)] {
                assert_eq!(sheet.get_pixel(left + x, top + y).0, image[..3]);
            }
        }
        // Gaps, and places without an image.
        for (x, y) in [(2, 0), (0, 2), (18, 6)] {
            assert_eq!(sheet.get_pixel(x, y).0, [255; 3]);
        }
    }

    #[test]
    fn a_single_image_is_its_own_sheet() {
        let sheet = image::load_from_memory(&png(&[vec![9; 12]], 2).unwrap()).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (2, 2));
    }
}
