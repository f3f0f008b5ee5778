//! A TensorFlow Lite file of one operation after another.
//!
//! A FlatBuffer is written from its end to its beginning, so what refers comes after what it
//! refers to.

use flatbuffers::{
    FlatBufferBuilder, ForwardsUOffset, Push, TableFinishedWIPOffset, VOffsetT, Vector, WIPOffset,
};

use super::schema::{
    self, Builtin, TensorType, metadata, model, operator, operator_code, quantization, subgraph,
    tensor,
};
use crate::export::Subject;

/// A finished table.
pub type Table = WIPOffset<TableFinishedWIPOffset>;
type Offsets<T> = WIPOffset<Vector<'static, ForwardsUOffset<T>>>;

/// What buffers are aligned to: readers use them in place.
const ALIGNMENT: usize = 16;

/// A file under construction.
pub struct Builder {
    flat: FlatBufferBuilder<'static>,
    buffers: Vec<Table>,
    tensors: Vec<Table>,
    codes: Vec<Builtin>,
    operators: Vec<Table>,
}

/// A tensor by its number in the file.
pub type Index = i32;

/// What a tensor's integers stand for: a scale and a zero point, or a scale for each index of its
/// first dimension and zero points of 0.
#[derive(Clone, Copy)]
pub struct Scales<'a> {
    pub scales: &'a [f32],
    pub zero_point: i8,
}

/// The place of a field in a table.
fn field(number: u16) -> VOffsetT {
    4 + 2 * number
}

impl Builder {
    /// An empty file.
    pub fn new() -> Self {
        let mut builder = Self {
            flat: FlatBufferBuilder::new(),
            buffers: Vec::new(),
            tensors: Vec::new(),
            codes: Vec::new(),
            operators: Vec::new(),
        };
        // Buffer 0 is that of tensors without data.
        let empty = builder.table(|_| {});
        builder.buffers.push(empty);
        builder
    }

    /// Adds a table of what `fields` sets.
    pub fn table(&mut self, fields: impl FnOnce(&mut Fields<'_>)) -> Table {
        let start = self.flat.start_table();
        fields(&mut Fields(&mut self.flat));
        self.flat.end_table(start)
    }

    /// Adds a buffer and gives back its number.
    fn buffer(&mut self, bytes: &[u8]) -> u32 {
        while !(self.flat.unfinished_data().len() + bytes.len()).is_multiple_of(ALIGNMENT) {
            self.flat.push(0u8);
        }
        let data = self.flat.create_vector(bytes);
        let table = self.table(|fields| fields.set(schema::buffer::DATA, data));
        self.buffers.push(table);
        (self.buffers.len() - 1) as u32
    }

    /// Adds a tensor; one without `data` is a value that an operator makes.
    pub fn tensor(
        &mut self,
        name: &str,
        kind: TensorType,
        shape: &[usize],
        scales: Option<Scales<'_>>,
        data: Option<&[u8]>,
    ) -> Index {
        let buffer = data.map_or(0, |data| self.buffer(data));
        let quantised = scales.map(|Scales { scales, zero_point }| {
            let zero_points = vec![i64::from(zero_point); scales.len()];
            let scales = self.flat.create_vector(scales);
            let zero_points = self.flat.create_vector(&zero_points);
            self.table(|fields| {
                fields.set(quantization::SCALE, scales);
                fields.set(quantization::ZERO_POINT, zero_points);
            })
        });
        let shape: Vec<i32> = shape.iter().map(|&size| size as i32).collect();
        let shape = self.flat.create_vector(&shape);
        let name = self.flat.create_string(name);
        let table = self.table(|fields| {
            fields.set(tensor::SHAPE, shape);
            fields.set(tensor::TYPE, kind as i8);
            fields.set(tensor::BUFFER, buffer);
            fields.set(tensor::NAME, name);
            if let Some(quantised) = quantised {
                fields.set(tensor::QUANTIZATION, quantised);
            }
        });
        self.tensors.push(table);
        (self.tensors.len() - 1) as Index
    }

    /// Adds an operator.
    pub fn operator(&mut self, builtin: Builtin, inputs: &[Index], output: Index, options: Table) {
        let code = match self.codes.iter().position(|&code| code == builtin) {
            Some(code) => code,
            None => {
                self.codes.push(builtin);
                self.codes.len() - 1
            }
        };
        let inputs = self.flat.create_vector(inputs);
        let outputs = self.flat.create_vector(&[output]);
        let table = self.table(|fields| {
            fields.set(operator::CODE, code as u32);
            fields.set(operator::INPUTS, inputs);
            fields.set(operator::OUTPUTS, outputs);
            fields.set(operator::OPTIONS_TYPE, builtin.options());
            fields.set(operator::OPTIONS, options);
        });
        self.operators.push(table);
    }

    /// The file, whose first operator reads `input` and whose last makes `output`.
    pub fn finish(mut self, subject: &Subject, input: Index, output: Index) -> Vec<u8> {
        let notes = self.notes(subject);
        let graph = self.graph(input, output);
        let codes = self.operator_codes();
        let description = self.flat.create_string(&format!(
            "{} by vae96 {}; input: RGB, 1×96×96×3 (NHWC), each byte less 128",
            subject.title(),
            env!("CARGO_PKG_VERSION")
        ));
        let graphs = self.flat.create_vector(&[graph]);
        let buffers = self.flat.create_vector(&self.buffers);
        let root = self.table(|fields| {
            fields.set(model::VERSION, schema::VERSION);
            fields.set(model::OPERATOR_CODES, codes);
            fields.set(model::SUBGRAPHS, graphs);
            fields.set(model::DESCRIPTION, description);
            fields.set(model::BUFFERS, buffers);
            fields.set(model::METADATA, notes);
        });
        // Buffers are aligned from the end of the file: it must be so as a whole. Eight bytes for
        // the offset of the root and the identifier are still to come.
        while !(self.flat.unfinished_data().len() + 8).is_multiple_of(ALIGNMENT) {
            self.flat.push(0u8);
        }
        self.flat.finish(root, Some(schema::IDENTIFIER));
        self.flat.finished_data().to_vec()
    }

    fn notes(&mut self, subject: &Subject) -> Offsets<TableFinishedWIPOffset> {
        let mut notes = Vec::new();
        for (name, text) in &subject.notes {
            let buffer = self.buffer(text.as_bytes());
            let name = self.flat.create_string(name);
            notes.push(self.table(|fields| {
                fields.set(metadata::NAME, name);
                fields.set(metadata::BUFFER, buffer);
            }));
        }
        self.flat.create_vector(&notes)
    }

    fn graph(&mut self, input: Index, output: Index) -> Table {
        let tensors = self.flat.create_vector(&self.tensors);
        let inputs = self.flat.create_vector(&[input]);
        let outputs = self.flat.create_vector(&[output]);
        let operators = self.flat.create_vector(&self.operators);
        let name = self.flat.create_string("main");
        self.table(|fields| {
            fields.set(subgraph::TENSORS, tensors);
            fields.set(subgraph::INPUTS, inputs);
            fields.set(subgraph::OUTPUTS, outputs);
            fields.set(subgraph::OPERATORS, operators);
            fields.set(subgraph::NAME, name);
        })
    }

    fn operator_codes(&mut self) -> Offsets<TableFinishedWIPOffset> {
        let mut codes = Vec::new();
        for builtin in self.codes.clone() {
            codes.push(self.table(|fields| {
                fields.set(operator_code::DEPRECATED_BUILTIN, builtin.code());
                fields.set(operator_code::VERSION, builtin.version());
                fields.set(operator_code::BUILTIN, i32::from(builtin.code()));
            }));
        }
        self.flat.create_vector(&codes)
    }
}

/// The fields of a table under construction.
pub struct Fields<'a>(&'a mut FlatBufferBuilder<'static>);

impl Fields<'_> {
    /// Sets the field of that number.
    pub fn set(&mut self, number: u16, value: impl Push) {
        self.0.push_slot_always(field(number), value);
    }
}
