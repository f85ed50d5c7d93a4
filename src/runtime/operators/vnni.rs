//! Bytes times signed bytes, exact in 32 bits, with the dot products of four that AVX512-VNNI has.
//!
//! Unsafe for two reasons. What is compiled for instructions that not every processor has may be called only on one that
//! has them: a [`Vnni`] is the proof, and there is none elsewhere. And a hint to the processor takes an address. Memory is
//! read and written through slices alone.
#![allow(unsafe_code)]

/// Columns that are computed together: two vectors.
pub const COLUMNS: usize = 32;
/// Inputs that one instruction takes.
pub const DEPTH: usize = 4;
/// Rows that are computed together: with two vectors each they fill the registers.
pub const ROWS: usize = 12;

/// A step: `DEPTH` inputs of `COLUMNS` columns, for each column its inputs, one after the other. At the places where vectors
/// are read fastest.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Block(pub [i8; COLUMNS * DEPTH]);

/// Columns of a weight that are computed together.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    /// One for each step.
    pub blocks: &'a [Block],
    /// What the weights of a column are counted from.
    pub zeros: &'a [i32; COLUMNS],
}

/// A processor with AVX512-VNNI.
#[derive(Debug, Clone, Copy)]
pub struct Vnni(Proof);

#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
struct Proof;
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug, Clone, Copy)]
enum Proof {}

impl Vnni {
    /// This processor, where it is one.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Some(Self(Proof));
        }
        None
    }

    /// Rows, one behind the other, as steps: what all rows have in the first step, then in the second. And the sum of each;
    /// there are as many rows as there is room for sums.
    pub fn interleave(self, rows: &[u8], steps: &mut [[u8; DEPTH]], sums: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is a `Vnni` only where the processor has all that `interleave` is compiled for.
        unsafe {
            x86::interleave(rows, steps, sums);
        }
        #[cfg(not(target_arch = "x86_64"))]
        match self.0 {}
    }

    /// The product of up to [`ROWS`] rows, interleaved, whose sums are `sums`, and a panel: into the columns from `at` on of
    /// the rows of `out`, of `width` each, as far as they reach.
    pub fn multiply(
        self,
        steps: &[[u8; DEPTH]],
        sums: &[i32],
        panel: Panel<'_>,
        out: &mut [i32],
        (width, at): (usize, usize),
    ) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is a `Vnni` only where the processor has all that `multiply` is compiled for.
        unsafe {
            x86::multiply(steps, sums, panel, out, (width, at));
        }
        #[cfg(not(target_arch = "x86_64"))]
        match self.0 {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
        _mm_unpacklo_epi64, _mm512_dpbusd_epi32, _mm512_mullo_epi32, _mm512_set1_epi32,
    };

    use super::{Block, COLUMNS, DEPTH, Panel, ROWS};

    /// Numbers of a vector.
    const LANES: usize = COLUMNS / 2;
    /// Steps before its turn that a block is asked for: weights come from far, for a network is larger than any cache.
    const AHEAD: usize = 32;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub fn interleave(rows: &[u8], steps: &mut [[u8; DEPTH]], sums: &mut [i32]) {
        let count = sums.len();
        let length = rows.len() / count.max(1);
        // Four steps of four rows are turned round at once; what is left, one by one.
        let (fours, blocks) = (count / 4 * 4, length / (4 * DEPTH));
        for first in (0..fours).step_by(4) {
            let own: [&[[u8; 4 * DEPTH]]; 4] =
                std::array::from_fn(|row| &rows[(first + row) * length..][..length].as_chunks().0[..blocks]);
            for at in 0..blocks {
                let [a, b, c, d]: [__m128i; 4] = own.map(|row| bytemuck::cast(row[at]));
                let (ab_low, ab_high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
                let (cd_low, cd_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
                let turned = [
                    _mm_unpacklo_epi64(ab_low, cd_low),
                    _mm_unpackhi_epi64(ab_low, cd_low),
                    _mm_unpacklo_epi64(ab_high, cd_high),
                    _mm_unpackhi_epi64(ab_high, cd_high),
                ];
                for (step, values) in turned.into_iter().enumerate() {
                    let values: [[u8; DEPTH]; 4] = bytemuck::cast(values);
                    steps[(4 * at + step) * count + first..][..4].copy_from_slice(&values);
                }
            }
        }
        for (row, (values, sum)) in rows.chunks_exact(length.max(1)).zip(sums).enumerate() {
            *sum = values.iter().map(|&value| i32::from(value)).sum();
            let done = if row < fours { 4 * blocks } else { 0 };
            for (step, value) in values.as_chunks().0.iter().enumerate().skip(done) {
                steps[step * count + row] = *value;
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub fn multiply(steps: &[[u8; DEPTH]], sums: &[i32], panel: Panel<'_>, out: &mut [i32], place: (usize, usize)) {
        macro_rules! of_rows {
            ($($count:literal)*) => {
                match sums.len() {
                    $($count => tile::<$count>(steps, sums, panel, out, place),)*
                    _ => debug_assert!(sums.is_empty(), "at most {ROWS} rows"),
                }
            };
        }
        of_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    /// Both vectors of each row stay in registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn tile<const R: usize>(
        steps: &[[u8; DEPTH]],
        sums: &[i32],
        panel: Panel<'_>,
        out: &mut [i32],
        (width, at): (usize, usize),
    ) {
        let zeros: [[i32; LANES]; 2] = bytemuck::cast(*panel.zeros);
        let zeros: [__m512i; 2] = zeros.map(bytemuck::cast);
        let mut totals: [[__m512i; 2]; R] = std::array::from_fn(|row| {
            let sum = _mm512_set1_epi32(-sums[row]);
            [_mm512_mullo_epi32(sum, zeros[0]), _mm512_mullo_epi32(sum, zeros[1])]
        });
        for (inputs, block) in steps.as_chunks::<R>().0.iter().zip(panel.blocks) {
            let later = std::ptr::from_ref(block).wrapping_add(AHEAD).cast::<i8>();
            // SAFETY: a hint, which reads nothing and may be given for any address.
            #[allow(unused_unsafe, reason = "safe only for newer compilers than the oldest that is supported")]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(later);
                _mm_prefetch::<_MM_HINT_T0>(later.wrapping_add(size_of::<Block>() / 2));
            }
            let [low, high]: [[i8; COLUMNS * DEPTH / 2]; 2] = bytemuck::cast(block.0);
            let weights: [__m512i; 2] = [bytemuck::cast(low), bytemuck::cast(high)];
            for (totals, input) in totals.iter_mut().zip(inputs) {
                let input = _mm512_set1_epi32(i32::from_ne_bytes(*input));
                totals[0] = _mm512_dpbusd_epi32(totals[0], input, weights[0]);
                totals[1] = _mm512_dpbusd_epi32(totals[1], input, weights[1]);
            }
        }
        for (out, totals) in out.chunks_exact_mut(width).zip(&totals) {
            let totals: [[i32; LANES]; 2] = [bytemuck::cast(totals[0]), bytemuck::cast(totals[1])];
            let room = &mut out[at..];
            match room.first_chunk_mut::<COLUMNS>() {
                Some(room) => *room = bytemuck::cast(totals),
                None => reach(room, totals.as_flattened()),
            }
        }
    }

    /// As many columns as there are. By itself, since the compiler else makes one copy of any length of both cases.
    #[cold]
    #[inline(never)]
    fn reach(room: &mut [i32], totals: &[i32]) {
        room.iter_mut().zip(totals).for_each(|(out, total)| *out = *total);
    }
}
