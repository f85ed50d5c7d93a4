//! The FSMN memory, which the exporter spreads over masks, transposes, padding and a convolution, as one operator.

use std::collections::HashMap;

use super::net::{Net, bytes_of, int, ints, is, other, own, tensor, with_int};
use super::proto::{FLOAT, Node, Tensor};
use crate::runtime::operators::{DECODER_MEMORY, ENCODER_MEMORY};

/// Moves the second and the third axis.
const SWAPPED: [i64; 3] = [0, 2, 1];

/// One memory: where its nodes are, and the values that it takes and gives.
struct Memory {
    /// The nodes that go, the last of them in whose place the operator comes.
    nodes: Vec<usize>,
    input: String,
    mask: String,
    kernel: String,
    outputs: Vec<String>,
    kind: Kind,
}

enum Kind {
    /// How many taps look back.
    Encoder(i64),
    /// The cache that is gone on from.
    Decoder(String),
}

/// Rewrites all memories; gives their masks.
pub fn fuse_memories(mut net: Net) -> Option<(Net, Vec<String>)> {
    let memories: Vec<Memory> = (0..net.nodes().len()).filter_map(|at| Memory::at(&net, at)).collect();
    let mut by: HashMap<usize, Vec<Node>> = HashMap::new();
    for memory in &memories {
        let Some(kernel) = net.weight(&memory.kernel).and_then(by_tap) else { continue };
        let kernel = net.add_weight(Tensor { name: Some(format!("{}_by_tap", memory.kernel)), ..kernel });
        let mut inputs = vec![memory.input.as_str(), &memory.mask, &kernel];
        let (op_type, attributes) = match &memory.kind {
            Kind::Encoder(before) => (ENCODER_MEMORY, vec![with_int("before", *before)]),
            Kind::Decoder(cache) => {
                inputs.push(cache);
                (DECODER_MEMORY, vec![])
            }
        };
        let outputs: Vec<&str> = memory.outputs.iter().map(String::as_str).collect();
        let fused = own(op_type, &inputs, &outputs, attributes);
        memory.nodes.iter().for_each(|&at| drop(by.insert(at, vec![])));
        memory.nodes.last().into_iter().for_each(|&at| drop(by.insert(at, vec![fused.clone()])));
    }
    let masks = memories.into_iter().map(|memory| memory.mask).collect();
    Some((net.replace(by)?, masks))
}

/// A kernel `[channels, 1, taps]` as `[taps, channels]`.
fn by_tap(kernel: &Tensor) -> Option<Tensor> {
    let &[channels, 1, taps] = kernel.dims.as_slice() else { return None };
    let bytes = bytes_of(kernel, FLOAT)?;
    let (count, taps) = (usize::try_from(channels).ok()?, usize::try_from(taps).ok()?);
    let value = |tap: usize, channel: usize| &bytes[4 * (channel * taps + tap)..][..4];
    let turned: Vec<u8> =
        (0..taps).flat_map(|tap| (0..count).flat_map(move |channel| value(tap, channel))).copied().collect();
    Some(tensor("", FLOAT, &[taps as i64, channels], turned))
}

impl Memory {
    /// The memory whose convolution is at `conv`; none where it has another form.
    fn at(net: &Net, conv: usize) -> Option<Self> {
        let nodes = net.nodes();
        let [padded, kernel] = nodes.get(conv).filter(|node| is_plain_depthwise(net, node))?.input.as_slice() else {
            return None;
        };
        let taps = *net.weight(kernel)?.dims.get(2)?;
        let next = |at: usize, op_type: &str| {
            net.only_user(nodes[at].output.first()?).filter(|&user| is(&nodes[user], op_type))
        };
        let transposed = next(conv, "Transpose").filter(|&at| ints(&nodes[at], "perm") == Some(&SWAPPED))?;
        let sum = next(transposed, "Add")?;
        let result = next(sum, "Mul")?;
        let beside = other(&nodes[sum].input, &nodes[transposed].output[0])?;
        let mask = other(&nodes[result].input, &nodes[sum].output[0])?;
        // `[streams, steps, 1]`, 1 for a stream's own steps and 0 for those behind them.
        let unsqueeze = net.maker(mask, "Unsqueeze")?;
        let own_steps = net.maker(nodes[unsqueeze].input.first()?, "Cast")?;
        net.maker(nodes[own_steps].input.first()?, "Less")?;
        if net.numbers(nodes[unsqueeze].input.get(1)?)? != [2] {
            return None;
        }
        let swap = |name: &str| {
            let at = net.maker(name, "Transpose").filter(|&at| ints(&nodes[at], "perm") == Some(&SWAPPED))?;
            Some((at, nodes[at].input.first()?))
        };
        let output = nodes[result].output.first()?.clone();
        if let Some(pad) = net.maker(padded, "Pad").filter(|_| net.only_user(padded) == Some(conv)) {
            let before = zeros_before(net, &nodes[pad], taps)?;
            let (swapped, masked) = swap(&nodes[pad].input[0])?;
            net.only_user(&nodes[pad].input[0])?;
            let multiply = net.maker(masked, "Mul").filter(|_| masked == beside && !net.is_port(masked))?;
            let mut users = net.users(masked).to_vec();
            users.sort_unstable();
            let mut expected = [swapped, sum];
            expected.sort_unstable();
            return (users == expected).then_some(Self {
                nodes: vec![multiply, swapped, pad, conv, transposed, sum, result],
                input: other(&nodes[multiply].input, mask)?.clone(),
                mask: mask.clone(),
                kernel: kernel.clone(),
                outputs: vec![output],
                kind: Kind::Encoder(before),
            });
        }
        let joined = net.maker(padded, "Concat").filter(|&at| int(&nodes[at], "axis") == Some(2))?;
        let [cache, new] = nodes[joined].input.as_slice() else { return None };
        let (swapped, masked) = swap(new)?;
        net.only_user(new)?;
        let multiply = net.maker(masked, "Mul").filter(|_| net.only_user(masked) == Some(swapped))?;
        let input = other(&nodes[multiply].input, mask).filter(|&input| input == beside)?;
        let [one, two] = net.users(padded) else { return None };
        let slice = if *one == conv { *two } else { *one };
        let kept = is(&nodes[slice], "Slice") && is_last(net, &nodes[slice], taps - 1) && !net.is_port(padded);
        kept.then_some(Self {
            nodes: vec![multiply, swapped, joined, slice, conv, transposed, sum, result],
            input: input.clone(),
            mask: mask.clone(),
            kernel: kernel.clone(),
            outputs: vec![output, nodes[slice].output.first()?.clone()],
            kind: Kind::Decoder(cache.clone()),
        })
    }
}

/// Whether a node is a convolution over time, step by step, with one kernel for each channel, no bias and no padding.
fn is_plain_depthwise(net: &Net, node: &Node) -> bool {
    let [_, kernel] = node.input.as_slice() else { return false };
    let Some(kernel) = net.weight(kernel).filter(|kernel| bytes_of(kernel, FLOAT).is_some()) else { return false };
    let [channels, 1, taps] = kernel.dims.as_slice() else { return false };
    let plain = |name: &str, expected: &[i64]| ints(node, name).is_none_or(|found| found == expected);
    let known = ["dilations", "group", "kernel_shape", "pads", "strides"];
    is(node, "Conv")
        && node.attribute.iter().all(|attribute| known.contains(&attribute.name()))
        && int(node, "group") == Some(*channels)
        && plain("kernel_shape", &[*taps])
        && plain("strides", &[1])
        && plain("dilations", &[1])
        && plain("pads", &[0, 0])
}

/// How many zeros a `Pad` puts before the last axis, where they and those behind are as many as `taps` need. Its
/// numbers are made as torch.onnx makes them: the pair for the last axis, zeros for the others, all in reverse.
fn zeros_before(net: &Net, pad: &Node, taps: i64) -> Option<i64> {
    let mode = pad.attribute.iter().find(|attribute| attribute.name() == "mode");
    if mode.is_some_and(|mode| mode.s() != b"constant") || pad.input.len() > 3 {
        return None;
    }
    if let Some(value) = pad.input.get(2).filter(|name| !name.is_empty()) {
        bytes_of(net.constant(value)?, FLOAT).filter(|bytes| bytes.iter().all(|&byte| byte == 0))?;
    }
    let mut name = pad.input.get(1)?;
    if let Some(all) = net.numbers(name) {
        let &[0, 0, before, 0, 0, after] = all.as_slice() else { return None };
        return (before >= 0 && after >= 0 && before + after == taps - 1).then_some(before);
    }
    for op_type in ["Cast", "Reshape", "Transpose", "Slice", "Reshape"] {
        name = net.nodes()[net.maker(name, op_type)?].input.first()?;
    }
    let pair = net.nodes()[net.maker(name, "Concat")?].input.first()?;
    let &[before, after] = net.numbers(pair)?.as_slice() else { return None };
    (before >= 0 && after >= 0 && before + after == taps - 1).then_some(before)
}

/// Whether a `Slice` takes the last `count` of the third axis.
fn is_last(net: &Net, slice: &Node, count: i64) -> bool {
    let values: Vec<Option<Vec<i64>>> = slice.input.iter().skip(1).map(|name| net.numbers(name)).collect();
    match values.as_slice() {
        [Some(starts), Some(ends), Some(axes), steps @ ..] => {
            let step_by_step = steps.iter().all(|steps| steps.as_deref() == Some(&[1]));
            starts == &[-count] && matches!(ends.as_slice(), [i64::MAX]) && axes == &[2] && step_by_step
        }
        _ => false,
    }
}
