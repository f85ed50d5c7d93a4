//! One activation scale for each row in place of one for the whole tensor, so that what one stream says does not change
//! what another gets in the same call; with the bias and the `Relu` behind a product in the same pass.

use std::collections::{HashMap, HashSet};

use super::net::{Net, bytes_of, is, len, node, own, tensor, with_int};
use super::product::Product;
use super::proto::{FLOAT, INT8, INT32, Node};
use crate::runtime::operators::FINISH_ROWS;

/// What follows a product, and is done with it.
struct Tail {
    /// The bias, where there is one.
    bias: Option<String>,
    relu: bool,
    /// The nodes, besides the product's own, from the first to the last.
    nodes: Vec<usize>,
    /// The value that the last gives.
    output: String,
}

/// Rewrites the products; says how many.
pub fn scale_rows(mut net: Net, products: &[Product]) -> Option<(Net, usize)> {
    let gone: HashSet<usize> = products.iter().flat_map(|product| [product.integer, product.scales]).collect();
    let mut by: HashMap<usize, Vec<Node>> = HashMap::new();
    // Products of the same activation share its quantising.
    let mut quantized: HashMap<&str, [String; 3]> = HashMap::new();
    let mut done = 0;
    for product in products {
        let Some(columns) = Columns::of(&net, product) else { continue };
        let [rows, scale, zero] = quantized.entry(&product.input).or_insert_with(|| {
            let made = ["rows", "row_scale", "row_zero"].map(|what| net.new_name(&format!("{}_{what}", product.input)));
            let inputs = ["", "", "", "", "", "", &product.input];
            let quantize = own(FINISH_ROWS, &inputs, &["", "", &made[0], &made[1], &made[2]], vec![]);
            let old = net.nodes()[product.quantize].clone();
            // What else uses the old quantising keeps it.
            let is_kept = |name: &String| net.is_port(name) || net.users(name).iter().any(|user| !gone.contains(user));
            let nodes = if old.output.iter().any(is_kept) { vec![quantize, old] } else { vec![quantize] };
            by.insert(product.quantize, nodes);
            made
        });
        let tail = Tail::of(&net, product, columns.count);
        let name = |what: &str| format!("{}_{what}", product.weight);
        let count = [columns.count as i64];
        let scales = net.add_weight(tensor(&name("scales"), FLOAT, &count, columns.scales));
        let sums = net.add_weight(tensor(&name("sums"), INT32, &count, columns.sums));
        let no_bias = || tensor(&name("no_bias"), FLOAT, &count, vec![0; 4 * columns.count]);
        let bias = tail.bias.unwrap_or_else(|| net.add_weight(no_bias()));
        let integers = net.new_name(&format!("{}_integers", product.output));
        let multiply = node("MatMulInteger", &[rows, &product.weight, "", &product.zero_point], &integers, vec![]);
        let inputs = [&integers, scale, zero, &scales, &sums, &bias].map(String::as_str);
        let finish = own(FINISH_ROWS, &inputs, &[&tail.output], vec![with_int("relu", i64::from(tail.relu))]);
        [product.integer, product.cast, product.scales, product.result]
            .into_iter()
            .chain(tail.nodes.iter().copied())
            .for_each(|at| drop(by.insert(at, vec![])));
        let last = tail.nodes.last().copied().unwrap_or(product.result);
        by.insert(last, vec![multiply, finish]);
        done += 1;
    }
    Some((net.replace(by)?, done))
}

/// What belongs to the columns of a weight, as bytes.
struct Columns {
    count: usize,
    /// Scales, one for each.
    scales: Vec<u8>,
    /// The sums of the weights less their zero points.
    sums: Vec<u8>,
}

impl Columns {
    fn of(net: &Net, product: &Product) -> Option<Self> {
        let [weight, zeros, scales] =
            [net.weight(&product.weight)?, net.weight(&product.zero_point)?, net.weight(&product.scale)?];
        let kind = weight.data_type();
        let value = |byte: u8| if kind == INT8 { i32::from(byte as i8) } else { i32::from(byte) };
        let count = usize::try_from(*weight.dims.get(1)?).ok().filter(|&count| count > 0)?;
        let (bytes, zeros, scales) = (bytes_of(weight, kind)?, bytes_of(zeros, kind)?, bytes_of(scales, FLOAT)?);
        let mut sums = vec![0i32; count];
        for row in bytes.chunks_exact(count) {
            sums.iter_mut().zip(row).for_each(|(sum, &byte)| *sum = sum.wrapping_add(value(byte)));
        }
        let inputs = (bytes.len() / count) as i32;
        for (sum, &zero) in sums.iter_mut().zip(zeros.iter().cycle()) {
            *sum = sum.wrapping_sub(inputs.wrapping_mul(value(zero)));
        }
        Some(Self {
            count,
            scales: scales.iter().copied().cycle().take(4 * count).collect(),
            sums: sums.iter().flat_map(|sum| sum.to_le_bytes()).collect(),
        })
    }
}

impl Tail {
    fn of(net: &Net, product: &Product, columns: usize) -> Self {
        let mut tail = Self { bias: None, relu: false, nodes: Vec::new(), output: product.output.clone() };
        let next = |tail: &Self, op_type: &str| {
            let at = net.only_user(&tail.output).filter(|&at| is(&net.nodes()[at], op_type))?;
            Some((at, net.nodes()[at].output.first()?.clone()))
        };
        if let Some((at, output)) = next(&tail, "Add")
            && let Some(bias) = net.nodes()[at].input.iter().find(|name| **name != tail.output)
            && let Some(values) = net.weight(bias)
            && values.dims.len() == 1
            && len(values) == Some(columns)
            && bytes_of(values, FLOAT).is_some()
        {
            tail = Self { bias: Some(bias.clone()), output, nodes: vec![at], ..tail };
        }
        if let Some((at, output)) = next(&tail, "Relu") {
            tail.nodes.push(at);
            tail = Self { relu: true, output, ..tail };
        }
        tail
    }
}
