//! Writes the inputs that fuzzing starts from: `seed DIR` fills a folder of it for each target.

use std::io::{self, Cursor};
use std::path::Path;
use std::{env, fs};

use image::{ImageFormat, RgbImage};

use vae96::{Description, Edge, EdgeDense, EdgeEncoder};
use vae96_fuzz::common::{File, Random, description};
use vae96_fuzz::data::{self, FOLDERS, PATCH};
use vae96_fuzz::frame::{FORMATS, Input, Part};
use vae96_fuzz::prototypes;

fn main() -> io::Result<()> {
    let dir = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: seed DIR"))?;
    let dir = Path::new(&dir);
    write(&dir.join("data"), folders())?;
    write(&dir.join("frame"), frames())?;
    write(&dir.join("model"), models())?;
    write(&dir.join("network"), networks())?;
    let taught = [0, 1, 5].map(prototypes::taught).to_vec();
    write(&dir.join("prototypes"), taught)
}

fn write(dir: &Path, seeds: Vec<Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (i, seed) in seeds.iter().enumerate() {
        fs::write(dir.join(format!("seed-{i:02}")), seed)?;
    }
    Ok(())
}

/// One data set for each format of image, whole; then one without files and one of broken files.
fn folders() -> Vec<Vec<u8>> {
    let formats = [
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Pnm,
        ImageFormat::Tga,
        ImageFormat::Tiff,
        ImageFormat::WebP,
    ];
    let images = formats.iter().map(|&format| {
        let image = RgbImage::from_fn(5, 3, |x, y| image::Rgb([40 * x as u8, 80 * y as u8, 99]));
        let mut file = Cursor::new(Vec::new());
        image
            .write_to(&mut file, format)
            .expect("the format holds RGB");
        file.into_inner()
    });
    let everything = 0b111;
    let whole = images.map(|image| {
        let files = (0..FOLDERS.len() as u8).map(|folder| (folder, 0, &image[..]));
        data::write(everything, [0; PATCH], files)
    });
    let broken = [(0, 0, &b"P6 1"[..]), (0, 1, b"P6 1 1 255 abc"), (2, 0, b"")];
    whole
        .chain([
            data::write(everything, [0; PATCH], []),
            data::write(everything, [9; PATCH], broken),
        ])
        .collect()
}

/// Every format, enlarged and made smaller, whole and in part, and the longest sizes.
fn frames() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..=255).collect();
    let cases = [
        (96, 96, 0, Part::Whole),
        (160, 120, 0, Part::Centre),
        (2, 1, 3, Part::Whole),
        (120, 200, 1, Part::Crop([7, 60, 101, 33])),
        (u16::MAX - 1, 1, 0, Part::Whole),
        (2, u16::MAX, 0, Part::Centre),
        (u16::MAX - 1, u16::MAX, 255, Part::Whole),
        (8, 8, 0, Part::Crop([1, 1, 8, 8])),
    ];
    let inputs = FORMATS.iter().flat_map(|&format| {
        cases.map(|(width, height, gap, part)| Input {
            format,
            width,
            height,
            gap,
            part,
            bytes: &bytes,
        })
    });
    inputs.map(|input| input.write()).collect()
}

/// The beginnings of model files, past the quantisation parameters and into the weights: the
/// target makes up the rest.
fn models() -> Vec<Vec<u8>> {
    let cases: [(&'static Description, usize, bool); 5] = [
        (description::<Edge>(), 10, true),
        (description::<Edge>(), 1, false),
        (description::<Edge>(), 200, false),
        (description::<EdgeDense>(), 3, true),
        (description::<EdgeEncoder>(), 0, false),
    ];
    cases
        .iter()
        .map(|&(network, classes, named)| {
            let file = File::random(&mut Random(classes as u64), network, classes, named);
            file.bytes()[..4096].to_vec()
        })
        .collect()
}

/// The numbers of [`vae96_fuzz::network::Input::read`]: height, width, channels, classes, count
/// of layers; then, a layer, operation, activation, kernel or size, stride, padding, channels.
fn networks() -> Vec<Vec<u8>> {
    let (conv, transposed, max, average, global, linear, plane) = (0, 1, 2, 3, 4, 5, 6);
    let (none, relu, sigmoid) = (0, 1, 2);
    let classifier: &[[u8; 6]] = &[
        [conv, relu, 5, 2, 2, 4],
        [conv, relu, 3, 1, 1, 8],
        [max, none, 2, 0, 0, 0],
        [conv, relu, 3, 1, 1, 8],
        [global, none, 0, 0, 0, 0],
        [linear, none, 0, 0, 0, 0],
    ];
    let dense: &[[u8; 6]] = &[
        [average, none, 4, 0, 0, 0],
        [linear, relu, 0, 0, 0, 16],
        [linear, none, 0, 0, 0, 0],
    ];
    let decoder: &[[u8; 6]] = &[
        [linear, relu, 0, 0, 0, 16],
        [plane, none, 2, 2, 0, 0],
        [transposed, relu, 4, 2, 1, 4],
        [transposed, sigmoid, 4, 2, 1, 3],
    ];
    let values: Vec<u8> = [0.25f32, -0.5, 1.0, -0.125, 0.75]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    [
        ([16, 16, 3, 5], classifier),
        ([16, 16, 3, 5], dense),
        ([1, 1, 8, 1], decoder),
        ([5, 7, 2, 1], &[]),
    ]
    .iter()
    .map(|(shape, layers)| {
        let count = [layers.len() as u8];
        [shape, &count[..], layers.as_flattened(), &values].concat()
    })
    .collect()
}
