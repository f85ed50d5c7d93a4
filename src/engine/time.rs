//! Time in the engine: whole nanoseconds and whole samples, never floating-point seconds.
//!
//! One sample at 16 kHz lasts exactly 62,500 ns, so a sample index converts without rounding, for days.

use super::SAMPLE_RATE;

/// Nanoseconds in one sample.
pub const NS_PER_SAMPLE: u64 = 1_000_000_000 / SAMPLE_RATE as u64;
/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;
/// Samples in a millisecond.
pub const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;
/// Samples between one LFR stack and the next.
pub const SAMPLES_PER_STACK: u64 = 960;
/// Fbank frames between one LFR stack and the next.
pub const FRAMES_PER_STACK: u64 = 6;
/// Milliseconds between one LFR stack and the next.
pub const MS_PER_STACK: u64 = 60;

/// The time of a sample, in nanoseconds from sample 0.
pub fn samples_to_ns(samples: u64) -> u64 {
    samples * NS_PER_SAMPLE
}

/// The sample that sounds at a time, rounded down.
pub fn ns_to_samples(ns: u64) -> u64 {
    ns / NS_PER_SAMPLE
}

/// The time within an utterance, in nanoseconds, of the point `fraction` (0 to 1) of the way through LFR stack `stack`.
///
/// Stack g is centred on fbank frame 6g, whose own centre lies 12.5 ms into it, and stands for 60 ms: it spans
/// 60g - 30 + 12.5 ms to 60g + 30 + 12.5 ms. Times before the utterance are moved to its start.
pub fn stack_time_ns(stack: i64, fraction: f64) -> u64 {
    let inside = (fraction.clamp(0.0, 1.0) * 60e6).round() as i64;
    (stack * 60_000_000 - 30_000_000 + 12_500_000 + inside).max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_convert_without_rounding_for_a_year() {
        let year = 365 * 24 * 3600 * u64::from(SAMPLE_RATE) + 1;
        assert_eq!(samples_to_ns(year), 365 * 24 * 3600 * 1_000_000_000 + 62_500);
        assert_eq!(ns_to_samples(samples_to_ns(year)), year);
    }

    #[test]
    fn a_stack_is_centred_on_its_middle_frame() {
        assert_eq!(stack_time_ns(10, 0.5), 612_500_000);
        assert_eq!(stack_time_ns(10, 0.0), 582_500_000);
        assert_eq!(stack_time_ns(-3, 1.0), 0);
    }
}
