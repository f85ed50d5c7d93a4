//! The samples of a stream that are still needed: those that the front end has not taken, and those that the next
//! utterance may begin with.

/// Samples by their number in the stream.
#[derive(Debug, Default)]
pub struct HeldAudio {
    samples: Vec<f32>,
    /// The number of the first sample held.
    start: u64,
    /// The number of the next sample for the front end.
    next: u64,
}

impl HeldAudio {
    /// Forgets everything: the next sample is number 0.
    pub fn reset(&mut self) {
        self.samples.clear();
        (self.start, self.next) = (0, 0);
    }

    /// Appends samples.
    pub fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
    }

    /// How many samples have come since sample 0.
    pub fn end(&self) -> u64 {
        self.start + self.samples.len() as u64
    }

    /// Whether the front end has taken all.
    pub fn is_taken(&self) -> bool {
        self.next >= self.end()
    }

    /// Up to `count` samples for the front end.
    pub fn take(&mut self, count: usize) -> &[f32] {
        let first = (self.next - self.start) as usize;
        let block = &self.samples[first..self.samples.len().min(first + count)];
        self.next += block.len() as u64;
        block
    }

    /// The front end goes on with sample `number`, which must still be held.
    pub fn rewind(&mut self, number: u64) {
        self.next = number.clamp(self.start, self.end());
    }

    /// Drops the samples before `number` that the front end has taken.
    pub fn forget(&mut self, number: u64) {
        let unneeded = number.min(self.next).saturating_sub(self.start) as usize;
        self.samples.drain(..unneeded);
        self.start += unneeded as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_held_until_they_are_forgotten() {
        let mut audio = HeldAudio::default();
        audio.push(&[0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(audio.take(3), [0.0, 1.0, 2.0]);
        audio.forget(2);
        audio.rewind(2);
        assert_eq!(audio.take(9), [2.0, 3.0, 4.0]);
        assert!(audio.is_taken());
        audio.forget(100);
        audio.push(&[5.0]);
        assert_eq!((audio.end(), audio.take(9)), (6, [5.0].as_slice()));
    }
}
