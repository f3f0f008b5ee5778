//! Input that must be refused, each sort with the error that it must get. It runs on the host and
//! on a device (examples/checks), without a heap.

use vae96::frame::{FrameError, PixelFormat};
use vae96::model::ALIGNMENT;
use vae96::{
    Classifier, Edge, EdgeDense, EdgeEncoder, Encoder, Frame, FrameStream, Model, ModelError,
    PaperDense, ROW_BYTES, RowError, SIDE,
};

/// Bytes that [`models`] needs beyond the model file.
pub const SPARE: usize = ALIGNMENT;

/// Tells `expect` of each sort whether it was refused as it should be. `memory` is aligned, and
/// begins with a model file of `Edge`, of `length` bytes, with [`SPARE`] bytes after it.
pub fn models(memory: &mut [u8], length: usize, mut expect: impl FnMut(&str, bool)) {
    let file = &memory[..length];
    let error = |file| Model::parse(file).err();
    expect("the model itself is accepted", error(file).is_none());
    let other = Some(ModelError::OtherNetwork);
    expect(
        "another head",
        Classifier::<EdgeDense>::new(file).err() == other,
    );
    expect(
        "another network",
        Classifier::<PaperDense>::new(file).err() == other,
    );
    expect(
        "an encoder",
        Encoder::<EdgeEncoder>::new(file).err() == other,
    );
    expect("nothing", error(&[]) == Some(ModelError::TooShort));
    expect(
        "half a header",
        error(&file[..32]) == Some(ModelError::TooShort),
    );
    expect(
        "a byte less",
        error(&file[..length - 1]) == Some(ModelError::Length),
    );
    expect(
        "a byte more",
        error(&memory[..=length]) == Some(ModelError::Length),
    );

    let mut changed = |what, at: usize, byte: u8, error| {
        let before = memory[at];
        memory[at] = byte;
        seal(&mut memory[..length]);
        expect(what, Model::parse(&memory[..length]).err() == Some(error));
        memory[at] = before;
        seal(&mut memory[..length]);
    };
    changed("another sort of file", 0, b'W', ModelError::Magic);
    changed("an older version", 12, 0, ModelError::Version);
    changed("a newer version", 12, u8::MAX, ModelError::Version);
    changed("an unknown network", 14, 200, ModelError::Network);
    changed("an unknown kind", 15, 200, ModelError::Kind);
    changed("an unknown layout", 16, 200, ModelError::WeightLayout);
    changed("another class count", 18, 11, ModelError::Sections);
    changed("no classes", 18, 0, ModelError::Classes);

    memory[length / 2] ^= 1;
    let damaged = Model::parse(&memory[..length]).err();
    memory[length / 2] ^= 1;
    expect("a damaged model", damaged == Some(ModelError::Checksum));

    memory.copy_within(..length, 4);
    let shifted = Model::parse(&memory[4..4 + length]).err();
    memory.copy_within(4..4 + length, 0);
    expect(
        "a misaligned model",
        shifted == Some(ModelError::Misaligned),
    );
    expect(
        "the model is accepted again",
        Model::parse(&memory[..length]).is_ok(),
    );
}

/// The same for rows that are too few or too many.
pub fn rows(classifier: &mut Classifier<'_, Edge>, mut expect: impl FnMut(&str, bool)) {
    let row = [0; ROW_BYTES];
    expect(
        "no row",
        classifier.finish().err() == Some(RowError::TooFew),
    );
    for _ in 1..SIDE {
        expect("a row", classifier.push(&row).is_ok());
    }
    expect(
        "a row too few",
        classifier.finish().err() == Some(RowError::TooFew),
    );
    for _ in 0..SIDE {
        expect("a row", classifier.push(&row).is_ok());
    }
    expect(
        "a row too many",
        classifier.push(&row) == Err(RowError::TooMany),
    );
    expect("an answer all the same", classifier.finish().is_ok());
}

/// The same for frames.
pub fn frames(mut expect: impl FnMut(&str, bool)) {
    let buffer = [0; 8 * 6 * 3];
    expect(
        "the frame itself is accepted",
        Frame::rgb888(&buffer, 8, 6).is_ok(),
    );
    let (needed, found) = (8 * 7 * 3, buffer.len());
    let error = Some(FrameError::Buffer { needed, found });
    expect(
        "a frame larger than its buffer",
        Frame::rgb888(&buffer, 8, 7).err() == error,
    );
    let error = Some(FrameError::Empty {
        width: 0,
        height: 6,
    });
    expect(
        "an empty frame",
        Frame::rgb888(&buffer, 0, 6).err() == error,
    );
    expect(
        "an odd YUYV frame",
        Frame::yuyv(&buffer, 7, 6).err() == Some(FrameError::OddWidth(7)),
    );

    let Ok(mut stream) = FrameStream::new(PixelFormat::Grey, 96, 2) else {
        return expect("a stream", false);
    };
    let error = FrameError::RowLength {
        expected: 96,
        found: 95,
    };
    expect("a short row", stream.push(&[0; 95]).err() == Some(error));
    for _ in 0..2 {
        match stream.push(&[0; 96]) {
            Ok(rows) => rows.for_each(drop),
            Err(_) => expect("a row of the frame", false),
        }
    }
    let error = Some(FrameError::TooManyRows(2));
    expect(
        "a row below the frame",
        stream.push(&[0; 96]).err() == error,
    );
}

/// Makes the checksum match, with CRC-32 bit by bit.
fn seal(file: &mut [u8]) {
    let crc = !file[12..].iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    file[8..12].copy_from_slice(&crc.to_le_bytes());
}
