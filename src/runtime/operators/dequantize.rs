//! From the integers of a row of an int8 product to numbers.

/// What belongs to the columns of an int8 weight.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    /// The scale of each.
    pub scales: &'a [f32],
    /// The sum of each, less its zero points.
    pub sums: &'a [i32],
    /// The bias of each.
    pub bias: &'a [f32],
}

impl Columns<'_> {
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (f32, i32, f32)> {
        let columns = self.scales.iter().zip(self.sums.iter().zip(self.bias));
        columns.map(|(scale, (sum, bias))| (*scale, *sum, *bias))
    }
}

/// `(integers - zero * sums) * (scale * scales) + bias`, not below `least`, and then the addends that there are. All in one
/// pass, since it takes longer to read and write the numbers than to compute them.
#[inline(always)]
pub fn dequantize(
    integers: &[i32],
    row: (f32, i32),
    columns: Columns<'_>,
    (least, addends): (f32, [Option<&[f32]>; 2]),
    out: &mut [f32],
) {
    let number = |(integer, column): (&i32, (f32, i32, f32))| {
        let value = dequantized(*integer, row, column);
        if value < least { least } else { value }
    };
    let numbers = integers.iter().zip(columns.each()).map(number);
    match addends {
        [Some(a), Some(b)] => {
            out.iter_mut().zip(numbers.zip(a.iter().zip(b))).for_each(|(out, (number, (a, b)))| *out = number + a + b);
        }
        [Some(addend), None] | [None, Some(addend)] => {
            out.iter_mut().zip(numbers.zip(addend)).for_each(|(out, (number, addend))| *out = number + addend);
        }
        [None, None] => out.iter_mut().zip(numbers).for_each(|(out, number)| *out = number),
    }
}

/// [`dequantize`] in the place of the integers, whose bits the row holds.
#[inline(always)]
pub fn dequantize_in_place(values: &mut [f32], row: (f32, i32), columns: Columns<'_>) {
    for (value, column) in values.iter_mut().zip(columns.each()) {
        *value = dequantized(value.to_bits() as i32, row, column);
    }
}

/// One number, of the row's scale and zero point and the column's scale, sum and bias.
#[inline(always)]
fn dequantized(integer: i32, (scale, zero): (f32, i32), (weight_scale, sum, bias): (f32, i32, f32)) -> f32 {
    integer.wrapping_sub(zero.wrapping_mul(sum)) as f32 * (scale * weight_scale) + bias
}
