//! The fbank frames of a stream that are still needed, by number: those that the utterance has not taken, those that the
//! next one may begin with, and those that the voice activity detector looks at.
//!
//! Frames count from a start, at most one of which lies in a sample: utterances within it begin on a whole frame, so each
//! frame is computed once.

use super::event::Heard;
use super::frontend::MEL_BINS;
use super::frontend::fbank::{Fbank, FbankPlan, SHIFT_SAMPLES};
use super::time::samples_to_ns;

/// Frames by their number since the last start.
#[derive(Debug, Default)]
pub struct HeldFrames {
    fbank: Fbank,
    frames: Vec<f32>,
    /// How many frames there is room for besides those that come.
    room: usize,
    /// The number of the first frame held.
    first: u64,
    /// The number of the sample at which frame 0 begins.
    start: u64,
    /// How many samples have come since sample 0.
    samples: u64,
}

impl HeldFrames {
    /// None yet. Where at most `room` frames are held when samples come, and as many samples come each time, only the
    /// first ones take memory.
    pub fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Forgets everything: the next sample is number 0, and begins frame 0.
    pub fn reset(&mut self) {
        self.samples = 0;
        self.restart();
    }

    /// The next sample begins frame 0.
    pub fn restart(&mut self) {
        self.fbank.reset();
        self.frames.clear();
        (self.first, self.start) = (0, self.samples);
    }

    /// Takes samples.
    pub fn push(&mut self, plan: &FbankPlan, samples: &[f32]) {
        // What is held goes up and down. Room for the most of it at once is taken now rather than at any later time.
        let most = (self.room + samples.len() / SHIFT_SAMPLES + 1) * MEL_BINS;
        self.frames.reserve(most.saturating_sub(self.frames.len()));
        self.fbank.push(plan, samples, &mut self.frames);
        self.samples += samples.len() as u64;
    }

    /// How many samples have come since sample 0.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The number of the sample at which a frame begins.
    pub fn sample_of(&self, frame: u64) -> u64 {
        self.start + frame * SHIFT_SAMPLES as u64
    }

    /// The number of the frame that begins at a sample, which must be where one begins.
    pub fn at_sample(&self, sample: u64) -> u64 {
        sample.saturating_sub(self.start) / SHIFT_SAMPLES as u64
    }

    /// The number after the newest frame.
    pub fn end(&self) -> u64 {
        self.first + (self.frames.len() / MEL_BINS) as u64
    }

    /// The frames from one sample to before another; nothing where the first of them was forgotten.
    pub fn heard(&self, from: u64, until: u64) -> Option<Heard> {
        let (from, end) = (self.at_sample(from), self.at_sample(until).min(self.end()));
        let held = from >= self.first && from < end;
        let start_ns = samples_to_ns(self.sample_of(from));
        held.then(|| Heard { frames: self.get(from, end).to_vec(), start_ns })
    }

    /// The frames `from` to `to`, `[to - from, 80]`; those that are not held are left out.
    pub fn get(&self, from: u64, to: u64) -> &[f32] {
        let at = |number: u64| (number.clamp(self.first, self.end()) - self.first) as usize * MEL_BINS;
        &self.frames[at(from)..at(to).max(at(from))]
    }

    /// Drops the frames before `number`.
    pub fn forget(&mut self, number: u64) {
        let dropped = number.clamp(self.first, self.end()) - self.first;
        self.frames.drain(..dropped as usize * MEL_BINS);
        self.first += dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_held_until_they_are_forgotten() {
        let (plan, mut held) = (FbankPlan::default(), HeldFrames::default());
        held.push(&plan, &[0.25; 399]);
        assert_eq!((held.end(), held.samples()), (0, 399));
        held.push(&plan, &[0.5; 481]);
        assert_eq!((held.end(), held.sample_of(3)), (4, 480));
        let third = held.get(2, 3).to_vec();
        held.forget(2);
        let heard = held.heard(320, 480).unwrap();
        assert_eq!((heard.frames.as_slice(), heard.start_ns), (third.as_slice(), 20_000_000));
        assert_eq!((held.heard(160, 480), held.heard(480, 480)), (None, None));
        assert_eq!((held.get(2, 3), held.get(0, 9).len()), (third.as_slice(), 2 * MEL_BINS));
        held.forget(9);
        assert_eq!((held.end(), held.get(0, 9).len()), (4, 0));
        held.restart();
        assert_eq!((held.end(), held.sample_of(1)), (0, 1040));
    }
}
