//! The weights of int8 products go out of the graph, to be shared by all sessions that are made of it; with them go the
//! products, which are our own operators then.

use std::collections::{HashMap, HashSet};

use super::net::{Net, bytes_of, is, is_own, own, with_int};
use super::proto::{INT8, Node, UINT8};
use crate::runtime::operators::weight::Weight;
use crate::runtime::operators::{FINISH_ROWS, PRODUCT};

/// The bytes among the inputs of [`FINISH_ROWS`].
const FACTORS: usize = 10;

/// Takes the weights out of all products that have row scales; `unsigned` are those that are to be signed. Gives them by the
/// numbers that the graph now has for them.
pub fn take_weights(net: &Net, unsigned: &HashSet<String>) -> Option<(Net, Vec<Weight>)> {
    let (mut by, mut weights) = (HashMap::new(), Vec::new());
    for (at, node) in net.nodes().iter().enumerate() {
        let Some((weight, [rows, integers])) = product(net, node, unsigned) else { continue };
        let number = with_int("weight", weights.len() as i64);
        weights.push(weight);
        // What finishes the product takes it in, where nothing else wants the integers.
        let finish = net.only_user(integers).filter(|&user| is_own(&net.nodes()[user], FINISH_ROWS));
        let finish =
            finish.map(|user| (user, net.nodes()[user].clone())).filter(|(_, node)| node.input[0] == *integers);
        if let Some((user, mut finish)) = finish {
            finish.input.resize(FACTORS + 1, String::new());
            finish.input[0].clear();
            finish.input[FACTORS].clone_from(rows);
            finish.attribute.push(number);
            by.insert(at, vec![]);
            by.insert(user, vec![finish]);
        } else {
            by.insert(at, vec![own(PRODUCT, &[rows], &[integers], vec![number])]);
        }
    }
    Some((net.clone().replace(by)?, weights))
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
