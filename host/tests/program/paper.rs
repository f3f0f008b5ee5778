//! The paper's classifier at full size through the program: trained for a step, quantised,
//! evaluated, inspected.

use std::fs;
use std::path::Path;

use image::RgbImage;

use crate::vae96::{answer, command, number};

const CLASSES: usize = 200;

/// One image of each class to learn from and one to validate on, small to decode.
fn write(root: &Path) {
    for part in ["train", "val"] {
        for class in 0..CLASSES {
            let folder = root.join(format!("supervised/{part}/class-{class:03}"));
            fs::create_dir_all(&folder).unwrap();
            let colour = [class as u8, (7 * class) as u8, 90];
            let image = RgbImage::from_fn(8, 8, |x, y| match (x + y) % 2 {
                0 => image::Rgb(colour),
                _ => image::Rgb([200; 3]),
            });
            image.save(folder.join("0.png")).unwrap();
        }
    }
}

#[test]
fn the_papers_classifier_as_int8() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("data"));
    answer(
        at,
        "finetune --from scratch --data data --network paper --recipe paper --labels-per-class 1 \
         --epochs 1 --batch 50 --val-images 10 --out run",
    );
    let exported = answer(at, "export run --out model.v96 --calibration-images 20");
    // fc1 alone has 4332 × 2048 weights.
    let flash = number(&exported, "/flash_bytes");
    assert!((4332.0 * 2048.0..10e6).contains(&flash), "{flash}");
    let [float, int8] = ["run", "model.v96 --data data"].map(|model| {
        let found = answer(at, &format!("evaluate {model}"));
        assert_eq!(number(&found, "/images"), CLASSES as f64);
        number(&found, "/loss")
    });
    assert!((float - int8).abs() < 0.1, "float {float}, int8 {int8}");

    let inspected = answer(at, "inspect model.v96");
    assert_eq!(inspected["network"], "paper");
    assert_eq!(inspected["classes"], CLASSES);
    assert_eq!(inspected["fits_on_chip"], false);
    assert_eq!(number(&inspected, "/flash_bytes"), flash);
    let output = command(at, "inspect model.v96").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("no common microcontroller"), "{said}");
}
