//! The element with a voice activity detector: utterances, times, gaps, statistics, errors.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::LazyLock;

use gst::prelude::*;
use support::pipeline::*;

const SECOND: u64 = 1000 * MS;

static DETECTOR: LazyLock<String> = LazyLock::new(|| support::model_directory("vad-tiny").to_str().unwrap().to_owned());

/// These properties, and a detector.
fn with_detector<'a>(properties: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let detector: &'static str = DETECTOR.as_str();
    [&[("vad-model-path", detector)], properties].concat()
}

fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

fn sentences() -> Vec<String> {
    let spoken = std::fs::read_to_string(support::root().join("examples/recording.txt")).unwrap();
    spoken.lines().map(str::to_owned).collect()
}

/// One final: the beginning of the first sentence, whose last character was cut in two.
fn assert_begun(rig: &Rig) {
    let finals = rig.log.finals();
    let said: Vec<char> = finals.concat().chars().collect();
    let whole: Vec<char> = sentences()[0].chars().collect();
    assert!(finals.len() == 1 && said.len() > 3, "{finals:?}");
    assert_eq!(said[..said.len() - 1], whole[..said.len() - 1]);
}

#[test]
fn what_is_said_is_captioned_and_the_rest_is_not_encoded() {
    element_test(|| {
        for mode in [&[][..], &[("caption-mode", "progressive")], &[("output", "tokens")]] {
            let rig = Rig::playing("demo", &with_detector(mode));
            let samples = [vec![0.0; 160_000], recording(), vec![0.0; 160_000]].concat();
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), sentences(), "{mode:?}");
            assert_results_in_order(&rig.log.results());
            let end = assert_tiles(&rig.log.entries(), 0);
            assert!(end <= samples.len() as u64 * 62_500 + SECOND, "{mode:?}: {end}");
            let (audio, encoded, saved) = (rig.stat("audio"), rig.stat("encoded"), rig.stat("saved-by-vad"));
            assert_eq!(audio, samples.len() as u64 * 62_500);
            // 20 s of silence were added, and there are 0.8 s between the sentences.
            assert!(
                saved > 18 * SECOND && encoded < 20 * SECOND,
                "{mode:?}: {encoded} encoded, {saved} saved of {audio}"
            );
            assert_eq!(rig.stat("skipped"), 0);
        }
    });
}

/// An overlay must not wait, and no caption stays when speech stops: in silence the text's position follows the audio's,
/// by less than the latency that the element promises.
#[test]
fn the_position_follows_the_audio_in_silence() {
    element_test(|| {
        let rig = Rig::playing("demo", &with_detector(&[("caption-mode", "progressive"), ("latency", "0")]));
        for _ in 0..100 {
            rig.push(&[0.0; 1600]).unwrap();
            rig.wait_taken();
            let position = rig.position();
            if position > 2 * SECOND {
                rig.wait_until("a position less than 900 ms behind", |rig| {
                    let told = rig.log.entries().iter().rev().find_map(|entry| match entry {
                        Entry::Gap(_, to) => Some(*to),
                        _ => None,
                    });
                    told.is_some_and(|told| position - told <= 900 * MS)
                });
            }
        }
        rig.end();
    });
}

/// A loudspeaker's hum at the start, a break in the middle, the end in the middle of a word: as without a detector.
#[test]
fn breaks_flushes_and_ends_are_as_without_a_detector() {
    element_test(|| {
        let samples = recording();
        let rig = Rig::playing("demo", &with_detector(&[]));
        // The end in the middle of speech.
        rig.push(&samples[..40_000]).unwrap();
        rig.end();
        assert_begun(&rig);
        // A flush: nothing of what came before is told of.
        rig.flush();
        rig.segment(0);
        rig.push(&samples[..60_000]).unwrap();
        rig.flush();
        rig.log.clear();
        rig.segment(1000 * SECOND);
        rig.push(&samples).unwrap();
        // A jump in the middle of nothing.
        rig.jump(5000 * SECOND);
        rig.push(&samples).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [sentences(), sentences()].concat());
        let starts: Vec<u64> = rig.log.results().iter().filter(|r| r.is_final).map(|r| r.start).collect();
        assert!(starts[..4].iter().all(|start| (1000 * SECOND..1020 * SECOND).contains(start)), "{starts:?}");
        assert!(starts[4..].iter().all(|start| (5000 * SECOND..5020 * SECOND).contains(start)), "{starts:?}");
        assert_eq!(starts[4] - starts[0], 4000 * SECOND);
    });
}

#[test]
fn stopping_tells_what_was_said() {
    element_test(|| {
        let rig = Rig::playing("demo", &with_detector(&[]));
        rig.push(&recording()[..40_000]).unwrap();
        rig.wait_until("a result", |rig| !rig.log.results().is_empty());
        rig.set_state(gst::State::Ready);
        assert_begun(&rig);
        // And it can begin again, with the same clients.
        rig.log.clear();
        rig.play();
        rig.begin();
        rig.push(&recording()).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), sentences());
    });
}

#[test]
fn the_latency_covers_the_detector() {
    element_test(|| {
        let ask = |properties: &[(&str, &str)]| {
            let rig = Rig::new("demo", &with_detector(properties));
            *rig.latency.lock().unwrap() = Some((true, gst::ClockTime::ZERO, None));
            let mut query = gst::query::Latency::new();
            assert!(rig.sink.peer_query(&mut query));
            query.result().1.mseconds()
        };
        // The model's own 900 ms are longer.
        assert_eq!(ask(&[("caption-mode", "progressive")]), 1400);
        // 780 ms instead of 600.
        assert_eq!(ask(&[("caption-mode", "progressive"), ("chunk-size", "<6,6,4>")]), 1280);
    });
}

#[test]
fn a_detector_that_cannot_be_used_is_an_error() {
    element_test(|| {
        let message = |path: &str| {
            let rig = Rig::new("demo", &[("vad-model-path", path)]);
            assert!(rig.element.set_state(gst::State::Ready).is_err());
            let errors = rig.log.errors();
            assert_eq!(errors.len(), 1, "{errors:?}");
            errors[0].clone()
        };
        let missing = message("/no/such/folder");
        assert!(missing.contains("/no/such/folder: no such model folder") && missing.contains("set vad-model-path to"));
        let paraformer = support::model_directory("demo");
        assert!(message(paraformer.to_str().unwrap()).contains("expected a streaming FSMN-VAD"));
        // A graph that the header does not show to be broken fails in the background.
        let folder = copy_of("vad-tiny");
        let path = folder.path().join("model.onnx");
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(4).position(|bytes| bytes == b"Conv").unwrap();
        std::fs::write(&path, [&bytes[..at], b"Cnov", &bytes[at + 4..]].concat()).unwrap();
        let rig = Rig::new("demo", &[("vad-model-path", folder.path().to_str().unwrap())]);
        rig.play();
        rig.begin();
        let error = error_text(&rig.log.wait_message(gst::MessageType::Error));
        assert!(error.contains("model.onnx: expected a graph that ONNX Runtime takes"), "{error}");
    });
}

/// What a detector of another folder, or none, does to the next start.
#[test]
fn the_detector_can_be_changed_in_ready() {
    element_test(|| {
        let rig = Rig::new("demo", &with_detector(&[]));
        for (path, saves) in [(Some(DETECTOR.as_str()), true), (None, false), (Some(""), false)] {
            rig.set_state(gst::State::Ready);
            rig.element.set_property("vad-model-path", path);
            rig.log.clear();
            rig.play();
            rig.begin();
            rig.push(&recording()).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), sentences());
            assert_eq!(rig.stat("saved-by-vad") > 0, saves, "{path:?}");
        }
    });
}
