//! Health of one stream: what the property `stats` shows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::Counters;

/// Delays that percentiles are taken of: the newest.
const DELAYS: usize = 1024;

/// Counters since the stream began.
#[derive(Debug, Default)]
pub struct Stats {
    done: Counters,
    audio_ns: u64,
    busy_ns: u64,
    skipped_ns: u64,
    delays_ms: VecDeque<u32>,
    max_delay_ms: u32,
    /// How many streams share the model, and how many of their calls are made together on average.
    sharing: Option<(usize, f64)>,
}

impl Stats {
    /// Starts anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Notes audio that was recognised: what was done with it, how long it lasts, and how long that took.
    pub fn recognised(&mut self, done: Counters, audio_ns: u64, took: Duration) {
        self.done.calls += done.calls;
        self.done.encoded_ns += done.encoded_ns;
        self.done.saved_ns += done.saved_ns;
        self.audio_ns += audio_ns;
        self.busy_ns += took.as_nanos() as u64;
    }

    /// Notes audio that was skipped.
    pub fn skipped(&mut self, ns: u64) {
        self.skipped_ns += ns;
    }

    /// Notes a delay; says whether it is the longest so far.
    pub fn delayed(&mut self, delay_ms: u32) -> bool {
        if self.delays_ms.len() == DELAYS {
            self.delays_ms.pop_front();
        }
        self.delays_ms.push_back(delay_ms);
        let longest = delay_ms > self.max_delay_ms;
        self.max_delay_ms = self.max_delay_ms.max(delay_ms);
        longest
    }

    /// The longest delay, in ms.
    pub fn max_delay_ms(&self) -> u32 {
        self.max_delay_ms
    }

    /// Notes how many streams share the model, and how many of their calls are made together on average.
    pub fn shared(&mut self, sharing: (usize, f64)) {
        self.sharing = Some(sharing);
    }

    /// What was noted last of the streams that share the model; without a stream that runs, `streams`.
    pub fn sharing(&self, streams: usize) -> (usize, f64) {
        self.sharing.filter(|_| streams > 0).unwrap_or((streams, 0.0))
    }

    /// All of it.
    pub fn structure(&self, queued_ns: u64, precision: &str, rewrites: &str) -> gst::Structure {
        let (streams, batch) = self.sharing.unwrap_or_default();
        let mut delays: Vec<u32> = self.delays_ms.iter().copied().collect();
        delays.sort_unstable();
        let percentile = |part: usize| delays.get((delays.len() * part / 100).min(delays.len().saturating_sub(1)));
        let factor = if self.audio_ns == 0 { 0.0 } else { self.busy_ns as f64 / self.audio_ns as f64 };
        gst::Structure::builder("stats")
            .field("chunks", self.done.calls)
            .field("audio", self.audio_ns)
            .field("encoded", self.done.encoded_ns)
            .field("saved-by-vad", self.done.saved_ns)
            .field("real-time-factor", factor)
            .field("delay-p50", percentile(50).copied().unwrap_or(0))
            .field("delay-p95", percentile(95).copied().unwrap_or(0))
            .field("delay-max", self.max_delay_ms)
            .field("queued", queued_ns)
            .field("skipped", self.skipped_ns)
            .field("streams", streams as u32)
            .field("batch", batch)
            .field("precision", precision)
            .field("rewrites", rewrites)
            .build()
    }
}
