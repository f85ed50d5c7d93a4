//! Streams that share a model: their calls are made together, and none of them notices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::thread;
use std::time::Duration;

use gstparaformer::engine::{Event, Hypothesis, Stream, StreamOptions};
use gstparaformer::runtime::Precision;
use gstparaformer::runtime::registry::SharedModel;
use support::{events_of, finals};

/// Different audio for each stream: other parts of the speech, louder and softer, and noise.
fn audio(stream: usize) -> Vec<f32> {
    let speech = support::recording("speech.wav");
    let noise = support::recording("noise.wav");
    let gain = [1.0, 0.03, 4.0, 0.3][stream % 4];
    let mut samples = speech[3000 * stream..].to_vec();
    samples.extend_from_slice(&noise[..(1000 * stream).min(noise.len())]);
    samples.extend_from_slice(&speech[..20_000]);
    samples.iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)).collect()
}

/// Pieces with their times and confidences, of all utterances.
fn pieces(events: &[Event]) -> Vec<(u64, String, u64, f32)> {
    let hypotheses: Vec<&Hypothesis> = finals(events);
    hypotheses
        .iter()
        .flat_map(|hypothesis| &hypothesis.pieces)
        .map(|piece| (piece.fire_ns, piece.text.clone(), piece.end_ns, piece.confidence))
        .collect()
}

/// What each of `streams` gives when all run at once, and how many calls were made together on average.
fn together(model: &str, precision: Precision, streams: usize) -> (Vec<Vec<Event>>, f64) {
    let directory = support::model_directory(model);
    let shared = support::open(&directory, precision);
    let found = thread::scope(|scope| {
        let running: Vec<_> = (0..streams)
            .map(|stream| {
                let directory = &directory;
                scope.spawn(move || {
                    let SharedModel { model, mut client, .. } = support::open(directory, precision);
                    client.set_patience(Duration::from_millis(200));
                    events_of(&model, &mut client, StreamOptions::default(), &audio(stream))
                })
            })
            .collect();
        running.into_iter().map(|stream| stream.join().unwrap()).collect()
    });
    (found, shared.client.mean_batch())
}

#[test]
fn streams_give_together_what_they_give_alone() {
    for (model, precision) in [("tiny-1", Precision::Float32), ("demo", Precision::Float32)] {
        let streams = 12;
        let (found, mean) = together(model, precision, streams);
        assert!(mean > 2.0, "{model}: only {mean:.1} calls were made together");
        let SharedModel { model: shared, mut client, .. } = support::open(&support::model_directory(model), precision);
        for (stream, found) in found.iter().enumerate() {
            let alone = events_of(&shared, &mut client, StreamOptions::default(), &audio(stream));
            let (found, alone) = (pieces(found), pieces(&alone));
            let text =
                |pieces: &[(u64, String, u64, f32)]| pieces.iter().map(|piece| piece.1.clone()).collect::<Vec<_>>();
            assert_eq!(text(&found), text(&alone), "{model}, stream {stream}");
            assert!(!found.is_empty());
            for (found, alone) in found.iter().zip(&alone) {
                assert!(found.0.abs_diff(alone.0) < 200_000, "{model}, stream {stream}: {found:?}, alone {alone:?}");
                assert!((found.3 - alone.3).abs() < 1e-3, "{model}, stream {stream}: {found:?}, alone {alone:?}");
            }
        }
    }
}

/// The published int8 arithmetic knows one scale for all of a call: each stream is alone in its own.
#[test]
fn exact_streams_are_exact_together() {
    let (found, _) = together("demo", Precision::Int8Exact, 8);
    let SharedModel { model, mut client, .. } = support::open(&support::model_directory("demo"), Precision::Int8Exact);
    for (stream, found) in found.iter().enumerate() {
        let mut single = Stream::new(model.clone(), StreamOptions::default());
        assert_eq!(found, &support::finish(&mut single, &mut client, &audio(stream)), "stream {stream}");
    }
}

/// The rewritten int8 graphs have a scale for each row, so that a loud stream does not coarsen a quiet one.
#[test]
fn rewritten_streams_give_together_what_they_give_alone() {
    for model in ["tiny-1", "demo"] {
        let (found, mean) = together(model, Precision::Int8, 12);
        assert!(mean > 2.0, "{model}: only {mean:.1} calls were made together");
        let SharedModel { model: shared, mut client, .. } =
            support::open(&support::model_directory(model), Precision::Int8);
        for (stream, found) in found.iter().enumerate() {
            let alone = events_of(&shared, &mut client, StreamOptions::default(), &audio(stream));
            assert_same(&pieces(found), &pieces(&alone), &format!("{model}, stream {stream}"));
        }
    }
}

/// The same text at the same times. Products of floating point numbers, as the decoder's last, add up in another order
/// in a batch, which shows in the confidence's last digits.
fn assert_same(found: &[(u64, String, u64, f32)], alone: &[(u64, String, u64, f32)], what: &str) {
    assert_eq!(found.len(), alone.len(), "{what}");
    for (found, alone) in found.iter().zip(alone) {
        assert_eq!((found.0, &found.1, found.2), (alone.0, &alone.1, alone.2), "{what}");
        assert!((found.3 - alone.3).abs() < 1e-4, "{what}: {found:?}, alone {alone:?}");
    }
}
