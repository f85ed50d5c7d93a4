//! What is done to one row of numbers: layer normalisation, attention's parts, and 8 bits. A row never sees another row,
//! so that a batch changes nothing.

use pulp::Simd;

/// Numbers whose exponentials are computed together.
pub const LANES: usize = 16;
/// Rows whose products are computed together: all sums stay in registers.
pub const TOGETHER: usize = 4;
/// Added to a number below 2^22, it leaves the number, rounded to the nearest and to even, in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// Adds a row to another.
#[inline(always)]
pub fn add(row: &mut [f32], addend: &[f32]) {
    row.iter_mut().zip(addend).for_each(|(value, addend)| *value += addend);
}

/// Layer normalisation: `(row - mean) / sqrt(variance + epsilon) * gamma + beta`.
#[inline(always)]
pub fn normalise<S: Simd>(simd: S, row: &[f32], (gamma, beta): (&[f32], &[f32]), epsilon: f32, out: &mut [f32]) {
    let count = row.len() as f32;
    let mean = sum(simd, row) / count;
    let variance = squares(simd, row, mean) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for ((out, value), (gamma, beta)) in out.iter_mut().zip(row).zip(gamma.iter().zip(beta)) {
        *out = (value - mean) * factor * gamma + beta;
    }
}

/// The sum of a row.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let (fours, others) = vectors.as_chunks::<4>();
    let mut sums = [simd.splat_f32s(0.0); 4];
    for [a, b, c, d] in fours {
        sums = [
            simd.add_f32s(sums[0], *a),
            simd.add_f32s(sums[1], *b),
            simd.add_f32s(sums[2], *c),
            simd.add_f32s(sums[3], *d),
        ];
    }
    others.iter().for_each(|a| sums[0] = simd.add_f32s(sums[0], *a));
    total(simd, sums) + rest.iter().sum::<f32>()
}

/// The sum of the squared differences from `mean`.
#[inline(always)]
fn squares<S: Simd>(simd: S, row: &[f32], mean: f32) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let (fours, others) = vectors.as_chunks::<4>();
    let middle = simd.splat_f32s(mean);
    let add = |sum: S::f32s, value: S::f32s| {
        let difference = simd.sub_f32s(value, middle);
        simd.mul_add_e_f32s(difference, difference, sum)
    };
    let mut sums = [simd.splat_f32s(0.0); 4];
    for [a, b, c, d] in fours {
        sums = [add(sums[0], *a), add(sums[1], *b), add(sums[2], *c), add(sums[3], *d)];
    }
    others.iter().for_each(|a| sums[0] = add(sums[0], *a));
    total(simd, sums) + rest.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>()
}

#[inline(always)]
fn total<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> f32 {
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

/// A row in 8 bits, as `DynamicQuantizeLinear` gives a tensor: scale and zero point. Instead of dividing by the scale, the
/// numbers are multiplied by its inverse; one that lies between two bytes may become the other of them.
#[inline(always)]
pub fn quantize<S: Simd>(simd: S, row: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    let (lowest, highest) = range(simd, row);
    let scale = if highest > lowest { (highest - lowest) / 255.0 } else { 1.0 };
    let zero = (-lowest / scale).round_ties_even() as i32;
    let inverse = if highest > lowest { 255.0 / (highest - lowest) } else { 1.0 };
    for (byte, value) in bytes.iter_mut().zip(row) {
        let rounded = (value * inverse + ROUNDING).to_bits().wrapping_sub(ROUNDING.to_bits()) as i32;
        *byte = rounded.wrapping_add(zero).clamp(0, 255) as u8;
    }
    (scale, zero)
}

/// The lowest and the highest number of a row, and 0.
#[inline(always)]
fn range<S: Simd>(simd: S, row: &[f32]) -> (f32, f32) {
    let (vectors, rest) = S::as_simd_f32s(row);
    let (pairs, others) = vectors.as_chunks::<2>();
    let (mut lows, mut highs) = ([simd.splat_f32s(0.0); 2], [simd.splat_f32s(0.0); 2]);
    for [a, b] in pairs {
        lows = [simd.min_f32s(*a, lows[0]), simd.min_f32s(*b, lows[1])];
        highs = [simd.max_f32s(*a, highs[0]), simd.max_f32s(*b, highs[1])];
    }
    for a in others {
        (lows[0], highs[0]) = (simd.min_f32s(*a, lows[0]), simd.max_f32s(*a, highs[0]));
    }
    let lowest = simd.reduce_min_f32s(simd.min_f32s(lows[0], lows[1]));
    let highest = simd.reduce_max_f32s(simd.max_f32s(highs[0], highs[1]));
    rest.iter().fold((lowest, highest), |(lowest, highest), &value| (lowest.min(value), highest.max(value)))
}

/// The products of each of some rows with each of some others, summed up: each row is read once for all of its products.
#[inline(always)]
pub fn dots<S: Simd>(simd: S, a: [&[f32]; TOGETHER], b: [&[f32]; TOGETHER]) -> [[f32; TOGETHER]; TOGETHER] {
    let (a, b) = (a.map(|row| S::as_simd_f32s(row)), b.map(|row| S::as_simd_f32s(row)));
    let count = a[0].0.len();
    // As long as each other, which spares a check in the loop.
    let (a_vectors, b_vectors) = (a.map(|(vectors, _)| &vectors[..count]), b.map(|(vectors, _)| &vectors[..count]));
    let mut sums = [[simd.splat_f32s(0.0); TOGETHER]; TOGETHER];
    for at in 0..count {
        let own = b_vectors.map(|vectors| vectors[at]);
        for (sums, vectors) in sums.iter_mut().zip(a_vectors) {
            sums.iter_mut().zip(own).for_each(|(sum, b)| *sum = simd.mul_add_e_f32s(vectors[at], b, *sum));
        }
    }
    let mut products = [[0.0; TOGETHER]; TOGETHER];
    for ((products, sums), (_, a_rest)) in products.iter_mut().zip(sums).zip(a) {
        for ((product, sum), (_, b_rest)) in products.iter_mut().zip(sums).zip(b) {
            *product = simd.reduce_sum_f32s(sum) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>();
        }
    }
    products
}

/// A weight for each number of a row, or one for all.
pub trait Weight: Copy {
    /// For [`WIDE`] vectors, `at` times as many behind the first.
    fn wide<S: Simd>(self, simd: S, at: usize) -> Option<[S::f32s; WIDE]>;
    /// For the vector at `at`.
    fn vector<S: Simd>(self, simd: S, at: usize) -> S::f32s;
    /// For the number at `at`.
    fn number(self, at: usize) -> f32;
}

impl Weight for &[f32] {
    #[inline(always)]
    fn wide<S: Simd>(self, _: S, at: usize) -> Option<[S::f32s; WIDE]> {
        S::as_simd_f32s(self).0.as_chunks().0.get(at).copied()
    }

    #[inline(always)]
    fn vector<S: Simd>(self, _: S, at: usize) -> S::f32s {
        S::as_simd_f32s(self).0[at]
    }

    #[inline(always)]
    fn number(self, at: usize) -> f32 {
        self[at]
    }
}

impl Weight for f32 {
    #[inline(always)]
    fn wide<S: Simd>(self, simd: S, _: usize) -> Option<[S::f32s; WIDE]> {
        Some([simd.splat_f32s(self); WIDE])
    }

    #[inline(always)]
    fn vector<S: Simd>(self, simd: S, _: usize) -> S::f32s {
        simd.splat_f32s(self)
    }

    #[inline(always)]
    fn number(self, _: usize) -> f32 {
        self
    }
}

/// Vectors of a row that are summed up together: enough to hide how long one addition takes.
const WIDE: usize = 8;

/// Adds rows, each times its weight, to `sums`, of which [`WIDE`] vectors at a time stay in registers.
#[inline(always)]
pub fn add_weighed<'a, S: Simd, W: Weight>(
    simd: S,
    sums: &mut [f32],
    rows: impl Iterator<Item = (W, &'a [f32])> + Clone,
) {
    let done = sums.len() / S::F32_LANES * S::F32_LANES;
    let (vectors, rest) = S::as_mut_simd_f32s(sums);
    let (wide, others) = vectors.as_chunks_mut::<WIDE>();
    let at_others = WIDE * wide.len();
    for (at, out) in wide.iter_mut().enumerate() {
        let mut sums = *out;
        for (weight, row) in rows.clone() {
            let row = S::as_simd_f32s(row).0.as_chunks::<WIDE>().0.get(at);
            let Some((weights, row)) = weight.wide(simd, at).zip(row) else { continue };
            for (sum, (weight, value)) in sums.iter_mut().zip(weights.iter().zip(row)) {
                *sum = simd.mul_add_e_f32s(*weight, *value, *sum);
            }
        }
        *out = sums;
    }
    for (at, sum) in (at_others..).zip(others) {
        for (weight, row) in rows.clone() {
            *sum = simd.mul_add_e_f32s(weight.vector(simd, at), S::as_simd_f32s(row).0[at], *sum);
        }
    }
    if rest.is_empty() {
        return;
    }
    for (weight, row) in rows {
        (done..).zip(rest.iter_mut()).for_each(|(at, sum)| *sum += weight.number(at) * row[at]);
    }
}

/// Turns scores into weights that sum up to 1: their exponentials over the sum of these. A score of minus infinity weighs
/// nothing.
#[inline(always)]
pub fn softmax<S: Simd>(simd: S, scores: &mut [[f32; LANES]]) {
    let (vectors, rest) = S::as_simd_f32s(scores.as_flattened());
    let highest = vectors.iter().fold(simd.splat_f32s(f32::NEG_INFINITY), |high, &score| simd.max_f32s(score, high));
    let highest = rest.iter().fold(simd.reduce_max_f32s(highest), |highest, &score| highest.max(score));
    for score in scores.as_flattened_mut() {
        *score = exp(*score - highest);
    }
    let factor = 1.0 / sum(simd, scores.as_flattened());
    scores.as_flattened_mut().iter_mut().for_each(|score| *score *= factor);
}

/// e to the power of a number that is not above 0; without branches, so that many are computed at once. Cody and Waite's
/// reduction, and the polynomial of Cephes' `expf`; right to 2 units in the last place, and 0 below -87.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_HIGH: f32 = 0.693_359_4;
    const LOG2_LOW: f32 = -2.121_944_4e-4;
    let kept = if x > -87.0 { x } else { -87.0 };
    let shifted = kept * std::f32::consts::LOG2_E + ROUNDING;
    let power = shifted - ROUNDING;
    let r = kept - power * LOG2_HIGH - power * LOG2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let bits = (shifted.to_bits().wrapping_sub(ROUNDING.to_bits()) as i32).wrapping_add(127) << 23;
    let result = (p * r * r + r + 1.0) * f32::from_bits(bits as u32);
    if x > -87.0 { result } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, WithSimd};

    use super::*;

    /// `DynamicQuantizeLinear` as the standard has it, before the rounding.
    fn standard(row: &[f32]) -> (Vec<f64>, f32, i32) {
        let lowest = row.iter().copied().fold(0f32, f32::min);
        let highest = row.iter().copied().fold(0f32, f32::max);
        let scale = if highest == lowest { 1.0 } else { (highest - lowest) / 255.0 };
        let zero = (-lowest / scale).round_ties_even().clamp(0.0, 255.0);
        let places = row.iter().map(|x| (f64::from(*x) / f64::from(scale)) + f64::from(zero)).collect();
        (places, scale, zero as i32)
    }

    fn wave(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37).sin() * (i as f32 % 13.0)).collect()
    }

    #[test]
    fn rows_are_as_the_standard_quantises_a_tensor() {
        let wave = wave(531);
        let positive: Vec<f32> = wave.iter().map(|x| x.max(0.0)).collect();
        let negative: Vec<f32> = wave.iter().map(|x| x.min(0.0) * 1e-6).collect();
        for row in [&wave[..], &wave[..512], &wave[..70], &positive, &negative, &[0.0; 40], &[1.0], &[-3.0, 5e8]] {
            let mut bytes = vec![0; row.len()];
            let (scale, zero) = quantize(Scalar, row, &mut bytes);
            let (places, expected_scale, expected_zero) = standard(row);
            assert_eq!((scale, zero), (expected_scale, expected_zero));
            for (byte, place) in bytes.iter().zip(places) {
                // The nearest byte; either, where a number lies between the two.
                assert!((f64::from(*byte) - place.clamp(0.0, 255.0)).abs() < 0.5 + 1e-4, "{byte} for {place}");
            }
        }
    }

    #[test]
    fn no_number_is_too_odd() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE] {
            let row = [odd, 1.0, -odd, 0.0];
            quantize(Scalar, &row, &mut [0; 4]);
            normalise(Scalar, &row, (&[1.0; 4], &[0.0; 4]), 1e-5, &mut [0.0; 4]);
            softmax(Scalar, &mut [[odd; LANES]]);
        }
    }

    #[test]
    fn rows_are_normalised_as_in_double_precision() {
        for count in [1, 40, 64, 512, 560] {
            let row: Vec<f32> = wave(count).iter().map(|x| x + 100.0).collect();
            let (gamma, beta) = (wave(count + 3).split_off(3), wave(count + 9).split_off(9));
            let mut out = vec![0.0; count];
            normalise(Scalar, &row, (&gamma, &beta), 1e-5, &mut out);
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count as f64;
            for (at, out) in out.iter().enumerate() {
                let normal = (f64::from(row[at]) - mean) / (variance + 1e-5).sqrt();
                let expected = normal * f64::from(gamma[at]) + f64::from(beta[at]);
                assert!((f64::from(*out) - expected).abs() < 2e-3, "{at} of {count}: {out}, not {expected}");
            }
        }
    }

    #[test]
    fn sums_take_every_element() {
        for count in [0, 1, 63, 64, 65, 200] {
            let row: Vec<f32> = (1..=count).map(|i| i as f32).collect();
            let twice = vec![2.0; count];
            assert_eq!(on_all(Sums(&row, &twice)), [(count * (count + 1) / 2) as f32, (count * (count + 1)) as f32]);
            let sums = on_all(Weighed(&row, &twice));
            assert!(sums.iter().zip(&row).all(|(sum, value)| *sum == 6.0 * value), "{sums:?}");
        }
    }

    #[test]
    fn exponentials_are_right_to_two_units_in_the_last_place() {
        for step in 0..870_000 {
            let x = step as f32 * -1e-4;
            let (found, expected) = (exp(x), f64::from(x).exp());
            assert!((f64::from(found) - expected).abs() <= expected * 2.4e-7, "{x}: {found}, not {expected}");
        }
        assert_eq!((exp(0.0), exp(-87.5), exp(-10_000.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn weights_sum_up_to_1() {
        for scores in [&[0.0][..], &[3.0, 3.0, 3.0, 3.0], &[-1e4, 5.0], &wave(33)] {
            let mut weights = vec![[f32::NEG_INFINITY; LANES]; scores.len().div_ceil(LANES)];
            weights.as_flattened_mut()[..scores.len()].copy_from_slice(scores);
            softmax(Scalar, &mut weights);
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let all: f64 = scores.iter().map(|&s| f64::from(s - highest).exp()).sum();
            for (at, weight) in weights.as_flattened().iter().enumerate() {
                let expected = scores.get(at).map_or(0.0, |&score| f64::from(score - highest).exp() / all);
                assert!((f64::from(*weight) - expected).abs() < 1e-6);
            }
        }
    }

    /// The sum of a row, and its product with another.
    #[derive(Clone)]
    struct Sums<'a>(&'a [f32], &'a [f32]);

    impl WithSimd for Sums<'_> {
        type Output = [f32; 2];

        fn with_simd<S: Simd>(self, simd: S) -> [f32; 2] {
            let rows = [self.0, self.1, self.0, self.1];
            [sum(simd, self.0), dots(simd, rows, rows)[2][3]]
        }
    }

    /// A row, and that row with weights and one weight for all added to it.
    #[derive(Clone)]
    struct Weighed<'a>(&'a [f32], &'a [f32]);

    impl WithSimd for Weighed<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut sums = self.0.to_vec();
            add_weighed(simd, &mut sums, [(self.1, self.0)].into_iter());
            add_weighed(simd, &mut sums, [(1.0, self.0), (2.0, self.0)].into_iter());
            sums
        }
    }

    /// What the widest and the oldest instructions give, which must be the same.
    fn on_all<W: WithSimd<Output = T> + Clone, T: PartialEq + std::fmt::Debug>(work: W) -> T {
        let widest = pulp::Arch::new().dispatch(work.clone());
        assert_eq!(widest, work.with_simd(Scalar));
        widest
    }
}
