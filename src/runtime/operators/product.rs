//! An int8 product whose weight lies outside the graph.

use std::ops::Range;
use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;
use pulp::Simd;

use super::weight::{GROUP, Weight};
use super::{Crew, PRODUCT, Work, input, misfit};

/// Rows in 8 bits `[.., k]` times the weight of the attribute `weight`, less its zero points: integers `[.., n]`.
pub struct Product(pub Arc<Crew>);

pub struct ProductKernel {
    crew: Arc<Crew>,
    weight: usize,
}

impl Operator for Product {
    type Kernel<'attr> = ProductKernel;

    fn name(&self) -> &str {
        PRODUCT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Uint8)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Int32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<ProductKernel> {
        let weight = self.0.number_of_weight(context).ok_or_else(|| misfit(PRODUCT))?;
        Ok(ProductKernel { crew: self.0.clone(), weight })
    }
}

impl Kernel for ProductKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (rows, weight) = (input(context, 0)?, self.crew.weight(self.weight)?);
        let (shape, rows) = rows.try_extract_tensor::<u8>()?;
        let shape = weight.shape_of_result(shape).ok_or_else(|| misfit(PRODUCT))?;
        let mut out = context.output(0, shape)?.ok_or_else(|| misfit(PRODUCT))?;
        multiply(context, &self.crew, weight, rows, out.try_extract_tensor_mut::<i32>()?.1)
    }
}

/// Some rows, or some columns of all.
struct Part<'a> {
    rows: &'a [u8],
    panels: Range<usize>,
    out: Vec<&'a mut [i32]>,
}

/// Multiplies `rows` into `out`, `[rows, outputs]`. Few rows are shared among threads by columns, so that each thread reads
/// a part of the weight.
pub fn multiply(
    context: &ComputeContext,
    crew: &Crew,
    weight: &Weight,
    rows: &[u8],
    out: &mut [i32],
) -> ort::Result<()> {
    let (count, threads) = (rows.len() / weight.inputs(), crew.budget.of_a_call());
    let mut parts: Vec<Part<'_>> = Vec::new();
    let all = 0..weight.panels();
    if threads < 2 || count >= threads * GROUP {
        let each = rows_of_part(count, threads);
        for (rows, out) in rows.chunks(each * weight.inputs()).zip(out.chunks_mut(each * weight.outputs())) {
            parts.push(Part { rows, panels: all.clone(), out: out.chunks_mut(weight.outputs()).collect() });
        }
    } else {
        let each = all.end.div_ceil(2 * threads);
        let panels = all.clone().step_by(each).map(|first| first..(first + each).min(all.end));
        parts.extend(panels.map(|panels| Part { rows, panels, out: Vec::with_capacity(count) }));
        for row in out.chunks_mut(weight.outputs()) {
            let mut rest = row;
            for part in &mut parts {
                let columns = rest.split_off_mut(..weight.columns(&part.panels).len());
                part.out.extend(columns);
            }
        }
    }
    // The work is in the inputs of each number, of which an instruction takes 64.
    crew.share(context, rows.len() * weight.outputs() / 64, parts, &Times(weight))
}

/// Rows of a part: whole groups, and a few parts for each thread.
pub fn rows_of_part(count: usize, threads: usize) -> usize {
    if threads < 2 { count.max(1) } else { count.div_ceil(4 * threads).next_multiple_of(GROUP) }
}

struct Times<'a>(&'a Weight);

impl<'a> Work<Part<'a>> for Times<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, _: S, part: &mut Part<'a>) {
        self.0.multiply(part.rows, part.panels.clone(), &mut part.out);
    }
}
