//! Random models, and the same networks in plain loops over whole planes.
#![allow(dead_code, reason = "no test file uses all of it")]

// Firmware runs it too, without std.
extern crate alloc;

pub mod reference;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use vae96::model::{ALIGNMENT, Contents, Parameters, Record, WeightLayout};
use vae96::requantise::quantise_multiplier;
use vae96::{Description, IMAGE_BYTES, INPUT, Layer, Network, Shape};

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.word() % (high - low + 1) as u64) as i64
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.word() as u8).collect()
    }
}

/// Parameters that own their numbers.
pub struct Owned {
    pub classes: usize,
    pub records: Vec<[u8; Record::BYTES]>,
    pub multipliers: Vec<i32>,
    pub shifts: Vec<i8>,
    pub weights: Vec<i8>,
    pub bias: Vec<i32>,
}

impl Owned {
    /// Random parameters for layers, such that activations use most of their range.
    pub fn random(random: &mut Random, layers: &[Layer], input: Shape, classes: usize) -> Self {
        let mut owned = Self {
            classes,
            records: Vec::new(),
            multipliers: Vec::new(),
            shifts: Vec::new(),
            weights: Vec::new(),
            bias: Vec::new(),
        };
        let mut shape = input;
        for layer in layers {
            let channels = layer.weighted_channels(classes);
            let fan_in = layer.fan_in(shape);
            if channels > 0 {
                let zero_point = random.within(-128, 127) as i8;
                let relu = random.within(0, 1) == 1;
                let record = Record {
                    scale: random.within(1, 1000) as f32 / 1000.0,
                    zero_point,
                    min: if relu { zero_point.min(100) } else { -128 },
                    max: 127 - random.within(0, 20) as i8,
                };
                owned.records.push(record.to_bytes());
            }
            let spread = (fan_in.isqrt() as f64) * 74.0 * 74.0;
            for _ in 0..channels {
                let real = random.within(20, 120) as f64 / spread;
                let (multiplier, shift) = quantise_multiplier(real);
                owned.multipliers.push(multiplier);
                owned.shifts.push(shift);
                let bias = random.within(-1000, 1000) as f64 / 1000.0 * spread;
                owned.bias.push(bias as i32);
            }
            let weights = (0..channels * fan_in).map(|_| random.within(-127, 127) as i8);
            owned.weights.extend(weights);
            shape = layer.output(shape, classes);
        }
        owned
    }

    pub fn parameters(&self) -> Parameters<'_> {
        Parameters {
            classes: self.classes,
            layout: WeightLayout::Portable,
            records: &self.records,
            multipliers: &self.multipliers,
            shifts: &self.shifts,
            weights: &self.weights,
            bias: &self.bias,
        }
    }
}

/// Weights in a layout of words, in memory that such words may lie in.
pub struct Ordered {
    layout: WeightLayout,
    words: Vec<i32>,
    length: usize,
}

impl Ordered {
    /// The weights of those layers in that layout.
    pub fn of(layout: WeightLayout, layers: &[Layer], input: Shape, owned: &Owned) -> Self {
        let length = layout.bytes(layers, input, owned.classes).unwrap();
        let mut words = vec![0; length.div_ceil(4)];
        let bytes: &mut [i8] = &mut bytemuck::cast_slice_mut(&mut words)[..length];
        let parameters = owned.parameters();
        layout.order(layers, input, &parameters, bytes).unwrap();
        Self {
            layout,
            words,
            length,
        }
    }

    /// `owned`, with these weights.
    pub fn parameters<'a>(&'a self, owned: &'a Owned) -> Parameters<'a> {
        Parameters {
            layout: self.layout,
            weights: &bytemuck::cast_slice(&self.words)[..self.length],
            ..owned.parameters()
        }
    }
}

/// A model file in memory, where a model file may lie.
pub struct File {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl File {
    /// A copy of those bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let memory = vec![0; bytes.len() + ALIGNMENT];
        let address = memory.as_ptr().addr();
        let mut file = Self {
            start: address.next_multiple_of(ALIGNMENT) - address,
            length: bytes.len(),
            memory,
        };
        file.bytes_mut().copy_from_slice(bytes);
        file
    }

    /// A random model of that network, with class names if `named`.
    pub fn random(
        random: &mut Random,
        network: &'static Description,
        classes: usize,
        named: bool,
    ) -> Self {
        let owned = Owned::random(random, network.layers, INPUT, classes);
        Self::holding(network, &owned, named)
    }

    /// A model of that network with those parameters.
    pub fn holding(network: &'static Description, owned: &Owned, named: bool) -> Self {
        Self::ordered(network, owned, named, WeightLayout::Portable)
    }

    /// The same with its weights in that layout.
    pub fn ordered(
        network: &'static Description,
        owned: &Owned,
        named: bool,
        layout: WeightLayout,
    ) -> Self {
        let ordered = Ordered::of(layout, network.layers, INPUT, owned);
        let names: Vec<String> = (0..if named { owned.classes } else { 0 })
            .map(|class| format!("classe n° {class}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let contents = Contents {
            network,
            parameters: ordered.parameters(owned),
            names: &names,
        };
        let mut bytes = vec![0; contents.length().unwrap()];
        contents.write(&mut bytes).unwrap();
        Self::of(&bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.length]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}

/// The description of a network known as a type.
pub fn description<N: Network>() -> &'static Description {
    Description::of(N::ARCHITECTURE, N::KIND).unwrap()
}

/// A random image.
pub fn image(random: &mut Random) -> Box<[u8; IMAGE_BYTES]> {
    random.bytes(IMAGE_BYTES).try_into().unwrap()
}
