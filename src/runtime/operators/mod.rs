//! Operators that the rewrites put into graphs, for what ONNX Runtime has none: each does in one pass over a tensor what
//! takes several of the standard's nodes, and treats each row alone, so that a batch changes nothing.

mod memory;
mod quantize;
mod scale;

use std::sync::Mutex;

use ort::operator::{ComputeContext, OperatorDomain};
use ort::value::ValueRef;
use pulp::Arch;

/// The domain of these operators.
pub const DOMAIN: &str = "paraformerasr";
/// The name of [`quantize`].
pub const QUANTIZE_ROWS: &str = "QuantizeRows";
/// The name of [`scale`].
pub const SCALE_ROWS: &str = "ScaleRows";
/// The FSMN memory of an encoder, [`memory`].
pub const ENCODER_MEMORY: &str = "EncoderMemory";
/// The FSMN memory of a decoder, [`memory`].
pub const DECODER_MEMORY: &str = "DecoderMemory";

/// Elements for which it pays to share the work among threads.
const SHARED_WORK: usize = 1 << 16;

/// All operators, to be given to each session. Errors: those of ONNX Runtime.
pub fn domain() -> ort::Result<OperatorDomain> {
    let rows = OperatorDomain::new(DOMAIN)?.add(quantize::QuantizeRows)?.add(scale::ScaleRows)?;
    rows.add(memory::EncoderMemory)?.add(memory::DecoderMemory)
}

/// An input that must be there.
fn input<'a>(context: &'a ComputeContext, at: usize) -> ort::Result<ValueRef<'a>> {
    context.input(at)?.ok_or_else(|| ort::Error::new(format!("input {at} is missing")))
}

/// Says that sizes do not fit.
fn misfit(operator: &str) -> ort::Error {
    ort::Error::new(format!("{operator}: sizes that do not fit each other"))
}

/// Runs `work` on each of some parts, with the processor's widest instructions, on several threads where there is much
/// to do.
fn for_each_part<P: Send>(
    context: &ComputeContext,
    elements: usize,
    parts: Vec<P>,
    work: impl Fn(&mut P) + Sync + Send,
) -> ort::Result<()> {
    let arch = Arch::new();
    if elements < SHARED_WORK || parts.len() < 2 {
        for mut part in parts {
            arch.dispatch(
                #[inline(always)]
                || work(&mut part),
            );
        }
        return Ok(());
    }
    // Each is locked once, by the thread whose number comes up.
    let parts: Vec<Mutex<P>> = parts.into_iter().map(Mutex::new).collect();
    context.par_for(parts.len(), 0, |at| {
        if let Ok(mut part) = parts[at].lock() {
            arch.dispatch(
                #[inline(always)]
                || work(&mut part),
            );
        }
    })
}

/// Rows of a part, so that there are a few parts for each thread.
fn rows_of_part(rows: usize) -> usize {
    rows.div_ceil(16).max(1)
}
