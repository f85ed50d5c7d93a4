//! Rewrites of a user's own int8 graph when it is loaded: the same network, faster, and independent of what else is in a
//! call. What has another form than FunASR's exporter gives stays as it is, and the report says so.

mod attention;
mod joined;
mod memory;
mod net;
mod outside;
mod predictor;
mod product;
pub mod proto;
mod rows;
mod signed;
mod types;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use prost::Message;
use prost::bytes::Bytes;

use net::Net;
use product::Product;
use proto::{Graph, INT8, Model, OperatorSet};

use super::operators::DOMAIN;
use super::operators::weight::{self, Weights};

pub use signed::processor_is_exact;

/// Which rewrites are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrites {
    /// Unsigned weights become signed. The results stay the same, bit for bit, where [`processor_is_exact`].
    pub signed_weights: bool,
    /// One activation scale for each row. A stream's results no longer depend on its batch.
    pub row_scales: bool,
    /// The FSMN memory as one operator. Streams of several lengths can then share a call.
    pub fused_memory: bool,
    /// What lies between two products as one operator. Only behind row scales.
    pub joined_rows: bool,
    /// The weights of products go out of the graph, to be shared by sessions. Only behind row scales, and where the
    /// processor can compute such products.
    pub weights_outside: bool,
}

impl Rewrites {
    /// Those that keep the published arithmetic, bit for bit, on this processor.
    pub fn exact() -> Self {
        Self { signed_weights: processor_is_exact(), ..Self::default() }
    }

    /// All that are right on this processor.
    pub fn fast() -> Self {
        let weights_outside = weight::is_possible();
        Self { row_scales: true, fused_memory: true, joined_rows: true, weights_outside, ..Self::exact() }
    }
}

/// What was done to a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Int8 matrix products of the known form.
    pub products: usize,
    /// Int8 matrix products of another form, which stayed as they were.
    pub other_products: usize,
    /// Products whose weight is signed now.
    pub signed_weights: usize,
    /// Products that have row scales now.
    pub row_scales: usize,
    /// FSMN memories that are one operator now.
    pub fused_memory: usize,
    /// Attentions that are one operator now.
    pub fused_attention: usize,
    /// Operators that do what lies between two products.
    pub joined_rows: usize,
    /// Products whose weight is outside the graph now.
    pub weights_outside: usize,
    /// Why nothing could be done; empty where something was.
    pub left_alone: &'static str,
}

impl Report {
    /// Whether a stream's results are the same whatever else is in its batch.
    pub fn is_independent_of_batch(&self) -> bool {
        self.left_alone.is_empty() && self.other_products == 0 && self.row_scales == self.products
    }

    /// Whether all large weights are outside the graph, so that sessions of it can share them.
    pub fn is_shared(&self) -> bool {
        self.products > 0 && self.other_products == 0 && self.weights_outside == self.products
    }
}

impl fmt::Display for Report {
    /// For `stats`: short, and with why something stayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { products, other_products, signed_weights, row_scales, fused_memory, .. } = self;
        let Self { fused_attention, joined_rows, weights_outside, left_alone, .. } = self;
        if !left_alone.is_empty() {
            return write!(f, "left as it is: {left_alone}");
        }
        write!(
            f,
            "{products} products, {signed_weights} signed, {row_scales} by row, {joined_rows} joined, {weights_outside} shared; "
        )?;
        write!(f, "{fused_memory} memories and {fused_attention} attentions fused")?;
        match other_products {
            0 => Ok(()),
            others => write!(f, "; {others} products of another form left as they are"),
        }
    }
}

/// A graph after its rewrites.
#[derive(Debug)]
pub struct Rewritten {
    /// An ONNX file.
    pub bytes: Cow<'static, [u8]>,
    /// What is no longer in it.
    pub weights: Weights,
    /// What was done.
    pub report: Report,
}

/// Rewrites an ONNX file. One that has another form is given back as it is.
pub fn rewrite(bytes: Cow<'static, [u8]>, rewrites: Rewrites) -> Rewritten {
    // Tensor data are slices of this, not copies.
    let bytes = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let written = edited(bytes.clone(), rewrites).and_then(|Edited { model, moved, weights, report }| {
        let new = Bytes::from(model.encode_to_vec());
        let places = signed::places(&new, &moved).ok_or("its weights cannot be found again")?;
        Ok((new, places, weights, report))
    });
    match written {
        Ok((new, places, weights, report)) => {
            drop(bytes);
            let mut new = Vec::from(new);
            places.into_iter().for_each(|place| new[place].iter_mut().for_each(|byte| *byte ^= 0x80));
            Rewritten { bytes: new.into(), weights, report }
        }
        Err(left_alone) => {
            let report = Report { left_alone, ..Report::default() };
            Rewritten { bytes: owned(bytes), weights: Weights::default(), report }
        }
    }
}

/// The bytes, without a copy where nothing else holds them.
fn owned(bytes: Bytes) -> Cow<'static, [u8]> {
    Cow::Owned(Vec::from(bytes))
}

/// A graph with its rewrites.
struct Edited<G> {
    model: G,
    /// The tensors whose bytes are still to be turned over.
    moved: HashSet<String>,
    weights: Weights,
    report: Report,
}

fn edited(bytes: Bytes, rewrites: Rewrites) -> Result<Edited<Model>, &'static str> {
    if rewrites == Rewrites::default() {
        return Err("nothing was to be done");
    }
    let mut model = Model::decode(bytes).map_err(|_| "it is no ONNX file")?;
    let graph = model.graph.take().ok_or("it has no graph")?;
    if !model.functions.is_empty() || !model.training_info.is_empty() {
        return Err("it has functions or training information");
    }
    opset(&model, "").filter(|version| (13..=25).contains(version)).ok_or("its operator set is unknown")?;
    let edited = edit(graph, rewrites).ok_or("its nodes cannot be followed")?;
    let Edited { model: graph, moved, weights, report } = edited;
    model.graph = Some(graph);
    if report.row_scales + report.fused_memory > 0 && opset(&model, DOMAIN).is_none() {
        model.opset_import.push(OperatorSet { domain: Some(DOMAIN.into()), version: Some(1) });
    }
    if report.signed_weights + report.row_scales + report.fused_memory == 0 {
        return Err("it has none of the forms that can be rewritten");
    }
    Ok(Edited { model, moved, weights, report })
}

fn edit(graph: Graph, rewrites: Rewrites) -> Option<Edited<Graph>> {
    let mut net = Net::new(graph)?;
    let (products, other_products) = Product::all(&net);
    let mut report = Report { products: products.len(), other_products, ..Report::default() };
    let mut moved = HashSet::new();
    if rewrites.signed_weights {
        moved = signed::movable(&net, &products);
        let is_signed = |name: &str| net.weight(name).is_some_and(|weight| weight.data_type() == INT8);
        let signed = |product: &&Product| moved.contains(&product.weight) || is_signed(&product.weight);
        report.signed_weights = products.iter().filter(signed).count();
    }
    if rewrites.row_scales && !products.is_empty() {
        (net, report.row_scales) = rows::scale_rows(net, &products)?;
    }
    if rewrites.fused_memory {
        let masks;
        (net, masks) = memory::fuse_memories(net)?;
        report.fused_memory = masks.len();
        if let Some(mask) = predictor::only_mask(masks.iter().map(String::as_str)) {
            net = predictor::mask_predictor(net, mask)?;
        }
    }
    if rewrites.joined_rows {
        // Where the graph would not be whole afterwards, it has another form.
        if let Some((new, count)) = attention::fuse_attention(&net) {
            (net, report.fused_attention) = (new, count);
        }
        if let Some((new, count)) = joined::join_rows(&net) {
            (net, report.joined_rows) = (new, count);
        }
    }
    let mut weights = Weights::default();
    if rewrites.weights_outside
        && let Some((new, taken)) = outside::take_weights(&net, &moved)
    {
        report.weights_outside = taken.len();
        (net, weights) = (new, Weights(taken.into()));
        moved.retain(|name| net.weight(name).is_some());
    }
    // Last, since the other rewrites read what the weights hold.
    signed::call_signed(&mut net, &moved);
    Some(Edited { model: net.into_graph(), moved, weights, report })
}

/// The version of an operator set that a model uses.
fn opset(model: &Model, domain: &str) -> Option<i64> {
    let same = |set: &&OperatorSet| set.domain() == domain || (domain.is_empty() && set.domain() == "ai.onnx");
    model.opset_import.iter().find(same).map(OperatorSet::version)
}
