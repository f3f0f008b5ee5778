//! A model file is read back as it was written, and nothing else is taken for one.

mod common;

use common::{File, Owned, Random, description};
use vae96::model::{Contents, WeightLayout};
use vae96::{
    Classifier, Description, Edge, EdgeDeepEncoder, EdgeDense, EdgeEncoder, INPUT, Kind, Model,
    ModelError, Network, Paper,
};

/// CRC-32 bit by bit, from its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// The error of a file with some bytes set and its checksum made to match.
fn forged(file: &File, changes: &[(usize, &[u8])]) -> Option<ModelError> {
    let mut copy = File::of(file.bytes());
    let bytes = copy.bytes_mut();
    for &(at, change) in changes {
        bytes[at..at + change.len()].copy_from_slice(change);
    }
    let checksum = crc32(&bytes[12..]).to_le_bytes();
    bytes[8..12].copy_from_slice(&checksum);
    Model::parse(copy.bytes()).err()
}

fn word(file: &File, at: usize) -> usize {
    u32::from_le_bytes(file.bytes()[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn what_was_written_is_read() {
    let mut random = Random(1);
    for (network, classes) in [
        (description::<Edge>(), 2),
        (description::<EdgeDense>(), 1000),
        (description::<EdgeEncoder>(), 0),
        (description::<EdgeDeepEncoder>(), 0),
        (description::<Paper>(), 3),
    ] {
        let owned = Owned::random(&mut random, network.layers, INPUT, classes);
        for named in [false, true] {
            let file = File::holding(network, &owned, named);
            let model = Model::parse(file.bytes()).unwrap();
            assert_eq!(model.architecture(), network.architecture);
            assert_eq!(model.kind(), network.kind);
            assert_eq!(model.classes(), classes);
            assert_eq!(model.layout(), WeightLayout::Portable);
            assert_eq!(model.flash_bytes(), file.bytes().len());
            let parameters = model.parameters();
            assert_eq!(parameters.records, owned.records);
            assert_eq!(parameters.multipliers, owned.multipliers);
            assert_eq!(parameters.shifts, owned.shifts);
            assert_eq!(parameters.weights, owned.weights);
            assert_eq!(parameters.bias, owned.bias);
            let names: Vec<_> = model.names().collect();
            assert_eq!(names.len(), if named { classes } else { 0 });
            for (class, name) in names.into_iter().enumerate() {
                assert_eq!(name, format!("classe n° {class}"));
                assert_eq!(model.name(class), Some(name));
            }
            assert_eq!(model.name(classes), None);
        }
    }
}

#[test]
fn the_header_is_as_documented() {
    let file = File::random(&mut Random(2), description::<Edge>(), 2, true);
    let bytes = file.bytes();
    assert_eq!(&bytes[..8], b"VAE96\0\0\0");
    assert_eq!(word(&file, 8), crc32(&bytes[12..]) as usize);
    assert_eq!(bytes[12..20], [1, 0, 1, 1, 0, 0, 2, 0]);
    assert_eq!(word(&file, 20), bytes.len());
    let channels = 16 + 32 + 64 + 128 + 2;
    let weights = 16 * 75 + 32 * 144 + 64 * 288 + 128 * 576 + 2 * 128;
    let mut at = 64;
    for (field, length) in [
        (24, "classe n° 0\0classe n° 1\0".len()),
        (32, 5 * 8 + channels * 5),
        (40, weights),
        (48, channels * 4),
    ] {
        assert_eq!(word(&file, field), at, "offset in byte {field}");
        assert_eq!(word(&file, field + 4), length, "length in byte {field}");
        at = (at + length).next_multiple_of(16);
    }
    assert_eq!(bytes[56..64], [0; 8]);
}

#[test]
fn any_byte_changed_is_an_error() {
    let mut file = File::random(&mut Random(3), description::<Edge>(), 2, true);
    // Weights and bias, of which there are many alike, are sampled.
    let weights = word(&file, 40);
    let sampled = (weights..file.bytes().len()).step_by(13);
    for at in (0..weights).chain(sampled) {
        for mask in [1, 0x80, 0xff] {
            file.bytes_mut()[at] ^= mask;
            assert!(
                Model::parse(file.bytes()).is_err(),
                "byte {at}, mask {mask}"
            );
            file.bytes_mut()[at] ^= mask;
        }
    }
    assert!(Model::parse(file.bytes()).is_ok());
}

#[test]
fn any_other_length_is_an_error() {
    let file = File::random(&mut Random(4), description::<Edge>(), 2, true);
    let bytes = file.bytes();
    for length in 0..bytes.len() {
        let expected = if length < 64 {
            ModelError::TooShort
        } else {
            ModelError::Length
        };
        assert_eq!(
            Model::parse(&bytes[..length]).err(),
            Some(expected),
            "{length} bytes"
        );
    }
    for more in 1..100 {
        let longer = [bytes, &vec![0; more]].concat();
        let longer = File::of(&longer);
        assert_eq!(Model::parse(longer.bytes()).err(), Some(ModelError::Length));
    }
}

#[test]
fn foreign_files_are_errors() {
    let mut random = Random(5);
    for length in [0, 1, 63, 64, 65, 1000, 100_000] {
        let file = File::of(&random.bytes(length));
        assert!(Model::parse(file.bytes()).is_err());
        let zeros = File::of(&vec![0; length]);
        assert!(Model::parse(zeros.bytes()).is_err());
    }
    let png = File::of(&[b"\x89PNG\r\n\x1a\n", &[0; 200][..]].concat());
    assert_eq!(Model::parse(png.bytes()).err(), Some(ModelError::Magic));
}

#[test]
fn a_misaligned_file_is_named_so() {
    let file = File::random(&mut Random(6), description::<Edge>(), 2, false);
    for shift in [1, 2, 4, 8] {
        let shifted = File::of(&[&vec![0; shift][..], file.bytes()].concat());
        let result = Model::parse(&shifted.bytes()[shift..]);
        assert_eq!(result.err(), Some(ModelError::Misaligned), "by {shift}");
    }
}

#[test]
fn a_model_of_another_network_is_named_so() {
    let file = File::random(&mut Random(7), description::<Edge>(), 2, false);
    let other = Classifier::<EdgeDense>::new(file.bytes());
    assert_eq!(other.err(), Some(ModelError::OtherNetwork));
    let other = Classifier::<Paper>::new(file.bytes());
    assert_eq!(other.err(), Some(ModelError::OtherNetwork));
}

/// Files whose checksum is right and whose contents are not.
#[test]
fn every_field_is_checked() {
    let file = File::random(&mut Random(8), description::<Edge>(), 2, true);
    assert_eq!(forged(&file, &[]), None);
    let [names, quantisation, weights, bias] = [24, 32, 40, 48].map(|field| word(&file, field));
    let channels = 16 + 32 + 64 + 128 + 2;
    let multipliers = quantisation + 5 * 8;
    let shifts = multipliers + 4 * channels;
    let nan = f32::NAN.to_le_bytes();
    let cases: &[(usize, &[u8], ModelError)] = &[
        (12, &[2, 0], ModelError::Version),
        (14, &[0], ModelError::Network),
        (14, &[3], ModelError::Network),
        (15, &[0], ModelError::Kind),
        (15, &[9], ModelError::Kind),
        (15, &[3], ModelError::Classes),
        (15, &[2], ModelError::Sections),
        (16, &[9], ModelError::WeightLayout),
        (17, &[1], ModelError::Sections),
        (18, &[0, 0], ModelError::Classes),
        (18, &[0xe9, 0x03], ModelError::Classes),
        (18, &[3, 0], ModelError::Sections),
        (24, &[80], ModelError::Sections),
        (28, &[0xff, 0xff, 0xff, 0xff], ModelError::Sections),
        (32, &[0], ModelError::Sections),
        (40, &[0xff, 0xff, 0xff, 0xff], ModelError::Sections),
        (52, &[0], ModelError::Sections),
        (63, &[1], ModelError::Sections),
        (names, &[0xff], ModelError::Names),
        (names, &[0], ModelError::Names),
        (names + 12, b"x", ModelError::Names),
        (quantisation - 1, &[1], ModelError::Padding),
        (quantisation, &[0, 0, 0, 0], ModelError::Scale),
        (quantisation, &nan, ModelError::Scale),
        (quantisation + 3, &[0xbf], ModelError::Scale),
        (quantisation + 5, &[100, 99], ModelError::Clamp),
        (quantisation + 7, &[1], ModelError::Padding),
        (multipliers + 3, &[0x80], ModelError::Multiplier),
        (shifts, &[31], ModelError::Shift),
        (shifts + channels - 1, &[(-32i8) as u8], ModelError::Shift),
        (weights, &[0x80], ModelError::Weight),
        (bias - 1, &[0x80], ModelError::Weight),
    ];
    for (at, change, error) in cases {
        assert_eq!(
            forged(&file, &[(*at, change)]),
            Some(*error),
            "{change:?} at {at}"
        );
    }
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let network = description::<Edge>();
    let mut owned = Owned::random(&mut Random(9), network.layers, INPUT, 2);
    let refusal = |owned: &Owned, network: &'static Description, names: &[&str]| {
        let parameters = owned.parameters();
        Contents {
            network,
            parameters,
            names,
        }
        .length()
        .err()
    };
    assert_eq!(refusal(&owned, network, &["a", "b"]), None);
    assert_eq!(refusal(&owned, network, &["a"]), Some(ModelError::Names));
    assert_eq!(
        refusal(&owned, network, &["a", "b\0"]),
        Some(ModelError::Names)
    );
    let encoder = description::<EdgeEncoder>();
    assert_eq!(refusal(&owned, encoder, &[]), Some(ModelError::Classes));
    let dense = description::<EdgeDense>();
    assert_eq!(refusal(&owned, dense, &[]), Some(ModelError::Incomplete));
    owned.weights[7] = -128;
    assert_eq!(refusal(&owned, network, &[]), Some(ModelError::Weight));
}

#[test]
fn packed_weights_are_checked() {
    let network = description::<Edge>();
    let mut owned = Owned::random(&mut Random(10), network.layers, INPUT, 2);
    let file = File::ordered(network, &owned, true, WeightLayout::Packed);
    let model = Model::parse(file.bytes()).unwrap();
    assert_eq!(model.layout(), WeightLayout::Packed);
    assert_eq!(
        WeightLayout::Packed.bytes(network.layers, INPUT, 2),
        Some(word(&file, 44))
    );
    let weights = word(&file, 40);
    // The sums over the padding to the left and to the right, and the first step.
    for at in [weights, weights + 4, weights + 8] {
        let changed = word(&file, at) as u32 ^ 1 << 30;
        let error = forged(&file, &[(at, &changed.to_le_bytes())]);
        assert_eq!(error, Some(ModelError::Packing), "{at}");
    }
    let bias = word(&file, 48);
    let error = forged(&file, &[(bias, &(1i32 << 30).to_le_bytes())]);
    assert_eq!(error, Some(ModelError::Wide));

    owned.bias[20] = -1 << 30;
    let mut words = vec![0i32; word(&file, 44) / 4];
    let ordered = bytemuck::cast_slice_mut(&mut words);
    let order = |owned: &Owned, ordered: &mut [i8]| {
        WeightLayout::Packed.order(network.layers, INPUT, &owned.parameters(), ordered)
    };
    assert_eq!(order(&owned, ordered), Err(ModelError::Wide));
    owned.bias[20] = 0;
    owned.shifts[20] = 0;
    assert_eq!(order(&owned, ordered), Err(ModelError::Wide));
    // What multiplies by nothing is not too wide.
    owned.multipliers[20] = 0;
    assert_eq!(order(&owned, ordered), Ok(()));
    let shorter = order(&owned, &mut ordered[1..]);
    assert_eq!(shorter, Err(ModelError::Incomplete));
}

#[test]
fn networks_are_found_by_their_numbers() {
    for network in &vae96::network::NETWORKS {
        let found = Description::find(network.architecture.id, network.kind.id()).unwrap();
        assert_eq!(found.layers, network.layers);
    }
    assert!(Description::find(0, 1).is_none());
    assert_eq!(Edge::LAYERS.len(), 7);
    let names: Vec<_> = EdgeEncoder::LAYERS.iter().map(|layer| layer.name).collect();
    assert_eq!(names, ["conv1", "conv2", "fc1", "fc21"]);
    assert_eq!(EdgeEncoder::KIND, Kind::Encoder);
    let shared = EdgeDeepEncoder::LAYERS.len() - 1;
    assert_eq!(EdgeDeepEncoder::LAYERS[..shared], Edge::LAYERS[..6]);
    assert_eq!(description::<Edge>().macs(10), 26_652_672 + 1_280);
}
