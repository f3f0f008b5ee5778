//! The kernels' launches, one family a file: each function knows the geometry and checks that its
//! spans are as long as the kernel takes them to be.

mod corrupt;
mod direct;
mod divisor;
pub mod images;
pub mod losses;
pub mod maps;
pub mod noise;
pub mod norm;
pub mod optimiser;
mod plain;
pub mod pools;
mod tiles;

use std::rc::Rc;

use anyhow::{Result, ensure};

use super::machine::{Argument, Launch, Machine};
use super::memory::{Arena, Buffer, Kind, Span};
use super::resident::Resident;
use crate::backend::Precision;

/// Threads of a block, as the kernels have it.
pub const THREADS: usize = 256;

/// Blocks that go over long arrays, each thread taking several values.
const MOST_BLOCKS: usize = 2048;

/// Multiprocessors of a large GPU. Blocks that stay until all is done are as many as it has room for, so
/// that none begins when the others end; how many a multiprocessor takes, the kernels say.
const MULTIPROCESSORS: usize = 132;

/// Parts of a sum that a thread adds up at best, and threads that share a sum at most: eight values,
/// a sector of memory, are read together.
const EACH: usize = 8;
const MOST_LINES: usize = 32;

/// Values that lie side by side.
const QUAD: usize = 4;

/// Bytes that are read at once.
const AT_ONCE: usize = 16;

/// How often 2 divides both.
fn shared_twos(first: usize, second: usize) -> u32 {
    first.trailing_zeros().min(second.trailing_zeros())
}

/// Values that are read at once.
fn at_once(kind: Kind) -> usize {
    AT_ONCE / kind.bytes()
}

/// Blocks along all axes of a launch but the first are fewer.
const FEWER_BLOCKS: usize = 1 << 16;

/// The most values of one array: places are counted in i32, with room for a step beyond the end.
const MOST_VALUES: usize = 1 << 30;

/// Launches kernels.
#[derive(Clone)]
pub struct Gpu {
    machine: Rc<dyn Machine>,
    resident: Rc<Resident>,
}

impl Gpu {
    /// On this machine.
    pub fn new(machine: Rc<dyn Machine>) -> Self {
        Self {
            resident: Rc::new(Resident::new(Rc::clone(&machine))),
            machine,
        }
    }

    /// The images that stay on it; clones share them.
    pub fn resident(&self) -> &Resident {
        &self.resident
    }

    /// How exactly it computes a layer's products.
    pub fn precision(&self) -> Precision {
        self.machine.precision()
    }

    /// What the values between layers are.
    pub fn kind(&self) -> Kind {
        Kind::of_layers(self.precision())
    }

    /// A buffer on it, before which images that stay on it give way.
    pub fn buffer(&self, len: usize) -> Result<Buffer> {
        let buffer = Buffer::new(&self.machine, len);
        if buffer.is_err() && self.resident.release() {
            // Memory is free once the work before is done, for which this waits.
            self.machine.room()?;
            return Buffer::new(&self.machine, len);
        }
        buffer
    }

    /// A buffer of one value throughout.
    pub fn filled(&self, len: usize, value: f32) -> Result<Buffer> {
        let buffer = self.buffer(len)?;
        self.fill(buffer.whole(), value)?;
        Ok(buffer)
    }

    /// Sets all values, which are f32.
    pub fn fill(&self, out: Span, value: f32) -> Result<()> {
        check_kind(&[out], Kind::F32);
        let len = int(out.len())?;
        self.each("fill", out.len(), &[out.into(), len, value.into()])
    }

    /// Sets all values to 0, whatever they are.
    pub fn clear(&self, out: Span) -> Result<()> {
        self.fill(out.words(), 0.0)
    }

    /// Copies all values, which are f32.
    pub fn copy(&self, from: Span, to: Span) -> Result<()> {
        check_kind(&[from, to], Kind::F32);
        check(to, from.len());
        let len = int(from.len())?;
        self.each("copy", from.len(), &[from.into(), len, to.into()])
    }

    /// A copy of values that the next pass writes over, for when the machine is done.
    pub fn keep(&self, values: Span) -> Result<Buffer> {
        let kept = self.buffer(values.len())?;
        self.copy(values, kept.whole())?;
        Ok(kept)
    }

    /// Values for layers, of f32.
    pub fn round(&self, values: Span, out: Span) -> Result<()> {
        check_kind(&[values], Kind::F32);
        self.check_values(&[out]);
        check(out, values.len());
        let arguments = [values.into(), int(values.len())?, out.into()];
        self.each_several("round_values", &[values, out], &arguments)
    }

    /// `out = Σ parts`, or added to it: `count` arrays that lie one after the other.
    fn sum_parts(&self, parts: Span, count: usize, out: Span, add: bool) -> Result<()> {
        let len = out.len();
        check_kind(&[parts], Kind::F32);
        assert!(count * len <= parts.len());
        let lines = count.div_ceil(EACH).next_power_of_two().min(MOST_LINES);
        let lanes = THREADS / lines;
        self.launch(
            self.by_kind(out, ["sum_parts", "sum_parts_f32"]),
            [len.div_ceil(lanes), 1, 1],
            [lanes, lines, 1],
            &[parts.into(), int(count)?, int(len)?, out.into(), add.into()],
        )
    }

    /// Work asked for after this begins when sums beside it are done.
    pub fn join(&self) -> Result<()> {
        self.machine.join()
    }

    /// Starts what was asked for.
    pub fn flush(&self) -> Result<()> {
        self.machine.flush()
    }

    /// A kernel that goes over `len` values.
    fn each(&self, kernel: &'static str, len: usize, arguments: &[Argument]) -> Result<()> {
        let blocks = len.div_ceil(THREADS).clamp(1, MOST_BLOCKS);
        self.launch(kernel, [blocks, 1, 1], [THREADS, 1, 1], arguments)
    }

    /// A kernel that goes over spans, all of them as long, by as many values as are read at once.
    fn each_several(
        &self,
        kernel: &'static str,
        spans: &[Span],
        arguments: &[Argument],
    ) -> Result<()> {
        let len = check_alike(spans);
        self.each(kernel, len.div_ceil(at_once(self.kind())), arguments)
    }

    /// The same where each thread meets values of the same channels again and again. A multiprocessor takes
    /// `blocks` of the kernel's blocks.
    fn each_of_channels(
        &self,
        kernel: &'static str,
        blocks: usize,
        channels: usize,
        spans: &[Span],
        arguments: &[Argument],
    ) -> Result<()> {
        let len = check_alike(spans);
        let values = THREADS * at_once(self.kind());
        let wanted = len.div_ceil(values).clamp(1, MULTIPROCESSORS * blocks);
        // From a thread's values to its next are whole rows of channels.
        let blocks = wanted.next_multiple_of(channels >> shared_twos(channels, values));
        self.blocks(kernel, blocks, arguments)
    }

    /// Of a kernel for layers' values and another for f32 that one which takes the span.
    fn by_kind(&self, span: Span, [values, exact]: [&'static str; 2]) -> &'static str {
        match span.kind() == self.kind() {
            true => values,
            false => exact,
        }
    }

    /// # Panics
    /// Where a span's values are not such as lie between layers: a fault of the caller's layout.
    #[track_caller]
    fn check_values(&self, spans: &[Span]) {
        check_kind(spans, self.kind());
    }

    /// A kernel of blocks in a row.
    fn blocks(&self, kernel: &'static str, blocks: usize, arguments: &[Argument]) -> Result<()> {
        self.launch(kernel, [blocks, 1, 1], [THREADS, 1, 1], arguments)
    }

    #[allow(unsafe_code)]
    fn launch(
        &self,
        kernel: &'static str,
        grid: [usize; 3],
        block: [usize; 3],
        arguments: &[Argument],
    ) -> Result<()> {
        // Hardware's limits, and those of the indices that kernels work out from their blocks.
        ensure!(
            grid[0] <= MOST_VALUES && grid[1..].iter().all(|&blocks| blocks < FEWER_BLOCKS),
            "{kernel}: {grid:?} blocks are more than a GPU takes; a smaller batch needs fewer"
        );
        let launch = Launch {
            kernel,
            grid: grid.map(|blocks| blocks as u32),
            block: block.map(|threads| threads as u32),
        };
        // SAFETY: every caller is in this folder; it gives the values that the kernel declares, in
        // their order, and has compared the lengths of its spans with what the kernel will touch.
        // The spans' buffers are alive, as are those of the addresses in tables, and given back only
        // when this work is done.
        unsafe { self.machine.launch(&launch, arguments) }
    }
}

/// A length or size as kernels take it.
fn int<'a>(value: usize) -> Result<Argument<'a>> {
    Ok(count(value)?.into())
}

fn count(value: usize) -> Result<i32> {
    ensure!(
        value <= MOST_VALUES,
        "an array of {value} values is longer than the {MOST_VALUES} that the GPU's kernels \
         count; a smaller batch has shorter ones"
    );
    Ok(value as i32)
}

/// # Panics
/// Where a span is not as long as a kernel takes it to be: a fault of the caller's layout.
#[track_caller]
fn check(span: Span, len: usize) {
    assert_eq!(span.len(), len, "a span's length");
}

/// # Panics
/// Where a span is of another kind than a kernel takes it to be.
#[track_caller]
fn check_kind(spans: &[Span], kind: Kind) {
    let right = spans.iter().all(|span| span.kind() == kind);
    assert!(right, "a span's values are not {kind:?}");
}

/// # Panics
/// Where a span of which several values are read at once does not begin on a multiple of them.
#[track_caller]
fn check_several(spans: &[Span]) {
    let whole = |span: &Span| span.begins_on(at_once(span.kind()));
    assert!(
        spans.iter().all(whole),
        "a span begins between {AT_ONCE} bytes"
    );
}

/// The length of spans of which several values are read at once.
///
/// # Panics
/// Where they are not as long as one another, or begin between several values.
#[track_caller]
fn check_alike(spans: &[Span]) -> usize {
    check_several(spans);
    let len = spans[0].len();
    spans[1..].iter().for_each(|&span| check(span, len));
    len
}

/// Values that the kernels' `Moments` take.
pub const MOMENTS: usize = 6;

/// Values that the kernels' `Pair` takes.
const PAIR: usize = 4;

/// Sums of columns, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    rows: usize,
    channels: usize,
    /// Rows of a part.
    part: usize,
}

/// Rows of a part at least, and parts at most.
const LEAST_ROWS: usize = 64;
const MOST_PARTS: usize = 1024;

/// Parts of several columns at a time at most: the blocks that a GPU has room for.
const MOST_WIDE_PARTS: usize = 3 * MULTIPROCESSORS;

/// The most channels, or columns of several, that a block goes over whole, so that its threads read what
/// lies side by side. The kernels count on as many rows of threads as values are read at once.
const FEW_CHANNELS: usize = 32;

/// Threads of a block along more channels.
const LANES: usize = 16;

impl Columns {
    /// Of an array `rows × channels`.
    fn new(rows: usize, channels: usize) -> Self {
        Self::in_parts(rows, channels, MOST_PARTS)
    }

    /// In so many parts at most.
    fn in_parts(rows: usize, channels: usize, most: usize) -> Self {
        Self {
            rows,
            channels,
            part: rows.div_ceil(most).max(LEAST_ROWS),
        }
    }

    fn parts(&self) -> usize {
        self.rows.div_ceil(self.part)
    }

    fn block(&self) -> [usize; 3] {
        let lanes = match self.channels {
            few @ ..=FEW_CHANNELS => few,
            _ => LANES,
        };
        [lanes, THREADS / lanes, 1]
    }

    fn grid(&self) -> [usize; 3] {
        [self.channels.div_ceil(self.block()[0]), self.parts(), 1]
    }

    /// The grid and the block that take all of so many rows, or parts, of the columns.
    fn whole(&self, rows: usize) -> [[usize; 3]; 2] {
        let lines = rows.next_power_of_two().min(THREADS);
        let lanes = THREADS / lines;
        let grid = [self.channels.div_ceil(lanes), 1, 1];
        [grid, [lanes, lines, 1]]
    }

    /// Values of scratch memory that the parts' moments take.
    fn scratch(&self) -> usize {
        MOMENTS * self.parts() * self.channels
    }

    /// Asks for that scratch memory, and for that of sums of several columns at a time.
    pub fn need(rows: usize, channels: usize, arena: &mut Arena) {
        arena.need(Self::new(rows, channels).scratch());
        arena.need(WideColumns::new(rows, channels, arena.kind()).scratch());
    }
}

/// Sums of columns, in parts, of which several values are read at once: rows of channels lie side by side,
/// so many that whole sets of values fill them. The last ones may be without some rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WideColumns {
    /// The columns of several values.
    wide: Columns,
    channels: usize,
    /// Rows of channels of one of these rows.
    beside: usize,
}

impl WideColumns {
    /// Of an array `rows × channels` of that kind.
    fn new(rows: usize, channels: usize, kind: Kind) -> Self {
        let at_once = at_once(kind);
        let beside = at_once >> shared_twos(channels, at_once);
        Self {
            wide: Columns::in_parts(
                rows.div_ceil(beside),
                channels * beside / at_once,
                MOST_WIDE_PARTS,
            ),
            channels,
            beside,
        }
    }

    /// Parts of the channels' sums: one of a block that has whole rows, else one of each row of
    /// channels.
    fn parts(&self) -> usize {
        match self.wide.grid() {
            [1, parts, _] => parts,
            [_, parts, _] => parts * self.beside,
        }
    }

    /// Values of scratch memory that the parts take.
    fn scratch(&self) -> usize {
        PAIR * self.parts() * self.channels
    }

    /// What a kernel gets that takes such sums of `len` values: their number, columns of several, and
    /// rows of a part.
    fn arguments(&self, len: usize) -> Result<[Argument<'static>; 3]> {
        Ok([int(len)?, int(self.wide.channels)?, int(self.wide.part)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_side_by_side_until_several_values_fill_them() {
        for (rows, channels, [exact, rounded], parts) in [
            (7, 16, [1, 1], 1),
            (7, 6, [2, 4], 1),
            (7, 12, [1, 2], 1),
            (1, 1, [4, 8], 1),
            (7, 133, [4, 8], 4),
            (100, 132, [1, 2], 2),
        ] {
            for (kind, beside) in [(Kind::F32, exact), (Kind::Bf16, rounded)] {
                let columns = WideColumns::new(rows, channels, kind);
                assert_eq!(columns.beside, beside);
                assert_eq!(columns.wide.channels * at_once(kind), channels * beside);
                assert_eq!(columns.wide.rows, rows.div_ceil(beside));
            }
            assert_eq!(WideColumns::new(rows, channels, Kind::F32).parts(), parts);
        }
    }

    #[test]
    fn columns_are_covered_whole_by_few_parts() {
        for (rows, channels) in [(1, 1), (255, 3), (257, 9), (300_000, 16), (2, 69_696)] {
            let columns = Columns::new(rows, channels);
            let ([lanes, lines, _], [blocks, parts, _]) = (columns.block(), columns.grid());
            assert!(lanes * lines <= THREADS && lanes * (lines + 1) > THREADS);
            assert!(blocks * lanes >= channels && (blocks - 1) * lanes < channels);
            assert!(parts * columns.part >= rows && (parts - 1) * columns.part < rows);
            assert!(parts <= MOST_PARTS);
            let [[blocks, ..], [lanes, lines, _]] = columns.whole(parts);
            assert_eq!(lanes * lines, THREADS);
            assert!(blocks * lanes >= channels && (blocks - 1) * lanes < channels);
        }
    }
}
