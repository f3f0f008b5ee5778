//! Runs a network row by row over its line buffers.
//!
//! Every row pushed is handed to the first layer. Whenever a layer has the rows for one row of
//! its own, it computes it into the next layer's buffer, which then has its turn; nothing is
//! computed twice and no plane is kept.

use core::marker::PhantomData;

use crate::kernels::{self, Channels, Rows, Winograd};
use crate::layer::{Features, Layer, Op, Shape};
use crate::model::{INPUT_ZERO_POINT, Order, Parameters, Record, WeightLayout};
use crate::network::{INPUT, MAX_CLASSES, Network, SIDE};
use crate::plan::{self, COUNTERS, MAX_LAYERS, Method, Place};
use crate::rows::{ROW_BYTES, RowSource};

/// Why an image's rows do not make an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowError {
    /// The image was complete before.
    TooMany,
    /// The image is not complete yet.
    TooFew,
    /// The row is not as long as the network's input is wide.
    Length,
}

impl core::fmt::Display for RowError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooMany => "a row was pushed after the image's last one",
            Self::TooFew => "the image's last row was not pushed yet",
            Self::Length => "the row is not as long as the network's input is wide",
        })
    }
}

impl core::error::Error for RowError {}

/// Layers in a row, with the place of each.
pub(crate) trait Plan {
    /// Makes layer `index` ready for a new image. `None` past the output.
    fn reset(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()>;

    /// Lets layer `index` compute one row into the next layer's buffer. `None` where it has not
    /// enough rows, and past the last layer.
    fn step(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()>;

    /// The place that takes the image's rows.
    fn first(&self) -> Place;

    /// The place that holds the answer.
    fn last(&self) -> Place;
}

/// The plan of a network known to the compiler: every size is a constant.
pub(crate) struct Fixed<N>(PhantomData<N>);

/// The plan of layers known at run time.
pub(crate) struct Described<'l> {
    /// Those of the layers, and the output's for all that follow.
    places: [Place; MAX_LAYERS + 1],
    layers: usize,
    scratch: usize,
    interleaved: Interleaving<'l>,
}

/// Interleaved weights, where there is code that uses them.
#[cfg(feature = "std")]
type Interleaving<'l> = Option<crate::interleaved::Interleaved<'l>>;
#[cfg(not(feature = "std"))]
type Interleaving<'l> = core::marker::PhantomData<&'l ()>;

impl<N> Fixed<N> {
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The layer `INDEX` of a network.
struct At<N, const INDEX: usize>(PhantomData<N>);

impl<N: Network, const INDEX: usize> At<N, INDEX> {
    const PLACE: Place = plan::place(N::LAYERS, INPUT, MAX_CLASSES, N::METHOD, INDEX);
    const NEXT: Place = plan::place(N::LAYERS, INPUT, MAX_CLASSES, N::METHOD, INDEX + 1);
    const SCRATCH: usize = plan::scratch(N::LAYERS, INPUT, MAX_CLASSES, N::METHOD);

    #[inline(always)]
    fn reset(parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        if INDEX > N::LAYERS.len() {
            return None;
        }
        reset_place(&Self::PLACE, parameters, words)
    }

    // A function for each layer, so that a profile tells them apart.
    #[inline(never)]
    fn step(parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        if INDEX >= N::LAYERS.len() {
            return None;
        }
        let (place, next) = (&Self::PLACE, &Self::NEXT);
        step_place(place, next, Self::SCRATCH, parameters, words, |_, _, _| {
            false
        })
    }
}

/// `At::<N, index>::method(…)` for an index known at run time only.
macro_rules! at {
    ($index:expr, $method:ident, $parameters:expr, $words:expr, [$($constant:literal)*]) => {
        match $index {
            $($constant => At::<N, $constant>::$method($parameters, $words),)*
            _ => None,
        }
    };
}

impl<N: Network> Plan for Fixed<N> {
    #[inline(always)]
    fn reset(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        at!(index, reset, parameters, words, [0 1 2 3 4 5 6 7 8 9 10 11 12])
    }

    #[inline(always)]
    fn step(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        at!(index, step, parameters, words, [0 1 2 3 4 5 6 7 8 9 10 11])
    }

    #[inline(always)]
    fn first(&self) -> Place {
        At::<N, 0>::PLACE
    }

    #[inline(always)]
    fn last(&self) -> Place {
        At::<N, { plan::MAX_LAYERS }>::PLACE
    }
}

impl<'l> Described<'l> {
    /// The plan of `layers`, which must have passed [`plan::check`].
    pub fn new(layers: &[Layer], input: Shape, classes: usize) -> Self {
        let method = Method::Direct;
        let mut places = [plan::place(layers, input, classes, method, 0); MAX_LAYERS + 1];
        for (index, place) in places.iter_mut().enumerate() {
            *place = plan::place(layers, input, classes, method, index);
        }
        Self {
            places,
            layers: layers.len(),
            scratch: plan::scratch(layers, input, classes, method),
            interleaved: Interleaving::default(),
        }
    }

    /// Takes these weights instead of the parameters'.
    #[cfg(feature = "std")]
    pub fn interleave(&mut self, weights: crate::interleaved::Interleaved<'l>) {
        self.interleaved = Some(weights);
    }

    /// A row of layer `index` by its interleaved weights; whether there are any.
    #[cfg(feature = "std")]
    fn convolve(
        &self,
        index: usize,
        rows: &Rows<'_>,
        channels: &Channels<'_>,
        output: &mut [i8],
    ) -> bool {
        let layer = self.interleaved.as_ref().and_then(|all| all.layer(index));
        let Some(layer) = layer else {
            return false;
        };
        layer.row(rows, channels, output);
        true
    }

    #[cfg(not(feature = "std"))]
    fn convolve(&self, _: usize, _: &Rows<'_>, _: &Channels<'_>, _: &mut [i8]) -> bool {
        false
    }
}

impl Plan for Described<'_> {
    fn reset(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        if index > self.layers {
            return None;
        }
        reset_place(self.places.get(index)?, parameters, words)
    }

    fn step(&self, index: usize, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
        if index >= self.layers {
            return None;
        }
        let (place, next) = (self.places.get(index)?, self.places.get(index + 1)?);
        step_place(
            place,
            next,
            self.scratch,
            parameters,
            words,
            |rows, channels, output| self.convolve(index, rows, channels, output),
        )
    }

    fn first(&self) -> Place {
        let [first, ..] = self.places;
        first
    }

    fn last(&self) -> Place {
        // The last of all is the output's, however many layers there are.
        let [.., last] = self.places;
        last
    }
}

/// A network in the course of an image.
pub(crate) struct Stream<P, B> {
    pub plan: P,
    words: B,
    rows: usize,
}

impl<N: Network> Stream<Fixed<N>, N::Buffer> {
    /// Takes a whole image, and is ready for the next one.
    #[inline(always)]
    pub fn run<S: RowSource>(
        &mut self,
        source: &mut S,
        parameters: &Parameters<'_>,
    ) -> Result<(), S::Error> {
        self.restart();
        let mut row = [0; ROW_BYTES];
        let complete = (0..SIDE).try_for_each(|y| {
            source.row(y, &mut row)?;
            self.push(&row, parameters);
            Ok(())
        });
        self.restart();
        complete
    }
}

impl<P: Plan, B: AsMut<[i32]> + AsRef<[i32]>> Stream<P, B> {
    /// A network before its first row.
    // The buffer is not touched, so that nobody needs a second one on the stack to build it in.
    #[inline(always)]
    pub const fn new(plan: P, words: B) -> Self {
        Self {
            plan,
            words,
            rows: 0,
        }
    }

    /// Forgets the rows received. The answer of the last image stays where it is.
    #[inline(always)]
    pub const fn restart(&mut self) {
        self.rows = 0;
    }

    /// Makes every layer ready for a new image.
    fn reset(&mut self, parameters: &Parameters<'_>) {
        let mut index = 0;
        while (self.plan.reset(index, parameters, self.words.as_mut())).is_some() {
            index += 1;
        }
    }

    /// Rows received since the image's beginning.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes one row of the image.
    #[inline(never)]
    pub fn push(&mut self, row: &[u8], parameters: &Parameters<'_>) {
        if self.rows == 0 {
            self.reset(parameters);
        }
        self.rows += 1;
        let words = self.words.as_mut();
        if take_row(&self.plan.first(), row, words).is_none() {
            return;
        }
        let mut layer = 0usize;
        loop {
            // Deeper layers first: each uses up what it was given before more comes.
            layer = match self.plan.step(layer, parameters, words) {
                Some(()) => layer + 1,
                None => match layer.checked_sub(1) {
                    Some(above) => above,
                    None => return,
                },
            };
        }
    }

    /// What the last layer made of the image.
    #[inline(always)]
    pub fn output(&self) -> &[i8] {
        let place = self.plan.last();
        let region = (self.words.as_ref())
            .get(place.region + COUNTERS..)
            .unwrap_or_default();
        let bytes: &[i8] = bytemuck::try_cast_slice(region).unwrap_or_default();
        bytes.get(..place.store.row).unwrap_or_default()
    }
}

/// Stores an image's row as the first layer's input: byte x stands for x − 128.
#[inline(always)]
fn take_row(place: &Place, row: &[u8], words: &mut [i32]) -> Option<()> {
    let (_, region) = words.split_at_mut_checked(place.region)?;
    let (received, _, _, rows) = open(place, region)?;
    let slot = place.store.slot(rows, *received)?;
    for (value, &byte) in slot.iter_mut().zip(row) {
        *value = (byte ^ 0x80) as i8;
    }
    *received += 1;
    Some(())
}

/// A region's two counters, its sums and its rows.
type Opened<'w> = (&'w mut i32, &'w mut i32, &'w mut [i32], &'w mut [i8]);

/// Splits what begins with the region of `place`.
#[inline(always)]
fn open<'w>(place: &Place, region: &'w mut [i32]) -> Option<Opened<'w>> {
    let (region, _) = region.split_at_mut_checked(place.words)?;
    let ([received, done], region) = region.split_first_chunk_mut()?;
    let (sums, rows) = region.split_at_mut_checked(place.sums)?;
    Some((
        received,
        done,
        sums,
        bytemuck::try_cast_slice_mut(rows).ok()?,
    ))
}

#[inline(always)]
fn reset_place(place: &Place, parameters: &Parameters<'_>, words: &mut [i32]) -> Option<()> {
    let (_, region) = words.split_at_mut_checked(place.region)?;
    let (received, done, _, rows) = open(place, region)?;
    (*received, *done) = (0, 0);
    if let Some(Op::Conv { window, .. }) = place.op {
        *received = window.padding as i32;
        rows.fill(zero_point_before(place, parameters));
    }
    Some(())
}

/// The value that stands for zero in the input of `place`.
#[inline(always)]
fn zero_point_before(place: &Place, parameters: &Parameters<'_>) -> i8 {
    match place.records.checked_sub(1) {
        Some(before) => record(before, parameters).zero_point,
        None => INPUT_ZERO_POINT,
    }
}

#[inline(always)]
fn record(index: usize, parameters: &Parameters<'_>) -> Record {
    Record::from_bytes(parameters.records.get(index).copied().unwrap_or_default())
}

/// The channels of `place`, with their weights.
#[inline(always)]
fn channels<'p>(place: &Place, parameters: &Parameters<'p>) -> Option<(Channels<'p>, &'p [i8])> {
    let count = match place.op? {
        Op::Linear {
            features: Features::Classes,
        } => parameters.classes,
        _ => place.output.channels,
    };
    let record = record(place.records, parameters);
    let channels = Channels {
        bias: parameters.bias.get(place.channels..)?.get(..count)?,
        multipliers: parameters.multipliers.get(place.channels..)?.get(..count)?,
        shifts: parameters.shifts.get(place.channels..)?.get(..count)?,
        zero_point: record.zero_point,
        min: record.min,
        max: record.max,
    };
    let start = place.start(parameters.layout);
    let length = place.weights.with(count).bytes(parameters.layout)?;
    let weights = parameters.weights.get(start..)?.get(..length)?;
    Some((channels, weights))
}

/// Computes one row of `place` into the buffer of `next`, if there are the rows for it. `convolve`
/// is asked first whether it computes a convolution's row.
#[inline(always)]
fn step_place(
    place: &Place,
    next: &Place,
    scratch: usize,
    parameters: &Parameters<'_>,
    words: &mut [i32],
    convolve: impl FnOnce(&Rows<'_>, &Channels<'_>, &mut [i8]) -> bool,
) -> Option<()> {
    let (front, regions) = words.split_at_mut_checked(place.region)?;
    let (scratch, front) = front.split_at_mut_checked(scratch)?;
    let (region, following) = regions.split_at_mut_checked(place.words)?;
    let (received, done, sums, own) = open(place, region)?;
    let (next_received, _, _, next_own) = open(next, following)?;
    let passing: &mut [i8] = bytemuck::try_cast_slice_mut(front).ok()?;
    // No convolution reads the passing rows, and only convolutions write them.
    let (rows, memory) = if next.store.passing {
        (own, passing)
    } else if place.store.passing {
        (passing, next_own)
    } else {
        (own, next_own)
    };
    let winograd = match parameters.layout {
        WeightLayout::Winograd => place.winograd,
        _ => None,
    };
    let target = match winograd {
        // The second row of two was computed with the first.
        Some(_) if *done % 2 == 1 => {
            *done += 1;
            *next_received += 1;
            return Some(());
        }
        Some(_) => memory.get_mut(..2 * next.store.row)?,
        None => next.store.slot(memory, *next_received)?,
    };

    match place.op? {
        Op::Conv { window, .. } => {
            if *done as usize >= place.output.height {
                return None;
            }
            let top = *done as usize * window.stride;
            let height = match winograd {
                Some(_) => Winograd::ROWS,
                None => window.kernel,
            };
            while (*received as usize) < top + height {
                if (*received as usize) < window.padding + place.input.height {
                    return None;
                }
                // Below the image are rows of zeros.
                let padding = zero_point_before(place, parameters);
                place.store.whole_slot(rows, *received)?.fill(padding);
                *received += 1;
            }
            let (channels, weights) = channels(place, parameters)?;
            let rows = Rows {
                ring: rows.get(..place.store.rows * place.store.pitch)?,
                pitch: place.store.pitch,
                first: top.checked_rem(place.store.rows)?,
                channels: place.input.channels,
            };
            if let Some(winograd) = winograd {
                kernels::winograd_conv_rows(&rows, winograd, weights, &channels, scratch, target);
            } else if !convolve(&rows, &channels, target) {
                if let Order::Packed(packing) = place.weights.order(parameters.layout) {
                    let weights = bytemuck::try_cast_slice(weights).ok()?;
                    kernels::packed_conv_row(&rows, packing, weights, &channels, scratch, target);
                } else {
                    kernels::conv_row(&rows, window, weights, &channels, scratch, target);
                }
            }
            *done += 1;
        }
        Op::MaxPool { size } => {
            let y = next_row(received, done)?;
            if y / size.max(1) >= place.output.height {
                return None;
            }
            let row = place.store.slot(rows, y as i32)?;
            let line = y.checked_rem(size)?;
            kernels::max_pool_row(row, size, place.input.channels, line == 0, target);
            if line + 1 < size {
                return None;
            }
        }
        Op::AveragePool { size } => {
            let y = next_row(received, done)?;
            let row = place.store.slot(rows, y as i32)?;
            average_row(place, (size, size), y, row, sums, target)?;
        }
        Op::GlobalAveragePool => {
            let y = next_row(received, done)?;
            let row = place.store.slot(rows, y as i32)?;
            let size = (place.input.height, place.input.width);
            average_row(place, size, y, row, sums, target)?;
        }
        Op::Linear { .. } => {
            let y = next_row(received, done)?;
            let row = place.store.slot(rows, y as i32)?;
            let inputs = place.input.len();
            let (channels, weights) = channels(place, parameters)?;
            if let Order::Paired = place.weights.order(parameters.layout) {
                let pairs = bytemuck::try_cast_slice(weights).ok()?;
                kernels::paired_linear(row, pairs, &channels, target);
            } else if place.input.height == 1 {
                kernels::linear(row, weights, &channels, target);
            } else {
                let sums = sums.get_mut(..channels.bias.len())?;
                if y == 0 {
                    sums.fill(0);
                }
                kernels::linear_row(row, y * row.len(), inputs, weights, sums);
                if y + 1 < place.input.height {
                    return None;
                }
                kernels::requantise_row(sums, &channels, target);
            }
        }
        Op::ConvTransposed { .. } | Op::Unflatten { .. } => return None,
    }
    *next_received += 1;
    Some(())
}

/// The number of the row that was received and not yet dealt with, if there is one.
#[inline(always)]
fn next_row(received: &i32, done: &mut i32) -> Option<usize> {
    if *done >= *received {
        return None;
    }
    let row = *done;
    *done += 1;
    Some(row as usize)
}

/// Adds row `y` to the sums of windows of `(height, width)`; their means after the last one.
#[inline(always)]
fn average_row(
    place: &Place,
    (height, width): (usize, usize),
    y: usize,
    row: &[i8],
    sums: &mut [i32],
    target: &mut [i8],
) -> Option<()> {
    let line = y.checked_rem(height)?;
    if y.checked_div(height)? >= place.output.height {
        return None;
    }
    if line == 0 {
        sums.fill(0);
    }
    kernels::add_columns(row, width, place.input.channels, sums);
    if line + 1 < height {
        return None;
    }
    kernels::average(sums, height * width, target);
    Some(())
}
