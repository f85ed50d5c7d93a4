//! Time: what was said keeps its place on the pipeline's clock, whatever is lost on the way, at any rate, and for days.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::Random;
use support::pipeline::*;

const SECOND: u64 = 1000 * MS;
const HOUR: u64 = 3600 * SECOND;

/// 19.4 s: four sentences with pauses.
fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

fn finals(rig: &Rig) -> Vec<Outcome> {
    rig.log.results().into_iter().filter(|result| result.is_final).collect()
}

/// Text, and start and end in ns.
fn tokens(finals: &[Outcome]) -> Vec<(String, u64, u64)> {
    let tokens = finals.iter().flat_map(|result| &result.tokens);
    tokens.map(|token| (token.text.clone(), token.start, token.end)).collect()
}

/// Packets of 20 ms of which one in a hundred never comes: as many utterances, hardly another word, nearly the same times.
#[test]
fn one_packet_in_a_hundred_may_be_lost() {
    element_test(|| {
        let samples = [recording(), recording(), recording()].concat();
        let whole = run("demo", &[], &samples);
        let expected: Vec<Outcome> = whole.results().into_iter().filter(|result| result.is_final).collect();
        for seed in 1..4 {
            let mut random = Random(seed);
            let rig = Rig::playing("demo", &[]);
            let mut lost = 0;
            for packet in samples.chunks(320) {
                if random.below(100) == 0 {
                    lost += 1;
                    rig.jump(rig.position() + packet.len() as u64 * 62_500);
                } else {
                    rig.push(packet).unwrap();
                }
            }
            rig.end();
            assert!(lost > 10, "only {lost} packets were lost");
            let found = finals(&rig);
            assert_eq!(found.len(), expected.len(), "seed {seed}: {:?}", rig.log.finals());
            let mut apart = Vec::new();
            for (found, expected) in found.iter().zip(&expected) {
                let bounds = found.start.abs_diff(expected.start).max(found.end.abs_diff(expected.end));
                assert!(bounds <= 300 * MS, "seed {seed}: {found:?}");
                // A click may turn one character into another, or into two; where there are as many, they stand where
                // they stood.
                if found.tokens.len() == expected.tokens.len() {
                    let pairs = found.tokens.iter().zip(&expected.tokens);
                    apart.extend(pairs.map(|(found, expected)| found.end.abs_diff(expected.end) / MS));
                }
            }
            // A click changes the alphas' sum, and with it every fire until the utterance ends: CIF's own error. The
            // clock's error stays below 40 ms (engine::timeline).
            apart.sort_unstable();
            assert!(apart.len() > 60 && apart[apart.len() / 2] <= 120, "seed {seed}: {apart:?}");
            let text = |finals: &[Outcome]| finals.iter().map(|result| result.text.clone()).collect::<String>();
            let wrong = support::distance::distance(&text(&found), &text(&expected));
            assert!(wrong * 10 <= text(&expected).chars().count(), "seed {seed}: {wrong} characters differ");
            assert_tiles(&rig.log.entries(), 0);
        }
    });
}

/// A minute of speech each hour, for two days: each hour as the first, to the nanosecond.
#[test]
fn two_days_keep_their_times() {
    element_test(|| {
        let minute =
            [recording(), vec![0.0; 9_372], recording(), vec![0.0; 9_372], recording(), vec![0.0; 9_372]].concat();
        assert_eq!(minute.len(), 60 * 16_000);
        let rig = Rig::playing("demo", &[]);
        let (mut first, mut utterances) = (Vec::new(), 0);
        for hour in 0..48 {
            rig.jump(hour * HOUR);
            rig.push(&minute).unwrap();
            // The jump to the next hour, or the end, makes the last words final.
            if hour == 47 {
                rig.end();
            } else {
                // A tenth of a second before the next hour, which begins anew once more.
                rig.jump((hour + 1) * HOUR - 10 * SECOND);
                rig.push(&minute[..1600]).unwrap();
                rig.wait_taken();
                rig.wait_until("the minute", |rig| finals(rig).len() >= 12);
            }
            let mut found = tokens(&finals(&rig));
            assert!(rig.log.warnings().is_empty() && rig.log.errors().is_empty());
            utterances += finals(&rig).len();
            rig.log.clear();
            found.iter_mut().for_each(|(_, start, end)| {
                (*start, *end) = (*start - hour * HOUR, *end - hour * HOUR);
            });
            if hour == 0 {
                assert_eq!(found.len(), 3 * 41);
                first = found;
            } else {
                assert_eq!(found, first, "hour {hour}");
            }
        }
        assert_eq!(utterances, 48 * 12);
    });
}

/// Stream time, running time and the text's own times, at any rate: a player that goes twice as fast, a file that was
/// made so, a later start on the pipeline's clock.
#[test]
fn rates_and_bases_move_the_times_as_segments_say() {
    element_test(|| {
        let samples = recording();
        let plain = run("demo", &[], &samples);
        let expected: Vec<Outcome> = plain.results().into_iter().filter(|result| result.is_final).collect();
        let rig = Rig::playing("demo", &[]);
        // Rate, applied rate, start, stream time and base in seconds.
        let segments =
            [(2.0, 1.0, 100, 100, 7), (0.5, 1.0, 3, 50, 1000), (1.0, 2.0, 10, 40, 0), (4.0, 0.5, 0, 0, 90_000)];
        for (rate, applied, start, time, base) in segments {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_rate(rate);
            segment.set_applied_rate(applied);
            segment.set_start(gst::ClockTime::from_seconds(start));
            segment.set_time(gst::ClockTime::from_seconds(time));
            segment.set_base(gst::ClockTime::from_seconds(base));
            rig.log.clear();
            assert!(rig.send(gst::event::Segment::new(&segment)));
            rig.jump(start * SECOND);
            rig.push(&samples).unwrap();
            // What follows ends the utterance.
            assert!(
                rig.send(
                    gst::event::Gap::builder(gst::ClockTime::from_nseconds(rig.position()))
                        .duration(gst::ClockTime::SECOND)
                        .build()
                )
            );
            rig.wait_until("the finals", |rig| finals(rig).len() == expected.len());
            for (found, plain) in finals(&rig).iter().zip(&expected) {
                let what = format!("rate {rate}, applied {applied}: {found:?}");
                let near = |found: u64, seconds: f64| (found as f64 / 1e9 - seconds).abs() < 1e-6;
                let plain_s = |ns: u64| ns as f64 / 1e9;
                assert_eq!(found.text, plain.text);
                assert!(near(found.start, time as f64 + plain_s(plain.start) * applied), "{what}");
                assert!(near(found.end, time as f64 + plain_s(plain.end) * applied), "{what}");
                assert!(near(found.running, base as f64 + plain_s(plain.start) / rate), "{what}");
            }
            rig.wait_until("the captions", |rig| rig.log.texts().len() == plain.texts().len());
            for (found, plain) in rig.log.texts().iter().zip(plain.texts()) {
                assert_eq!((found.start, found.end), (start * SECOND + plain.start, start * SECOND + plain.end));
            }
        }
        rig.end();
    });
}

/// A player that goes backwards sends its audio piece by piece, from the last to the first: that is no speech, and no
/// reason to stop.
#[test]
fn going_backwards_harms_nothing() {
    element_test(|| {
        let samples = recording();
        let rig = Rig::playing("demo", &[]);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_rate(-1.0);
        segment.set_stop(gst::ClockTime::from_seconds(19));
        assert!(rig.send(gst::event::Segment::new(&segment)));
        for (number, part) in samples.chunks(1600).enumerate().collect::<Vec<_>>().into_iter().rev() {
            rig.jump(number as u64 * 100 * MS);
            rig.push(part).unwrap();
        }
        rig.send(gst::event::FlushStart::new());
        rig.send(gst::event::FlushStop::new(true));
        rig.log.clear();
        rig.segment(0);
        rig.push(&samples).unwrap();
        rig.end();
        assert_eq!(rig.log.finals().len(), 4);
        assert!(rig.log.errors().is_empty());
    });
}
