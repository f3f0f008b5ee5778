//! One layer with its weights.

use std::sync::Arc;

use anyhow::Result;
use dfdx::tensor::NoneTape;
use vae96::{Activation, Layer, Op, Shape};

use super::ops::Map;
use super::ops::activation::with;
use super::ops::average_pool::average_pool;
use super::ops::batch_norm::{Affine, InPlace, Moments};
use super::ops::biased::{biased, finish};
use super::ops::conv::{conv, conv_transposed};
use super::ops::linear::Linear;
use super::ops::max_pool::max_pool;
use super::ops::normalised::normalised;
use super::parameter::{Parameter, Variable};
use super::source::Values;
use super::source::read_all;
use super::tape::{Node, Tape};
use crate::backend::description::Described;

/// Share of a training batch's statistics in the running ones, as in PyTorch.
pub const MOMENTUM: f64 = 0.1;

/// A batch on its way through a network.
#[derive(Clone)]
pub struct Signal {
    /// The shape of each image's values.
    pub shape: Shape,
    /// The values of all images.
    pub node: Node,
}

/// A layer with its weights.
#[derive(Clone, Debug)]
pub struct Block {
    description: Described,
    weighted: Option<Weighted>,
}

#[derive(Clone, Debug)]
struct Weighted {
    weight: Parameter,
    bias: Option<Parameter>,
    norm: Option<Norm>,
}

/// BatchNorm's variables.
#[derive(Clone, Debug)]
struct Norm {
    scale: Parameter,
    shift: Parameter,
    mean: Variable,
    variance: Variable,
}

impl Block {
    /// A layer with weights of zero.
    pub fn new(description: Described) -> Self {
        let Layer {
            name,
            bias,
            batch_norm,
            ..
        } = description.layer;
        let weighted = description.tensors.as_ref().map(|tensors| {
            let vector = |name: String| {
                Variable::new(name, vec![tensors.channels], tensors.channel_layout.clone())
            };
            let learned = |name: String| Parameter::new(vector(name), false);
            let weight = Variable::new(
                format!("{name}.weight"),
                tensors.weight.clone(),
                tensors.weight_layout.clone(),
            );
            Weighted {
                weight: Parameter::new(weight, true),
                bias: bias.then(|| learned(format!("{name}.bias"))),
                norm: batch_norm.then(|| Norm {
                    scale: learned(format!("{name}_bn.weight")),
                    shift: learned(format!("{name}_bn.bias")),
                    mean: vector(format!("{name}_bn.running_mean")),
                    variance: vector(format!("{name}_bn.running_var")),
                }),
            }
        });
        Self {
            description,
            weighted,
        }
    }

    /// The layer's name.
    pub fn name(&self) -> &'static str {
        self.description.layer.name
    }

    /// Whether there is anything to learn in it.
    pub fn has_weights(&self) -> bool {
        self.weighted.is_some()
    }

    /// Every tensor of the layer.
    pub fn variables(&self) -> Vec<&Variable> {
        let Some(Weighted { weight, bias, norm }) = &self.weighted else {
            return Vec::new();
        };
        let mut all = vec![&weight.variable];
        all.extend(bias.iter().map(|bias| &bias.variable));
        if let Some(norm) = norm {
            all.extend([&norm.scale.variable, &norm.shift.variable]);
            all.extend([&norm.mean, &norm.variance]);
        }
        all
    }

    /// Every tensor of the layer, to be replaced.
    pub fn variables_mut(&mut self) -> Vec<&mut Variable> {
        let Some(Weighted { weight, bias, norm }) = &mut self.weighted else {
            return Vec::new();
        };
        let mut all = vec![&mut weight.variable];
        all.extend(bias.iter_mut().map(|bias| &mut bias.variable));
        if let Some(norm) = norm {
            all.extend([&mut norm.scale.variable, &mut norm.shift.variable]);
            all.extend([&mut norm.mean, &mut norm.variance]);
        }
        all
    }

    /// What gradients move.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let Some(Weighted { weight, bias, norm }) = &mut self.weighted else {
            return Vec::new();
        };
        let mut all = vec![weight];
        // BatchNorm takes a bias before it away again: nothing depends on it.
        all.extend(bias.iter_mut().filter(|_| norm.is_none()));
        if let Some(norm) = norm {
            all.extend([&mut norm.scale, &mut norm.shift]);
        }
        all
    }

    /// The layer in training: BatchNorm by the batch's statistics, of which the running ones take in a
    /// share of `momentum`.
    pub fn train<T: Tape>(
        &mut self,
        tape: &mut T,
        input: &Signal,
        momentum: f64,
    ) -> Result<Signal> {
        let shape = self.output(input.shape)?;
        let map = map(self.description.layer.op, input.shape, shape);
        let node = match (&mut self.weighted, map) {
            (Some(weighted), Some(map)) => {
                let activation = self.description.layer.activation;
                weighted.train(tape, map, &input.node, activation, momentum)
            }
            _ => without_weights(self.description.layer.op, tape, input),
        };
        Ok(Signal { shape, node })
    }

    /// The layer in use: BatchNorm by its running statistics.
    pub fn infer(&self, input: &Signal) -> Result<Signal> {
        let shape = self.output(input.shape)?;
        let map = map(self.description.layer.op, input.shape, shape);
        let node = match (&self.weighted, map) {
            (Some(weighted), Some(map)) => weighted.infer(
                map.as_ref(),
                &input.node.values,
                self.description.layer.activation,
            ),
            _ => without_weights(self.description.layer.op, &mut NoneTape, input),
        };
        Ok(Signal { shape, node })
    }

    /// The shape it makes of `input`.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        self.description.output(input)
    }
}

impl Weighted {
    fn train<T: Tape>(
        &mut self,
        tape: &mut T,
        map: Box<dyn Map>,
        inputs: &Node,
        activation: Activation,
        momentum: f64,
    ) -> Node {
        let bias = self.bias.as_ref();
        let Some(norm) = &mut self.norm else {
            return biased(tape, map, inputs, &self.weight, bias, activation);
        };
        let (scale, shift) = (&norm.scale, &norm.shift);
        let (node, moments) = normalised(tape, map, inputs, &self.weight, scale, shift, activation);
        norm.follow(&moments, bias, momentum);
        node
    }

    fn infer(&self, map: &dyn Map, inputs: &Values, activation: Activation) -> Node {
        let mut values = map.forward(inputs, &self.weight.variable.values);
        let bias = self
            .bias
            .as_ref()
            .map(|bias| bias.variable.values.as_slice());
        match &self.norm {
            None => finish(&mut values, bias, activation),
            Some(norm) => with(
                activation,
                InPlace {
                    values: &mut values,
                    affine: &norm.affine(bias),
                },
            ),
        }
        Node::constant(values)
    }
}

impl Norm {
    /// Moves the running statistics towards those of a batch. A bias before BatchNorm is left out
    /// of the batch's means, so it is added here.
    fn follow(&mut self, moments: &Moments, bias: Option<&Parameter>, momentum: f64) {
        let step = |running: &mut f32, value: f64| {
            *running = ((1.0 - momentum) * f64::from(*running) + momentum * value) as f32;
        };
        let means = Arc::make_mut(&mut self.mean.values);
        for (channel, running) in means.iter_mut().enumerate() {
            let bias = bias.map_or(0.0, |bias| f64::from(bias.variable.values[channel]));
            step(running, moments.mean[channel] + bias);
        }
        let variances = Arc::make_mut(&mut self.variance.values);
        (variances.iter_mut())
            .zip(moments.unbiased_variance())
            .for_each(|(running, variance)| step(running, variance));
    }

    /// Normalisation by the running statistics of a map whose bias is left out.
    fn affine(&self, bias: Option<&[f32]>) -> Affine {
        let double = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let mut mean = double(&self.mean.values);
        if let Some(bias) = bias {
            (mean.iter_mut().zip(bias)).for_each(|(mean, bias)| *mean -= f64::from(*bias));
        }
        Affine::new(
            &mean,
            &double(&self.variance.values),
            &self.scale.variable.values,
            &self.shift.variable.values,
        )
    }
}

/// The map of a layer that has weights.
fn map(op: Op, input: Shape, output: Shape) -> Option<Box<dyn Map>> {
    match op {
        Op::Conv { window, channels } => Some(conv(input, window, channels)),
        Op::ConvTransposed { window, .. } => Some(Box::new(conv_transposed(input, window, output))),
        Op::Linear { .. } => Some(Box::new(Linear {
            inputs: input.len(),
            outputs: output.len(),
        })),
        Op::MaxPool { .. }
        | Op::AveragePool { .. }
        | Op::GlobalAveragePool
        | Op::Unflatten { .. } => None,
    }
}

/// A layer that has none.
fn without_weights<T: Tape>(op: Op, tape: &mut T, input: &Signal) -> Node {
    let Signal { shape, node } = input;
    match op {
        Op::MaxPool { size } => max_pool(tape, node, *shape, size),
        Op::AveragePool { size } => average_pool(tape, node, *shape, (size, size)),
        Op::GlobalAveragePool => average_pool(tape, node, *shape, (shape.height, shape.width)),
        // The linear layer before it has put its outputs in a plane's order. Its values are read in
        // pieces from now on, which a function of each one's place in the vector does not allow.
        Op::Unflatten { .. } => Node {
            values: Arc::new(read_all(node.values.as_ref(), shape.len()).into()),
            key: node.key.clone(),
        },
        Op::Conv { .. } | Op::ConvTransposed { .. } | Op::Linear { .. } => {
            unreachable!("a layer with weights")
        }
    }
}
