//! A graph of one operation after another, as both forms of ONNX files have it.

use std::slice;

use anyhow::{Result, bail};
use prost::Message;
use vae96::{Activation, INPUT, Layer, Op, Shape};

use super::messages::{
    Attribute, AttributeType, DataType, Dimension, Dimensions, Entry, Graph, IR_VERSION, Model,
    Node, OPSET, OperatorSet, Tensor, TensorType, Type, Value,
};
use crate::export::{IMAGE, Subject};

/// A graph under construction.
pub struct Builder {
    graph: Graph,
    /// The value that the next operation reads.
    at: String,
    /// Whether that value is one vector an image.
    flat: bool,
}

impl Builder {
    /// A graph that begins with the image.
    pub fn new() -> Self {
        Self {
            graph: Graph::default(),
            at: IMAGE.to_owned(),
            flat: false,
        }
    }

    /// Adds a constant of values in little-endian bytes, and gives back its name.
    pub fn constant(&mut self, name: String, kind: DataType, dims: &[usize], raw: &[u8]) -> String {
        self.graph.initializer.push(Tensor {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: kind.into(),
            name: name.clone(),
            raw_data: raw.to_vec(),
        });
        name
    }

    /// Adds an operation on `inputs` and gives back the value it makes, which has its name.
    pub fn node(
        &mut self,
        name: String,
        op: &str,
        input: Vec<String>,
        attribute: Vec<Attribute>,
    ) -> String {
        self.graph.node.push(Node {
            input,
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute,
        });
        name
    }

    /// Adds an operation on the value before it and on `more`.
    pub fn then(&mut self, name: String, op: &str, more: &[String], attribute: Vec<Attribute>) {
        let inputs = [slice::from_ref(&self.at), more].concat();
        self.at = self.node(name, op, inputs, attribute);
    }

    /// Adds what a layer does to the value before it, without its activation; `parameters` are
    /// the values of its weights and bias, none for pooling.
    pub fn layer(&mut self, layer: &Layer, parameters: &[String]) -> Result<()> {
        let size = |size: usize| ints("kernel_shape", &[size; 2]);
        let strides = |stride: usize| ints("strides", &[stride; 2]);
        let (op, attributes) = match layer.op {
            Op::Conv { window, .. } => {
                let pads = ints("pads", &[window.padding; 4]);
                let attributes = vec![size(window.kernel), strides(window.stride), pads];
                ("Conv", attributes)
            }
            Op::MaxPool { size: edge } => ("MaxPool", vec![size(edge), strides(edge)]),
            Op::AveragePool { size: edge } => ("AveragePool", vec![size(edge), strides(edge)]),
            Op::GlobalAveragePool => ("GlobalAveragePool", Vec::new()),
            Op::Linear { .. } => ("Gemm", vec![int("transB", 1)]),
            Op::ConvTransposed { .. } | Op::Unflatten { .. } => {
                bail!("the layer {} is not one that is exported", layer.name)
            }
        };
        if matches!(layer.op, Op::Linear { .. }) && !self.flat {
            let name = format!("{}/flat", layer.name);
            self.then(name, "Flatten", &[], vec![int("axis", 1)]);
            self.flat = true;
        }
        self.then(layer.name.to_owned(), op, parameters, attributes);
        Ok(())
    }

    /// Adds a layer's activation.
    pub fn activation(&mut self, layer: &Layer) -> Result<()> {
        match layer.activation {
            Activation::None => {}
            Activation::Relu => {
                let name = format!("{}/relu", layer.name);
                self.then(name, "Relu", &[], Vec::new());
            }
            Activation::Sigmoid => {
                bail!(
                    "the layer {} ends in a sigmoid, which is not exported",
                    layer.name
                )
            }
        }
        Ok(())
    }

    /// The file of the graph, whose answer is the value added last.
    pub fn finish(mut self, subject: &Subject, output: Shape) -> Vec<u8> {
        // The answer has a name of its own.
        let answer = subject.answer().to_owned();
        if let Some(last) = self.graph.node.last_mut() {
            last.output = vec![answer.clone()];
        }
        let image = [INPUT.channels, INPUT.height, INPUT.width];
        let layout = "RGB, planes of red, green and blue (NCHW), values in [0, 1]";
        let meaning = match subject.network.kind.is_classifier() {
            true => "a logit a class",
            false => "the mean of the latent",
        };
        self.graph.name = subject.title();
        self.graph.input = vec![value(IMAGE, &image, layout)];
        self.graph.output = vec![value(&answer, &[output.channels], meaning)];
        let entry = |(key, value): &(String, String)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        let mut notes = vec![Entry {
            key: "input".to_owned(),
            value: format!("{IMAGE}: {layout}"),
        }];
        notes.extend(subject.notes.iter().map(entry));
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "vae96".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: format!("{}; input {IMAGE}: {layout}", subject.title()),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { version: OPSET }],
            metadata_props: notes,
        };
        model.encode_to_vec()
    }
}

/// A float tensor for any number of images.
fn value(name: &str, shape: &[usize], doc: &str) -> Value {
    let any = Dimension {
        dim_param: Some("images".to_owned()),
        ..Dimension::default()
    };
    let known = |&size: &usize| Dimension {
        dim_value: Some(size as i64),
        ..Dimension::default()
    };
    let dim = [any].into_iter().chain(shape.iter().map(known)).collect();
    Value {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(TensorType {
                elem_type: DataType::Float.into(),
                shape: Some(Dimensions { dim }),
            }),
        }),
        doc_string: doc.to_owned(),
    }
}

/// An attribute of one integer.
pub fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        i: Some(value),
        ints: Vec::new(),
        kind: AttributeType::Int.into(),
    }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        i: None,
        ints: values.iter().map(|&value| value as i64).collect(),
        kind: AttributeType::Ints.into(),
    }
}
