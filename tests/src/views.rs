//! What a GPU makes of views must be what the loader makes of them.

use anyhow::{Result, ensure};
use bytemuck::cast_slice_mut;
use half::bf16;
use host::backend::cuda::memory::Kind;
use host::backend::cuda::ops::Gpu;
use host::backend::cuda::ops::images::{LUMAS, VIEW};
use host::backend::cuda::resident::{IMAGE, Place};
use host::backend::{Crop, View};
use host::data::augment::Augmentation;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::held::Held;
use crate::scenes;

/// How far a value in [0, 1] may be off. Bf16 is off by half of the last of 8 bits, which contrast and
/// saturation stretch up to threefold, and again when they are done.
fn tolerance(kind: Kind) -> f32 {
    match kind {
        Kind::F32 => 1e-3,
        Kind::Bf16 => 4.0 / 512.0,
    }
}

/// Views drawn of each augmentation.
const DRAWN: usize = 3;

/// Each thing that is done to images alone, and all together.
fn augmentations() -> Vec<Augmentation> {
    const NONE: Augmentation = Augmentation::NONE;
    let all = Augmentation {
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
    vec![
        Augmentation {
            area: 0.05..=1.0,
            ratio: 2.0,
            ..NONE
        },
        Augmentation { flip: 1.0, ..NONE },
        Augmentation {
            brightness: 0.8,
            ..NONE
        },
        Augmentation {
            contrast: 0.8,
            ..NONE
        },
        Augmentation {
            saturation: 0.8,
            ..NONE
        },
        Augmentation { hue: 0.5, ..NONE },
        Augmentation { grey: 1.0, ..NONE },
        Augmentation {
            grey: 1.0,
            hue: 0.5,
            saturation: 0.8,
            ..NONE
        },
        Augmentation {
            rotation: 180.0,
            ..NONE
        },
        Augmentation {
            cutout: 0.3,
            ..NONE
        },
        all,
    ]
}

/// The values of views of the images of those numbers, as the loader makes them.
fn expected(images: &[Vec<u8>], views: &[(usize, View)], side: usize) -> Vec<f32> {
    let mut values = vec![0.0; views.len() * side * side * 3];
    let each = values.chunks_exact_mut(side * side * 3);
    for (out, (image, view)) in each.zip(views) {
        view.apply(&images[*image], side, out);
    }
    values
}

/// The same as a GPU makes them.
fn found(gpu: &Gpu, images: &[Vec<u8>], views: &[(usize, View)], side: usize) -> Result<Vec<f32>> {
    let bytes = gpu.buffer(images.len() * IMAGE)?;
    let mut values = vec![0.0f32; images.len() * IMAGE];
    cast_slice_mut(&mut values).copy_from_slice(&images.concat());
    bytes.whole().upload(&values)?;
    let table = gpu.buffer(views.len() * VIEW)?;
    let out = Held::fresh(gpu, views.len() * side * side * 3, gpu.kind())?;
    let lumas = gpu.buffer(views.len() * LUMAS)?;
    let place = |image| Place::Pass(bytes.whole().part(image * IMAGE, IMAGE));
    let views = views.iter().map(|&(image, view)| (place(image), view));
    let told = gpu.tell(views, side, table.whole())?;
    gpu.views(&told, 0, out.span(), lumas.whole())?;
    out.span().download()
}

/// The values of that kind that are nearest.
fn nearest(mut values: Vec<f32>, kind: Kind) -> Vec<f32> {
    if kind == Kind::Bf16 {
        (values.iter_mut()).for_each(|value| *value = bf16::from_f32(*value).to_f32());
    }
    values
}

/// How far the two are apart at most.
fn distance(gpu: &Gpu, images: &[Vec<u8>], views: &[(usize, View)], side: usize) -> Result<f32> {
    let values = found(gpu, images, views, side)?;
    let pairs = values.iter().zip(expected(images, views, side));
    Ok(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

/// Every augmentation, at every size that trainings use; the image itself to the bit.
pub fn are_made_alike(gpu: &Gpu) -> Result<()> {
    let images = scenes(2, 1);
    let tolerance = tolerance(gpu.kind());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for augmentation in augmentations() {
        let draw = |number| (number % images.len(), augmentation.draw(&mut rng));
        let views: Vec<_> = (0..DRAWN).map(draw).collect();
        for side in [32, 64, 96] {
            let off = distance(gpu, &images, &views, side)?;
            ensure!(
                off <= tolerance,
                "{augmentation:?} is {off} off at {side} pixels"
            );
        }
    }
    let whole = [(1, View::WHOLE)];
    ensure!(
        found(gpu, &images, &whole, 96)? == nearest(expected(&images, &whole, 96), gpu.kind()),
        "the image itself is another"
    );
    // As many pixels as the view has, from whole ones on, or not.
    for (left, flip) in [(7.0, false), (7.0, true), (7.5, false)] {
        let crop = Crop {
            left,
            top: 31.0,
            width: 64.0,
            height: 64.0,
        };
        let view = View {
            crop,
            flip,
            ..View::WHOLE
        };
        let off = distance(gpu, &images, &[(0, view)], 64)?;
        ensure!(off <= tolerance, "{crop:?} is {off} off");
    }
    Ok(())
}
