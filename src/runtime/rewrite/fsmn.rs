//! The FSMN memory, a depthwise convolution over time, as a two-dimensional one of height 1, for which ONNX Runtime has a
//! fast kernel. The sums are the same but for their last bit.

use std::collections::HashMap;

use super::net::{Net, axes, bytes_of, int, ints, is, node, tensor, with_int, with_ints};
use super::proto::{FLOAT, Graph, Node};

/// Rewrites all depthwise convolutions over time; gives how many.
pub fn widen_convolutions(mut net: Net) -> Result<(Net, usize), Graph> {
    let places: Vec<usize> = (0..net.nodes().len()).filter(|&at| is_depthwise(&net, &net.nodes()[at])).collect();
    if places.is_empty() {
        return Ok((net, 0));
    }
    let height = net.add_weight(axes("height_axis", &[2]));
    let mut kernels: HashMap<String, String> = HashMap::new();
    let mut by: HashMap<usize, Vec<Node>> = HashMap::new();
    for &at in &places {
        let old = net.nodes()[at].clone();
        let (Some(kernel), [output]) = (net.weight(&old.input[1]).cloned(), old.output.as_slice()) else { continue };
        let name = kernels.get(&old.input[1]).cloned().unwrap_or_else(|| {
            let [channels, each, taps] = [kernel.dims[0], kernel.dims[1], kernel.dims[2]];
            let bytes = bytes_of(&kernel, FLOAT).unwrap_or_default();
            net.add_weight(tensor(&format!("{}_2d", kernel.name()), FLOAT, &[channels, each, 1, taps], bytes))
        });
        kernels.insert(old.input[1].clone(), name.clone());
        let (high, wide) = (net.new_name(&format!("{output}_in_2d")), net.new_name(&format!("{output}_2d")));
        let pads = ints(&old, "pads").unwrap_or(&[0, 0]);
        let mut inputs = vec![high.as_str(), &name];
        inputs.extend(old.input[2..].iter().map(String::as_str));
        let attributes = vec![
            with_int("group", kernel.dims[0]),
            with_ints("kernel_shape", &[1, kernel.dims[2]]),
            with_ints("pads", &[0, pads[0], 0, pads[1]]),
            with_ints("strides", &[1, 1]),
            with_ints("dilations", &[1, 1]),
        ];
        by.insert(
            at,
            vec![
                node("Unsqueeze", &[&old.input[0], &height], &high, vec![]),
                node("Conv", &inputs, &wide, attributes),
                node("Squeeze", &[&wide, &height], output, vec![]),
            ],
        );
    }
    let rewritten = by.len();
    Ok((net.replace(by)?, rewritten))
}

/// Whether a node is a convolution over time, step by step, with one kernel for each channel.
fn is_depthwise(net: &Net, node: &Node) -> bool {
    let plain = |name: &str, expected: &[i64]| ints(node, name).is_none_or(|found| found == expected);
    let known = ["dilations", "group", "kernel_shape", "pads", "strides"];
    let [_, kernel, ..] = node.input.as_slice() else { return false };
    let Some(kernel) = net.weight(kernel).filter(|kernel| bytes_of(kernel, FLOAT).is_some()) else { return false };
    let [channels, 1, taps] = kernel.dims.as_slice() else { return false };
    is(node, "Conv")
        && node.output.len() == 1
        && node.attribute.iter().all(|attribute| known.contains(&attribute.name()))
        && int(node, "group") == Some(*channels)
        && *channels > 1
        && plain("kernel_shape", &[*taps])
        && plain("strides", &[1])
        && plain("dilations", &[1])
        && ints(node, "pads").is_none_or(|pads| pads.len() == 2)
}
