//! A sequence of layers as both machines build it: checked, with its tensors and how they lie.

use anyhow::{Result, ensure};
use vae96::{Activation, Layer, Op, Shape};

use super::layout::Layout;

/// A layer in its place.
#[derive(Clone, Debug)]
pub struct Described {
    /// What it is.
    pub layer: Layer,
    /// The width of a layer that has one value a class.
    pub classes: usize,
    /// The shapes and layouts of its tensors; none where it has nothing to learn.
    pub tensors: Option<Tensors>,
}

/// How the tensors of a layer with weights lie.
#[derive(Clone, Debug)]
pub struct Tensors {
    /// PyTorch's dimensions of the weights.
    pub weight: Vec<usize>,
    /// Where the weights lie.
    pub weight_layout: Layout,
    /// Values of a bias, and of each of BatchNorm's tensors.
    pub channels: usize,
    /// Where those lie.
    pub channel_layout: Layout,
}

impl Described {
    /// The layers of a network for inputs of shape `input`, and the shape it makes of them.
    ///
    /// # Errors
    /// Where a layer does not fit the one before it.
    pub fn sequence(
        layers: &[Layer],
        input: Shape,
        classes: usize,
    ) -> Result<(Vec<Described>, Shape)> {
        let mut shape = input;
        let mut all = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            if let Op::Unflatten { .. } = layer.op {
                let before = index.checked_sub(1).map(|before| layers[before].op);
                ensure!(
                    matches!(before, Some(Op::Linear { .. })),
                    "layer {} makes a plane of something else than a linear layer",
                    layer.name
                );
            }
            let output = layer.output(shape, classes);
            ensure!(
                !output.is_empty(),
                "layer {} leaves nothing of {shape}",
                layer.name
            );
            let next = layers.get(index + 1).map(|next| next.op);
            all.push(Self {
                layer: *layer,
                classes,
                tensors: tensors(layer, shape, output, next)?,
            });
            shape = output;
        }
        Ok((all, shape))
    }

    /// The shape it makes of `input`, which may be of another size than the one it was built for.
    ///
    /// # Errors
    /// Where the layer refuses it.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        let name = self.layer.name;
        if let (Op::Linear { .. }, Some(tensors)) = (self.layer.op, &self.tensors) {
            let wanted = tensors.weight[1];
            ensure!(
                input.len() == wanted,
                "layer {name} takes {wanted} values, not {input} = {}",
                input.len()
            );
        }
        let output = self.layer.output(input, self.classes);
        ensure!(
            !output.is_empty(),
            "layer {name} leaves nothing of its input of {input}"
        );
        Ok(output)
    }
}

/// The tensors of a layer. `next` is the layer after it: a linear layer before a plane puts its
/// outputs in a plane's order.
fn tensors(
    layer: &Layer,
    input: Shape,
    output: Shape,
    next: Option<Op>,
) -> Result<Option<Tensors>> {
    let order = match next {
        Some(Op::Unflatten { height, width }) => {
            Shape::plane(height, width, output.len() / (height * width))
        }
        _ => output,
    };
    let (channels, inputs) = (output.channels, input.channels);
    let (weight, weight_layout, channel_layout) = match layer.op {
        Op::Conv { window, .. } => (
            vec![channels, inputs, window.kernel, window.kernel],
            Layout::kernels(inputs, window.kernel * window.kernel),
            Layout::vector(Shape::vector(channels)),
        ),
        Op::ConvTransposed { window, .. } => (
            vec![inputs, channels, window.kernel, window.kernel],
            Layout::kernels(channels, window.kernel * window.kernel),
            Layout::vector(Shape::vector(channels)),
        ),
        Op::Linear { .. } => (
            vec![output.len(), input.len()],
            Layout::matrix(order, input),
            Layout::vector(order),
        ),
        Op::MaxPool { .. }
        | Op::AveragePool { .. }
        | Op::GlobalAveragePool
        | Op::Unflatten { .. } => {
            let plain = !layer.bias && !layer.batch_norm && layer.activation == Activation::None;
            ensure!(
                plain,
                "layer {} has no weights and so no bias, BatchNorm or activation",
                layer.name
            );
            return Ok(None);
        }
    };
    Ok(Some(Tensors {
        weight,
        weight_layout,
        channels,
        channel_layout,
    }))
}
