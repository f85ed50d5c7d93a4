//! Overlapping windows of encoder input rows: left context, stride, look-ahead.
//!
//! Rows `[n, dim]` in, windows `[left + look_ahead + n, dim]` out. A normal call takes exactly `stride` new rows; the
//! rows before them are the context, zeros at the start of an utterance. It gives out `stride` rows, the last of which
//! lies `look_ahead` rows before the window's end. The final call takes what is left and gives out all of it.

use super::time::MS_PER_STACK;
use super::{Error, Result};

/// `[left context, stride, look-ahead]` in LFR rows of 60 ms. FunASR's `chunk_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkSize {
    left: usize,
    stride: usize,
    look_ahead: usize,
}

/// A minute: more context than any model was trained with, and a bound on the memory that a setting can ask for.
const MAX_ROWS: i64 = 1000;

impl Default for ChunkSize {
    fn default() -> Self {
        Self { left: 5, stride: 10, look_ahead: 5 }
    }
}

impl ChunkSize {
    /// Left context and look-ahead of 0 to 1000 rows, stride of 1 to 1000.
    /// Errors: [`Error::Setting`] for anything else.
    pub fn new(left: i64, stride: i64, look_ahead: i64) -> Result<Self> {
        let fits = |rows: i64| (0..=MAX_ROWS).contains(&rows);
        if !fits(left) || !fits(look_ahead) || !fits(stride) || stride == 0 {
            return Err(Error::Setting {
                name: "chunk-size",
                value: format!("<{left},{stride},{look_ahead}>"),
                expected: "left context >= 0, stride >= 1, look-ahead >= 0, each at most 1000, in frames of 60 ms"
                    .into(),
            });
        }
        Ok(Self { left: left as usize, stride: stride as usize, look_ahead: look_ahead as usize })
    }

    /// Rows of left context.
    pub fn left(self) -> usize {
        self.left
    }

    /// New rows of one call.
    pub fn stride(self) -> usize {
        self.stride
    }

    /// Rows that a call sees beyond those it gives out.
    pub fn look_ahead(self) -> usize {
        self.look_ahead
    }

    /// Rows in the window of a normal call.
    pub fn window(self) -> usize {
        self.left + self.stride + self.look_ahead
    }

    /// The model's own delay in ms: a word waits for its stride and for the look-ahead after it.
    pub fn delay_ms(self) -> u64 {
        (self.stride + self.look_ahead) as u64 * MS_PER_STACK
    }
}

/// The rows of one utterance that calls still need: the context, then the new ones.
#[derive(Debug, Clone)]
pub struct Chunker {
    size: ChunkSize,
    dim: usize,
    rows: Vec<f32>,
    done: u64,
}

impl Chunker {
    /// At the start of an utterance: the context is zeros.
    pub fn new(size: ChunkSize, dim: usize) -> Self {
        let mut chunker = Self { size, dim, rows: Vec::with_capacity(size.window() * dim), done: 0 };
        chunker.reset();
        chunker
    }

    /// Starts a new utterance.
    pub fn reset(&mut self) {
        self.rows.clear();
        self.rows.resize(self.context() * self.dim, 0.0);
        self.done = 0;
    }

    /// Where the front end appends new rows.
    pub fn rows_mut(&mut self) -> &mut Vec<f32> {
        &mut self.rows
    }

    /// New rows that no call has taken.
    pub fn pending(&self) -> usize {
        self.rows.len() / self.dim - self.context()
    }

    /// Rows that calls have taken since the start of the utterance.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Whether a normal call can be made.
    pub fn ready(&self) -> bool {
        self.pending() >= self.size.stride
    }

    /// The window of a call that takes the next `new` rows: the rows, and how many.
    pub fn window(&self, new: usize) -> (&[f32], usize) {
        let rows = self.context() + new;
        (&self.rows[..rows * self.dim], rows)
    }

    /// The stack that the first row of the next window holds, counted from the start of the utterance; below 0 for the
    /// zeros before it.
    pub fn first_stack(&self) -> i64 {
        self.done as i64 - self.context() as i64
    }

    /// Ends a call that took `new` rows.
    pub fn advance(&mut self, new: usize) {
        self.rows.drain(..new * self.dim);
        self.done += new as u64;
    }

    /// Moves the start of the utterance on by `stacks`: each row that is kept and lies in the utterance is handed to
    /// `renumber` with its old stack number, and the numbers count from the new start.
    pub fn rebase(&mut self, stacks: u64, mut renumber: impl FnMut(i64, &mut [f32])) {
        let first = self.first_stack();
        for (stack, row) in (first..).zip(self.rows.chunks_exact_mut(self.dim)).filter(|(stack, _)| *stack >= 0) {
            renumber(stack, row);
        }
        self.done -= stacks;
    }

    fn context(&self) -> usize {
        self.size.left + self.size.look_ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stacks of each window, zeros as below 0; each row holds its number from 1.
    fn windows(size: [i64; 3], strides: usize, rest: usize) -> Vec<Vec<i64>> {
        let size = ChunkSize::new(size[0], size[1], size[2]).unwrap();
        let mut chunker = Chunker::new(size, 1);
        let mut found = Vec::new();
        let mut call = |chunker: &mut Chunker, new: usize| {
            let first = chunker.first_stack();
            let (rows, count) = chunker.window(new);
            assert_eq!(rows.len(), count);
            found.push(rows.iter().map(|&v| v as i64 - 1).collect());
            for (i, &row) in rows.iter().enumerate() {
                assert!(row == 0.0 || row as i64 - 1 == first + i as i64);
            }
            chunker.advance(new);
        };
        for stack in 0..strides * size.stride() + rest {
            chunker.rows_mut().push(stack as f32 + 1.0);
            if chunker.ready() {
                call(&mut chunker, size.stride());
            }
        }
        let rest = chunker.pending();
        call(&mut chunker, rest);
        found
    }

    #[test]
    fn c11_windows_after_three_strides() {
        let found = windows([5, 10, 5], 3, 8);
        assert_eq!(found[0], [[-1; 10].as_slice(), &(0..10).collect::<Vec<_>>()].concat());
        assert_eq!(found[2], (10..30).collect::<Vec<_>>());
        // Left context 20 to 24, then everything that no call has given out.
        assert_eq!(found[3], (20..38).collect::<Vec<_>>());
        assert_eq!(windows([5, 10, 5], 3, 0)[3], (20..30).collect::<Vec<_>>());
        assert_eq!(windows([5, 10, 5], 3, 5)[3], (20..35).collect::<Vec<_>>());
    }

    #[test]
    fn no_context_and_no_look_ahead() {
        assert_eq!(windows([0, 2, 0], 2, 1), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(windows([0, 1, 3], 2, 0), [vec![-1, -1, -1, 0], vec![-1, -1, 0, 1], vec![-1, 0, 1]]);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for [left, stride, ahead] in [[-1, 10, 5], [5, 0, 5], [5, 10, -1], [5, 1001, 5]] {
            let error = ChunkSize::new(left, stride, ahead).unwrap_err().to_string();
            assert!(error.starts_with(&format!("chunk-size=<{left},{stride},{ahead}>")), "{error}");
        }
    }
}
