//! An image of the data set, as the page carries it.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use super::markup::{Element, el};
use crate::data::IMAGE_BYTES;

const SIDE: u32 = vae96::SIDE as u32;

/// 96×96 RGB bytes.
#[derive(Clone, Debug)]
pub struct Picture(Vec<u8>);

impl Picture {
    /// A picture of `rgb`, row by row. Another length is an error.
    pub fn new(rgb: Vec<u8>) -> Result<Self> {
        ensure!(
            rgb.len() == IMAGE_BYTES,
            "a picture of {} bytes, where 96×96 RGB has {IMAGE_BYTES}",
            rgb.len()
        );
        Ok(Self(rgb))
    }

    /// An `<img>` that holds the picture itself, losslessly.
    pub(super) fn img(&self, alt: &str) -> Result<Element> {
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
            .write_image(&self.0, SIDE, SIDE, ExtendedColorType::Rgb8)
            .context("a picture for the report cannot be encoded as PNG")?;
        Ok(el("img")
            .attr(
                "src",
                format_args!("data:image/png;base64,{}", STANDARD.encode(&png)),
            )
            .attr("width", SIDE)
            .attr("height", SIDE)
            .attr("alt", alt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_carries_the_very_pixels() {
        let rgb: Vec<u8> = (0..IMAGE_BYTES).map(|i| (i * 7 % 251) as u8).collect();
        let img = Picture::new(rgb.clone())
            .unwrap()
            .img("noise")
            .unwrap()
            .to_string();
        let base64 = img
            .split_once("base64,")
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0;
        let png = STANDARD.decode(base64).unwrap();
        assert_eq!(
            image::load_from_memory(&png).unwrap().to_rgb8().into_raw(),
            rgb
        );
    }

    #[test]
    fn another_size_is_refused() {
        let error = Picture::new(vec![0; 3]).unwrap_err().to_string();
        assert!(error.contains("3 bytes") && error.contains("27648"));
    }
}
