//! The header of an ONNX file: names and shapes of inputs and outputs, metadata. The weights are passed over.

use std::path::Path;

use prost::Message;

use crate::engine::{Error, Result};

/// `onnx.ModelProto`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    dim_value: i64,
}

/// An input or output: its name, and its dimensions where they are fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The name.
    pub name: String,
    /// The dimensions; none where one is free.
    pub dims: Vec<Option<usize>>,
}

/// What an ONNX file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphHeader {
    /// Inputs, in order.
    pub inputs: Vec<Port>,
    /// Outputs, in order.
    pub outputs: Vec<Port>,
    /// Metadata, as key and value.
    pub metadata: Vec<(String, String)>,
}

impl GraphHeader {
    /// Reads the header of the ONNX file `bytes`. Errors: [`Error::Model`] naming `file`, where it is none or is cut short.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self> {
        if let Some(pointer) = std::str::from_utf8(&bytes[..bytes.len().min(200)])
            .ok()
            .filter(|t| t.starts_with("version https://git-lfs"))
        {
            let found = format!(
                "a Git LFS pointer ({}): fetch the real file with `git lfs pull`",
                pointer.lines().last().unwrap_or_default()
            );
            return Err(Error::model(file, "an ONNX graph", found));
        }
        let model = ModelProto::decode(bytes).map_err(|e| {
            let found = format!("{} bytes that end too early or are none ({e}): copy the file again", bytes.len());
            Error::model(file, "an ONNX graph", found)
        })?;
        let graph = model.graph.filter(|graph| !graph.output.is_empty());
        let graph =
            graph.ok_or_else(|| Error::model(file, "an ONNX graph", format!("{} bytes without one", bytes.len())))?;
        Ok(Self {
            inputs: graph.input.into_iter().map(port).collect(),
            outputs: graph.output.into_iter().map(port).collect(),
            metadata: model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect(),
        })
    }

    /// Whether there is an input of this name.
    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.iter().any(|port| port.name == name)
    }

    /// The dimension `axis` of the port `name`, where it is fixed.
    pub fn dim(&self, name: &str, axis: usize) -> Option<usize> {
        let mut ports = self.inputs.iter().chain(&self.outputs);
        ports.find(|port| port.name == name)?.dims.get(axis).copied().flatten()
    }

    /// Requires inputs and outputs by name. Errors: [`Error::Model`] naming `file` and what it has instead.
    pub fn require(&self, file: &Path, kind: &str, inputs: &[&str], outputs: &[&str]) -> Result<()> {
        let has = |ports: &[Port], names: &[&str]| names.iter().all(|name| ports.iter().any(|port| port.name == *name));
        if has(&self.inputs, inputs) && has(&self.outputs, outputs) {
            return Ok(());
        }
        let names = |ports: &[Port]| ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        let expected = format!("{kind}: inputs {}, outputs {}", inputs.join(", "), outputs.join(", "));
        let found = format!("inputs {}, outputs {}", names(&self.inputs), names(&self.outputs));
        Err(Error::model(file, expected, found))
    }
}

fn port(info: ValueInfoProto) -> Port {
    let shape = info.r#type.and_then(|t| t.tensor_type).and_then(|t| t.shape).unwrap_or_default();
    let dims = shape.dim.iter().map(|dim| usize::try_from(dim.dim_value).ok().filter(|&value| value > 0)).collect();
    Port { name: info.name, dims }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::builtin;

    fn demo() -> &'static [u8] {
        builtin::FILES[0].1
    }

    #[test]
    fn reads_names_and_shapes() {
        let header = GraphHeader::parse(Path::new("model_quant.onnx"), demo()).unwrap();
        assert_eq!(header.dim("speech", 2), Some(560));
        assert_eq!(header.dim("speech", 1), None);
        assert_eq!(header.dim("enc", 2), Some(128));
        header.require(Path::new("m"), "an encoder", &["speech"], &["alphas"]).unwrap();
        let error = header.require(Path::new("m"), "a decoder", &["enc"], &["logits"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "m: expected a decoder: inputs enc, outputs logits, found inputs speech, speech_lengths, outputs enc, enc_len, alphas"
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = demo();
        for length in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
            let error = GraphHeader::parse(Path::new("model.onnx"), &bytes[..length]).unwrap_err().to_string();
            assert!(error.starts_with("model.onnx: expected an ONNX graph, found"), "{error}");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 7\n";
        let error = GraphHeader::parse(Path::new("model.onnx"), pointer).unwrap_err().to_string();
        assert!(error.contains("git lfs pull"), "{error}");
    }
}
