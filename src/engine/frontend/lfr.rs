//! Low frame rate: stacks 7 fbank frames into one row, every 6 frames (FunASR `apply_lfr`).
//!
//! Frames `[m, 80]` in, rows `[ceil(m / 6), 560]` out over an utterance. Row g is centred on frame 6g: the left is
//! padded with 3 copies of the first frame, the right of the last row with copies of the last frame.

use super::{LFR_SHIFT, LFR_WINDOW, MEL_BINS};

const LEFT_PAD: usize = (LFR_WINDOW - 1) / 2;

/// The LFR state of one utterance: the frames that the next row still needs.
#[derive(Debug, Clone, Default)]
pub struct Lfr {
    frames: Vec<f32>,
    started: bool,
}

impl Lfr {
    /// Takes frames `[m, 80]` and appends the rows that are complete with them to `rows`.
    pub fn push(&mut self, frames: &[f32], rows: &mut Vec<f32>) {
        if !self.started && frames.len() >= MEL_BINS {
            self.started = true;
            // What is kept goes up and down with where the frames are parted. Room for the most of it at once.
            self.frames.reserve(2 * LFR_WINDOW * MEL_BINS);
            for _ in 0..LEFT_PAD {
                self.frames.extend_from_slice(&frames[..MEL_BINS]);
            }
        }
        self.frames.extend_from_slice(frames);
        let mut start = 0;
        while start + LFR_WINDOW * MEL_BINS <= self.frames.len() {
            rows.extend_from_slice(&self.frames[start..start + LFR_WINDOW * MEL_BINS]);
            start += LFR_SHIFT * MEL_BINS;
        }
        self.frames.drain(..start.min(self.frames.len()));
    }

    /// Ends the utterance: appends the row of the frames that are left, if there are frames beyond the last row's hop.
    pub fn finish(&mut self, rows: &mut Vec<f32>) {
        let kept = self.frames.len() / MEL_BINS;
        // A row is owed for every frame 6g that exists; the next row's centre is 3 frames into what is kept.
        if kept > LEFT_PAD {
            let last = self.frames[(kept - 1) * MEL_BINS..].to_vec();
            rows.extend_from_slice(&self.frames);
            for _ in kept..LFR_WINDOW {
                rows.extend_from_slice(&last);
            }
        }
        self.reset();
    }

    /// Forgets the utterance.
    pub fn reset(&mut self) {
        self.frames.clear();
        self.started = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each frame holds its own number in every bin, so a row shows which frames it was made of.
    fn rows_of(frames: usize, block: usize) -> Vec<Vec<usize>> {
        let numbers: Vec<f32> = (0..frames).flat_map(|n| [n as f32; MEL_BINS]).collect();
        let (mut lfr, mut rows) = (Lfr::default(), Vec::new());
        for part in numbers.chunks(block * MEL_BINS) {
            lfr.push(part, &mut rows);
        }
        lfr.finish(&mut rows);
        rows.chunks(LFR_WINDOW * MEL_BINS)
            .map(|row| row.chunks(MEL_BINS).map(|frame| frame[0] as usize).collect())
            .collect()
    }

    #[test]
    fn a_row_is_owed_for_every_sixth_frame() {
        for frames in 0..80 {
            assert_eq!(rows_of(frames, 1).len(), frames.div_ceil(6), "{frames} frames");
        }
    }

    #[test]
    fn edges_are_padded_with_copies() {
        assert_eq!(rows_of(1, 1), [[0, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(rows_of(8, 8), [[0, 0, 0, 0, 1, 2, 3], [3, 4, 5, 6, 7, 7, 7]]);
        assert_eq!(rows_of(10, 3), [[0, 0, 0, 0, 1, 2, 3], [3, 4, 5, 6, 7, 8, 9]]);
    }

    #[test]
    fn cutting_changes_nothing() {
        for frames in [1, 3, 4, 7, 58, 61] {
            for block in [1, 2, 5, 60] {
                assert_eq!(rows_of(frames, block), rows_of(frames, frames), "{frames} frames by {block}");
            }
        }
    }
}
