//! Each row of a tensor in 8 bits, with a scale and a zero point of its own: `DynamicQuantizeLinear` row by row.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::{QUANTIZE_ROWS, for_each_part, input, rows_of_part};

/// Numbers that are looked at together.
const LANES: usize = 16;
/// Added to a number below 2^22, it leaves the number, rounded to the nearest and to even, in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// `x [.., n]` to the bytes `[.., n]`, the scales `[.., 1]` and the zero points `[.., 1]`.
pub struct QuantizeRows;

impl Operator for QuantizeRows {
    type Kernel<'attr> = QuantizeKernel;

    fn name(&self) -> &str {
        QUANTIZE_ROWS
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [TensorElementType::Uint8, TensorElementType::Float32, TensorElementType::Int32].map(OperatorOutput::required)
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<QuantizeKernel> {
        Ok(QuantizeKernel)
    }
}

pub struct QuantizeKernel;

struct Part<'a> {
    values: &'a [f32],
    bytes: &'a mut [u8],
    scales: &'a mut [f32],
    zeros: &'a mut [i32],
}

impl Kernel for QuantizeKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let x = input(context, 0)?;
        let (shape, values) = x.try_extract_tensor::<f32>()?;
        let shape = shape.to_vec();
        let width = shape.last().map_or(1, |&width| width.max(1) as usize);
        let mut row_shape = shape.clone();
        row_shape.last_mut().into_iter().for_each(|last| *last = 1);
        let missing = || ort::Error::new("QuantizeRows has three outputs");
        let mut bytes = context.output(0, shape)?.ok_or_else(missing)?;
        let mut scales = context.output(1, row_shape.clone())?.ok_or_else(missing)?;
        let mut zeros = context.output(2, row_shape)?.ok_or_else(missing)?;
        let (bytes, scales, zeros) = (
            bytes.try_extract_tensor_mut::<u8>()?.1,
            scales.try_extract_tensor_mut::<f32>()?.1,
            zeros.try_extract_tensor_mut::<i32>()?.1,
        );
        let rows = rows_of_part(scales.len());
        let parts = values
            .chunks(rows * width)
            .zip(bytes.chunks_mut(rows * width))
            .zip(scales.chunks_mut(rows).zip(zeros.chunks_mut(rows)))
            .map(|((values, bytes), (scales, zeros))| Part { values, bytes, scales, zeros })
            .collect();
        for_each_part(
            context,
            values.len(),
            parts,
            #[inline(always)]
            |part: &mut Part<'_>| {
                let rows = part.values.chunks_exact(width).zip(part.bytes.chunks_exact_mut(width));
                for ((row, bytes), (scale, zero)) in rows.zip(part.scales.iter_mut().zip(part.zeros.iter_mut())) {
                    (*scale, *zero) = quantize(row, bytes);
                }
            },
        )
    }
}

/// One row: gives its scale and zero point.
#[inline(always)]
fn quantize(row: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    let (lowest, highest) = range(row);
    let scale = if highest > lowest { (highest - lowest) / 255.0 } else { 1.0 };
    let zero = (-lowest / scale).round_ties_even() as i32;
    for (byte, value) in bytes.iter_mut().zip(row) {
        let rounded = (value / scale + ROUNDING).to_bits().wrapping_sub(ROUNDING.to_bits()) as i32;
        *byte = rounded.wrapping_add(zero).clamp(0, 255) as u8;
    }
    (scale, zero)
}

/// The lowest and the highest number of a row, and 0.
#[inline(always)]
fn range(row: &[f32]) -> (f32, f32) {
    let (mut lows, mut highs) = ([0f32; LANES], [0f32; LANES]);
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lows[lane] = if chunk[lane] < lows[lane] { chunk[lane] } else { lows[lane] };
            highs[lane] = if chunk[lane] > highs[lane] { chunk[lane] } else { highs[lane] };
        }
    }
    let (mut lowest, mut highest) = (0f32, 0f32);
    for &value in lows.iter().chain(&highs).chain(rest) {
        lowest = if value < lowest { value } else { lowest };
        highest = if value > highest { value } else { highest };
    }
    (lowest, highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DynamicQuantizeLinear` as the standard has it.
    fn standard(row: &[f32]) -> (Vec<u8>, f32, i32) {
        let lowest = row.iter().copied().fold(0f32, f32::min);
        let highest = row.iter().copied().fold(0f32, f32::max);
        let scale = if highest == lowest { 1.0 } else { (highest - lowest) / 255.0 };
        let zero = (-lowest / scale).round_ties_even().clamp(0.0, 255.0);
        let bytes = row.iter().map(|x| ((x / scale).round_ties_even() + zero).clamp(0.0, 255.0) as u8).collect();
        (bytes, scale, zero as i32)
    }

    #[test]
    fn rows_are_as_the_standard_quantises_a_tensor() {
        let wave: Vec<f32> = (0..531).map(|i| (i as f32 * 0.37).sin() * (i as f32 % 13.0)).collect();
        let positive: Vec<f32> = wave.iter().map(|x| x.max(0.0)).collect();
        let negative: Vec<f32> = wave.iter().map(|x| x.min(0.0) * 1e-6).collect();
        for row in [&wave[..], &wave[..512], &positive, &negative, &[0.0; 40], &[1.0], &[-3.0, 5e8]] {
            let mut bytes = vec![0; row.len()];
            let (scale, zero) = quantize(row, &mut bytes);
            assert_eq!((bytes, scale, zero), standard(row));
        }
    }

    #[test]
    fn no_number_is_too_odd() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE] {
            let row = [odd, 1.0, -odd, 0.0];
            quantize(&row, &mut [0; 4]);
        }
    }
}
