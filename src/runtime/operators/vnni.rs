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

/// The weight of a product: its columns, `COLUMNS` in each panel.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// Panel by panel, one for each step.
    pub blocks: &'a [Block],
    /// What the weights of a column are counted from, for each panel, as [`zero_point`] has it.
    pub zeros: &'a [[i32; COLUMNS]],
    /// What is multiplied after the last panel.
    pub next: &'a [Block],
}

/// Rows, as steps: what all rows of a tile have in the first step, then in the second. Then the next tile.
#[derive(Clone, Copy)]
pub struct Tiles<'a> {
    /// The inputs of a step.
    pub steps: &'a [[u8; DEPTH]],
    /// The sum of each row, in parts.
    pub sums: &'a [i32],
    /// So many rows in each tile, but for the last: up to [`ROWS`].
    pub rows: usize,
}

/// The greatest number of inputs whose sum can be multiplied with a zero point.
pub const MOST_INPUTS: usize = (1 << (15 + PART)) / 255;
/// Bits of the lower part of a sum.
const PART: u32 = 7;

/// A zero point, to be multiplied with the parts of a sum and taken away: for the lower, and for the upper.
pub fn zero_point(zero: i8) -> i32 {
    let less = -i16::from(zero);
    bytemuck::cast([less, less << PART])
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

    /// The product of rows and a weight, `[rows, width]`; the last panel may have more columns than there are.
    pub fn multiply(self, tiles: Tiles<'_>, panels: Panels<'_>, out: &mut [i32], width: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is a `Vnni` only where the processor has all that `multiply` is compiled for.
        unsafe {
            x86::multiply(tiles, panels, out, width);
        }
        #[cfg(not(target_arch = "x86_64"))]
        match self.0 {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m512i, _MM_HINT_T1, _mm_dpbusd_epi32, _mm_prefetch, _mm_set1_epi8, _mm_setzero_si128,
        _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm512_dpbusd_epi32,
        _mm512_dpwssd_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    };

    use super::{Block, COLUMNS, DEPTH, PART, Panels, ROWS, Tiles};

    /// Numbers of a vector.
    const LANES: usize = COLUMNS / 2;
    /// What comes from memory at once, in bytes.
    const LINE: usize = 64;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub fn interleave(rows: &[u8], steps: &mut [[u8; DEPTH]], sums: &mut [i32]) {
        let count = sums.len();
        let length = rows.len() / count.max(1);
        // Four steps of four rows are turned round at once; what is left, one by one.
        let (fours, blocks) = (count / 4 * 4, length / (4 * DEPTH));
        for first in (0..fours).step_by(4) {
            let own: [&[[u8; 4 * DEPTH]]; 4] =
                std::array::from_fn(|row| &rows[(first + row) * length..][..length].as_chunks().0[..blocks]);
            let mut totals = [_mm_setzero_si128(); 4];
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
                for (total, values) in totals.iter_mut().zip(turned) {
                    *total = _mm_dpbusd_epi32(*total, values, _mm_set1_epi8(1));
                }
                for (step, values) in turned.into_iter().enumerate() {
                    let values: [[u8; DEPTH]; 4] = bytemuck::cast(values);
                    steps[(4 * at + step) * count + first..][..4].copy_from_slice(&values);
                }
            }
            let [a, b, c, d]: [[i32; 4]; 4] = totals.map(bytemuck::cast);
            for (row, sum) in sums[first..][..4].iter_mut().enumerate() {
                *sum = a[row] + b[row] + c[row] + d[row];
            }
        }
        for (row, (values, sum)) in rows.chunks_exact(length.max(1)).zip(&mut *sums).enumerate() {
            let done = if row < fours { 4 * blocks } else { 0 };
            let rest = values.as_chunks::<DEPTH>().0.iter().enumerate().skip(done);
            let before = if row < fours { *sum } else { 0 };
            *sum = rest.fold(before, |sum, (step, value)| {
                steps[step * count + row] = *value;
                sum + value.iter().map(|&value| i32::from(value)).sum::<i32>()
            });
        }
        for sum in sums {
            let parts = [*sum & ((1 << PART) - 1), *sum >> PART];
            *sum = bytemuck::cast(parts.map(|part| part as i16));
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub fn multiply(tiles: Tiles<'_>, panels: Panels<'_>, out: &mut [i32], width: usize) {
        let depth = panels.blocks.len() / panels.zeros.len().max(1);
        let (count, is_alone) = (tiles.sums.len(), tiles.sums.len() <= tiles.rows);
        for (number, zeros) in panels.zeros.iter().enumerate() {
            let (blocks, behind) = panels.blocks[number * depth..].split_at(depth);
            let mut later = if behind.is_empty() { panels.next } else { behind }.as_ptr().cast::<i8>();
            // By indices: the iterators of chunks divide.
            for first in (0..count).step_by(tiles.rows.max(1)) {
                let own = first..count.min(first + tiles.rows);
                let (steps, sums) = (&tiles.steps[own.start * depth..own.end * depth], &tiles.sums[own.clone()]);
                let out = &mut out[own.start * width..own.end * width];
                let place = (width, number * COLUMNS);
                macro_rules! of_rows {
                    ($($count:literal)*) => {
                        match sums.len() {
                            $($count if is_alone => tile::<$count, 2>(steps, sums, (blocks, zeros), later, out, place),)*
                            $($count => tile::<$count, 1>(steps, sums, (blocks, zeros), later, out, place),)*
                            _ => debug_assert!(sums.is_empty(), "at most {ROWS} rows"),
                        }
                    };
                }
                of_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
                later = later.wrapping_add(depth * LINE);
            }
        }
    }

    /// Both vectors of each row stay in registers. With each step so many lines of what is wanted later are asked for:
    /// weights come from far, for a network is larger than any cache.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn tile<const R: usize, const LINES: usize>(
        steps: &[[u8; DEPTH]],
        sums: &[i32],
        (blocks, zeros): (&[Block], &[i32; COLUMNS]),
        mut later: *const i8,
        out: &mut [i32],
        (width, at): (usize, usize),
    ) {
        let zeros: [[i32; LANES]; 2] = bytemuck::cast(*zeros);
        let zeros: [__m512i; 2] = zeros.map(bytemuck::cast);
        let mut totals: [[__m512i; 2]; R] = std::array::from_fn(|row| {
            let sum = _mm512_set1_epi32(sums[row]);
            zeros.map(|zeros| _mm512_dpwssd_epi32(_mm512_setzero_si512(), sum, zeros))
        });
        for (inputs, block) in steps.as_chunks::<R>().0.iter().zip(blocks) {
            // SAFETY: a hint, which reads nothing and may be given for any address.
            #[allow(unused_unsafe, reason = "safe only for newer compilers than the oldest that is supported")]
            unsafe {
                for line in 0..LINES {
                    _mm_prefetch::<_MM_HINT_T1>(later.wrapping_add(line * LINE));
                }
            }
            later = later.wrapping_add(LINES * LINE);
            let [low, high]: [[i8; COLUMNS * DEPTH / 2]; 2] = bytemuck::cast(block.0);
            let weights: [__m512i; 2] = [bytemuck::cast(low), bytemuck::cast(high)];
            for (totals, input) in totals.iter_mut().zip(inputs) {
                let input = _mm512_set1_epi32(i32::from_ne_bytes(*input));
                totals[0] = _mm512_dpbusd_epi32(totals[0], input, weights[0]);
                totals[1] = _mm512_dpbusd_epi32(totals[1], input, weights[1]);
            }
        }
        if width < at + COLUMNS {
            let totals: [[[i32; LANES]; 2]; R] = totals.map(|of_row| of_row.map(bytemuck::cast));
            return reach(out, totals.as_flattened().as_flattened(), (width, at));
        }
        for (row, [low, high]) in totals.into_iter().enumerate() {
            let Some(room) = out.get_mut(row * width + at..).and_then(<[_]>::first_chunk_mut::<COLUMNS>) else {
                return;
            };
            let totals: [[i32; LANES]; 2] = [bytemuck::cast(low), bytemuck::cast(high)];
            *room = bytemuck::cast(totals);
        }
    }

    /// As many columns as there are. By itself, for else the sums would go through memory in the other case too.
    #[cold]
    #[inline(never)]
    fn reach(out: &mut [i32], totals: &[i32], (width, at): (usize, usize)) {
        for (out, totals) in out.chunks_exact_mut(width).zip(totals.chunks_exact(COLUMNS)) {
            out[at..].iter_mut().zip(totals).for_each(|(out, total)| *out = *total);
        }
    }
}
