//! Weights of 8 bits, unsigned, become signed: the same integers in every product, and a faster kernel.
//!
//! A weight and its zero point move down by 128 together, so that `(a - za) * (b - zb)` stays what it was, bit for bit.

use std::collections::HashSet;

use super::net::{Net, bytes_of};
use super::product::Product;
use super::proto::{INT8, UINT8};

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

/// Moves the weights of all products that can; gives how many products have a signed weight in the end.
pub fn sign_weights(net: &mut Net, products: &[Product]) -> usize {
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
    let names: HashSet<&str> =
        movable.iter().flat_map(|product| [product.weight.as_str(), &product.zero_point]).collect();
    for name in names {
        if let Some(tensor) = net.weight_mut(name)
            && let Some(bytes) = bytes_of(tensor, UINT8)
        {
            // In two's complement, less 128 is the highest bit turned over.
            tensor.raw_data = Some(bytes.iter().map(|byte| byte ^ 0x80).collect());
            tensor.int32_data.clear();
            tensor.data_type = Some(INT8);
        }
    }
    products.iter().filter(|product| net.weight(&product.weight).is_some_and(|w| w.data_type() == INT8)).count()
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
