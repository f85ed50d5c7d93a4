//! Samples to fbank frames, frames to the encoder's input rows: LFR, CMVN, position. Spec: FunASR `WavFrontendOnline`,
//! Kaldi `fbank`.

pub mod cmvn;
pub mod fbank;
pub mod fft;
pub mod lfr;
pub mod position;

use cmvn::Cmvn;
use lfr::Lfr;

/// Mel bins of one fbank frame.
pub const MEL_BINS: usize = 80;
/// Fbank frames stacked into one LFR row (`lfr_m`).
pub const LFR_WINDOW: usize = 7;
/// Fbank frames from one LFR row to the next (`lfr_n`).
pub const LFR_SHIFT: usize = 6;
/// Values in one LFR row.
pub const FEATURE_DIM: usize = MEL_BINS * LFR_WINDOW;

/// The front end's state over one utterance.
#[derive(Debug, Clone, Default)]
pub struct Frontend {
    lfr: Lfr,
    /// LFR rows given out so far: the next one's position is this plus 1.
    rows: u64,
}

impl Frontend {
    /// Takes fbank frames `[m, 80]` and appends the rows `[n, 560]` that are complete with them to `rows`.
    ///
    /// `scale` multiplies after the normalisation and before the position: the square root of the encoder's dimension.
    pub fn push(&mut self, cmvn: &Cmvn, scale: f32, frames: &[f32], rows: &mut Vec<f32>) {
        let first = rows.len();
        self.lfr.push(frames, rows);
        self.normalise(cmvn, scale, &mut rows[first..]);
    }

    /// Ends the utterance: appends the last rows, padded with copies of the last frame.
    pub fn finish(&mut self, cmvn: &Cmvn, scale: f32, rows: &mut Vec<f32>) {
        let first = rows.len();
        self.lfr.finish(rows);
        self.normalise(cmvn, scale, &mut rows[first..]);
    }

    /// Starts a new utterance: position 1, nothing kept. Buffers keep their memory.
    pub fn reset(&mut self) {
        self.lfr.reset();
        self.rows = 0;
    }

    /// Moves the start of the utterance on by `rows`: the positions that follow count from there.
    pub fn rebase(&mut self, rows: u64) {
        self.rows -= rows;
    }

    fn normalise(&mut self, cmvn: &Cmvn, scale: f32, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(FEATURE_DIM) {
            cmvn.apply(row, scale);
            self.rows += 1;
            position::add(self.rows, row);
        }
    }
}

#[cfg(test)]
mod checkpoints;
