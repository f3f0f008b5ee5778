//! A small network: its layers, the shape of its input, and bytes for every value.

use vae96::{Activation, Features, Layer, Op, Shape, Window};

use crate::Reader;

/// A network as an input describes it; its layers need not fit one another.
#[derive(Debug)]
pub struct Input<'a> {
    pub shape: Shape,
    pub classes: usize,
    pub layers: Vec<Layer>,
    /// What values are made of.
    pub bytes: &'a [u8],
}

/// Layers of the longest network.
const LAYERS: u8 = 8;

impl<'a> Input<'a> {
    pub fn read(data: &'a [u8]) -> Self {
        let mut reader = Reader(data);
        let mut below = |limit: u8| usize::from(reader.byte() % limit);
        let shape = Shape::plane(below(33), below(33), below(17));
        let classes = below(9);
        let layers = (0..below(LAYERS + 1))
            .map(|_| {
                let [kind, activation, a, b, c, channels] = [7, 3, 7, 5, 5, 17].map(&mut below);
                let window = Window::new(a, b, c);
                let op = match kind {
                    0 => Op::Conv { window, channels },
                    1 => Op::ConvTransposed { window, channels },
                    2 => Op::MaxPool { size: a },
                    3 => Op::AveragePool { size: a },
                    4 => Op::GlobalAveragePool,
                    5 => Op::Linear {
                        features: match channels {
                            0 => Features::Classes,
                            n => Features::Fixed(n),
                        },
                    },
                    _ => Op::Unflatten {
                        height: a,
                        width: b,
                    },
                };
                Layer {
                    activation: match activation {
                        0 => Activation::None,
                        1 => Activation::Relu,
                        _ => Activation::Sigmoid,
                    },
                    ..Layer::new("layer", op)
                }
            })
            .collect();
        Self {
            shape,
            classes,
            layers,
            bytes: reader.0,
        }
    }

    /// `len` values from the bytes, over and over: any bit pattern, infinities and NaN too.
    pub fn values(&self, len: usize) -> Vec<f32> {
        let words = self.bytes.chunks(4).map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            f32::from_le_bytes(word)
        });
        let values = words.chain([0.5]);
        values.cycle().take(len).collect()
    }
}
