//! What each step of a stream takes from its steps, or from those of the encoder, head by head; and the FSMN memory, where
//! it is of the same values. From the integers of the products before to 8 bits for the one behind, stream by stream, with
//! nothing split, turned round or padded in between.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{TensorElementType, ValueRef};
use pulp::Simd;

use super::dequantize::{Columns, dequantize, dequantize_in_place};
use super::memory::{look_around, sizes};
use super::rows::{LANES, TOGETHER, add_weighed, dots, quantize, softmax};
use super::weight::Operand;
use super::{ATTENTION, Crew, Scratch, Work, cut_mut, input, misfit, own_steps, values, values_mut};

/// `softmax(queries * keys * factor) * values`, with the attributes `heads` and `factor`, over the keys whose mask is not
/// 0, which come first.
///
/// Inputs: the product of which the queries are `[b, q, n]`, or queries, keys and values side by side `[b, k, 3n]`, as
/// integers, scale and zero point of each row, scale, sum and bias of each column. In the first case the same six of the
/// keys and values `[b, k, 2n]`, else none. The mask of the keys, `b * k` numbers. For a memory its kernel `[taps, n]`, with
/// the attribute `before` as in [`EncoderMemory`](super::memory::EncoderMemory). In place of the integers of the product
/// that has the keys, rows in 8 bits, of which they are the product with the weight of the attribute `weight`.
///
/// Outputs: 8 bits `[b, q, n]`, scale and zero point of each row `[b, q, 1]`; the memory of the values `[b, k, n]`, where
/// there is a kernel.
pub struct Attention(pub Arc<Crew>);

/// The attributes.
pub struct AttentionKernel {
    crew: Arc<Crew>,
    weight: Option<usize>,
    heads: usize,
    factor: f32,
    before: usize,
}

impl Operator for Attention {
    type Kernel<'attr> = AttentionKernel;

    fn name(&self) -> &str {
        ATTENTION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int32, Uint8};
        let product = [Int32, Float32, Int32, Float32, Int32, Float32];
        let products = [product; 2].concat().into_iter().map(OperatorInput::optional);
        let others =
            [OperatorInput::required(Float32), OperatorInput::optional(Float32), OperatorInput::optional(Uint8)];
        products.chain(others)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        use TensorElementType::{Float32, Int32, Uint8};
        let memory = OperatorOutput::optional(Float32);
        [Uint8, Float32, Int32].map(OperatorOutput::required).into_iter().chain([memory])
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<AttentionKernel> {
        let whole = |name| context.get::<i64>(name).and_then(|value| usize::try_from(value).ok());
        let heads = whole("heads").filter(|&heads| heads > 0).ok_or_else(|| misfit(ATTENTION))?;
        let factor = context.get::<f32>("factor").ok_or_else(|| misfit(ATTENTION))?;
        let (crew, weight) = (self.0.clone(), self.0.number_of_weight(context));
        Ok(AttentionKernel { crew, weight, heads, factor, before: whole("before").unwrap_or(0) })
    }
}

/// The result of an int8 product, or what it is made of.
#[derive(Clone, Copy)]
enum Integers<'a> {
    /// `[rows, n]`.
    Made(&'a [i32]),
    /// Rows in 8 bits `[rows, k]`, and the weight.
    Of(&'a [u8], Operand<'a>),
}

impl<'a> Integers<'a> {
    /// Those of the first so many rows, and the others.
    fn split_at(self, rows: usize, width: usize) -> (Self, Self) {
        match self {
            Self::Made(integers) => {
                let (first, others) = integers.split_at(rows * width);
                (Self::Made(first), Self::Made(others))
            }
            Self::Of(bytes, weight) => {
                let (first, others) = bytes.split_at(rows * weight.inputs());
                (Self::Of(first, weight), Self::Of(others, weight))
            }
        }
    }
}

/// An int8 product as numbers.
#[derive(Clone, Copy)]
struct Product<'a> {
    /// `[b, steps, width]`.
    sizes: [usize; 3],
    integers: Integers<'a>,
    scales: &'a [f32],
    zeros: &'a [i32],
    columns: Columns<'a>,
}

impl<'a> Product<'a> {
    /// Six inputs, of which the first is missing where the product is yet to be made; none where all are.
    fn of(
        inputs: &'a [Option<ValueRef<'_>>],
        made_of: Option<(&'a ValueRef<'_>, Operand<'a>)>,
    ) -> ort::Result<Option<Self>> {
        let wrong = || misfit(ATTENTION);
        let [integers, scales, zeros, of_scales, sums, bias] = inputs else { return Err(wrong()) };
        let (shape, integers) = match (integers, scales, made_of) {
            (Some(made), _, _) => (made.shape().to_vec(), Integers::Made(made.try_extract_tensor::<i32>()?.1)),
            (None, Some(_), Some((rows, weight))) => {
                let (shape, rows) = rows.try_extract_tensor::<u8>()?;
                (weight.shape_of_result(shape).ok_or_else(wrong)?, Integers::Of(rows, weight))
            }
            _ => return Ok(None),
        };
        let sizes = sizes(&shape).ok_or_else(wrong)?;
        let (scales, zeros) = values(scales)?.zip(values(zeros)?).ok_or_else(wrong)?;
        let columns = (values(of_scales)?, values(sums)?, values(bias)?);
        let (Some(of_scales), Some(sums), Some(bias)) = columns else { return Err(wrong()) };
        let [streams, steps, width] = sizes;
        let columns = Columns { scales: of_scales, sums, bias };
        let fits = [scales.len(), zeros.len()] == [streams * steps; 2]
            && [columns.scales.len(), columns.sums.len(), columns.bias.len()] == [width; 3];
        if fits { Ok(Some(Self { sizes, integers, scales, zeros, columns })) } else { Err(wrong()) }
    }

    /// What there is to do before it is there.
    fn work(&self) -> usize {
        let [streams, steps, _] = self.sizes;
        match self.integers {
            Integers::Made(_) => 0,
            Integers::Of(_, weight) => weight.work(streams * steps),
        }
    }
}

/// One stream's part of a product.
struct Rows<'a> {
    integers: Integers<'a>,
    scales: &'a [f32],
    zeros: &'a [i32],
    columns: Columns<'a>,
}

impl<'a> Product<'a> {
    /// Stream by stream.
    fn streams(self) -> impl Iterator<Item = Rows<'a>> {
        let [_, steps, width] = self.sizes;
        let mut rest = self.integers;
        self.scales.chunks(steps).zip(self.zeros.chunks(steps)).map(move |(scales, zeros)| {
            let (integers, others) = rest.split_at(steps, width);
            rest = others;
            Rows { integers, scales, zeros, columns: self.columns }
        })
    }
}

impl Rows<'_> {
    /// The first rows as numbers, as many as there is room for.
    #[inline(always)]
    fn numbers(&self, numbers: &mut [f32]) {
        let width = self.columns.bias.len();
        let scales = self.scales.iter().copied().zip(self.zeros.iter().copied());
        match self.integers {
            Integers::Made(integers) => {
                let rows = integers.chunks_exact(width).zip(scales);
                for (out, (integers, scale)) in numbers.chunks_exact_mut(width).zip(rows) {
                    dequantize(integers, scale, self.columns, (f32::NEG_INFINITY, [None; 2]), out);
                }
            }
            Integers::Of(rows, weight) => {
                // In the place of the numbers.
                let count = numbers.len() / width;
                weight.multiply(&rows[..count * weight.inputs()], bytemuck::cast_slice_mut(numbers));
                for (row, scale) in numbers.chunks_exact_mut(width).zip(scales) {
                    dequantize_in_place(row, scale, self.columns);
                }
            }
        }
    }
}

/// One stream's part of a call.
struct Part<'a> {
    first: Rows<'a>,
    second: Option<Rows<'a>>,
    mask: &'a [f32],
    bytes: &'a mut [u8],
    scales: &'a mut [f32],
    zeros: &'a mut [i32],
    memory: Option<&'a mut [f32]>,
}

/// What is the same for all streams.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    width: usize,
    heads: usize,
    factor: f32,
    kernel: Option<&'a [f32]>,
    before: usize,
}

impl Kernel for AttentionKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let wrong = || misfit(ATTENTION);
        let inputs: Vec<Option<ValueRef<'_>>> = (0..15).map(|at| context.input(at)).collect::<ort::Result<_>>()?;
        let weight = self.weight.map(|number| self.crew.weight(number)).transpose()?;
        let made_of = inputs[14].as_ref().zip(weight);
        let first = Product::of(&inputs[..6], made_of)?.ok_or_else(wrong)?;
        let second = Product::of(&inputs[6..12], made_of)?;
        let mask = input(context, 12)?;
        let mask = mask.try_extract_tensor::<f32>()?.1;
        let kernel: Option<&[f32]> = values(&inputs[13])?;
        let [streams, queries, _] = first.sizes;
        let [_, keys, side_by_side] = second.map_or(first.sizes, |second| second.sizes);
        let width = if second.is_some() { side_by_side / 2 } else { side_by_side / 3 };
        let fits = width > 0
            && width.is_multiple_of(self.heads)
            && mask.len() == streams * keys
            && match second {
                Some(second) => first.sizes[2] == width && second.sizes == [streams, keys, 2 * width],
                None => side_by_side == 3 * width,
            }
            && kernel.is_none_or(|kernel| kernel.len().is_multiple_of(width));
        if !fits {
            return Err(wrong());
        }
        let shape = |steps: usize, width: usize| vec![streams as i64, steps as i64, width as i64];
        let mut bytes = context.output(0, shape(queries, width))?;
        let (mut scales, mut zeros) = (context.output(1, shape(queries, 1))?, context.output(2, shape(queries, 1))?);
        let mut memory = if kernel.is_some() { context.output(3, shape(keys, width))? } else { None };
        let mut seconds = second.map(Product::streams);
        let inputs = first.streams().zip(mask.chunks(keys));
        let outputs = cut_mut(values_mut(&mut bytes)?, queries * width)
            .zip(cut_mut(values_mut(&mut scales)?, queries).zip(cut_mut(values_mut(&mut zeros)?, queries)))
            .zip(cut_mut(values_mut(&mut memory)?, keys * width));
        let parts = inputs.zip(outputs).filter_map(|((first, mask), ((bytes, (scales, zeros)), memory))| {
            let second = seconds.as_mut().and_then(Iterator::next);
            Some(Part { first, second, mask, bytes: bytes?, scales: scales?, zeros: zeros?, memory })
        });
        let recipe = Recipe { width, heads: self.heads, factor: self.factor, kernel, before: self.before };
        let work = streams * (queries + keys) * width + first.work() + second.map_or(0, |second| second.work());
        self.crew.share(context, work, parts.collect(), &recipe)
    }
}

impl<'a> Work<Part<'a>> for Recipe<'_> {
    #[inline(always)]
    fn on<S: Simd>(&self, simd: S, part: &mut Part<'a>) {
        let Self { width, heads, factor, kernel, before } = *self;
        let keys = own_steps(part.mask);
        // Steps that are no keys ask nothing, where both are the same.
        let (stride, steps) = if part.second.is_some() { (width, part.scales.len()) } else { (3 * width, keys) };
        let of_second = part.second.as_ref().map_or(0, |_| keys * 2 * width);
        let mut scratch = Scratch::take(steps * stride + of_second + TOGETHER * width);
        let (first, rest) = scratch.numbers().split_at_mut(steps * stride);
        let (rows, second) = rest.split_at_mut(TOGETHER * width);
        part.first.numbers(first);
        let (first, pairs, pair_stride) = match &part.second {
            Some(product) => {
                let second = &mut second[..keys * 2 * width];
                product.numbers(second);
                (&*first, &*second, 2 * width)
            }
            None => (&*first, &*first, 3 * width),
        };
        let offset = pair_stride - 2 * width;
        let key = |row: usize| &pairs[row * pair_stride + offset..][..width];
        let value = |row: usize| &pairs[row * pair_stride + offset + width..][..width];
        if let (Some(out), Some(kernel)) = (part.memory.as_deref_mut(), kernel) {
            look_around(simd, out, part.mask, kernel, before, value);
        }
        // As many as are computed together; those behind the keys weigh nothing.
        let padded = keys.next_multiple_of(LANES);
        let mut scores = vec![[f32::NEG_INFINITY; LANES]; TOGETHER * padded / LANES];
        let each = width / heads;
        let outputs = part.bytes.chunks_mut(TOGETHER * width).zip(part.scales.chunks_mut(TOGETHER));
        for (group, ((bytes, scales), zeros)) in outputs.zip(part.zeros.chunks_mut(TOGETHER)).enumerate() {
            rows.fill(0.0);
            let asked = (steps - (group * TOGETHER).min(steps)).min(scales.len());
            let query = |row: usize| &first[(group * TOGETHER + row.min(asked - 1)) * stride..][..width];
            for head in (0..width).step_by(each).filter(|_| asked > 0 && keys > 0) {
                let own = head..head + each;
                let queries: [&[f32]; TOGETHER] = std::array::from_fn(|row| &query(row)[own.clone()]);
                let flat = scores.as_flattened_mut();
                for from in (0..keys).step_by(TOGETHER) {
                    let of_keys = std::array::from_fn(|at| &key((from + at).min(keys - 1))[own.clone()]);
                    for (row, products) in dots(simd, queries, of_keys).iter().enumerate() {
                        let scores = &mut flat[row * padded..][from..keys];
                        scores.iter_mut().zip(products).for_each(|(score, product)| *score = product * factor);
                    }
                }
                let of_rows = scores.chunks_exact_mut(padded / LANES).zip(rows.chunks_exact_mut(width));
                for (scores, row) in of_rows.take(asked) {
                    scores.as_flattened_mut()[keys..].fill(f32::NEG_INFINITY);
                    softmax(simd, scores);
                    let weights = scores.as_flattened()[..keys].iter().enumerate();
                    let values = weights.map(|(step, &weight)| (weight, &value(step)[own.clone()]));
                    add_weighed(simd, &mut row[own.clone()], values);
                }
            }
            let outputs = bytes.chunks_exact_mut(width).zip(scales.iter_mut().zip(zeros));
            for ((bytes, (scale, zero)), row) in outputs.zip(rows.chunks_exact(width)) {
                (*scale, *zero) = quantize(simd, row, bytes);
            }
        }
    }
}
