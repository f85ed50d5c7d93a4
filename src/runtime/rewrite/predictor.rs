//! The alpha predictor looks one frame ahead. In a call of streams of several lengths it must not see the padding behind a
//! shorter one: there is a mask for it in the graph, which the exporter uses only after the predictor.

use std::collections::{HashMap, HashSet};

use super::net::{Net, ints, is, node};

/// Masks what the predictor's convolution over time takes, where it is an output of the graph, with `mask`
/// `[streams, frames, 1]`.
pub fn mask_predictor(net: Net, mask: &str) -> Option<Net> {
    let nodes = net.nodes();
    let found = (0..nodes.len()).find_map(|conv| {
        let padded = nodes[conv].input.first().filter(|_| is(&nodes[conv], "Conv"))?;
        let pad = net.maker(padded, "Pad")?;
        let swapped = net.maker(nodes[pad].input.first()?, "Transpose")?;
        let encoded = nodes[swapped].input.first().filter(|name| net.is_port(name))?;
        (ints(&nodes[swapped], "perm") == Some(&[0, 2, 1])).then_some((swapped, encoded.clone()))
    });
    let Some((swapped, encoded)) = found else { return Some(net) };
    let masked = net.new_name(&format!("{encoded}_masked"));
    let mut transpose = nodes[swapped].clone();
    transpose.input = vec![masked.clone()];
    let multiply = node("Mul", &[&encoded, mask], &masked, vec![]);
    net.replace(HashMap::from([(swapped, vec![multiply, transpose])]))
}

/// The mask, where there is only one.
pub fn only_mask<'a>(masks: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let masks: HashSet<&str> = masks.collect();
    if masks.len() == 1 { masks.into_iter().next() } else { None }
}
