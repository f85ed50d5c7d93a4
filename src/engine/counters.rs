//! What a stream has done, in figures.

/// What a stream has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of the encoder.
    pub calls: u64,
    /// Audio that was encoded, in ns.
    pub encoded_ns: u64,
    /// Audio that was not encoded because the voice activity detector found nobody speaking, in ns.
    pub saved_ns: u64,
}

impl Counters {
    /// What was done since `before`, or since a reset after it.
    pub fn since(self, before: Self) -> Self {
        if self.calls < before.calls || self.saved_ns < before.saved_ns {
            return self;
        }
        Self {
            calls: self.calls - before.calls,
            encoded_ns: self.encoded_ns - before.encoded_ns,
            saved_ns: self.saved_ns - before.saved_ns,
        }
    }
}
