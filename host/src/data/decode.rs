//! An image file to 96×96 bytes.

use std::panic;
use std::path::Path;

use anyhow::{Error, Result, anyhow, ensure};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};
use vae96::SIDE;

use super::resample::resample;
use crate::backend::Crop;

/// The most bytes that the pixels of an image may take: 358 megapixels of RGB. A broken header may
/// claim any number, and memory that cannot be had ends the program.
const MOST_BYTES: u64 = 1 << 30;

/// Reads an image of any size and format that `image` knows: its centre square, scaled to 96×96
/// RGB. The content tells the format (the extension does where it cannot), and the orientation
/// that a camera noted is applied.
///
/// # Errors
/// If it is no such image, or a broken one.
pub fn decode(path: &Path) -> Result<Vec<u8>> {
    // A defect of a decoder costs this image, not the run.
    let image =
        panic::catch_unwind(|| read(path)).unwrap_or_else(|_| Err(anyhow!("its decoder failed")));
    image.map_err(|error| anyhow!("{}", in_a_line(&error)))
}

/// The messages of an error and its causes, but for those that one before contains: decoders tell a
/// cause as their own, some of them in several lines.
fn in_a_line(error: &Error) -> String {
    let mut told = String::new();
    for message in error.chain().map(ToString::to_string) {
        let message: Vec<_> = message.split_whitespace().collect();
        let message = message.join(" ");
        if told.is_empty() {
            told = message;
        } else if !told.contains(&message) {
            told = format!("{told}: {message}");
        }
    }
    told
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let ((width, height), bytes) = (decoder.dimensions(), decoder.total_bytes());
    ensure!(width > 0 && height > 0, "it has no pixels");
    ensure!(
        bytes <= MOST_BYTES,
        "it claims {width}×{height} pixels, which take {bytes} bytes; at most {MOST_BYTES} are read"
    );
    let orientation = decoder.orientation()?;
    let square = centre(&DynamicImage::from_decoder(decoder)?.into_rgb8());
    // The centre square turns into itself, so the small image is the one to turn.
    let mut square = DynamicImage::from(square);
    square.apply_orientation(orientation);
    Ok(square.into_rgb8().into_raw())
}

fn centre(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let edge = width.min(height);
    // Whole pixels: half a pixel would blur an image that needs no scaling.
    let crop = Crop {
        left: ((width - edge) / 2) as f32,
        top: ((height - edge) / 2) as f32,
        width: edge as f32,
        height: edge as f32,
    };
    let mut scaled = vec![0.0; SIDE * SIDE * 3];
    resample(image, width as usize, &crop, false, SIDE, &mut scaled);
    let bytes = scaled.iter().map(|v| (v * 255.0).round() as u8).collect();
    RgbImage::from_raw(SIDE as u32, SIDE as u32, bytes).expect("as many bytes as pixels need")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, Rgba, RgbaImage};

    /// Red on the left, green in the middle, blue on the right; the upper half darker.
    fn bars(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = if y < height / 2 { 100 } else { 200 };
            let mut pixel = [0; 3];
            pixel[(x * 3 / width) as usize] = value;
            Rgb(pixel)
        })
    }

    fn pixel(image: &[u8], x: usize, y: usize) -> [u8; 3] {
        image[(y * SIDE + x) * 3..][..3].try_into().unwrap()
    }

    #[test]
    fn an_image_of_the_right_size_comes_back_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let image = bars(96, 96);
        for extension in ["png", "bmp", "ppm", "tga", "tiff", "webp"] {
            let path = folder.path().join("image").with_extension(extension);
            image.save(&path).unwrap();
            assert_eq!(decode(&path).unwrap(), *image.as_raw(), "{extension}");
        }
    }

    #[test]
    fn only_the_centre_square_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        bars(288, 96).save(&path).unwrap();
        let image = decode(&path).unwrap();
        assert!(image.chunks(3).all(|p| p[0] == 0 && p[1] > 0 && p[2] == 0));
    }

    #[test]
    fn the_content_tells_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.jpg");
        bars(96, 96)
            .save_with_format(&path, ImageFormat::Png)
            .unwrap();
        assert_eq!(pixel(&decode(&path).unwrap(), 0, 0), [100, 0, 0]);
    }

    #[test]
    fn other_colour_types_become_rgb() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.png");
        image::GrayImage::from_pixel(5, 1, image::Luma([77]))
            .save(&path)
            .unwrap();
        assert_eq!(pixel(&decode(&path).unwrap(), 50, 50), [77; 3]);
        RgbaImage::from_pixel(300, 200, Rgba([1, 2, 3, 128]))
            .save(&path)
            .unwrap();
        assert_eq!(pixel(&decode(&path).unwrap(), 50, 50), [1, 2, 3]);
    }

    /// A PNG that notes "turn by 90° to the right" (Exif orientation 6).
    #[test]
    fn the_noted_orientation_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.png");
        let image = bars(96, 96);
        let exif = [
            &b"II*\0\x08\0\0\0"[..],
            &[1, 0],
            &[0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0],
            &[0; 4],
        ];
        let mut encoder =
            image::codecs::png::PngEncoder::new(std::fs::File::create(&path).unwrap());
        encoder.set_exif_metadata(exif.concat()).unwrap();
        encoder
            .write_image(&image, 96, 96, ExtendedColorType::Rgb8)
            .unwrap();
        let turned = decode(&path).unwrap();
        // The left bar is on top now, the upper half on the right.
        assert_eq!(pixel(&turned, 95, 0), [100, 0, 0]);
        assert_eq!(pixel(&turned, 0, 0), [200, 0, 0]);
        assert_eq!(pixel(&turned, 0, 95), [0, 0, 200]);
    }

    #[test]
    fn what_is_no_image_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.jpg");
        assert!(decode(&path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(decode(&path).is_err());
        std::fs::write(&path, "no image at all").unwrap();
        assert!(decode(&path).is_err());
        bars(96, 96)
            .save_with_format(&path, ImageFormat::Png)
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(decode(&path).is_err());
    }

    #[test]
    fn a_decoder_is_heard_once() {
        let error = refusal(b"\xff\xd8\xff\xe0\x00\x10JFIF\0");
        assert!(error.contains("Jpeg"), "{error}");
        assert_eq!(error.matches("Not enough bytes").count(), 1, "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    /// Why an image file of these bytes is refused.
    fn refusal(bytes: impl AsRef<[u8]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, bytes).unwrap();
        decode(&path).unwrap_err().to_string()
    }

    #[test]
    fn an_image_without_pixels_is_an_error() {
        assert_eq!(refusal("P6\n0 5\n255\n"), "it has no pixels");
    }

    #[test]
    fn a_header_that_claims_more_than_fits_is_an_error() {
        let error = refusal("P6\n60000 50000\n255\n");
        assert!(error.contains("60000×50000"), "{error}");
    }
}
