//! Attention, which the exporter spreads over splits, reshapes, transposes and products, as one operator; with the FSMN
//! memory of the same values, where there is one.

use std::collections::HashMap;

use super::joined::quantising;
use super::net::{Net, int, ints, is, is_own, other, own, with_float, with_int};
use super::proto::Node;
use crate::runtime::operators::{ATTENTION, ENCODER_MEMORY, FINISH_ROWS};

/// What a mask adds to a score at most, so that nothing comes of it.
const NOTHING: f32 = -1e4;

/// From `[b, steps, heads, n / heads]` to head by head; the keys are turned round as well.
const BY_HEAD: [i64; 4] = [0, 2, 1, 3];
const KEYS_BY_HEAD: [i64; 4] = [0, 2, 3, 1];

/// Rewrites all attention over int8 products, and says how many.
pub fn fuse_attention(net: &Net) -> Option<(Net, usize)> {
    let nodes = net.nodes();
    let found: Vec<Found> = (0..nodes.len()).filter_map(|at| Found::at(net, at)).collect();
    let count = found.len();
    let mut by: HashMap<usize, Vec<Node>> = HashMap::new();
    for Found { place, node, gone } in found {
        gone.into_iter().for_each(|at| drop(by.insert(at, vec![])));
        by.entry(place).or_insert_with(|| vec![nodes[place].clone()]).push(node);
    }
    Some((net.clone().replace(by)?, count))
}

/// One attention: the operator, the node behind which it comes, and the nodes whose results it gives. Those between them
/// go where nobody else needs them.
struct Found {
    place: usize,
    node: Node,
    gone: Vec<usize>,
}

/// A part of a product's columns, in the form `[b, steps, heads, n / heads]`, and turned.
struct Side<'a> {
    /// Of the product's value; `None` is all of it.
    part: Option<(usize, usize)>,
    value: &'a str,
    product: usize,
    heads: i64,
    width: i64,
}

impl Found {
    /// The attention whose softmax is at `at`; none where it has another form.
    fn at(net: &Net, at: usize) -> Option<Self> {
        let nodes = net.nodes();
        let softmax =
            nodes.get(at).filter(|node| is(node, "Softmax") && [Some(-1), Some(3)].contains(&int(node, "axis")))?;
        let masked = &nodes[net.maker(softmax.input.first()?, "Add")?].input;
        let scores = |name: &String| net.maker(name, "MatMul").or_else(|| net.maker(name, "Div")).is_some();
        let score = masked.iter().find(|name| scores(name))?;
        let steps = own_steps(net, other(masked, score)?)?;
        let (queries, keys, factor) = scored(net, score)?;
        let weighed = net.only_user(softmax.output.first()?).filter(|&at| is(&nodes[at], "MatMul"))?;
        let [weights, values] = nodes[weighed].input.as_slice() else { return None };
        if weights != &softmax.output[0] {
            return None;
        }
        let back = net.only_user(nodes[weighed].output.first()?).filter(|&at| turns(&nodes[at], &BY_HEAD))?;
        let reshape = net.users(nodes[back].output.first()?).iter().copied().find(|&at| is(&nodes[at], "Reshape"))?;
        let context = nodes[reshape].output.first()?;
        let quantize = net.only_user(context).filter(|&at| quantising(net, context) == Some(at))?;
        let query = Side::of(net, queries, &BY_HEAD)?;
        let key = Side::of(net, keys, &KEYS_BY_HEAD)?;
        let value = Side::of(net, values, &BY_HEAD)?;
        let shape = shape_of(net, &nodes[reshape], &nodes[back].output[0])?;
        let fits = [key.heads, value.heads] == [query.heads; 2]
            && [key.width, value.width] == [query.width; 2]
            && matches!(shape.as_slice(), [width] if *width == query.width || *width == -1)
            && key.product == value.product;
        let sides = [query.part, key.part, value.part];
        let is_self = sides == [Some((0, 3)), Some((1, 3)), Some((2, 3))] && query.product == key.product;
        let is_cross = sides == [None, Some((0, 2)), Some((1, 2))] && query.product != key.product;
        if !fits || !(is_self || is_cross) {
            return None;
        }
        let memory = net.users(value.value).iter().copied().find(|&at| {
            is_self
                && is_own(&nodes[at], ENCODER_MEMORY)
                && net.maker(&nodes[at].input[1], "Unsqueeze").is_some_and(|mask| nodes[mask].input[0] == steps)
        });
        let none = vec![String::new(); 6];
        let others = if is_cross { &nodes[key.product].input } else { &none };
        let mut inputs: Vec<&str> = nodes[query.product].input.iter().chain(others).map(String::as_str).collect();
        inputs.push(&steps);
        let mut outputs: Vec<&str> = nodes[quantize].output.iter().skip(2).map(String::as_str).collect();
        let mut attributes = vec![with_int("heads", query.heads), with_float("factor", factor)];
        if let Some(memory) = memory {
            inputs.push(&nodes[memory].input[2]);
            outputs.push(&nodes[memory].output[0]);
            attributes.push(with_int("before", int(&nodes[memory], "before")?));
        }
        let node = own(ATTENTION, &inputs, &outputs, attributes);
        let gone = memory.into_iter().chain([quantize]).collect();
        let place = query.product.max(key.product).max(net.maker_of(&steps)?);
        Some(Self { place, node, gone })
    }
}

impl<'a> Side<'a> {
    /// What is turned as `perm` says.
    fn of(net: &'a Net, name: &str, perm: &[i64]) -> Option<Self> {
        let nodes = net.nodes();
        let turn = net.maker_of(name).filter(|&at| turns(&nodes[at], perm))?;
        let reshape = net.maker(nodes[turn].input.first()?, "Reshape")?;
        let value = nodes[reshape].input.first()?;
        let [heads, each] = shape_of(net, &nodes[reshape], value)?.try_into().ok()?;
        if heads < 1 || each < 1 {
            return None;
        }
        let width = heads.checked_mul(each)?;
        let (part, whole) = match net.maker(value, "Split") {
            Some(split) => {
                let node = &nodes[split];
                let sizes = match node.input.get(1) {
                    Some(sizes) => net.numbers(sizes)?,
                    None => ints(node, "split")?.to_vec(),
                };
                let fits = [Some(-1), Some(2)].contains(&int(node, "axis")) && sizes.iter().all(|&size| size == width);
                let part = node.output.iter().position(|name| name == value).filter(|_| fits)?;
                (Some((part, sizes.len())), node.input.first()?)
            }
            None => (None, value),
        };
        let product = net.own_maker(whole, FINISH_ROWS)?;
        let bias = net.weight(nodes[product].input.get(5)?)?;
        let parts = part.map_or(1, |(_, parts)| parts as i64);
        // Nothing but the product: neither a sum nor a `Relu`.
        let plain = nodes[product].input.len() == 6
            && nodes[product].output.len() == 1
            && int(&nodes[product], "relu") != Some(1)
            && bias.dims == [parts * width];
        plain.then_some(Self { part, value, product, heads, width })
    }
}

/// Whether a node moves axes as `perm` says.
fn turns(node: &Node, perm: &[i64]) -> bool {
    is(node, "Transpose") && ints(node, "perm") == Some(perm)
}

/// Of which queries and keys scores are the product, and what these are multiplied by: either the scores are divided, or the
/// queries multiplied.
fn scored<'a>(net: &'a Net, scores: &'a str) -> Option<(&'a str, &'a str, f32)> {
    let nodes = net.nodes();
    let (product, factor) = match net.maker(scores, "Div") {
        Some(at) => (nodes[at].input.first()?.as_str(), 1.0 / net.number(nodes[at].input.get(1)?)?),
        None => (scores, 1.0),
    };
    let [queries, keys] = nodes[net.maker(product, "MatMul")?].input.as_slice() else { return None };
    let Some(scaled) = net.maker(queries, "Mul") else { return Some((queries, keys, factor)) };
    let [a, b] = nodes[scaled].input.as_slice() else { return None };
    let (constant, queries) = if net.number(a).is_some() { (a, b) } else { (b, a) };
    Some((queries, keys, factor * net.number(constant)?))
}

/// What a value is reshaped to behind its first two dimensions, which stay as they are.
fn shape_of(net: &Net, reshape: &Node, value: &str) -> Option<Vec<i64>> {
    let nodes = net.nodes();
    let sizes = &nodes[net.maker(reshape.input.get(1)?, "Concat")?].input;
    let (kept, new) = sizes.split_at_checked(2)?;
    for (axis, name) in kept.iter().enumerate() {
        let gather = &nodes[net.maker(nodes[net.maker(name, "Unsqueeze")?].input.first()?, "Gather")?];
        let shape = &nodes[net.maker(gather.input.first()?, "Shape")?];
        let is_own_size = net.numbers(gather.input.get(1)?)? == [axis as i64]
            && (shape.input.first()? == value || are_beside(net, shape.input.first()?, value));
        if !is_own_size {
            return None;
        }
    }
    new.iter().map(|name| <[i64; 1]>::try_from(net.numbers(name)?).ok().map(|[size]| size)).collect()
}

/// Whether both come from one split along the last axis, and so have the same steps.
fn are_beside(net: &Net, a: &str, b: &str) -> bool {
    net.maker(a, "Split").is_some_and(|split| net.maker(b, "Split") == Some(split))
}

/// The numbers `[b, k]`, 0 for steps that are none of the stream's own, of which a mask `(1 - numbers) * a lot` is made.
fn own_steps(net: &Net, mask: &str) -> Option<String> {
    let nodes = net.nodes();
    let mut mask = mask;
    while let Some(cast) = net.maker(mask, "Cast").filter(|&at| int(&nodes[at], "to") == Some(1)) {
        mask = nodes[cast].input.first()?;
    }
    let [a, b] = nodes[net.maker(mask, "Mul")?].input.as_slice() else { return None };
    let (much, inverse) = if net.number(a).is_some() { (a, b) } else { (b, a) };
    let [one, own] = nodes[net.maker(inverse, "Sub")?].input.as_slice() else { return None };
    if net.number(much)? > NOTHING || net.number(one)? != 1.0 {
        return None;
    }
    let mut own = own;
    while let Some(unsqueeze) = net.maker(own, "Unsqueeze") {
        own = nodes[unsqueeze].input.first()?;
    }
    let cast = net.maker(own, "Cast")?;
    net.maker(nodes[cast].input.first()?, "Less")?;
    Some(own.clone())
}
