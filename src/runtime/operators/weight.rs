//! The weights of int8 products, outside the graphs and their sessions, so that several sessions of a model share them.
//!
//! ONNX Runtime keeps the weights of its products in the session, packed, and a session runs one call at a time; a second
//! session of a model would have a second copy of nearly all of it.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use super::vnni::{Block, COLUMNS, DEPTH, MOST_INPUTS, Panels, ROWS, Tiles, Vnni, zero_point};

/// Rows whose product is computed before the next panel of a weight is read.
pub const GROUP: usize = 2 * ROWS;

/// The weights of a graph, by number.
#[derive(Debug, Clone, Default)]
pub struct Weights(pub Arc<[Weight]>);

/// The weight of a product: signed bytes `[inputs, outputs]`, and the zero point of each output.
#[derive(Debug)]
pub struct Weight {
    inputs: usize,
    outputs: usize,
    /// Panel by panel, `inputs / DEPTH` for each. Outputs behind the last are 0.
    blocks: Vec<Block>,
    /// For each panel.
    zeros: Vec<[i32; COLUMNS]>,
    processor: Vnni,
}

/// Whether products can be computed here on this processor.
pub fn is_possible() -> bool {
    Vnni::detect().is_some()
}

impl Weight {
    /// Packs the bytes `weights`, `[inputs, outputs]`, signed once `flip` is turned over in each, with one zero point, or one
    /// for each output. None where the processor or the sizes are not fit for it.
    pub fn pack(inputs: usize, outputs: usize, weights: &[u8], zeros: &[u8], flip: u8) -> Option<Self> {
        let processor = Vnni::detect()?;
        let fits = weights.len() == inputs.checked_mul(outputs)? && [1, outputs].contains(&zeros.len());
        if weights.is_empty() || !inputs.is_multiple_of(DEPTH) || inputs > MOST_INPUTS || !fits {
            return None;
        }
        let signed = |byte: &u8| (byte ^ flip) as i8;
        let (panels, depth) = (outputs.div_ceil(COLUMNS), inputs / DEPTH);
        let mut blocks = vec![Block([0; COLUMNS * DEPTH]); panels * depth];
        for (input, row) in weights.chunks_exact(outputs).enumerate() {
            for (panel, row) in row.chunks(COLUMNS).enumerate() {
                let block = &mut blocks[panel * depth + input / DEPTH];
                let places = block.0[input % DEPTH..].iter_mut().step_by(DEPTH);
                places.zip(row).for_each(|(place, byte)| *place = signed(byte));
            }
        }
        let mut of_panels = vec![[0; COLUMNS]; panels];
        let each = zeros.iter().cycle().take(outputs).map(|byte| zero_point(signed(byte)));
        of_panels.as_flattened_mut().iter_mut().zip(each).for_each(|(zero, value)| *zero = value);
        Some(Self { inputs, outputs, blocks, zeros: of_panels, processor })
    }

    /// How long the rows are that it multiplies.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How long the rows are that it gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The shape of the product with rows of this shape; none where they are not as long as it has inputs.
    pub fn shape_of_result(&self, rows: &[i64]) -> Option<Vec<i64>> {
        let (&length, outer) = rows.split_last()?;
        (usize::try_from(length) == Ok(self.inputs)).then(|| [outer, &[self.outputs as i64]].concat())
    }

    /// What the product with so many rows is in elements that are read once: an instruction multiplies 64 times.
    pub fn work(&self, rows: usize) -> usize {
        rows * self.inputs * self.outputs / 256
    }
}

/// A weight, and the one that is likely multiplied with next.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    weight: &'a Weight,
    next: Option<&'a Weight>,
}

impl Weights {
    /// A weight, by number; they are in the order of the graph's products.
    pub fn get(&self, number: usize) -> Option<Operand<'_>> {
        self.0.get(number).map(|weight| Operand { weight, next: self.0.get(number + 1) })
    }
}

impl Deref for Operand<'_> {
    type Target = Weight;

    fn deref(&self) -> &Weight {
        self.weight
    }
}

impl Operand<'_> {
    /// The product of rows, `[rows, inputs]`: `[rows, outputs]`.
    pub fn multiply(&self, rows: &[u8], out: &mut [i32]) {
        let Weight { inputs, outputs, blocks, zeros, processor } = self.weight;
        let mut steps = STEPS.take();
        steps.resize(steps.len().max(GROUP * inputs / DEPTH), [0; DEPTH]);
        let groups = rows.chunks(GROUP * inputs).zip(out.chunks_mut(GROUP * outputs));
        let last = groups.len().saturating_sub(1);
        for (number, (rows, out)) in groups.enumerate() {
            let count = out.len() / outputs;
            // Two of about one size, where there are more than go at once. Four rows are interleaved together.
            let each = count.div_ceil(count.div_ceil(ROWS)).next_multiple_of(4);
            let mut sums = [0; GROUP];
            let (steps, sums) = (&mut steps[..count * inputs / DEPTH], &mut sums[..count]);
            let tiles = steps.chunks_mut(each * inputs / DEPTH).zip(sums.chunks_mut(each));
            for ((steps, sums), rows) in tiles.zip(rows.chunks(each * inputs)) {
                processor.interleave(rows, steps, sums);
            }
            let next = if number < last { blocks } else { self.next.map_or(&blocks[..], |next| &next.blocks) };
            processor.multiply(Tiles { steps, sums, rows: each }, Panels { blocks, zeros, next }, out, *outputs);
        }
        STEPS.set(steps);
    }
}

thread_local! {
    /// Rows that are interleaved, so that nobody asks for memory each time.
    static STEPS: Cell<Vec<[u8; DEPTH]>> = const { Cell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<u8> {
        let byte = |at: u32| ((at + 1).wrapping_mul(2_654_435_761).wrapping_add(seed << 16) >> 19) as u8;
        (0..count as u32).map(byte).collect()
    }

    /// Every size of the last panel, every number of rows, and the greatest sums that bytes can have.
    #[test]
    fn a_product_is_exact() {
        if !is_possible() {
            eprintln!("skipped: this processor has no AVX512-VNNI");
            return;
        }
        for (inputs, outputs) in [(4, 1), (512, 96), (560, 33), (2048, 40), (16, 31), (MOST_INPUTS, 2)] {
            let random = noise(inputs * outputs, 1);
            for (weights, flip) in [(&random, 0), (&random, 0x80), (&vec![0x80; inputs * outputs], 0)] {
                for zeros in [&noise(outputs, 2)[..], &[127], &[flip]] {
                    let weight = Weight::pack(inputs, outputs, weights, zeros, flip).unwrap();
                    let signed = |byte: u8| i32::from((byte ^ flip) as i8);
                    for count in [1, 2, 11, 12, 13, 20, 24, 25, 60] {
                        for rows in [noise(count * inputs, 3), vec![255; count * inputs]] {
                            let mut out = vec![0; count * outputs];
                            Operand { weight: &weight, next: None }.multiply(&rows, &mut out);
                            for (at, out) in out.iter().enumerate() {
                                let (row, column) = (&rows[at / outputs * inputs..][..inputs], at % outputs);
                                let zero = signed(zeros[column % zeros.len()]);
                                let weights = weights[column..].iter().step_by(outputs);
                                let terms = row.iter().zip(weights).map(|(&a, &b)| i32::from(a) * (signed(b) - zero));
                                assert_eq!(*out, terms.sum::<i32>(), "{inputs} by {outputs}, {count} rows");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_taken() {
        assert!(Weight::pack(6, 2, &[1; 12], &[0], 0).is_none(), "not in fours");
        assert!(Weight::pack(8, 2, &[1; 15], &[0], 0).is_none(), "too short");
        assert!(Weight::pack(8, 2, &[1; 16], &[0; 3], 0).is_none(), "zero points of another number");
        assert!(Weight::pack(0, 2, &[], &[0], 0).is_none());
        assert!(Weight::pack(MOST_INPUTS + 4, 1, &[1; MOST_INPUTS + 4], &[0], 0).is_none(), "sums that are too great");
        assert_eq!(Weight::pack(8, 2, &[1; 16], &[0], 0).is_some(), is_possible());
    }
}
