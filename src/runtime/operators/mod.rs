//! Operators that the rewrites put into graphs, for what ONNX Runtime has none: each does in one pass over a tensor what
//! takes several of the standard's nodes, and treats each row or each stream alone, so that a batch changes nothing.

mod attention;
mod dequantize;
mod finish;
mod memory;
mod product;
mod rows;
mod vnni;
pub mod weight;

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::operator::{ComputeContext, KernelContext, OperatorDomain};
use ort::session::builder::SessionBuilder;
use ort::value::{PrimitiveTensorElementType, ValueRef, ValueRefMut};
use prost::Message;
use pulp::{Arch, Simd, WithSimd};

use super::rewrite::proto;
use weight::{Operand, Weights};

/// The domain of these operators.
pub const DOMAIN: &str = "paraformerasr";
/// What lies between two int8 products, [`finish`].
pub const FINISH_ROWS: &str = "FinishRows";
/// An int8 product, [`product`].
pub const PRODUCT: &str = "Product";
/// What a stream's steps take from each other, [`attention`].
pub const ATTENTION: &str = "Attention";
/// The FSMN memory of an encoder, [`memory`].
pub const ENCODER_MEMORY: &str = "EncoderMemory";
/// The FSMN memory of a decoder, [`memory`].
pub const DECODER_MEMORY: &str = "DecoderMemory";

/// Elements for which it pays to share the work among threads: about 100 us. To wake a thread takes half of that.
const SHARED_WORK: usize = 1 << 18;

/// All operators, to be given to a session that works on so many threads. Errors: those of ONNX Runtime.
pub fn domain(weights: Weights, threads: usize) -> ort::Result<OperatorDomain> {
    let crew = Arc::new(Crew { weights, threads });
    let rows =
        OperatorDomain::new(DOMAIN)?.add(product::Product(crew.clone()))?.add(finish::FinishRows(crew.clone()))?;
    let streams = rows.add(attention::Attention(crew.clone()))?;
    streams.add(memory::EncoderMemory(crew.clone()))?.add(memory::DecoderMemory(crew))
}

/// Has ONNX Runtime take up [`DOMAIN`], by a session of a graph that is nearly nothing. To be called for an environment
/// before others can use it: the first session with a domain writes it into a table of the process, which every session
/// reads, and the table has no lock (`DomainToVersionRange` of onnx/defs/schema.h): of two first sessions one could fail.
///
/// Errors: those of ONNX Runtime.
pub fn introduce(environment: &Environment) -> ort::Result<()> {
    let scalar = proto::TensorType { elem_type: Some(proto::FLOAT), shape: Some(proto::Shape::default()) };
    let port = |name: &str| proto::ValueInfo {
        name: Some(name.into()),
        r#type: Some(proto::Type { value: Some(proto::type_value::Value::Tensor(scalar.clone())), denotation: None }),
        ..proto::ValueInfo::default()
    };
    let copy = proto::Node {
        input: vec!["from".into()],
        output: vec!["to".into()],
        op_type: Some("Identity".into()),
        ..proto::Node::default()
    };
    let graph = proto::Graph {
        name: Some("introduction".into()),
        node: vec![copy],
        input: vec![port("from")],
        output: vec![port("to")],
        ..proto::Graph::default()
    };
    let standard = proto::OperatorSet { domain: None, version: Some(13) };
    let model = proto::Model {
        ir_version: Some(7),
        graph: Some(graph),
        opset_import: vec![standard],
        ..proto::Model::default()
    };
    let mut builder = SessionBuilder::new(environment)?.with_operators(domain(Weights::default(), 1)?)?;
    builder.commit_from_memory(&model.encode_to_vec())?;
    Ok(())
}

/// What the operators of a session work with.
pub struct Crew {
    weights: Weights,
    threads: usize,
}

impl Crew {
    /// The attribute `weight` of an operator.
    fn number_of_weight(&self, context: &KernelContext<'_>) -> Option<usize> {
        context.get::<i64>("weight").and_then(|number| usize::try_from(number).ok())
    }

    /// A weight, by number. Errors: there is none of this number.
    fn weight(&self, number: usize) -> ort::Result<Operand<'_>> {
        self.weights.get(number).ok_or_else(|| ort::Error::new(format!("weight {number} is missing")))
    }

    /// Works on each of some parts, with the processor's widest instructions; where there is much to do, on all threads
    /// of the session.
    fn share<P: Send>(
        &self,
        context: &ComputeContext,
        elements: usize,
        mut parts: Vec<P>,
        work: &impl Work<P>,
    ) -> ort::Result<()> {
        let arch = Arch::new();
        if elements < SHARED_WORK || parts.len() < 2 || self.threads < 2 {
            parts.iter_mut().for_each(|part| arch.dispatch(On { part, work }));
            return Ok(());
        }
        // Each is locked once, by the thread whose number comes up.
        let parts: Vec<Mutex<P>> = parts.into_iter().map(Mutex::new).collect();
        context.par_for(parts.len(), 0, |at| {
            if let Ok(mut part) = parts[at].lock() {
                arch.dispatch(On { part: &mut *part, work });
            }
        })
    }
}

/// An input that must be there.
fn input<'a>(context: &'a ComputeContext, at: usize) -> ort::Result<ValueRef<'a>> {
    context.input(at)?.ok_or_else(|| ort::Error::new(format!("input {at} is missing")))
}

/// What an input holds, where it is there.
fn values<'a, T: PrimitiveTensorElementType>(value: &'a Option<ValueRef<'_>>) -> ort::Result<Option<&'a [T]>> {
    value.as_ref().map(|value| Ok(value.try_extract_tensor::<T>()?.1)).transpose()
}

/// What an output is to hold, where it is wanted.
fn values_mut<'a, T: PrimitiveTensorElementType>(
    value: &'a mut Option<ValueRefMut<'_>>,
) -> ort::Result<Option<&'a mut [T]>> {
    value.as_mut().map(|value| Ok(value.try_extract_tensor_mut::<T>()?.1)).transpose()
}

/// Parts of `each` elements, one after the other; none, again and again, of what is not there.
fn cut<T>(values: Option<&[T]>, each: usize) -> impl Iterator<Item = Option<&[T]>> {
    let mut parts = values.map(|values| values.chunks(each));
    std::iter::repeat_with(move || parts.as_mut().and_then(Iterator::next))
}

/// As [`cut`].
fn cut_mut<T>(values: Option<&mut [T]>, each: usize) -> impl Iterator<Item = Option<&mut [T]>> {
    let mut parts = values.map(|values| values.chunks_mut(each));
    std::iter::repeat_with(move || parts.as_mut().and_then(Iterator::next))
}

/// Says that sizes do not fit.
fn misfit(operator: &str) -> ort::Error {
    ort::Error::new(format!("{operator}: sizes that do not fit each other"))
}

/// What an operator does with a part of its call. No closure, since that is called through a function of its own, for
/// which the compiler takes the oldest processor's instructions: implementations are to be inlined always.
trait Work<P>: Sync {
    fn on<S: Simd>(&self, simd: S, part: &mut P);
}

/// Work on one part.
struct On<'a, P, W> {
    part: &'a mut P,
    work: &'a W,
}

impl<P, W: Work<P>> WithSimd for On<'_, P, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.work.on(simd, self.part);
    }
}

/// Memory that a thread keeps for its next part, so that nobody asks for it and fills it with zeros each time. It starts
/// with `skip` numbers that are not used, since what is aligned to the widest vectors is read faster.
struct Scratch {
    numbers: Vec<f32>,
    skip: usize,
}

impl Scratch {
    /// At least `len` numbers of any value.
    fn take(len: usize) -> Self {
        let mut numbers = KEPT.take();
        let room = len + ALIGNMENT / size_of::<f32>();
        numbers.resize(numbers.len().max(room), 0.0);
        let skip = numbers.as_ptr().align_offset(ALIGNMENT).min(room - len);
        Self { numbers, skip }
    }

    fn numbers(&mut self) -> &mut [f32] {
        &mut self.numbers[self.skip..]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.numbers.len() <= MOST_KEPT {
            KEPT.set(std::mem::take(&mut self.numbers));
        }
    }
}

/// Bytes of the widest vectors.
const ALIGNMENT: usize = 64;
/// Numbers that a thread keeps at most: enough for windows of 80 frames, and 1 MiB.
const MOST_KEPT: usize = 1 << 18;

thread_local! {
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// How many steps are a stream's own: they come first, and their mask is not 0.
fn own_steps(mask: &[f32]) -> usize {
    mask.iter().take_while(|&&mask| mask != 0.0).count()
}
