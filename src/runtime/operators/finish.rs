//! Everything between one int8 product and the next, in one pass over each row.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{TensorElementType, ValueRef};
use pulp::Simd;

use super::rows::{Columns, add, dequantize, normalise, quantize};
use super::{FINISH_ROWS, Scratch, Work, cut, cut_mut, for_each_part, misfit, rows_of_part, values, values_mut};

/// Rows of numbers: where there are integers, `(integers - zero * sums) * (scale * scales) + bias`, not below 0 where the
/// attribute `relu` is 1; then the addends; then, where there are gamma and beta, layer normalisation, with the attribute
/// `epsilon`.
///
/// Inputs, each of which may be missing: integers `[.., n]`, scale and zero point of each row `[.., 1]`; scale, sum and
/// bias of each column `[n]`; two addends `[.., n]`; gamma and beta `[n]`.
///
/// Outputs, each of which may be unwanted: the sum and the normalised rows `[.., n]`; the last of them in 8 bits `[.., n]`,
/// and scale and zero point of each row `[.., 1]`.
pub struct FinishRows;

impl Operator for FinishRows {
    type Kernel<'attr> = FinishKernel;

    fn name(&self) -> &str {
        FINISH_ROWS
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int32};
        let types = [Int32, Float32, Int32, Float32, Int32, Float32, Float32, Float32, Float32, Float32];
        types.map(OperatorInput::optional)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        use TensorElementType::{Float32, Int32, Uint8};
        [Float32, Float32, Uint8, Float32, Int32].map(OperatorOutput::optional)
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<FinishKernel> {
        let epsilon = context.get::<f32>("epsilon").unwrap_or(0.0);
        Ok(FinishKernel { relu: context.get::<i64>("relu") == Some(1), epsilon })
    }
}

pub struct FinishKernel {
    relu: bool,
    epsilon: f32,
}

/// What is the same for all rows.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    width: usize,
    columns: Option<Columns<'a>>,
    least: f32,
    gain: Option<(&'a [f32], &'a [f32])>,
    epsilon: f32,
}

/// Some rows, and what is made of them.
struct Part<'a> {
    rows: usize,
    integers: Option<&'a [i32]>,
    scales: Option<&'a [f32]>,
    zeros: Option<&'a [i32]>,
    addends: [Option<&'a [f32]>; 2],
    sum: Option<&'a mut [f32]>,
    normal: Option<&'a mut [f32]>,
    bytes: Option<&'a mut [u8]>,
    new_scales: Option<&'a mut [f32]>,
    new_zeros: Option<&'a mut [i32]>,
}

impl Kernel for FinishKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let inputs: Vec<Option<ValueRef<'_>>> = (0..10).map(|at| context.input(at)).collect::<ort::Result<_>>()?;
        let wrong = || misfit(FINISH_ROWS);
        // All have the shape of the first of them.
        let first = [0, 6, 7].iter().find_map(|&at: &usize| inputs[at].as_ref()).ok_or_else(wrong)?;
        let shape = first.shape().to_vec();
        let width = shape.last().and_then(|&width| usize::try_from(width).ok()).filter(|&w| w > 0).ok_or_else(wrong)?;
        let count = shape.iter().map(|&size| size.max(0) as usize).product::<usize>() / width;
        let (integers, scales, zeros) =
            (values::<i32>(&inputs[0])?, values::<f32>(&inputs[1])?, values::<i32>(&inputs[2])?);
        let columns = match (values(&inputs[3])?, values(&inputs[4])?, values(&inputs[5])?) {
            (Some(scales), Some(sums), Some(bias)) => Some(Columns { scales, sums, bias }),
            _ => None,
        };
        let addends: [Option<&[f32]>; 2] = [values(&inputs[6])?, values(&inputs[7])?];
        let gain: Option<(&[f32], &[f32])> = values(&inputs[8])?.zip(values(&inputs[9])?);
        let of_product = [integers.map(<[_]>::len), scales.map(|s| s.len() * width), zeros.map(|z| z.len() * width)];
        let fits = (of_product == [Some(count * width); 3] && columns.is_some()
            || of_product == [None; 3] && columns.is_none())
            && columns.is_none_or(|c| [c.scales.len(), c.sums.len(), c.bias.len()] == [width; 3])
            && addends.iter().flatten().all(|values| values.len() == count * width)
            && gain.is_none_or(|(gamma, beta)| [gamma.len(), beta.len()] == [width; 2]);
        if !fits {
            return Err(wrong());
        }
        let mut row_shape = shape.clone();
        row_shape.last_mut().into_iter().for_each(|last| *last = 1);
        let mut sum = context.output(0, shape.clone())?;
        let mut normal = context.output(1, shape.clone())?;
        let mut bytes = context.output(2, shape)?;
        let mut new_scales = context.output(3, row_shape.clone())?;
        let mut new_zeros = context.output(4, row_shape)?;
        let each = rows_of_part(count);
        let (integers, scales, zeros) = (cut(integers, each * width), cut(scales, each), cut(zeros, each));
        let [a, b] = addends.map(|addend| cut(addend, each * width));
        let inputs = integers.zip(scales.zip(zeros)).zip(a.zip(b));
        let (sum, normal) =
            (cut_mut(values_mut(&mut sum)?, each * width), cut_mut(values_mut(&mut normal)?, each * width));
        let bytes = cut_mut(values_mut(&mut bytes)?, each * width);
        let (new_scales, new_zeros) =
            (cut_mut(values_mut(&mut new_scales)?, each), cut_mut(values_mut(&mut new_zeros)?, each));
        let outputs = sum.zip(normal).zip(bytes.zip(new_scales.zip(new_zeros)));
        let parts = (0..count).step_by(each).zip(inputs.zip(outputs)).map(
            |(from, (((integers, (scales, zeros)), (a, b)), ((sum, normal), (bytes, (new_scales, new_zeros)))))| {
                let (rows, addends) = (each.min(count - from), [a, b]);
                Part { rows, integers, scales, zeros, addends, sum, normal, bytes, new_scales, new_zeros }
            },
        );
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let recipe = Recipe { width, columns, least, gain, epsilon: self.epsilon };
        for_each_part(context, count * width, parts.collect(), &recipe)
    }
}

impl<'a> Work<Part<'a>> for Recipe<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, simd: S, part: &mut Part<'a>) {
        let Self { width, columns, least, gain, epsilon } = *self;
        // For rows that nobody else wants.
        let mut scratch = Scratch::take(2 * width.next_multiple_of(16));
        let (sum_scratch, normal_scratch) = scratch.numbers().split_at_mut(width.next_multiple_of(16));
        let (sum_scratch, normal_scratch) = (&mut sum_scratch[..width], &mut normal_scratch[..width]);
        for row in 0..part.rows {
            let own = row * width..(row + 1) * width;
            let sum = part.sum.as_deref_mut().map_or(&mut *sum_scratch, |sum| &mut sum[own.clone()]);
            let [a, b] = part.addends.map(|addend| addend.map(|addend| &addend[own.clone()]));
            match (part.integers, part.scales, part.zeros, columns) {
                (Some(integers), Some(scales), Some(zeros), Some(columns)) => {
                    dequantize(&integers[own.clone()], (scales[row], zeros[row]), columns, least, sum);
                    a.into_iter().for_each(|addend| add(sum, addend));
                }
                _ => a.into_iter().for_each(|addend| sum.copy_from_slice(addend)),
            }
            b.into_iter().for_each(|addend| add(sum, addend));
            let last: &[f32] = match gain {
                Some(gain) => {
                    let normal = part.normal.as_deref_mut();
                    let normal = normal.map_or(&mut *normal_scratch, |normal| &mut normal[own.clone()]);
                    normalise(simd, sum, gain, epsilon, normal);
                    normal
                }
                None => sum,
            };
            if let Some(((bytes, scales), zeros)) =
                part.bytes.as_deref_mut().zip(part.new_scales.as_deref_mut()).zip(part.new_zeros.as_deref_mut())
            {
                (scales[row], zeros[row]) = quantize(simd, last, &mut bytes[own]);
            }
        }
    }
}
