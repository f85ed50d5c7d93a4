//! Everything between one int8 product and the next, in one pass over each row; with the first of the two, where its
//! weight lies outside the graph: the integers of a few rows then never leave the processor's cache.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{TensorElementType, ValueRef};
use pulp::Simd;

use super::dequantize::{Columns, dequantize};
use super::product::rows_of_part;
use super::rows::{add, normalise, quantize};
use super::weight::{GROUP, Operand};
use super::{Crew, FINISH_ROWS, Scratch, Work, cut, cut_mut, misfit, values, values_mut};

/// Rows of numbers: where there are integers, `(integers - zero * sums) * (scale * scales) + bias`, not below 0 where the
/// attribute `relu` is 1; then the addends; then, where there are gamma and beta, layer normalisation, with the attribute
/// `epsilon`.
///
/// Inputs, each of which may be missing: integers `[.., n]`, scale and zero point of each row `[.., 1]`; scale, sum and
/// bias of each column `[n]`; two addends `[.., n]`; gamma and beta `[n]`. In place of the integers rows in 8 bits `[.., k]`,
/// of which they are the product with the weight of the attribute `weight`.
///
/// Outputs, each of which may be unwanted: the sum and the normalised rows `[.., n]`; the last of them in 8 bits `[.., n]`,
/// and scale and zero point of each row `[.., 1]`.
pub struct FinishRows(pub Arc<Crew>);

impl Operator for FinishRows {
    type Kernel<'attr> = FinishKernel;

    fn name(&self) -> &str {
        FINISH_ROWS
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int32, Uint8};
        let types = [Int32, Float32, Int32, Float32, Int32, Float32, Float32, Float32, Float32, Float32, Uint8];
        types.map(OperatorInput::optional)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        use TensorElementType::{Float32, Int32, Uint8};
        [Float32, Float32, Uint8, Float32, Int32].map(OperatorOutput::optional)
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<FinishKernel> {
        let epsilon = context.get::<f32>("epsilon").unwrap_or(0.0);
        let (crew, weight) = (self.0.clone(), self.0.number_of_weight(context));
        Ok(FinishKernel { crew, weight, relu: context.get::<i64>("relu") == Some(1), epsilon })
    }
}

pub struct FinishKernel {
    crew: Arc<Crew>,
    weight: Option<usize>,
    relu: bool,
    epsilon: f32,
}

/// What is the same for all rows.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    width: usize,
    weight: Option<Operand<'a>>,
    columns: Option<Columns<'a>>,
    least: f32,
    gain: Option<(&'a [f32], &'a [f32])>,
    epsilon: f32,
}

/// Some rows, and what is made of them.
struct Part<'a> {
    rows: usize,
    integers: Option<&'a [i32]>,
    factors: Option<&'a [u8]>,
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
        let inputs: Vec<Option<ValueRef<'_>>> = (0..11).map(|at| context.input(at)).collect::<ort::Result<_>>()?;
        let wrong = || misfit(FINISH_ROWS);
        let weight = self.weight.map(|number| self.crew.weight(number)).transpose()?;
        let factors = values::<u8>(&inputs[10])?;
        // All have the shape of the first of them.
        let shape = match (weight, &inputs[10]) {
            (Some(weight), Some(factors)) => weight.shape_of_result(factors.shape()),
            _ => [0, 6, 7].iter().find_map(|&at: &usize| inputs[at].as_ref()).map(|first| first.shape().to_vec()),
        };
        let shape = shape.ok_or_else(wrong)?;
        let width = shape.last().and_then(|&width| usize::try_from(width).ok()).filter(|&w| w > 0).ok_or_else(wrong)?;
        let count = shape.iter().map(|&size| size.max(0) as usize).product::<usize>() / width;
        let integers = values::<i32>(&inputs[0])?;
        let (scales, zeros) = (values::<f32>(&inputs[1])?, values::<i32>(&inputs[2])?);
        let columns = match (values(&inputs[3])?, values(&inputs[4])?, values(&inputs[5])?) {
            (Some(scales), Some(sums), Some(bias)) => Some(Columns { scales, sums, bias }),
            _ => None,
        };
        let addends: [Option<&[f32]>; 2] = [values(&inputs[6])?, values(&inputs[7])?];
        let gain: Option<(&[f32], &[f32])> = values(&inputs[8])?.zip(values(&inputs[9])?);
        // Integers or what they are made of, and all that makes numbers of them; or nothing of it.
        let made = integers.map(<[_]>::len).or(factors.zip(weight).map(|(rows, w)| rows.len() / w.inputs() * width));
        let of_product = [made, scales.map(|s| s.len() * width), zeros.map(|z| z.len() * width)];
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
        let each = rows_of_part(count, self.crew.threads);
        let (integers, scales, zeros) = (cut(integers, each * width), cut(scales, each), cut(zeros, each));
        let factors = cut(factors, each * weight.map_or(1, |weight| weight.inputs()));
        let [a, b] = addends.map(|addend| cut(addend, each * width));
        let inputs = integers.zip(factors).zip(scales.zip(zeros)).zip(a.zip(b));
        let (sum, normal) =
            (cut_mut(values_mut(&mut sum)?, each * width), cut_mut(values_mut(&mut normal)?, each * width));
        let bytes = cut_mut(values_mut(&mut bytes)?, each * width);
        let (new_scales, new_zeros) =
            (cut_mut(values_mut(&mut new_scales)?, each), cut_mut(values_mut(&mut new_zeros)?, each));
        let outputs = sum.zip(normal).zip(bytes.zip(new_scales.zip(new_zeros)));
        let parts = (0..count).step_by(each).zip(inputs.zip(outputs)).map(
            |(from, (((product, (scales, zeros)), (a, b)), ((sum, normal), (bytes, (new_scales, new_zeros)))))| {
                let (rows, addends, (integers, factors)) = (each.min(count - from), [a, b], product);
                Part { rows, integers, factors, scales, zeros, addends, sum, normal, bytes, new_scales, new_zeros }
            },
        );
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let recipe = Recipe { width, weight, columns, least, gain, epsilon: self.epsilon };
        let work = count * width + weight.map_or(0, |weight| weight.work(count));
        self.crew.share(context, work, parts.collect(), &recipe)
    }
}

impl<'a> Work<Part<'a>> for Recipe<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, simd: S, part: &mut Part<'a>) {
        let width = self.width;
        let (aligned, of_product) = (width.next_multiple_of(16), self.weight.map_or(0, |_| GROUP * width));
        let mut scratch = Scratch::take(2 * aligned + of_product);
        // For rows that nobody else wants, and for the integers of a few rows.
        let (rows, integers) = scratch.numbers().split_at_mut(2 * aligned);
        let (sum, normal) = rows.split_at_mut(aligned);
        let mut unwanted = [&mut sum[..width], &mut normal[..width]];
        let integers: &mut [i32] = bytemuck::cast_slice_mut(&mut integers[..of_product]);
        for first in (0..part.rows).step_by(GROUP) {
            let rows = first..part.rows.min(first + GROUP);
            if let (Some(weight), Some(factors)) = (self.weight, part.factors) {
                let inputs = weight.inputs();
                let factors = &factors[rows.start * inputs..rows.end * inputs];
                weight.multiply(factors, &mut integers[..rows.len() * width]);
            }
            for row in rows {
                let product = match part.integers {
                    Some(integers) => Some(&integers[row * width..(row + 1) * width]),
                    None => self.weight.map(|_| &integers[(row - first) * width..][..width]),
                };
                self.finish(simd, part, row, product, &mut unwanted);
            }
        }
    }
}

impl Recipe<'_> {
    /// One row.
    #[inline(always)]
    fn finish<S: Simd>(
        &self,
        simd: S,
        part: &mut Part<'_>,
        row: usize,
        product: Option<&[i32]>,
        unwanted: &mut [&mut [f32]; 2],
    ) {
        let Self { width, columns, least, gain, epsilon, .. } = *self;
        let own = row * width..(row + 1) * width;
        let [sum, normal] = unwanted;
        let sum = part.sum.as_deref_mut().map_or(&mut **sum, |sum| &mut sum[own.clone()]);
        let [a, b] = part.addends.map(|addend| addend.map(|addend| &addend[own.clone()]));
        match (product, part.scales, part.zeros, columns) {
            (Some(product), Some(scales), Some(zeros), Some(columns)) => {
                dequantize(product, (scales[row], zeros[row]), columns, (least, [a, b]), sum);
            }
            _ => {
                a.into_iter().for_each(|addend| sum.copy_from_slice(addend));
                b.into_iter().for_each(|addend| add(sum, addend));
            }
        }
        let last: &[f32] = match gain {
            Some(gain) => {
                let normal = part.normal.as_deref_mut().map_or(&mut **normal, |normal| &mut normal[own.clone()]);
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
