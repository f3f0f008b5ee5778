//! Camera frames against bilinear interpolation in f64, and the two ways against each other.

use proptest::prelude::*;
use vae96::SIDE;
use vae96::frame::{Frame, FrameError, FrameStream, PixelFormat};
use vae96::rows::{ROW_BYTES, RowSource};

/// A rectangle of a frame: column, row, width, height.
type Crop = (u16, u16, u16, u16);

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn all_rows(frame: &mut Frame) -> Vec<[u8; ROW_BYTES]> {
    (0..SIDE)
        .map(|y| {
            let mut row = [0; ROW_BYTES];
            frame.row(y, &mut row).unwrap();
            row
        })
        .collect()
}

/// Where output position `at` lies along `len` pixels, as (pixel, next pixel, share of the next).
fn point(at: usize, len: u16) -> (usize, usize, f64) {
    let last = f64::from(len - 1);
    let x = ((at as f64 + 0.5) * f64::from(len) / SIDE as f64 - 0.5).clamp(0.0, last);
    let floor = x.floor();
    (
        floor as usize,
        (floor as usize + 1).min(len as usize - 1),
        x - floor,
    )
}

/// Channel `c` of output pixel (`y`, `x`) of an RGB888 frame.
fn bilinear(rgb: &[u8], width: u16, crop: Crop, y: usize, x: usize, c: usize) -> f64 {
    let pixel = |row: usize, column: usize| {
        let at = (usize::from(crop.1) + row) * usize::from(width) + usize::from(crop.0) + column;
        f64::from(rgb[3 * at + c])
    };
    let ((top, bottom, down), (left, right, across)) = (point(y, crop.3), point(x, crop.2));
    let row = |row| pixel(row, left) * (1.0 - across) + pixel(row, right) * across;
    row(top) * (1.0 - down) + row(bottom) * down
}

fn assert_bilinear(rgb: &[u8], width: u16, crop: Crop, rows: &[[u8; ROW_BYTES]]) {
    for (y, row) in rows.iter().enumerate() {
        for (i, &found) in row.iter().enumerate() {
            let expected = bilinear(rgb, width, crop, y, i / 3, i % 3);
            let error = (f64::from(found) - expected).abs();
            assert!(
                error <= 1.0 + 1e-6,
                "({y}, {}): {found} for {expected}",
                i / 3
            );
        }
    }
}

/// A frame's size and a rectangle inside it.
fn cropped(largest: u16) -> impl Strategy<Value = (u16, u16, Crop)> {
    (1..=largest, 1..=largest).prop_flat_map(|(width, height)| {
        let span = |len: u16| (0..len).prop_flat_map(move |start| (Just(start), 1..=len - start));
        (Just(width), Just(height), span(width), span(height))
            .prop_map(|(width, height, (x, w), (y, h))| (width, height, (x, y, w, h)))
    })
}

fn format() -> impl Strategy<Value = PixelFormat> {
    prop::sample::select(vec![
        PixelFormat::Rgb888,
        PixelFormat::Rgb565Be,
        PixelFormat::Rgb565Le,
        PixelFormat::Yuyv,
        PixelFormat::Grey,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scaling_is_bilinear((width, height, crop) in cropped(250), seed: u64) {
        let rgb = noise(seed, 3 * usize::from(width) * usize::from(height));
        let (x, y, w, h) = crop;
        let mut frame = Frame::rgb888(&rgb, width, height).unwrap().crop(x, y, w, h).unwrap();
        assert_bilinear(&rgb, width, crop, &all_rows(&mut frame));
    }

    /// Pushed row by row, a frame gives the bytes that it gives from memory, with any stride, and
    /// each row as early as it can be had.
    #[test]
    fn a_stream_gives_what_the_whole_frame_gives(
        (width, height, (x, y, w, h)) in cropped(200),
        format in format(),
        padding in 0..9usize,
        seed: u64,
    ) {
        let width = if format == PixelFormat::Yuyv { width + width % 2 } else { width };
        let row_bytes = format.row_bytes(width);
        let stride = row_bytes + padding;
        let buffer = noise(seed, stride * usize::from(height));
        let mut frame = Frame::new(format, &buffer, width, height)
            .and_then(|f| f.with_stride(stride))
            .and_then(|f| f.crop(x, y, w, h))
            .unwrap();
        let expected = all_rows(&mut frame);

        let mut stream = FrameStream::new(format, width, height)
            .and_then(|s| s.crop(x, y, w, h))
            .unwrap();
        for _ in 0..2 {
            let mut rows = Vec::new();
            for (pushed, line) in buffer.chunks_exact(stride).enumerate() {
                rows.extend(stream.push(&line[..row_bytes]).unwrap());
                let possible = (0..SIDE).filter(|&at| {
                    let (top, bottom, share) = point(at, h);
                    let last = if share < 1e-9 { top } else { bottom };
                    usize::from(y) + last <= pushed
                });
                prop_assert_eq!(rows.len(), possible.count());
            }
            prop_assert_eq!(&rows, &expected);
            let more = stream.push(&buffer[..row_bytes]).map(|_| ());
            prop_assert_eq!(more, Err(FrameError::TooManyRows(height)));
            stream.restart();
        }
        for y in [95, 3, 50, 49, 0] {
            let mut row = [0; ROW_BYTES];
            frame.row(y, &mut row).unwrap();
            prop_assert_eq!(&row, &expected[y], "row {} out of turn", y);
        }
    }

    /// Whatever the numbers and bytes are, the answer is a row or an error.
    #[test]
    fn nothing_panics(
        format in format(),
        buffer in prop::collection::vec(any::<u8>(), 0..400),
        width in prop_oneof![0..20u16, any::<u16>(), Just(u16::MAX)],
        height in prop_oneof![0..20u16, any::<u16>(), Just(u16::MAX)],
        stride in prop_oneof![0..40usize, any::<usize>(), Just(usize::MAX)],
        crop: Crop,
        at: usize,
    ) {
        let (x, y, w, h) = crop;
        let mut row = [0; ROW_BYTES];
        if let Ok(frame) = Frame::new(format, &buffer, width, height) {
            let frames = [
                Ok(frame.clone()),
                Ok(frame.clone().centre()),
                frame.clone().with_stride(stride),
                frame.crop(x, y, w, h),
            ];
            for mut frame in frames.into_iter().flatten() {
                for y in 0..SIDE {
                    frame.row(y, &mut row).unwrap();
                }
                let _ = frame.row(at, &mut row);
            }
        }
        if let Ok(mut stream) = FrameStream::new(format, width, height) {
            let _ = stream.clone().crop(x, y, w, h);
            for line in buffer.chunks(format.row_bytes(width).max(1)) {
                let _ = stream.push(line);
            }
            prop_assert!(stream.ready().count() <= SIDE);
        }
    }

    /// Against the equations of BT.601 at full range, without scaling.
    #[test]
    fn yuyv_is_bt601_at_full_range(seed: u64) {
        let buffer = noise(seed, 2 * SIDE * SIDE);
        let rows = all_rows(&mut Frame::yuyv(&buffer, 96, 96).unwrap());
        for (i, pair) in buffer.chunks_exact(4).enumerate() {
            let [y0, u, y1, v] = [0, 1, 2, 3].map(|b| f64::from(pair[b]));
            for (pixel, luma) in [(2 * i, y0), (2 * i + 1, y1)] {
                let rgb = [
                    luma + 1.402 * (v - 128.0),
                    luma - 0.344136 * (u - 128.0) - 0.714136 * (v - 128.0),
                    luma + 1.772 * (u - 128.0),
                ];
                for (c, expected) in rgb.into_iter().enumerate() {
                    let found = f64::from(rows[pixel / SIDE][pixel % SIDE * 3 + c]);
                    let error = (found - expected.clamp(0.0, 255.0)).abs();
                    prop_assert!(error < 0.51, "{pair:?}: {found} for {expected}");
                }
            }
        }
    }
}

#[test]
fn rgb_of_the_networks_size_is_left_alone() {
    let rgb = noise(1, SIDE * ROW_BYTES);
    let rows = all_rows(&mut Frame::rgb888(&rgb, 96, 96).unwrap());
    assert_eq!(rows.concat(), rgb);
}

#[test]
fn the_longest_frames_are_bilinear_too() {
    for (width, height) in [(u16::MAX, 1), (1, u16::MAX)] {
        let rgb = noise(2, 3 * usize::from(u16::MAX));
        let rows = all_rows(&mut Frame::rgb888(&rgb, width, height).unwrap());
        assert_bilinear(&rgb, width, (0, 0, width, height), &rows);
    }
}

#[test]
fn the_centre_is_the_largest_square_in_the_middle() {
    for (width, height, crop) in [
        (320, 240, (40, 0, 240, 240)),
        (101, 200, (0, 49, 101, 101)),
        (7, 4, (1, 0, 4, 4)),
    ] {
        let grey = noise(3, usize::from(width) * usize::from(height));
        let frame = Frame::grey(&grey, width, height).unwrap();
        let (x, y, w, h) = crop;
        let cropped = all_rows(&mut frame.clone().crop(x, y, w, h).unwrap());
        assert_eq!(all_rows(&mut frame.centre()), cropped);
    }
}

/// Every 565 value in both byte orders: within a level of the exact scale, the ends exact.
#[test]
fn rgb565_is_widened_in_both_byte_orders() {
    for start in (0..=u16::MAX).step_by(SIDE * SIDE) {
        let values: Vec<u16> = (0..SIDE * SIDE)
            .map(|i| start.wrapping_add(i as u16))
            .collect();
        let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let rows = all_rows(&mut Frame::rgb565_be(&big, 96, 96).unwrap());
        assert_eq!(
            rows,
            all_rows(&mut Frame::rgb565_le(&little, 96, 96).unwrap())
        );
        for (found, value) in rows.concat().chunks_exact(3).zip(values) {
            let channels = [
                (value / 2048, 31.0),
                (value / 32 % 64, 63.0),
                (value % 32, 31.0),
            ];
            for (&found, (bits, most)) in found.iter().zip(channels) {
                let exact = f64::from(bits) * 255.0 / most;
                assert!(
                    (f64::from(found) - exact).abs() < 1.0,
                    "{found} for {exact}"
                );
                assert!(bits > 0 || found == 0);
                assert!(f64::from(bits) < most || found == 255);
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let buffer = [0; 600];
    let empty = |width, height| Some(FrameError::Empty { width, height });
    assert_eq!(Frame::grey(&buffer, 0, 9).err(), empty(0, 9));
    assert_eq!(Frame::grey(&buffer, 9, 0).err(), empty(9, 0));
    assert_eq!(
        FrameStream::new(PixelFormat::Yuyv, 7, 7).err(),
        Some(FrameError::OddWidth(7))
    );
    assert_eq!(
        Frame::rgb888(&buffer, 20, 11).err(),
        Some(FrameError::Buffer {
            needed: 660,
            found: 600
        })
    );

    // Ten rows of 20 pixels; the last one needs no padding after it.
    let frame = Frame::rgb565_le(&buffer, 20, 10).unwrap();
    assert!(frame.clone().with_stride(62).is_ok());
    assert_eq!(
        frame.clone().with_stride(63).err(),
        Some(FrameError::Buffer {
            needed: 607,
            found: 600
        })
    );
    assert_eq!(
        frame.clone().with_stride(39).err(),
        Some(FrameError::Stride {
            row: 40,
            stride: 39
        })
    );
    for (x, y, width, height) in [
        (0, 0, 0, 10),
        (0, 0, 20, 0),
        (1, 0, 20, 10),
        (0, 1, 20, 10),
        (u16::MAX, 0, 2, 2),
    ] {
        assert_eq!(
            frame.clone().crop(x, y, width, height).err(),
            Some(FrameError::Crop {
                x,
                y,
                width,
                height
            })
        );
    }
    let mut row = [0; ROW_BYTES];
    assert_eq!(
        frame.clone().row(96, &mut row),
        Err(FrameError::NoSuchRow(96))
    );
}

#[test]
fn a_refused_push_changes_nothing() {
    let mut stream = FrameStream::new(PixelFormat::Grey, 4, 2).unwrap();
    let wrong = stream.push(&[0; 5]).map(|_| ());
    assert_eq!(
        wrong,
        Err(FrameError::RowLength {
            expected: 4,
            found: 5
        })
    );
    let first = stream.push(&[9; 4]).unwrap().next();
    assert_eq!(first, Some([9; ROW_BYTES]));
    let early = stream.push(&[0; 4]).map(|_| ());
    assert_eq!(early, Err(FrameError::RowsWaiting));
    assert_eq!(stream.ready().count(), 23);
    assert_eq!(stream.push(&[9; 4]).unwrap().count(), 72);
}

#[test]
fn a_stream_holds_two_scaled_rows_and_a_few_words() {
    let rest = size_of::<FrameStream>() - 2 * ROW_BYTES;
    assert!(rest <= 48, "{rest} bytes beside the rows");
}
