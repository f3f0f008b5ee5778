//! Where each layer of a network keeps its rows and sums while the network runs, worked out
//! from the layers alone.
//!
//! A network runs in one buffer of 32-bit words:
//!
//! ```text
//! windows of a convolution │ passing rows │ layer 0 │ layer 1 │ … │ output
//! ```
//!
//! Each layer's region holds two counters, its sums, and the rows of its input it still needs.
//! Rows that a convolution hands to a layer other than a convolution are used up at once, so
//! all such layers share the passing row, or the two rows that Winograd's method computes at once.

use crate::kernels::{self, Winograd};
use crate::layer::{Activation, Features, Layer, Op, Shape};
use crate::model::{self, WeightLayout, Weights};
use crate::packing::Packing;

/// The most layers a network may have.
pub const MAX_LAYERS: usize = 12;

/// How convolutions are computed. The answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Window by window, in the least memory.
    Direct,
    /// Those of 3×3 with a stride of 1 by Winograd's method, two rows at a time: in about 15 KB
    /// more for `edge`, and in fewer multiplies, where the weights are
    /// [ordered](crate::model::WeightLayout::Winograd) for it.
    Winograd,
}

/// Why layers in a row are not a network that a device can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// There are no layers, or more than [`MAX_LAYERS`].
    LayerCount,
    /// A layer is one that no device runs: a decoder's, or a sigmoid.
    Unsupported,
    /// A window is empty, does not fit into its padded input, or is not wider than its padding.
    Window,
    /// A layer other than the last is as wide as there are classes.
    Classes,
    /// A layer has no channels, or the last one's output is a plane.
    Output,
    /// A shape, the weights or the buffer are larger than anything sensible.
    TooLarge,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::LayerCount => "the network has no layers or too many",
            Self::Unsupported => "the network has a layer that no device runs",
            Self::Window => "a window does not fit its input",
            Self::Classes => "a layer before the last is as wide as there are classes",
            Self::Output => "a layer has no channels, or the network's output is a plane",
            Self::TooLarge => "the network is too large",
        })
    }
}

impl core::error::Error for PlanError {}

/// The greatest edge of a plane or window, and the most features of a layer, that [`check`]
/// lets pass: far above any network here, far below overflow.
const SANE_EDGE: usize = 1 << 10;
const SANE_FEATURES: usize = 1 << 18;
const SANE_WEIGHTS: usize = 1 << 30;

/// Checks that `layers` make a network that runs row by row from `input` to a vector.
pub const fn check(layers: &[Layer], input: Shape, classes: usize) -> Result<(), PlanError> {
    if layers.is_empty() || layers.len() > MAX_LAYERS {
        return Err(PlanError::LayerCount);
    }
    if !is_sane(input) {
        return Err(PlanError::TooLarge);
    }
    if input.is_empty() {
        return Err(PlanError::Window);
    }
    let mut shape = input;
    let mut weights = 0usize;
    let mut rest = layers;
    while let [layer, after @ ..] = rest {
        if matches!(layer.activation, Activation::Sigmoid) {
            return Err(PlanError::Unsupported);
        }
        match layer.op {
            Op::Conv { window, channels } => {
                if window.kernel == 0 || window.stride == 0 || window.padding >= window.kernel {
                    return Err(PlanError::Window);
                }
                if window.kernel > SANE_EDGE
                    || window.stride > SANE_EDGE
                    || channels > SANE_FEATURES
                {
                    return Err(PlanError::TooLarge);
                }
            }
            Op::MaxPool { size } | Op::AveragePool { size } => {
                if size == 0 {
                    return Err(PlanError::Window);
                }
            }
            Op::Linear { features } => {
                if matches!(features, Features::Classes) && !after.is_empty() {
                    return Err(PlanError::Classes);
                }
            }
            Op::GlobalAveragePool => {}
            Op::ConvTransposed { .. } | Op::Unflatten { .. } => return Err(PlanError::Unsupported),
        }
        let output = layer.output(shape, classes);
        if output.height == 0 || output.width == 0 {
            return Err(PlanError::Window);
        }
        if output.channels == 0 {
            return Err(PlanError::Output);
        }
        if !is_sane(output) {
            return Err(PlanError::TooLarge);
        }
        let Some(more) = layer
            .weighted_channels(classes)
            .checked_mul(layer.fan_in(shape))
        else {
            return Err(PlanError::TooLarge);
        };
        weights = weights.saturating_add(more);
        if weights > SANE_WEIGHTS {
            return Err(PlanError::TooLarge);
        }
        shape = output;
        rest = after;
    }
    if !shape.is_vector() {
        return Err(PlanError::Output);
    }
    Ok(())
}

const fn is_sane(shape: Shape) -> bool {
    shape.height <= SANE_EDGE
        && shape.width <= SANE_EDGE
        && shape.channels <= SANE_FEATURES
        && match (shape.height * shape.width).checked_mul(shape.channels) {
            Some(values) => values <= SANE_WEIGHTS,
            None => false,
        }
}

/// How the rows of a layer's input lie in memory.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    /// Rows kept: a ring for a convolution, one row for all others, two where they come in pairs.
    pub rows: usize,
    /// Values from one row to the next, padding counted.
    pub pitch: usize,
    /// Padding before a row's first value.
    pub lead: usize,
    /// Values in a row, without padding.
    pub row: usize,
    /// Whether the rows are passing rows, which belong to no layer alone.
    pub passing: bool,
}

impl Store {
    const fn bytes(&self) -> usize {
        self.rows * self.pitch
    }

    /// Where row number `index` goes.
    #[inline(always)]
    pub fn slot<'m>(&self, memory: &'m mut [i8], index: i32) -> Option<&'m mut [i8]> {
        let slot = (index as usize).checked_rem(self.rows)?;
        memory
            .get_mut(slot * self.pitch + self.lead..)?
            .get_mut(..self.row)
    }

    /// The ring's slot of row number `index`, padding included.
    #[inline(always)]
    pub fn whole_slot<'m>(&self, memory: &'m mut [i8], index: i32) -> Option<&'m mut [i8]> {
        let slot = (index as usize).checked_rem(self.rows)?;
        memory.get_mut(slot * self.pitch..)?.get_mut(..self.pitch)
    }
}

/// Counters of a layer: input rows received (padding above counted), and rows dealt with.
pub(crate) const COUNTERS: usize = 2;

/// One layer's place in the network, its buffer and its parameters. The place after the last
/// layer is the output's: it has no operation and stores one row.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// What is done there.
    pub op: Option<Op>,
    /// What comes in.
    pub input: Shape,
    /// What goes out.
    pub output: Shape,
    /// How its input's rows are kept.
    pub store: Store,
    /// Accumulators.
    pub sums: usize,
    /// First word of its region.
    pub region: usize,
    /// Words of its region.
    pub words: usize,
    /// Its weights.
    pub weights: Weights,
    /// Their first byte, of all the network's, in each layout.
    starts: [usize; WeightLayout::ALL.len()],
    /// How it runs by Winograd's method, if it does.
    pub winograd: Option<Winograd>,
    /// Its first channel, of all the network's that have weights.
    pub channels: usize,
    /// Layers with weights before it.
    pub records: usize,
}

/// The place of layer `index`, or of the output where `index` is the number of layers.
/// `layers` must have passed [`check`].
pub(crate) const fn place(
    layers: &[Layer],
    input: Shape,
    classes: usize,
    method: Method,
    index: usize,
) -> Place {
    let mut place = Place {
        op: None,
        input,
        output: input,
        store: store(None, input, 0, None),
        sums: 0,
        region: scratch(layers, input, classes, method)
            + passing_rows(layers, input, classes, method).div_ceil(4),
        words: 0,
        weights: Weights::NONE,
        starts: [0; WeightLayout::ALL.len()],
        winograd: None,
        channels: 0,
        records: 0,
    };
    // Rows that the layer before hands over at once, if it is a convolution.
    let mut passing = 0;
    let mut at = 0;
    let mut rest = layers;
    loop {
        let layer = rest.split_first();
        if let Some((layer, after)) = layer {
            place.op = Some(layer.op);
            place.output = layer.output(place.input, classes);
            place.winograd = winograd(layer, place.input, place.output, after, method);
            place.weights = model::weights(layer, place.input, classes);
        } else {
            place.op = None;
            place.output = place.input;
            place.winograd = None;
            place.weights = Weights::NONE;
        }
        place.store = store(place.op, place.input, passing, place.winograd);
        place.sums = sums(place.op, place.input, place.output);
        let own = if place.store.passing {
            0
        } else {
            place.store.bytes().div_ceil(4)
        };
        place.words = COUNTERS + place.sums + own;
        let Some((layer, after)) = layer else {
            return place;
        };
        if at == index {
            return place;
        }
        place.region += place.words;
        place.starts = past(place.starts, &place.weights);
        place.channels += layer.weighted_channels(classes);
        if layer.weighted_channels(classes) > 0 {
            place.records += 1;
        }
        place.input = place.output;
        passing = rows_at_once(layer, place.winograd);
        rest = after;
        at += 1;
    }
}

/// The first bytes after those weights, in each layout.
const fn past([a, b, c]: [usize; 3], own: &Weights) -> [usize; 3] {
    const fn after(start: usize, own: &Weights, layout: WeightLayout) -> usize {
        match own.bytes(layout) {
            Some(bytes) => start + bytes,
            None => start,
        }
    }
    let [x, y, z] = WeightLayout::ALL;
    [after(a, own, x), after(b, own, y), after(c, own, z)]
}

impl Place {
    /// The first byte of its weights, of all the network's, in that layout.
    #[inline(always)]
    pub const fn start(&self, layout: WeightLayout) -> usize {
        let [portable, packed, winograd] = self.starts;
        match layout {
            WeightLayout::Portable => portable,
            WeightLayout::Packed => packed,
            WeightLayout::Winograd => winograd,
        }
    }
}

/// Words of 32 bits that a network needs to run.
pub const fn buffer_words(layers: &[Layer], input: Shape, classes: usize, method: Method) -> usize {
    let output = place(layers, input, classes, method, layers.len());
    output.region + output.words
}

/// Words of the region of layer `index` alone. `layers` must have passed [`check`].
pub const fn layer_words(
    layers: &[Layer],
    input: Shape,
    classes: usize,
    method: Method,
    index: usize,
) -> usize {
    place(layers, input, classes, method, index).words
}

/// How a layer that `after` follow runs by Winograd's method, if it does.
const fn winograd(
    layer: &Layer,
    input: Shape,
    output: Shape,
    after: &[Layer],
    method: Method,
) -> Option<Winograd> {
    let next = match after {
        [next, ..] => Some(next.op),
        [] => None,
    };
    match (method, layer.op) {
        (Method::Winograd, Op::Conv { window, .. }) => Winograd::of(window, input, output, next),
        _ => None,
    }
}

/// Rows that a convolution hands over at once; none where the layer is none.
const fn rows_at_once(layer: &Layer, winograd: Option<Winograd>) -> usize {
    match (layer.op, winograd) {
        (Op::Conv { .. }, None) => 1,
        (Op::Conv { .. }, Some(_)) => 2,
        _ => 0,
    }
}

/// Words at the buffer's start for the windows of its convolutions.
pub(crate) const fn scratch(
    layers: &[Layer],
    input: Shape,
    classes: usize,
    method: Method,
) -> usize {
    let mut most = 0;
    let mut shape = input;
    let mut rest = layers;
    while let [layer, after @ ..] = rest {
        if let Op::Conv { window, .. } = layer.op {
            let output = layer.output(shape, classes);
            let plain = kernels::scratch_words(kernels::taps(window, shape.channels));
            let packed = match Packing::of(window, shape, output) {
                Some(packing) => packing.scratch_words(output.channels),
                None => 0,
            };
            let transformed = match winograd(layer, shape, output, after, method) {
                Some(winograd) => winograd.scratch_words(),
                None => 0,
            };
            most = max(most, max(plain, max(packed, transformed)));
        }
        shape = layer.output(shape, classes);
        rest = after;
    }
    most
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Bytes of the longest rows that a convolution hands to a layer other than a convolution.
const fn passing_rows(layers: &[Layer], input: Shape, classes: usize, method: Method) -> usize {
    let mut most = 0;
    let mut shape = input;
    let mut rest = layers;
    while let [layer, after @ ..] = rest {
        let output = layer.output(shape, classes);
        if let [next, ..] = after
            && !matches!(next.op, Op::Conv { .. })
        {
            let winograd = winograd(layer, shape, output, after, method);
            most = max(most, rows_at_once(layer, winograd) * output.row());
        }
        shape = output;
        rest = after;
    }
    most
}

/// `passing` is how many rows the convolution before hands over at once, if there is one.
const fn store(op: Option<Op>, input: Shape, passing: usize, winograd: Option<Winograd>) -> Store {
    match op {
        Some(Op::Conv { window, .. }) => Store {
            rows: match winograd {
                Some(_) => Winograd::ROWS,
                None => window.kernel,
            },
            pitch: (input.width + 2 * window.padding) * input.channels,
            lead: window.padding * input.channels,
            row: input.row(),
            passing: false,
        },
        _ => Store {
            rows: max(passing, 1),
            pitch: input.row(),
            lead: 0,
            row: input.row(),
            passing: passing > 0 && op.is_some(),
        },
    }
}

const fn sums(op: Option<Op>, input: Shape, output: Shape) -> usize {
    match op {
        Some(Op::AveragePool { .. } | Op::GlobalAveragePool) => output.row(),
        Some(Op::Linear { .. }) if input.height > 1 => output.channels,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Window;
    use crate::network::{Edge, INPUT, Network};
    use heapless::Vec;
    use proptest::prelude::*;

    #[test]
    fn edge_needs_the_words_counted_by_hand() {
        // 4 pixels of 3 × 3 × 64, four first sums of each 64 of 192 steps, two carries a channel.
        let scratch: usize = 2 * 192 + 8 * 3 + 2 * 128;
        let passing = 24 * 64; // a row of conv3; one of conv4 is as long
        let conv1 = 5 * 100 * 3;
        let conv2 = 3 * 50 * 16;
        let conv3 = 3 * 26 * 32;
        let conv4 = 3 * 14 * 64;
        let pool2 = 4 * 128;
        let fc1 = 128;
        let logits = 200;
        let bytes = 4 * scratch + passing + conv1 + conv2 + conv3 + conv4 + pool2 + fc1 + logits;
        let counters = 8 * COUNTERS;
        assert_eq!(
            buffer_words(Edge::LAYERS, INPUT, 200, Method::Direct),
            bytes.div_ceil(4) + counters
        );
    }

    #[test]
    fn what_no_device_runs_is_refused() {
        let input = Shape::plane(8, 8, 2);
        let conv =
            |kernel, stride, padding| Layer::conv("c", Window::new(kernel, stride, padding), 4);
        let fc = Layer::linear("fc", Features::Fixed(3));
        let classes = Layer::linear("fc", Features::Classes);
        let refused: &[(&[Layer], PlanError)] = &[
            (&[], PlanError::LayerCount),
            (&[fc; 13], PlanError::LayerCount),
            (&[conv(0, 1, 0), fc], PlanError::Window),
            (&[conv(3, 0, 0), fc], PlanError::Window),
            (&[conv(3, 1, 3), fc], PlanError::Window),
            (&[conv(9, 1, 0), fc], PlanError::Window),
            (&[conv(2000, 1, 1999), fc], PlanError::TooLarge),
            (&[conv(3, 1, 1)], PlanError::Output),
            (
                &[Layer::linear("fc", Features::Fixed(0))],
                PlanError::Output,
            ),
            (
                &[Layer::linear("fc", Features::Fixed(1 << 20))],
                PlanError::TooLarge,
            ),
            (&[classes, fc], PlanError::Classes),
            (
                &[Layer::new("pool", Op::MaxPool { size: 0 }), fc],
                PlanError::Window,
            ),
            (
                &[Layer::new("pool", Op::AveragePool { size: 9 }), fc],
                PlanError::Window,
            ),
            (&[fc.ending_in(Activation::Sigmoid)], PlanError::Unsupported),
            (
                &[
                    Layer::new(
                        "plane",
                        Op::Unflatten {
                            height: 8,
                            width: 8,
                        },
                    ),
                    fc,
                ],
                PlanError::Unsupported,
            ),
        ];
        for (layers, error) in refused {
            assert_eq!(check(layers, input, 10), Err(*error), "{layers:?}");
        }
        let layers = [conv(3, 1, 1), classes];
        assert_eq!(check(&layers, input, 10), Ok(()));
        assert_eq!(check(&layers, input, 0), Err(PlanError::Output));
        assert_eq!(
            check(&layers, Shape::plane(0, 8, 2), 10),
            Err(PlanError::Window)
        );
        let vast = Shape::plane(usize::MAX, usize::MAX, usize::MAX);
        assert_eq!(check(&layers, vast, 10), Err(PlanError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_number_makes_the_check_panic(
            numbers in prop::collection::vec((0u8..5, number(), number(), number(), number()), 1..5),
            classes in number(),
        ) {
            let layers: Vec<Layer, 4> = (numbers.iter())
                .map(|&(op, kernel, stride, padding, channels)| match op {
                    0 | 1 => Layer::conv("c", Window::new(kernel, stride, padding), channels),
                    2 => Layer::new("p", Op::MaxPool { size: kernel }),
                    3 => Layer::new("p", Op::AveragePool { size: kernel }),
                    _ => Layer::hidden("fc", channels),
                })
                .collect();
            let input = Shape::plane(9, 7, 3);
            if check(&layers, input, classes).is_ok() {
                prop_assert!(buffer_words(&layers, input, classes, Method::Direct) > 0);
                prop_assert!(buffer_words(&layers, input, classes, Method::Winograd) > 0);
            }
        }
    }

    /// Any number, small ones as often as all others.
    fn number() -> impl Strategy<Value = usize> {
        prop_oneof![0usize..6, any::<usize>()]
    }
}
