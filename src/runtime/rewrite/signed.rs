//! Weights of 8 bits, unsigned, become signed: the same integers in every product, and a faster kernel.
//!
//! A weight and its zero point move down by 128 together, so that `(a - za) * (b - zb)` stays what it was, bit for bit. In
//! two's complement, less 128 is the highest bit turned over. That is done in the bytes of the new file: the weights are
//! nearly all of a graph, and a copy of them would double the memory that loading takes.

use std::collections::HashSet;
use std::ops::Range;

use prost::Message;
use prost::bytes::Bytes;

use super::net::{Net, bytes_of};
use super::product::Product;
use super::proto::{INT8, Model, UINT8};

/// Whether this processor multiplies unsigned by signed bytes without saturating. Others add pairs in 16 bits, which
/// gives wrong products; there the weights stay as they are.
pub fn processor_is_exact() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// The names of the tensors that can move: the weights and zero points of products.
pub fn movable(net: &Net, products: &[Product]) -> HashSet<String> {
    let mut movable: Vec<&Product> = products.iter().filter(|product| is_unsigned(net, product)).collect();
    // A tensor that anything else uses stays, and then so do the others of its products.
    loop {
        let places: HashSet<(&str, usize)> = movable
            .iter()
            .flat_map(|product| [(product.weight.as_str(), product.integer), (&product.zero_point, product.integer)])
            .collect();
        let before = movable.len();
        movable.retain(|product| {
            let all_move = |name: &str| net.users(name).iter().all(|&user| places.contains(&(name, user)));
            all_move(&product.weight) && all_move(&product.zero_point)
        });
        if movable.len() == before {
            break;
        }
    }
    movable.iter().flat_map(|product| [product.weight.clone(), product.zero_point.clone()]).collect()
}

/// Calls these tensors signed. What they hold is to be turned over: see [`places`].
pub fn call_signed(net: &mut Net, names: &HashSet<String>) {
    for name in names {
        if let Some(tensor) = net.weight_mut(name)
            && let Some(bytes) = bytes_of(tensor, UINT8)
        {
            tensor.raw_data = Some(bytes);
            tensor.int32_data.clear();
            tensor.data_type = Some(INT8);
        }
    }
}

/// Where in an ONNX file the bytes of these tensors lie, whose highest bits are to be turned over. None where they are not
/// all there.
pub fn places(file: &Bytes, names: &HashSet<String>) -> Option<Vec<Range<usize>>> {
    if names.is_empty() {
        return Some(Vec::new());
    }
    // Tensor data are slices of the file.
    let graph = Model::decode(file.clone()).ok()?.graph?;
    let tensors = graph.initializer.iter().filter(|tensor| names.contains(tensor.name()));
    let place = |bytes: &Bytes| {
        let start = bytes.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
        (start + bytes.len() <= file.len()).then_some(start..start + bytes.len())
    };
    let places: Option<Vec<_>> = tensors.map(|tensor| place(tensor.raw_data.as_ref()?)).collect();
    places.filter(|places| places.len() == names.len())
}

/// Whether weight and zero point are unsigned, two tensors, and nothing but operands.
fn is_unsigned(net: &Net, product: &Product) -> bool {
    let unsigned = |name: &str| net.weight(name).is_some_and(|tensor| bytes_of(tensor, UINT8).is_some());
    product.weight != product.zero_point
        && unsigned(&product.weight)
        && unsigned(&product.zero_point)
        && !net.is_port(&product.weight)
        && !net.is_port(&product.zero_point)
}
