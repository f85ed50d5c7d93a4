//! The form of an int8 matrix product in a graph that `quantize_dynamic` made:
//! `DynamicQuantizeLinear`, `MatMulInteger`, `Cast`, and a `Mul` by the product of both scales.

use super::net::{Net, bytes_of, int, is, len, other};
use super::proto::{FLOAT, INT8, Tensor, UINT8};

/// One matrix product, by the places of its nodes and the names of its values.
#[derive(Debug, Clone)]
pub struct Product {
    /// `DynamicQuantizeLinear`, which others may use as well.
    pub quantize: usize,
    /// `MatMulInteger`.
    pub integer: usize,
    /// `Cast` of the integers to numbers.
    pub cast: usize,
    /// `Mul` of the activation's scale and the weight's.
    pub scales: usize,
    /// `Mul` that gives the result.
    pub result: usize,
    /// What is quantised and multiplied.
    pub input: String,
    /// `[inputs, outputs]`, 8 bits.
    pub weight: String,
    /// The weight's zero point, for all or for each output.
    pub zero_point: String,
    /// The weight's scale, for all or for each output.
    pub scale: String,
    /// The result.
    pub output: String,
}

/// Whether a weight is 8 bits, and lies in the graph as a matrix.
fn is_matrix(tensor: &Tensor) -> bool {
    tensor.dims.len() == 2 && [UINT8, INT8].iter().any(|&kind| bytes_of(tensor, kind).is_some())
}

impl Product {
    /// The product whose `MatMulInteger` is at `integer`; none where it has another form.
    pub fn at(net: &Net, integer: usize) -> Option<Self> {
        let nodes = net.nodes();
        let node = nodes.get(integer).filter(|node| is(node, "MatMulInteger"))?;
        let ([quantized, weight, activation_zero, zero_point], [products]) =
            (node.input.as_slice(), node.output.as_slice())
        else {
            return None;
        };
        let quantize = net.maker(quantized, "DynamicQuantizeLinear")?;
        let ([input], [q, activation_scale, z]) = (nodes[quantize].input.as_slice(), nodes[quantize].output.as_slice())
        else {
            return None;
        };
        if (q, z) != (quantized, activation_zero) {
            return None;
        }
        let (matrix, zeros) = (net.weight(weight)?, net.weight(zero_point)?);
        let outputs = matrix.dims.get(1).and_then(|&n| usize::try_from(n).ok()).filter(|&n| n > 0)?;
        let one_or_each =
            |tensor: &Tensor| tensor.dims.len() <= 1 && len(tensor).is_some_and(|n| n == 1 || n == outputs);
        let fits = is_matrix(matrix) && bytes_of(zeros, matrix.data_type()).is_some() && one_or_each(zeros);
        let cast = net.only_user(products).filter(|&at| is(&nodes[at], "Cast"))?;
        if !fits || int(&nodes[cast], "to") != Some(i64::from(FLOAT)) {
            return None;
        }
        let numbers = nodes[cast].output.first()?;
        let result = net.only_user(numbers).filter(|&at| is(&nodes[at], "Mul"))?;
        let both = other(&nodes[result].input, numbers)?;
        let scales = net.maker(both, "Mul").filter(|_| net.only_user(both) == Some(result))?;
        let scale = other(&nodes[scales].input, activation_scale)?;
        let weight_scale = net.weight(scale)?;
        if bytes_of(weight_scale, FLOAT).is_none() || !one_or_each(weight_scale) {
            return None;
        }
        Some(Self {
            quantize,
            integer,
            cast,
            scales,
            result,
            input: input.clone(),
            weight: weight.clone(),
            zero_point: zero_point.clone(),
            scale: scale.clone(),
            output: nodes[result].output.first()?.clone(),
        })
    }

    /// All products of this form, in order, and how many `MatMulInteger` have another.
    pub fn all(net: &Net) -> (Vec<Self>, usize) {
        let integers = net.nodes().iter().enumerate().filter(|(_, node)| is(node, "MatMulInteger"));
        let found: Vec<Option<Self>> = integers.map(|(at, _)| Self::at(net, at)).collect();
        let others = found.iter().filter(|product| product.is_none()).count();
        (found.into_iter().flatten().collect(), others)
    }
}
