//! Input that must be refused, each sort with the error that it must get. It runs on the host and
//! on a device (examples/checks), without a heap.

use vae96::frame::{FrameError, PixelFormat};
use vae96::model::ALIGNMENT;
use vae96::{
    Calibration, Classifier, Edge, EdgeDense, EdgeEncoder, Encoder, Frame, FrameStream, Model,
    ModelError, PaperDense, Prototypes, Quantised, ROW_BYTES, RowError, SIDE, SavedError,
    TeachError,
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

/// The same for classes taught with the features of `model`, as many as 2 to 16, and for their
/// file.
pub fn taught(model: &Model<'_>, mut expect: impl FnMut(&str, bool)) {
    let room = Prototypes::<2, 1>::of(model).err();
    expect("a feature without room", room == Some(TeachError::Features));
    let Ok(mut taught) = Prototypes::<2, 16>::of(model) else {
        return expect("room for features", false);
    };
    let values = [7; 16];
    let of = |values| Quantised {
        values,
        scale: 1.0,
        zero_point: 0,
    };
    let features = of(&values[..model.outputs()]);
    let few = of(&values[..model.outputs() - 1]);
    expect(
        "no class is like it",
        taught.compare(&features).is_ok_and(|s| s.best().is_none()),
    );
    expect(
        "too few features",
        taught.teach("a", &few) == Err(TeachError::Features),
    );
    expect(
        "too few to compare",
        taught.compare(&few).err() == Some(TeachError::Features),
    );
    expect(
        "no name",
        taught.teach("", &features) == Err(TeachError::Name),
    );
    expect(
        "a zero in a name",
        taught.teach("a\0", &features) == Err(TeachError::Name),
    );
    let long = "a name of 25 bytes, all in";
    expect(
        "a long name",
        taught.teach(&long[..25], &features) == Err(TeachError::Name),
    );
    expect(
        "a name that just fits",
        taught.teach(&long[..24], &features) == Ok(0),
    );
    expect("another class", taught.teach("b", &features) == Ok(1));
    expect(
        "a third of two classes",
        taught.teach("c", &features) == Err(TeachError::Full),
    );
    for _ in 1..64 {
        expect("a frame", taught.teach("b", &features) == Ok(1));
    }
    expect(
        "a 65th frame",
        taught.teach("b", &features) == Err(TeachError::Frames),
    );
    taught.calibrate(Some(Calibration::default()));

    let mut memory = [0; 200];
    let length = taught.saved_bytes();
    expect(
        "too small a place",
        taught.save(&mut memory[..length - 1]) == Err(SavedError::Space),
    );
    expect("a place", taught.save(&mut memory) == Ok(length));
    expect("the file itself", taught.load(&memory[..length]) == Ok(()));
    expect("nothing", taught.load(&[]) == Err(SavedError::TooShort));
    expect(
        "half a header",
        taught.load(&memory[..20]) == Err(SavedError::TooShort),
    );
    expect(
        "a byte less",
        taught.load(&memory[..length - 1]) == Err(SavedError::Checksum),
    );
    expect(
        "a byte more",
        taught.load(&memory[..=length]) == Err(SavedError::Checksum),
    );
    let room = Prototypes::<1, 16>::of(model).map(|mut one| one.load(&memory[..length]));
    expect("a class too many", room == Ok(Err(SavedError::Full)));

    let record = length - 26 - 2 * model.outputs();
    let other = memory[20] ^ 1;
    let mut changed = |what, at: usize, byte: u8, error| {
        let before = memory[at];
        memory[at] = byte;
        seal(&mut memory[..length]);
        expect(what, taught.load(&memory[..length]) == Err(error));
        memory[at] = before;
        seal(&mut memory[..length]);
    };
    changed("another sort of file", 0, b'W', SavedError::Magic);
    changed("an older version", 12, 0, SavedError::Version);
    changed("a newer version", 12, u8::MAX, SavedError::Version);
    changed("a class that is not there", 14, 1, SavedError::Inconsistent);
    changed("other features", 16, 1, SavedError::Inconsistent);
    changed("half a calibration", 18, 2, SavedError::Inconsistent);
    changed("another model", 20, other, SavedError::OtherModel);
    changed("a class of no frames", record, 0, SavedError::Inconsistent);
    changed("a class of 65 frames", record, 65, SavedError::Inconsistent);
    changed(
        "a class without a name",
        record + 2,
        0,
        SavedError::Inconsistent,
    );
    changed(
        "a name of two parts",
        record + 4,
        b'c',
        SavedError::Inconsistent,
    );
    changed(
        "a name that is not UTF-8",
        record + 2,
        0x80,
        SavedError::Inconsistent,
    );
    changed(
        "a sum of more than its frames",
        length - 1,
        0x7f,
        SavedError::Inconsistent,
    );

    // Both classes of one name: the second takes the first one's.
    memory.copy_within(
        record - 24 - 2 * model.outputs()..record - 2 * model.outputs(),
        record + 2,
    );
    seal(&mut memory[..length]);
    expect(
        "a name twice",
        taught.load(&memory[..length]) == Err(SavedError::Inconsistent),
    );
    expect(
        "the classes are there still",
        taught.classes().map(|c| c.1).eq([1, 64]),
    );
    expect(
        "a class to forget",
        taught.remove("b") && !taught.remove("b"),
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
