//! What a model file costs a device.

use anyhow::Result;
use vae96::model::{Model, Record};
use vae96::{INPUT, Shape};

use super::{Aligned, parse};

/// What a model needs and does.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The network's name.
    pub network: &'static str,
    /// What the network gives.
    pub kind: String,
    /// Classes told apart; 0 for an encoder.
    pub classes: usize,
    /// How the weights are ordered.
    pub layout: &'static str,
    /// Bytes of the file.
    pub flash_bytes: usize,
    /// Bytes of all state while an image is classified; the stack is not counted.
    pub ram_bytes: usize,
    /// Multiply-accumulates for one image.
    pub macs: usize,
    /// The layers in order.
    pub layers: Vec<LayerNeeds>,
}

/// What a layer needs and does.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNeeds {
    /// Its name.
    pub name: &'static str,
    /// The shape it makes.
    pub out: Shape,
    /// Multiply-accumulates for one image.
    pub macs: usize,
    /// Weights, the bias not counted.
    pub weights: usize,
    /// Bytes of weights, biases and quantisation parameters.
    pub flash_bytes: usize,
    /// Bytes of line buffers, sums and counters.
    pub ram_bytes: usize,
}

/// What a model file needs and does.
pub fn needs(file: &[u8]) -> Result<Needs> {
    let file = Aligned::new(file);
    let model = parse(file.bytes())?;
    Ok(Needs {
        network: model.architecture().name,
        kind: model.kind().to_string(),
        classes: model.classes(),
        layout: model.layout().name(),
        flash_bytes: model.flash_bytes(),
        ram_bytes: model.network().ram_bytes(model.method()),
        macs: model.network().macs(model.classes()),
        layers: layers(&model),
    })
}

fn layers(model: &Model<'_>) -> Vec<LayerNeeds> {
    let classes = model.classes();
    let mut input = INPUT;
    let layer = |(index, layer): (usize, &vae96::Layer)| {
        let weights = layer.weights(input, classes);
        let channels = layer.weighted_channels(classes);
        let record = if channels > 0 { Record::BYTES } else { 0 };
        let bytes = (model.layout()).bytes(std::slice::from_ref(layer), input, classes);
        let needs = LayerNeeds {
            name: layer.name,
            out: layer.output(input, classes),
            macs: layer.macs(input, classes),
            weights,
            // A multiplier, a shift and a bias a channel.
            flash_bytes: bytes.unwrap_or(weights) + channels * (4 + 1 + 4) + record,
            ram_bytes: (model.network()).layer_ram_bytes(index, model.method()),
        };
        input = needs.out;
        needs
    };
    model.layers().iter().enumerate().map(layer).collect()
}
