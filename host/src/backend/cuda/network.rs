//! A sequence of layers: their tensors, where their values lie in a pass over a batch, and the
//! launches of the pass.

use anyhow::{Result, ensure};
use vae96::{Activation, Layer, Op, Shape};

use super::memory::{Arena, Buffer, Kind, Slot, Span};
use super::ops::losses::Ending;
use super::ops::maps::{Map, Operands};
use super::ops::norm::{Kept, Meeting, Norm, meeting};
use super::ops::optimiser::Adam;
use super::ops::pools::Pool;
use super::ops::{Columns, Gpu, MOMENTS};
use super::optimiser::State;
use super::pack::{Index, Pack};
use super::share::Share;
use crate::backend::description::Described;
use crate::backend::{LayerRates, Optimiser, Update};

/// Layers, one after the other.
#[derive(Clone, Debug)]
pub struct Network {
    blocks: Vec<Block>,
    /// The shape it makes of the input it was built for.
    pub output: Shape,
}

/// A layer and its tensors.
#[derive(Clone, Debug)]
struct Block {
    description: Described,
    tensors: Option<Tensors>,
}

/// The tensors of a layer with weights.
#[derive(Clone, Debug)]
struct Tensors {
    weight: Index,
    bias: Option<Index>,
    norm: Option<NormTensors>,
}

#[derive(Clone, Debug)]
struct NormTensors {
    scale: Index,
    shift: Index,
    mean: Index,
    variance: Index,
}

/// Where the values of all layers lie during a pass over a batch.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The input, f32, and where it lies as layers read it, if that is not the same.
    rounded: Option<[Slot; 2]>,
    frames: Vec<Frame>,
    share: Share,
    /// Where the last layer's values lie.
    pub output: Slot,
    /// The shape of each image's.
    pub shape: Shape,
}

/// Where those of one layer lie.
#[derive(Clone, Debug)]
struct Frame {
    input: Shape,
    output: Shape,
    from: Slot,
    /// A map's values before BatchNorm; without BatchNorm the same as `to`.
    inner: Slot,
    to: Slot,
    aside: Aside,
    /// Whether bias and activation are left to whoever reads its values.
    open: bool,
}

/// What a layer keeps for its backward pass beside its values.
#[derive(Clone, Copy, Debug)]
enum Aside {
    Nothing,
    Norm {
        statistics: Slot,
        affine: Slot,
        slopes: Slot,
        meeting: Option<Slot>,
    },
    /// The taps of maxima, i32.
    Winners(Slot),
}

/// The slots of gradients on their way through a pass: a layer turns the one into the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradients([Slot; 2]);

impl Gradients {
    /// Slots for the gradients of all layers of these passes.
    pub fn new<'a>(arena: &mut Arena, passes: impl IntoIterator<Item = &'a Pass>) -> Self {
        let frames = passes.into_iter().flat_map(|pass| &pass.frames);
        let len = frames.map(|frame| frame.from.len.max(frame.to.len)).max();
        Self([(); 2].map(|()| arena.place_values(len.unwrap_or(0))))
    }

    /// A slot for the gradient of a pass's output.
    pub fn of_output(&self, pass: &Pass) -> Slot {
        self.0[0].first(pass.output.len)
    }

    /// The slot that is not this one.
    fn other(&self, slot: Slot, len: usize) -> Slot {
        let free = self.0.iter().find(|other| other.start != slot.start);
        free.unwrap_or(&self.0[0]).first(len)
    }
}

/// The memory that a pass works on.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// Launches the kernels.
    pub gpu: &'a Gpu,
    /// The model's tensors.
    pub pack: &'a Pack,
    /// Their values.
    pub values: &'a Buffer,
    /// The slots of the pass.
    pub arena: &'a Buffer,
    /// Scratch memory in it.
    pub scratch: Slot,
}

impl<'a> Memory<'a> {
    /// A slot of the pass.
    pub fn at(&self, slot: Slot) -> Span<'a> {
        self.arena.at(slot)
    }

    /// The scratch memory.
    pub fn scratch(&self) -> Span<'a> {
        self.at(self.scratch)
    }

    fn tensor(&self, index: Index) -> Span<'a> {
        self.values.at(self.pack.get(index).slot)
    }
}

/// A backward pass: what it learns.
pub struct Backward<'a> {
    /// How weights move.
    pub update: &'a Update,
    /// What the rules remember.
    pub state: &'a mut State,
    /// The gradients of the model's tensors.
    pub gradients: &'a Buffer,
    /// The slots of gradients on their way.
    pub slots: Gradients,
    /// Tensors that got a gradient, with the factor of their layer's rate.
    pub learned: Vec<(Index, f64)>,
}

impl Backward<'_> {
    /// The factors of the layers' rates.
    pub fn rates(&self) -> &LayerRates {
        &self.update.layer_rates
    }

    /// The rule by which a tensor may move before all gradients are there, and known to all
    /// machines.
    fn at_once(&self, share: Share) -> Option<Adam> {
        match (self.update.optimiser, self.update.clip_norm) {
            (Optimiser::AdamW { betas, epsilon }, None) if share.is_whole() => {
                Some(Adam { betas, epsilon })
            }
            _ => None,
        }
    }

    fn learn(&mut self, index: Index, rate: f64) {
        if rate != 0.0 {
            self.learned.push((index, rate));
        }
    }
}

impl Network {
    /// The network of `layers` for inputs of shape `input`; its tensors join the pack.
    pub fn new(layers: &[Layer], input: Shape, classes: usize, pack: &mut Pack) -> Result<Self> {
        let (layers, output) = Described::sequence(layers, input, classes)?;
        let blocks = layers.into_iter().map(|layer| Block::new(layer, pack));
        Ok(Self {
            blocks: blocks.collect(),
            output,
        })
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether any of its layers learns.
    pub fn learns(&self, rates: &LayerRates) -> bool {
        self.blocks.iter().any(|block| block.learns(rates))
    }

    /// The shape it makes of an input of another shape than it was built for.
    pub fn check(&self, input: Shape) -> Result<Shape> {
        let mut blocks = self.blocks.iter();
        blocks.try_fold(input, |shape, block| block.description.output(shape))
    }

    /// Lays out a pass over a share of a batch, inputs of shape `input` that lie in `from`. Its outputs
    /// are what layers read, or f32.
    pub fn lay_out(
        &self,
        arena: &mut Arena,
        share: Share,
        input: Shape,
        from: Slot,
        outputs: Kind,
    ) -> Result<Pass> {
        let (mut shape, mut slot) = (input, from);
        let rounds = !self.is_empty() && from.kind != arena.kind();
        let rounded = rounds.then(|| [from, arena.place_values(from.len)]);
        if let Some([_, rounded]) = rounded {
            slot = rounded;
        }
        let mut frames = Vec::with_capacity(self.blocks.len());
        for (index, block) in self.blocks.iter().enumerate() {
            let last = index + 1 == self.blocks.len();
            let kind = if last { outputs } else { arena.kind() };
            let frame = block.lay_out(arena, share, shape, slot, kind)?;
            (shape, slot) = (frame.output, frame.to);
            frames.push(frame);
        }
        Ok(Pass {
            rounded,
            frames,
            share,
            output: slot,
            shape,
        })
    }

    /// Leaves the last layer's bias and activation to whoever reads the pass's output, and takes the
    /// gradient of what is without them.
    pub fn open(&self, pass: &mut Pass) {
        if let (Some(block), Some(frame)) = (self.blocks.last(), pass.frames.last_mut()) {
            frame.open = block.has_ending();
        }
    }

    /// What a pass that has been opened leaves.
    pub fn ending<'a>(&self, memory: Memory<'a>) -> Ending<'a> {
        let open = self.blocks.last().filter(|block| block.has_ending());
        let bias = open.and_then(|block| block.tensors.as_ref()?.bias);
        Ending {
            channels: self.output.channels,
            bias: bias.map(|bias| memory.tensor(bias)),
            activation: open.map_or(Activation::None, Block::activation),
        }
    }

    /// All layers in training: BatchNorm by the statistics of the whole batch, which move the running
    /// ones.
    pub fn train(&self, memory: Memory, pass: &Pass) -> Result<()> {
        self.forward(memory, pass, true)
    }

    /// All layers in use: BatchNorm by its running statistics.
    pub fn infer(&self, memory: Memory, pass: &Pass) -> Result<()> {
        self.forward(memory, pass, false)
    }

    fn forward(&self, memory: Memory, pass: &Pass, training: bool) -> Result<()> {
        if let Some([input, rounded]) = pass.rounded {
            memory.gpu.round(memory.at(input), memory.at(rounded))?;
        }
        let mut layers = self.blocks.iter().zip(&pass.frames);
        layers.try_for_each(|(block, frame)| block.forward(memory, frame, pass.share, training))
    }

    /// The layers backwards, from the gradient of the output down to the first that learns, or to
    /// the input, whose gradient goes to (or is added in) `to`. The gradient is used up.
    pub fn backward(
        &self,
        memory: Memory,
        pass: &Pass,
        backward: &mut Backward,
        gradient: Slot,
        to: Option<(Slot, bool)>,
    ) -> Result<()> {
        let learns = |block: &Block| block.learns(backward.rates());
        let first = match to {
            Some(_) => 0,
            None => match self.blocks.iter().position(learns) {
                Some(first) => first,
                None => return Ok(()),
            },
        };
        let mut gradient = gradient;
        let layers = self.blocks.iter().zip(&pass.frames).enumerate();
        for (index, (block, frame)) in layers.skip(first).rev() {
            let to = if index > first {
                Some((backward.slots.other(gradient, frame.from.len), false))
            } else {
                to
            };
            gradient = block.backward(memory, frame, pass.share, backward, gradient, to)?;
        }
        Ok(())
    }
}

impl Block {
    fn new(description: Described, pack: &mut Pack) -> Self {
        let Layer {
            name,
            bias,
            batch_norm,
            ..
        } = description.layer;
        let tensors = description.tensors.as_ref().map(|tensors| {
            let mut vector = |name: String| {
                let layout = tensors.channel_layout.clone();
                pack.add(name, vec![tensors.channels], layout, false)
            };
            let bias = bias.then(|| vector(format!("{name}.bias")));
            let norm = batch_norm.then(|| NormTensors {
                scale: vector(format!("{name}_bn.weight")),
                shift: vector(format!("{name}_bn.bias")),
                mean: vector(format!("{name}_bn.running_mean")),
                variance: vector(format!("{name}_bn.running_var")),
            });
            let (shape, layout) = (tensors.weight.clone(), tensors.weight_layout.clone());
            let weight = pack.add(format!("{name}.weight"), shape, layout, true);
            Tensors { weight, bias, norm }
        });
        Self {
            description,
            tensors,
        }
    }

    /// Whether bias and activation follow its map at once.
    fn has_ending(&self) -> bool {
        (self.tensors.as_ref()).is_some_and(|tensors| tensors.norm.is_none())
    }

    fn op(&self) -> Op {
        self.description.layer.op
    }

    fn activation(&self) -> Activation {
        self.description.layer.activation
    }

    fn learns(&self, rates: &LayerRates) -> bool {
        self.tensors.is_some() && rates.of(self.description.layer.name) != 0.0
    }

    fn lay_out(
        &self,
        arena: &mut Arena,
        share: Share,
        input: Shape,
        from: Slot,
        outputs: Kind,
    ) -> Result<Frame> {
        let output = self.description.output(input)?;
        let count = share.count;
        let len = count * output.len();
        let (rows, channels) = (len / output.channels, output.channels);
        if let Some(map) = Map::new(self.op(), input, output, count) {
            map.need(arena);
            Columns::need(rows, channels, arena);
        }
        let normalised = self.description.layer.batch_norm;
        ensure!(
            outputs == arena.kind() || self.tensors.is_some() && !normalised,
            "{}: the last layer of a network is a map without BatchNorm",
            self.description.layer.name
        );
        let aside = match self.op() {
            _ if normalised => Aside::Norm {
                statistics: arena.place_doubles(2 * channels),
                affine: arena.place(2 * channels),
                slopes: arena.place(2 * channels),
                meeting: (!share.is_whole()).then(|| arena.place(meeting(share, channels))),
            },
            Op::MaxPool { .. } => Aside::Winners(arena.place(len)),
            _ => Aside::Nothing,
        };
        let to = match self.op() {
            Op::Unflatten { .. } => from,
            _ => arena.place_as(outputs, len),
        };
        Ok(Frame {
            input,
            output,
            from,
            inner: if normalised {
                arena.place_values(len)
            } else {
                to
            },
            to,
            aside,
            open: false,
        })
    }

    fn forward(&self, memory: Memory, frame: &Frame, share: Share, training: bool) -> Result<()> {
        let (gpu, count) = (memory.gpu, share.count);
        let (from, inner, to) = (
            memory.at(frame.from),
            memory.at(frame.inner),
            memory.at(frame.to),
        );
        let map = Map::new(self.op(), frame.input, frame.output, count);
        let (Some(map), Some(tensors)) = (map, &self.tensors) else {
            return self.forward_without_weights(memory, frame, count);
        };
        // BatchNorm's moments come with the map's values, where its tiles can give them.
        let tiles = match &tensors.norm {
            Some(_) if training => map.tiles(gpu.precision()),
            _ => None,
        };
        let channels = frame.output.channels;
        let moments = tiles.map(|tiles| memory.scratch().part(0, tiles * channels * MOMENTS));
        map.forward(
            gpu,
            Operands {
                factors: [from, memory.tensor(tensors.weight)],
                out: inner,
                add: false,
                scratch: memory.scratch(),
                moments,
            },
        )?;
        let activation = self.activation();
        let bias = tensors.bias.map(|bias| memory.tensor(bias));
        let (Some(norm), Some(kept)) = (&tensors.norm, kept(memory, frame, share)) else {
            return match frame.open {
                true => Ok(()),
                false => gpu.finish(inner, channels, bias, activation),
            };
        };
        let norm = Norm {
            scale: memory.tensor(norm.scale),
            shift: memory.tensor(norm.shift),
            mean: memory.tensor(norm.mean),
            variance: memory.tensor(norm.variance),
            bias,
        };
        match training {
            true => gpu.moments(inner, norm, kept, memory.scratch(), tiles)?,
            false => gpu.running_affine(norm, kept.affine)?,
        }
        gpu.normalise(inner, kept.affine, activation, to)
    }

    fn forward_without_weights(&self, memory: Memory, frame: &Frame, count: usize) -> Result<()> {
        let (from, to) = (memory.at(frame.from), memory.at(frame.to));
        match (self.pool(frame, count), frame.aside) {
            (Some(pool), Aside::Winners(winners)) => {
                (memory.gpu).max_pool(pool, from, to, memory.at(winners))
            }
            (Some(pool), _) => memory.gpu.average_pool(pool, from, to),
            // The linear layer before it has put its outputs in a plane's order.
            (None, _) => Ok(()),
        }
    }

    fn pool(&self, frame: &Frame, count: usize) -> Option<Pool> {
        let Shape { height, width, .. } = frame.input;
        let (height, width) = match self.op() {
            Op::MaxPool { size } | Op::AveragePool { size } => (size, size),
            Op::GlobalAveragePool => (height, width),
            _ => return None,
        };
        Some(Pool::new(count, frame.input, height, width))
    }

    /// The gradient of the layer's input, where `to` asks for it.
    fn backward(
        &self,
        memory: Memory,
        frame: &Frame,
        share: Share,
        backward: &mut Backward,
        gradient: Slot,
        to: Option<(Slot, bool)>,
    ) -> Result<Slot> {
        let (gpu, count) = (memory.gpu, share.count);
        let map = Map::new(self.op(), frame.input, frame.output, count);
        let (Some(map), Some(tensors)) = (map, &self.tensors) else {
            return self.backward_without_weights(memory, frame, count, gradient, to);
        };
        let rate = backward.rates().of(self.description.layer.name);
        let values = memory.at(gradient);
        let gradients = backward.gradients;
        let of = |index| gradients.at(memory.pack.get(index).slot);
        let scratch = memory.scratch();
        match (&tensors.norm, kept(memory, frame, share)) {
            (Some(norm), Some(kept)) => {
                let both = [of(norm.scale), of(norm.shift)];
                let inner = memory.at(frame.inner);
                gpu.norm_backward(inner, kept, self.activation(), values, both, scratch)?;
                backward.learn(norm.scale, rate);
                backward.learn(norm.shift, rate);
            }
            _ => {
                ensure!(
                    self.activation() == Activation::None || frame.open,
                    "{}: an activation without BatchNorm ends a network",
                    self.description.layer.name
                );
                // BatchNorm would take a bias away again: one before it learns nothing.
                if let Some(bias) = tensors.bias
                    && rate != 0.0
                {
                    gpu.column_sums(values, of(bias), scratch)?;
                    add_up(share, of(bias))?;
                    backward.learn(bias, rate);
                }
            }
        }
        let factors = [memory.at(frame.from), values];
        let rule = backward.at_once(share);
        let rule = rule.filter(|_| map.moves_weights(gpu.precision()));
        if rate != 0.0 && rule.is_none() {
            let operands = Operands {
                factors,
                out: of(tensors.weight),
                add: false,
                scratch,
                moments: None,
            };
            map.weight_gradient(gpu, operands)?;
            add_up(share, of(tensors.weight))?;
            backward.learn(tensors.weight, rate);
        }
        if let Some((to, add)) = to {
            let operands = Operands {
                factors: [values, memory.tensor(tensors.weight)],
                out: memory.at(to),
                add,
                scratch,
                moments: None,
            };
            map.input_gradient(gpu, operands)?;
        }
        // The input's gradient is by the weights as they were.
        if let Some(rule) = rule
            && rate != 0.0
        {
            let (weight, update) = (tensors.weight, backward.update);
            let step = backward.state.moving(memory, weight, rate, update, rule)?;
            map.move_weights(gpu, factors, step)?;
        }
        Ok(to.map_or(gradient, |(to, _)| to))
    }

    fn backward_without_weights(
        &self,
        memory: Memory,
        frame: &Frame,
        count: usize,
        gradient: Slot,
        to: Option<(Slot, bool)>,
    ) -> Result<Slot> {
        let (Some((to, _)), Some(pool)) = (to, self.pool(frame, count)) else {
            return Ok(gradient);
        };
        let (values, out) = (memory.at(gradient), memory.at(to));
        match frame.aside {
            Aside::Winners(winners) => {
                (memory.gpu).max_pool_backward(pool, values, memory.at(winners), out)?;
            }
            _ => memory.gpu.average_pool_backward(pool, values, out)?,
        }
        Ok(to)
    }
}

/// Adds a gradient up over all machines that share the batch, while the backward pass goes on.
fn add_up(share: Share, gradient: Span) -> Result<()> {
    match share.is_whole() {
        true => Ok(()),
        false => gradient.reduce_beside(),
    }
}

fn kept<'a>(memory: Memory<'a>, frame: &Frame, share: Share) -> Option<Kept<'a>> {
    match frame.aside {
        Aside::Norm {
            statistics,
            affine,
            slopes,
            meeting,
        } => Some(Kept {
            statistics: memory.at(statistics),
            affine: memory.at(affine),
            slopes: memory.at(slopes),
            meeting: meeting.map(|slot| Meeting {
                share,
                table: memory.at(slot),
            }),
        }),
        _ => None,
    }
}
