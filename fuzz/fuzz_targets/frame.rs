//! Frames of any size from any bytes: an error or 96 rows, and the same ones from memory and row
//! by row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vae96::RowSource;
use vae96::frame::{Frame, FrameError, FrameStream};
use vae96::rows::ROW_BYTES;
use vae96_fuzz::frame::{Input, Part};

/// Bytes of the largest frame that is filled from shorter inputs.
const FILLED: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let input = Input::read(data);
    let row_bytes = input.format.row_bytes(input.width);
    let stride = row_bytes + usize::from(input.gap);
    let frame_bytes = stride * usize::from(input.height);
    let buffer: Vec<u8> = if frame_bytes <= FILLED && !input.bytes.is_empty() {
        let bytes = input.bytes.iter().copied().cycle();
        bytes.take(frame_bytes).collect()
    } else {
        input.bytes.to_vec()
    };

    let whole = rows_of_frame(&input, &buffer, stride);
    let streamed = rows_of_stream(&input, &buffer, stride, row_bytes);
    match (whole, streamed) {
        (Ok(whole), Ok(streamed)) => assert_eq!(whole, streamed),
        (Err(FrameError::Buffer { .. }), _) => {}
        (whole, streamed) => assert_eq!(whole.err(), streamed.err()),
    }
});

type Rows = Vec<[u8; ROW_BYTES]>;

fn rows_of_frame(input: &Input, buffer: &[u8], stride: usize) -> Result<Rows, FrameError> {
    let frame = Frame::new(input.format, buffer, input.width, input.height)?.with_stride(stride)?;
    let mut frame = match input.part {
        Part::Whole => frame,
        Part::Centre => frame.centre(),
        Part::Crop([x, y, width, height]) => frame.crop(x, y, width, height)?,
    };
    let row = |y| {
        let mut row = [0; ROW_BYTES];
        frame.row(y, &mut row).map(|()| row)
    };
    (0..vae96::SIDE).map(row).collect()
}

fn rows_of_stream(
    input: &Input,
    buffer: &[u8],
    stride: usize,
    row_bytes: usize,
) -> Result<Rows, FrameError> {
    let stream = FrameStream::new(input.format, input.width, input.height)?;
    let mut stream = match input.part {
        Part::Whole => stream,
        Part::Centre => stream.centre(),
        Part::Crop([x, y, width, height]) => stream.crop(x, y, width, height)?,
    };
    let mut rows = Vec::new();
    for line in buffer.chunks_exact(stride).take(input.height.into()) {
        rows.extend(stream.push(&line[..row_bytes])?);
    }
    Ok(rows)
}
