//! An image of the data set, as the page carries it.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use super::markup::{Element, el};

/// A square of RGB bytes.
#[derive(Clone, Debug)]
pub struct Picture {
    side: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `rgb`, row by row. Bytes that fill no square are an error.
    pub fn new(rgb: Vec<u8>) -> Result<Self> {
        let side = (rgb.len() / 3).isqrt();
        ensure!(
            side > 0 && side * side * 3 == rgb.len(),
            "a picture of {} bytes, which fill no square of RGB pixels",
            rgb.len()
        );
        let side = u32::try_from(side)?;
        Ok(Self { side, rgb })
    }

    /// An `<img>` that holds the picture itself, losslessly.
    pub(super) fn img(&self, alt: &str) -> Result<Element> {
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
            .write_image(&self.rgb, self.side, self.side, ExtendedColorType::Rgb8)
            .context("a picture for the report cannot be encoded as PNG")?;
        Ok(el("img")
            .attr(
                "src",
                format_args!("data:image/png;base64,{}", STANDARD.encode(&png)),
            )
            .attr("width", self.side)
            .attr("height", self.side)
            .attr("alt", alt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_carries_the_very_pixels() {
        for side in [1, 48, 96] {
            let rgb: Vec<u8> = (0..side * side * 3).map(|i| (i * 7 % 251) as u8).collect();
            let picture = Picture::new(rgb.clone()).unwrap();
            let img = picture.img("noise").unwrap().to_string();
            assert!(img.contains(&format!("width=\"{side}\"")));
            let (_, after) = img.split_once("base64,").unwrap();
            let png = STANDARD.decode(after.split_once('"').unwrap().0).unwrap();
            let read = image::load_from_memory(&png).unwrap().to_rgb8();
            assert_eq!(read.into_raw(), rgb);
        }
    }

    #[test]
    fn what_fills_no_square_is_refused() {
        for bytes in [0, 2, 6, 27_647] {
            let error = Picture::new(vec![0; bytes]).unwrap_err().to_string();
            assert!(error.contains(&format!("{bytes} bytes")), "{error}");
        }
    }
}
