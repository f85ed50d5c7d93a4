//! The weights of int8 products go out of the graph, to be shared by all sessions that are made of it; with them go the
//! products, which are our own operators then.

use std::collections::{HashMap, HashSet};

use super::net::{Net, bytes_of, is, is_own, own, with_int};
use super::proto::{INT8, Node, UINT8};
use crate::runtime::operators::weight::Weight;
use crate::runtime::operators::{ATTENTION, FINISH_ROWS, PRODUCT};

/// The rows of the product among the inputs of [`FINISH_ROWS`], and among those of [`ATTENTION`].
const FINISH_FACTORS: usize = 10;
const ATTENTION_FACTORS: usize = 14;
/// The integers of keys and values among the inputs of [`ATTENTION`], where they are not those of the queries.
const KEYS_OF_OTHERS: usize = 6;

/// Takes the weights out of all products that have row scales; `unsigned` are those that are to be signed. Gives them by the
/// numbers that the graph now has for them.
pub fn take_weights(net: &Net, unsigned: &HashSet<String>) -> Option<(Net, Vec<Weight>)> {
    let (mut by, mut weights) = (HashMap::new(), Vec::new());
    for (at, node) in net.nodes().iter().enumerate() {
        let Some((weight, [rows, integers])) = product(net, node, unsigned) else { continue };
        let number = with_int("weight", weights.len() as i64);
        weights.push(weight);
        // What goes on with the product takes it in, where nothing else wants the integers.
        let taker = net.only_user(integers).and_then(|user| Some((user, takes_in(&net.nodes()[user], integers)?)));
        let made = if let Some((user, [slot, factors])) = taker {
            let mut taker = net.nodes()[user].clone();
            taker.input.resize(taker.input.len().max(factors + 1), String::new());
            taker.input[slot].clear();
            taker.input[factors].clone_from(rows);
            taker.attribute.push(number);
            by.insert(user, vec![taker]);
            vec![]
        } else {
            vec![own(PRODUCT, &[rows], &[integers], vec![number])]
        };
        by.insert(at, made);
    }
    Some((net.clone().replace(by)?, weights))
}

/// Where an operator has the integers of a product that it can make itself, and where it takes the rows for that.
fn takes_in(node: &Node, integers: &str) -> Option<[usize; 2]> {
    let has = |slot: usize| node.input.get(slot).is_some_and(|name| name == integers);
    let is_cross = node.input.get(KEYS_OF_OTHERS).is_some_and(|name| !name.is_empty());
    // The queries of attention to others are few rows of each stream, for which a weight is not read.
    let slot = if is_own(node, ATTENTION) && is_cross { KEYS_OF_OTHERS } else { 0 };
    let factors = if is_own(node, FINISH_ROWS) {
        FINISH_FACTORS
    } else if is_own(node, ATTENTION) {
        ATTENTION_FACTORS
    } else {
        return None;
    };
    has(slot).then_some([slot, factors])
}

/// The packed weight of a product whose rows have scales, and the names of its rows and its result; none where it has
/// another form.
fn product<'a>(net: &Net, node: &'a Node, unsigned: &HashSet<String>) -> Option<(Weight, [&'a String; 2])> {
    let ([rows, weight, no_zero, zero], [integers]) = (node.input.as_slice(), node.output.as_slice()) else {
        return None;
    };
    let (matrix, zeros) = (net.weight(weight)?, net.weight(zero)?);
    let (kind, flip) = if unsigned.contains(weight) { (UINT8, 0x80) } else { (INT8, 0) };
    if !is(node, "MatMulInteger") || !no_zero.is_empty() || unsigned.contains(zero) != (flip != 0) {
        return None;
    }
    let [inputs, outputs] = *matrix.dims.as_slice() else { return None };
    let (inputs, outputs) = (usize::try_from(inputs).ok()?, usize::try_from(outputs).ok()?);
    let weight = Weight::pack(inputs, outputs, &bytes_of(matrix, kind)?, &bytes_of(zeros, kind)?, flip)?;
    Some((weight, [rows, integers]))
}
