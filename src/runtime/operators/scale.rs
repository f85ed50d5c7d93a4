//! From the integers of an int8 product to its numbers, row by row: scales, bias and `Relu` in one pass.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::{SCALE_ROWS, for_each_part, input, misfit, rows_of_part};

/// `(integers - zero * sums) * (scale * weight_scale) + bias`: integers `[.., n]`, scale and zero point of each row
/// `[.., 1]`, scale, sum and bias of each column `[n]`. Not below 0 where the attribute `relu` is 1.
pub struct ScaleRows;

impl Operator for ScaleRows {
    type Kernel<'attr> = ScaleKernel;

    fn name(&self) -> &str {
        SCALE_ROWS
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int32};
        [Int32, Float32, Int32, Float32, Int32, Float32].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<ScaleKernel> {
        Ok(ScaleKernel { relu: context.get::<i64>("relu") == Some(1) })
    }
}

pub struct ScaleKernel {
    relu: bool,
}

struct Part<'a> {
    integers: &'a [i32],
    scales: &'a [f32],
    zeros: &'a [i32],
    out: &'a mut [f32],
}

impl Kernel for ScaleKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let inputs = [0, 1, 2, 3, 4, 5].map(|at| input(context, at));
        let [integers, scales, zeros, weight_scales, sums, bias] = &inputs;
        let taken = |value: &ort::Result<_>| value.as_ref().map(|_| ()).map_err(|e| ort::Error::new(e.to_string()));
        inputs.iter().try_for_each(taken)?;
        let (Ok(integers), Ok(scales), Ok(zeros), Ok(weight_scales), Ok(sums), Ok(bias)) =
            (integers, scales, zeros, weight_scales, sums, bias)
        else {
            return Err(misfit(SCALE_ROWS));
        };
        let (shape, integers) = integers.try_extract_tensor::<i32>()?;
        let (scales, zeros) = (scales.try_extract_tensor::<f32>()?.1, zeros.try_extract_tensor::<i32>()?.1);
        let (weight_scales, sums) = (weight_scales.try_extract_tensor::<f32>()?.1, sums.try_extract_tensor::<i32>()?.1);
        let bias = bias.try_extract_tensor::<f32>()?.1;
        let width = bias.len();
        let fits = [weight_scales.len(), sums.len()] == [width; 2]
            && zeros.len() == scales.len()
            && scales.len() * width == integers.len()
            && width > 0;
        let mut out = context.output(0, shape.to_vec())?.filter(|_| fits).ok_or_else(|| misfit(SCALE_ROWS))?;
        let out = out.try_extract_tensor_mut::<f32>()?.1;
        let rows = rows_of_part(scales.len());
        let parts = integers
            .chunks(rows * width)
            .zip(out.chunks_mut(rows * width))
            .zip(scales.chunks(rows).zip(zeros.chunks(rows)))
            .map(|((integers, out), (scales, zeros))| Part { integers, scales, zeros, out })
            .collect();
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        for_each_part(
            context,
            integers.len(),
            parts,
            #[inline(always)]
            |part: &mut Part<'_>| {
                let rows = part.integers.chunks_exact(width).zip(part.out.chunks_exact_mut(width));
                for ((integers, out), (&scale, &zero)) in rows.zip(part.scales.iter().zip(part.zeros)) {
                    let columns = integers.iter().zip(weight_scales).zip(sums.iter().zip(bias));
                    for (out, ((integer, weight_scale), (sum, bias))) in out.iter_mut().zip(columns) {
                        let whole = integer.wrapping_sub(zero.wrapping_mul(*sum)) as f32;
                        let value = whole * (scale * weight_scale) + bias;
                        *out = if value < least { least } else { value };
                    }
                }
            },
        )
    }
}
