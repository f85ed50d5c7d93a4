//! An int8 product whose weight lies outside the graph.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;
use pulp::Simd;

use super::weight::{GROUP, Operand};
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
        let out = out.try_extract_tensor_mut::<i32>()?.1;
        let count = rows.len() / weight.inputs();
        let each = rows_of_part(count, self.crew.threads);
        let outs = out.chunks_mut(each * weight.outputs());
        let parts = rows.chunks(each * weight.inputs()).zip(outs).map(|(rows, out)| Part { rows, out });
        self.crew.share(context, weight.work(count), parts.collect(), &Times(weight))
    }
}

/// Rows of a part of a call: whole groups, and a few parts for each thread.
pub fn rows_of_part(count: usize, threads: usize) -> usize {
    if threads < 2 { count.max(1) } else { count.div_ceil(4 * threads).next_multiple_of(GROUP) }
}

/// Some rows, and where their products go.
struct Part<'a> {
    rows: &'a [u8],
    out: &'a mut [i32],
}

struct Times<'a>(Operand<'a>);

impl<'a> Work<Part<'a>> for Times<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, _: S, part: &mut Part<'a>) {
        self.0.multiply(part.rows, part.out);
    }
}
