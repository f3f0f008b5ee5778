//! A file of taught classes that its loader reads beyond its header.

use std::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc};
use vae96::{Edge, Model, Prototypes, Quantised};

use crate::common::{File, Random, description};

/// Features of the model: few, so that an input has several classes.
pub const FEATURES: usize = 5;

const CHECKSUM: Range<usize> = 8..12;
const FINGERPRINT: Range<usize> = 20..24;

/// The model whose classes they are.
pub fn model() -> File {
    File::random(&mut Random(1), description::<Edge>(), FEATURES, false)
}

/// `data` with the checksum and the fingerprint that it should have. None where it is too short for
/// them.
pub fn file(data: &[u8], fingerprint: u32) -> Option<Vec<u8>> {
    if data.len() < FINGERPRINT.end {
        return None;
    }
    let mut file = data.to_vec();
    file[FINGERPRINT].copy_from_slice(&fingerprint.to_le_bytes());
    let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&file[CHECKSUM.end..]);
    file[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Some(file)
}

/// A file of so many classes.
pub fn taught(classes: usize) -> Vec<u8> {
    let model = model();
    let model = Model::parse(model.bytes()).expect("it is a model");
    let mut taught = Prototypes::<6, FEATURES>::of(&model).expect("there is room");
    for class in 0..classes {
        for shot in 0..=class {
            let values: [i8; FEATURES] = std::array::from_fn(|i| (37 * i * class + shot) as i8);
            let features = Quantised {
                values: &values,
                scale: 1.0,
                zero_point: 3,
            };
            let name = ["a", "bb", "a class", "ß", "of twenty-four bytes all"][class];
            taught.teach(name, &features).expect("there is room");
        }
    }
    let mut file = vec![0; taught.saved_bytes()];
    taught.save(&mut file).expect("there is room");
    // A checksum that is wrong: the target works out the right one.
    file[CHECKSUM].fill(0);
    file
}
