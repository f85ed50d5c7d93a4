//! A graph with an index of who makes and who uses each value, and a way to put nodes in the place of others.

use std::collections::{HashMap, HashSet};

use prost::bytes::Bytes;

use super::proto::{Attribute, FLOAT, Graph, INT8, INT64, Node, Tensor, UINT8};
use crate::runtime::operators::DOMAIN;

/// `AttributeProto.AttributeType`.
const ATTRIBUTE_FLOAT: i32 = 1;
/// `AttributeProto.AttributeType`.
const ATTRIBUTE_INT: i32 = 2;

/// A graph and its index. The weights of a clone are those of the original.
#[derive(Clone)]
pub struct Net {
    graph: Graph,
    makers: HashMap<String, usize>,
    users: HashMap<String, Vec<usize>>,
    initializers: HashMap<String, usize>,
    /// Values that somebody outside may set or read: inputs and outputs.
    ports: HashSet<String>,
}

impl Net {
    /// Indexes a graph. None where its form cannot be followed: a value of two makers, nodes with graphs inside, which
    /// may use any value by name.
    pub fn new(graph: Graph) -> Option<Self> {
        let (mut makers, mut users) = (HashMap::new(), HashMap::<String, Vec<usize>>::new());
        let mut clear = true;
        for (at, node) in graph.node.iter().enumerate() {
            clear &= node.attribute.iter().all(|attribute| attribute.g.is_none() && attribute.graphs.is_empty());
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                clear &= makers.insert(name.clone(), at).is_none();
            }
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                users.entry(name.clone()).or_default().push(at);
            }
        }
        let mut initializers = HashMap::new();
        for (at, tensor) in graph.initializer.iter().enumerate() {
            clear &= initializers.insert(tensor.name().to_owned(), at).is_none();
            clear &= !makers.contains_key(tensor.name());
        }
        if !clear {
            return None;
        }
        let ports = graph.input.iter().chain(&graph.output).map(|port| port.name().to_owned()).collect();
        Some(Self { graph, makers, users, initializers, ports })
    }

    /// The graph.
    pub fn into_graph(self) -> Graph {
        self.graph
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.graph.node
    }

    /// The node that makes a value, where it is one of the standard's operators `op_type`.
    pub fn maker(&self, name: &str, op_type: &str) -> Option<usize> {
        self.makers.get(name).copied().filter(|&at| is(&self.graph.node[at], op_type))
    }

    /// The node that makes a value.
    pub fn maker_of(&self, name: &str) -> Option<usize> {
        self.makers.get(name).copied()
    }

    /// The node that makes a value, where it is one of our own operators `op_type`.
    pub fn own_maker(&self, name: &str, op_type: &str) -> Option<usize> {
        self.makers.get(name).copied().filter(|&at| is_own(&self.graph.node[at], op_type))
    }

    /// The only node that uses a value, and only once; none where the value is an output of the graph.
    pub fn only_user(&self, name: &str) -> Option<usize> {
        match self.users(name) {
            [user] if !self.ports.contains(name) => Some(*user),
            _ => None,
        }
    }

    /// The nodes that use a value, once for each use.
    pub fn users(&self, name: &str) -> &[usize] {
        self.users.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a value is an input or an output of the graph.
    pub fn is_port(&self, name: &str) -> bool {
        self.ports.contains(name)
    }

    /// A weight: a tensor in the graph that nobody can set from outside.
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        let at = self.initializers.get(name).copied().filter(|_| !self.ports.contains(name))?;
        Some(&self.graph.initializer[at])
    }

    /// The value of which this one is a copy; itself, where it is none. The exporter copies weights that are equal.
    pub fn origin<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        while let Some(original) = self.maker(name, "Identity").and_then(|at| self.graph.node[at].input.first()) {
            name = original;
        }
        name
    }

    /// A weight, to be changed.
    pub fn weight_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        let at = self.initializers.get(name).copied().filter(|_| !self.ports.contains(name))?;
        Some(&mut self.graph.initializer[at])
    }

    /// A tensor that is known: a weight, or what a `Constant` gives.
    pub fn constant(&self, name: &str) -> Option<&Tensor> {
        self.weight(name).or_else(|| {
            let node = &self.graph.node[self.maker(name, "Constant")?];
            node.attribute.iter().find(|attribute| attribute.name() == "value")?.t.as_ref()
        })
    }

    /// The only number of a constant.
    pub fn number(&self, name: &str) -> Option<f32> {
        let bytes = bytes_of(self.constant(name)?, FLOAT)?;
        Some(f32::from_le_bytes(<[u8; 4]>::try_from(bytes.as_ref()).ok()?))
    }

    /// The whole numbers of a constant.
    pub fn numbers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.constant(name).filter(|tensor| tensor.data_type() == INT64)?;
        let values: Vec<i64> = match &tensor.raw_data {
            Some(raw) => raw.as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
            None => tensor.int64_data.clone(),
        };
        (len(tensor) == Some(values.len())).then_some(values)
    }

    /// Whether a name is taken by a value.
    fn is_taken(&self, name: &str) -> bool {
        self.ports.contains(name) || self.makers.contains_key(name) || self.initializers.contains_key(name)
    }

    /// A name that no value has.
    pub fn new_name(&self, wanted: &str) -> String {
        let mut names = (1..).map(|number| format!("{wanted}_{number}"));
        if !self.is_taken(wanted) {
            return wanted.to_owned();
        }
        names.find(|name| !self.is_taken(name)).unwrap_or_default()
    }

    /// Adds a weight under its name, or one like it that is free, and gives the name.
    pub fn add_weight(&mut self, mut tensor: Tensor) -> String {
        let name = self.new_name(tensor.name());
        tensor.name = Some(name.clone());
        self.initializers.insert(name.clone(), self.graph.initializer.len());
        self.graph.initializer.push(tensor);
        name
    }

    /// Puts nodes in the place of others, by place; no nodes drop one. Nodes, weights and types that nobody needs any more
    /// go. None where something is missing then.
    pub fn replace(self, mut by: HashMap<usize, Vec<Node>>) -> Option<Self> {
        let mut graph = self.graph;
        let nodes = std::mem::take(&mut graph.node).into_iter().enumerate();
        let nodes: Vec<Node> = nodes.flat_map(|(at, node)| by.remove(&at).unwrap_or_else(|| vec![node])).collect();
        let mut wanted = HashSet::new();
        // Makers come before users.
        for node in nodes.into_iter().rev() {
            if node.output.iter().any(|name| wanted.contains(name) || self.ports.contains(name)) {
                wanted.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
                graph.node.push(node);
            }
        }
        graph.node.reverse();
        let used: HashSet<&str> = wanted.iter().map(String::as_str).collect();
        let made: HashSet<&str> = graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        graph.initializer.retain(|tensor| used.contains(tensor.name()) || self.ports.contains(tensor.name()));
        let is_there =
            |name: &&str| made.contains(name) || self.ports.contains(*name) || self.initializers.contains_key(*name);
        if !used.iter().all(is_there) {
            return None;
        }
        graph.value_info.retain(|info| made.contains(info.name()));
        Self::new(graph)
    }
}

/// Whether a node is the standard's operator `op_type`.
pub fn is(node: &Node, op_type: &str) -> bool {
    node.op_type() == op_type && ["", "ai.onnx"].contains(&node.domain())
}

/// Whether a node is our own operator `op_type`.
pub fn is_own(node: &Node, op_type: &str) -> bool {
    node.op_type() == op_type && node.domain() == DOMAIN
}

/// A node of our own.
pub fn own(op_type: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Attribute>) -> Node {
    let output = outputs.iter().map(|&name| name.to_owned()).collect();
    Node { domain: Some(DOMAIN.into()), output, ..node(op_type, inputs, "", attributes) }
}

/// A node of the standard.
pub fn node(op_type: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Node {
    Node {
        op_type: Some(op_type.into()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes,
        ..Node::default()
    }
}

/// The integer attribute `name` of a node.
pub fn int(node: &Node, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name() == name).map(Attribute::i)
}

/// The attribute `name` of a node, a list of integers.
pub fn ints<'a>(node: &'a Node, name: &str) -> Option<&'a [i64]> {
    node.attribute.iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.ints.as_slice())
}

/// An integer attribute.
pub fn with_int(name: &str, i: i64) -> Attribute {
    Attribute { name: Some(name.into()), i: Some(i), r#type: Some(ATTRIBUTE_INT), ..Attribute::default() }
}

/// An attribute that is a number.
pub fn with_float(name: &str, f: f32) -> Attribute {
    Attribute { name: Some(name.into()), f: Some(f), r#type: Some(ATTRIBUTE_FLOAT), ..Attribute::default() }
}

/// The other of two inputs.
pub fn other<'a>(inputs: &'a [String], one: &str) -> Option<&'a String> {
    match inputs {
        [a, b] if a == one && b != one => Some(b),
        [a, b] if b == one && a != one => Some(a),
        _ => None,
    }
}

/// A tensor of raw bytes.
pub fn tensor(name: &str, data_type: i32, dims: &[i64], bytes: impl Into<Bytes>) -> Tensor {
    Tensor {
        name: Some(name.into()),
        data_type: Some(data_type),
        dims: dims.into(),
        raw_data: Some(bytes.into()),
        ..Tensor::default()
    }
}

/// How many elements a tensor has by its dimensions; none where they are no sizes.
pub fn len(tensor: &Tensor) -> Option<usize> {
    tensor.dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

/// The elements of a tensor of `data_type`, one after the other in little-endian bytes; none where it holds them
/// elsewhere, or not as many as its dimensions say.
pub fn bytes_of(tensor: &Tensor, data_type: i32) -> Option<Bytes> {
    let here = tensor.data_location() == 0 && tensor.external_data.is_empty() && tensor.segment.is_none();
    let size = if data_type == FLOAT { 4 } else { 1 };
    let bytes = match (&tensor.raw_data, data_type) {
        (Some(raw), _) => raw.clone(),
        (None, FLOAT) => tensor.float_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        (None, UINT8 | INT8) => tensor.int32_data.iter().map(|&value| value as u8).collect(),
        _ => return None,
    };
    let expected = len(tensor).and_then(|elements| elements.checked_mul(size));
    (here && tensor.data_type() == data_type && Some(bytes.len()) == expected).then_some(bytes)
}
