//! The samples of a stream on the pipeline's clock: which time each sample has, and whether audio that comes goes on.
//!
//! Audio is placed by counting samples from an anchor. A sender's clock drifts against ours, so where its times are a
//! little off the count, the count slews after them, by at most a thousandth; faster where the times slew faster
//! themselves, as a jitter buffer's do after a sender that began with a burst. Small holes are filled with silence. Small
//! jumps back are jitter too: a jitter buffer that catches up makes them between packets that follow each other, and
//! nothing was said twice. Larger ones, either way, begin anew.

use std::collections::VecDeque;

use super::time::{NS_PER_MS, NS_PER_SAMPLE, SAMPLES_PER_MS, ns_to_samples, samples_to_ns};

/// A time this near to the expected one is drift or jitter.
pub const TOLERANCE_NS: u64 = 40 * NS_PER_MS;
/// The longest hole that is filled with silence, and the longest jump back that is jitter.
pub const LONGEST_FILL_NS: u64 = 300 * NS_PER_MS;
/// Errors below this are rounding.
const DEAD_ZONE_NS: i64 = NS_PER_MS as i64;
/// Samples between two corrections: a second.
const CORRECTION_SAMPLES: u64 = 1000 * SAMPLES_PER_MS;
/// How far one correction may go for each of those: a thousandth.
const MAX_CORRECTION_NS: i64 = NS_PER_MS as i64;
/// Farther off than this the count follows at once, so that times which slew fast are no jump in the end.
const SLEWING_NS: i64 = TOLERANCE_NS as i64 / 2;
/// Samples between two corrections then: 100 ms.
const SLEWING_SAMPLES: u64 = 100 * SAMPLES_PER_MS;
/// The last time there is: GStreamer takes the number after it for no time at all.
const LAST_NS: u64 = u64::MAX - 1;
/// Corrections that are remembered: two minutes, also of times that slew fast; far more than any result looks back.
const MAX_ANCHORS: usize = 1200;

/// Where audio that comes stands to the audio before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It goes on.
    Continues,
    /// It goes on after a small hole.
    AfterHole {
        /// Samples of silence that fill it.
        samples: u64,
    },
    /// It is the first, or comes after a large hole, or jumps far back.
    Breaks,
}

/// The times of a stream's samples.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// Samples whose times are known, in order; between them, and after the last, time goes as samples do.
    anchors: VecDeque<(u64, u64)>,
}

impl Timeline {
    /// Forgets everything: the next audio breaks.
    pub fn reset(&mut self) {
        self.anchors.clear();
    }

    /// Whether a sample has a time.
    pub fn is_anchored(&self) -> bool {
        !self.anchors.is_empty()
    }

    /// Sample number `sample` is at `pts_ns`: what came before has no more to do with what comes.
    pub fn anchor(&mut self, sample: u64, pts_ns: u64) {
        self.anchors.clear();
        self.anchors.push_back((sample, pts_ns));
    }

    /// Where audio at `pts_ns` stands that would be sample number `sample`.
    pub fn place(&self, sample: u64, pts_ns: u64) -> Placement {
        if !self.is_anchored() {
            return Placement::Breaks;
        }
        let error_ns = self.error_ns(sample, pts_ns);
        if error_ns.unsigned_abs() > LONGEST_FILL_NS {
            Placement::Breaks
        } else if error_ns > TOLERANCE_NS as i64 {
            Placement::AfterHole { samples: ns_to_samples(error_ns as u64 + NS_PER_SAMPLE / 2) }
        } else {
            Placement::Continues
        }
    }

    /// Slews the clock after audio that goes on: sample number `sample` came at `pts_ns`.
    pub fn follow(&mut self, sample: u64, pts_ns: u64) {
        let Some(&(anchored, _)) = self.anchors.back() else { return };
        let error_ns = self.error_ns(sample, pts_ns);
        let (least_samples, most_ns) = match error_ns.abs() - SLEWING_NS {
            excess_ns if excess_ns > 0 => (SLEWING_SAMPLES, excess_ns.max(MAX_CORRECTION_NS)),
            _ => (CORRECTION_SAMPLES, MAX_CORRECTION_NS),
        };
        if error_ns.abs() <= DEAD_ZONE_NS || sample < anchored + least_samples {
            return;
        }
        let correction_ns = error_ns.clamp(-most_ns, most_ns);
        let corrected_ns = self.pts_ns(samples_to_ns(sample)).saturating_add_signed(correction_ns);
        self.anchors.push_back((sample, corrected_ns));
        if self.anchors.len() > MAX_ANCHORS {
            self.anchors.pop_front();
        }
    }

    /// By how much `pts_ns` is later than expected of sample number `sample`.
    fn error_ns(&self, sample: u64, pts_ns: u64) -> i64 {
        let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        signed(pts_ns).saturating_sub(signed(self.pts_ns(samples_to_ns(sample))))
    }

    /// The time on the clock of a time in samples, in ns; 0 where nothing is anchored.
    pub fn pts_ns(&self, stream_ns: u64) -> u64 {
        let sample = ns_to_samples(stream_ns);
        let after = self.anchors.partition_point(|&(anchor, _)| anchor <= sample);
        let Some(&(anchor, pts_ns)) = self.anchors.get(after.saturating_sub(1)) else { return 0 };
        let anchor_ns = samples_to_ns(anchor);
        let after_ns = pts_ns.saturating_add(stream_ns.saturating_sub(anchor_ns));
        after_ns.saturating_sub(anchor_ns.saturating_sub(stream_ns)).min(LAST_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NS_PER_MS;

    fn anchored() -> Timeline {
        let mut timeline = Timeline::default();
        timeline.anchor(1600, 5000 * MS);
        timeline
    }

    #[test]
    fn times_count_from_the_anchor() {
        let timeline = anchored();
        assert_eq!(timeline.pts_ns(100 * MS), 5000 * MS);
        assert_eq!(timeline.pts_ns(350 * MS), 5250 * MS);
        assert_eq!(timeline.pts_ns(40 * MS), 4940 * MS);
        assert_eq!(Timeline::default().pts_ns(7), 0);
    }

    #[test]
    fn holes_by_their_length() {
        // Sample 3200 is expected at 5100 ms.
        for (pts_ms, expected) in [
            (5100, Placement::Continues),
            (5140, Placement::Continues),
            (5060, Placement::Continues),
            (5141, Placement::AfterHole { samples: 656 }),
            (5400, Placement::AfterHole { samples: 4800 }),
            (5401, Placement::Breaks),
            (5059, Placement::Continues),
            (4800, Placement::Continues),
            (4799, Placement::Breaks),
        ] {
            assert_eq!(anchored().place(3200, pts_ms * MS), expected, "{pts_ms} ms");
        }
        assert_eq!(Timeline::default().place(0, 0), Placement::Breaks);
        assert_eq!(anchored().place(3200, u64::MAX), Placement::Breaks);
        let mut end = Timeline::default();
        end.anchor(0, u64::MAX);
        assert_eq!((end.pts_ns(MS), end.place(16, 0)), (LAST_NS, Placement::Breaks));
    }

    /// rtpjitterbuffer, where the sender began with a burst: its times run 8 % slow for a second and a half.
    #[test]
    fn times_that_slew_fast_are_no_jump() {
        for direction in [-1, 1] {
            let mut timeline = Timeline::default();
            timeline.anchor(0, 5000 * MS);
            for packet in 0..500u64 {
                let (sample, slewed) = (packet * 320, packet.clamp(15, 90) as i64 - 15);
                let pts_ns = (5000 * MS + packet * 20 * MS).saturating_add_signed(direction * slewed * 1_700_000);
                assert_eq!(timeline.place(sample, pts_ns), Placement::Continues, "packet {packet}");
                timeline.follow(sample, pts_ns);
                let error = timeline.pts_ns(samples_to_ns(sample)).abs_diff(pts_ns);
                assert!(error < TOLERANCE_NS, "packet {packet}: {error}");
            }
        }
    }

    /// One packet in a hundred never comes: what follows keeps its time, within the tolerance, for a day.
    #[test]
    fn lost_packets_move_nothing() {
        let (mut timeline, mut sample, mut random) = (Timeline::default(), 0, 1u64);
        timeline.anchor(0, 7 * MS);
        for packet in 0..24 * 3600 * 50u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (random >> 33) % 100 == 0 {
                continue;
            }
            let pts_ns = (7 + packet * 20) * MS;
            match timeline.place(sample, pts_ns) {
                Placement::Continues => timeline.follow(sample, pts_ns),
                Placement::AfterHole { samples } => sample += samples,
                Placement::Breaks => panic!("packet {packet} breaks"),
            }
            let error_ns = timeline.pts_ns(samples_to_ns(sample)).abs_diff(pts_ns);
            assert!(error_ns <= TOLERANCE_NS, "packet {packet}: {error_ns}");
            sample += 320;
        }
    }

    #[test]
    fn a_sender_that_drifts_is_followed_for_days() {
        // 200 ppm fast, for 48 h, in blocks of 100 ms.
        let mut timeline = Timeline::default();
        timeline.anchor(0, 0);
        let mut worst = 0;
        for block in 0..48 * 36_000u64 {
            let sample = block * 1600;
            let pts_ns = block * 100_020_000;
            assert_eq!(timeline.place(sample, pts_ns), Placement::Continues);
            timeline.follow(sample, pts_ns);
            worst = worst.max(timeline.pts_ns(samples_to_ns(sample)).abs_diff(pts_ns));
        }
        assert!(worst < 3 * MS, "{worst}");
        assert!(timeline.anchors.len() <= MAX_ANCHORS);
    }
}
