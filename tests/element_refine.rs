//! The element's final text: the second pass, punctuation, hotwords and numbers, beside the stream and never in its way.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::{Duration, Instant};

use gst::prelude::*;
use support::pipeline::*;

const SECOND: u64 = 1000 * MS;

fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

fn sentences() -> Vec<String> {
    let spoken = std::fs::read_to_string(support::root().join("examples/recording.txt")).unwrap();
    spoken.lines().map(str::to_owned).collect()
}

/// The folder of a model of the tests.
fn model(name: &str) -> String {
    support::model_directory(name).to_str().unwrap().to_owned()
}

/// Every stage.
fn all_stages() -> Vec<(&'static str, String)> {
    vec![
        ("offline-model-path", model("offline-seaco")),
        ("punctuation-model-path", model("punctuation-realtime-1")),
        ("hotwords", "实时字幕 公园".into()),
    ]
}

fn run_with(properties: &[(&'static str, String)], more: &[(&str, &str)]) -> Log {
    let owned = properties.iter().map(|(name, value)| (*name, value.as_str()));
    run("demo", &owned.chain(more.iter().copied()).collect::<Vec<_>>(), &recording())
}

fn is_mark(text: &str) -> bool {
    ["，", "。", "？", "、"].contains(&text)
}

fn partials(log: &Log) -> Vec<Outcome> {
    log.results().into_iter().filter(|result| !result.is_final).collect()
}

fn finals(log: &Log) -> Vec<Outcome> {
    log.results().into_iter().filter(|result| result.is_final).collect()
}

/// What was said is said again by the second pass: other words (the model has random weights), the same utterances, within
/// their times; and everything before the final is as it is without.
#[test]
fn a_second_pass_gives_the_final_text_and_changes_nothing_before() {
    element_test(|| {
        let plain = run("demo", &[], &recording());
        let with = run_with(&all_stages(), &[]);
        let (streaming, offline) = (finals(&plain), finals(&with));
        assert_eq!(streaming.iter().map(|last| last.text.clone()).collect::<Vec<_>>(), sentences());
        assert_eq!(streaming.len(), offline.len());
        for (streaming, offline) in streaming.iter().zip(&offline) {
            assert_eq!((offline.pass.as_str(), streaming.pass.as_str()), ("offline", "streaming"));
            assert_eq!(offline.utterance, streaming.utterance);
            assert_ne!(offline.text, streaming.text);
            assert!(streaming.start <= offline.start && offline.end <= streaming.end, "{offline:?}");
            assert!(offline.tokens.is_sorted_by_key(|token| (token.start, token.end)), "{offline:?}");
        }
        assert!(offline.iter().flat_map(|last| &last.tokens).any(|token| is_mark(&token.text)));
        // The last partial has what only the end of an utterance makes complete; the others are the same.
        let told = partials(&with);
        assert_eq!(partials(&plain).into_iter().filter(|partial| !told.contains(partial)).count(), 0);
        for streaming in &streaming {
            let last = told.iter().rfind(|partial| partial.utterance == streaming.utterance).unwrap();
            // The last token's confidence may be that of its preview.
            assert_eq!((&last.text, last.start, last.end), (&streaming.text, streaming.start, streaming.end));
        }
        // Captions are made of the final text alone.
        let said: String = offline.iter().map(|last| last.text.as_str()).collect();
        assert_eq!(with.joined().replace('\n', ""), said);
        assert_tiles(&with.entries(), 0);
    });
}

/// Tokens are the streaming pass, with whatever stage.
#[test]
fn tokens_do_not_wait() {
    element_test(|| {
        let tokens = [("output", "tokens")];
        let (plain, with) = (run("demo", &tokens, &recording()), run_with(&all_stages(), &tokens));
        assert!(plain.texts().len() > 30);
        assert_eq!(plain.texts(), with.texts());
        assert_eq!(finals(&with)[0].pass, "offline");
    });
}

/// An overlay shows the words as they come, and the corrected caption in the buffer after the end.
#[test]
fn a_growing_caption_is_corrected() {
    element_test(|| {
        let growing = [("caption-mode", "progressive")];
        let (plain, with) = (run("demo", &growing, &recording()), run_with(&all_stages(), &growing));
        let (before, after) = (plain.texts(), with.texts());
        assert!(before.len() > 20);
        let last = finals(&with).pop().unwrap();
        let shown = after.last().unwrap().text.replace('\n', "");
        assert!(last.text.ends_with(&shown) && shown.chars().count() > 2, "{shown} of {}", last.text);
        // Up to the first correction all is the same.
        let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
        assert!(same >= 3, "{same}");
        assert_tiles(&with.entries(), 0);
    });
}

/// The same audio gives the same text, however it is cut and however long a final text takes.
#[test]
fn every_run_is_the_same() {
    element_test(|| {
        let first = run_with(&all_stages(), &[]);
        let again = run_with(&all_stages(), &[]);
        assert_eq!(first.texts(), again.texts());
        assert_eq!(finals(&first), finals(&again));
    });
}

/// Marks, and nothing else, come to the words.
#[test]
fn punctuation_adds_marks_alone() {
    element_test(|| {
        let with = run("demo", &[("punctuation-model-path", &model("punctuation-realtime-1"))], &recording());
        let finals = finals(&with);
        let words: Vec<String> = finals
            .iter()
            .map(|last| last.tokens.iter().filter(|t| !is_mark(&t.text)).map(|t| t.text.as_str()).collect())
            .collect();
        assert_eq!(words, sentences());
        assert!(finals.iter().all(|last| last.pass == "streaming"));
        let marks: Vec<&Token> = finals.iter().flat_map(|last| &last.tokens).filter(|t| is_mark(&t.text)).collect();
        assert!(!marks.is_empty());
        assert!(marks.iter().all(|mark| mark.start == mark.end));
    });
}

/// A stage that cannot be used is left out, with a warning that names it, and captions go on.
#[test]
fn a_stage_that_cannot_be_used_is_left_out() {
    element_test(|| {
        let wrong = [
            ("offline-model-path", "/no/such/folder".to_owned(), "without a second pass"),
            ("offline-model-path", model("tiny-1"), "without a second pass"),
            ("offline-model-path", model("punctuation-realtime-1"), "without a second pass"),
            ("punctuation-model-path", model("offline-bicif"), "without punctuation"),
            ("punctuation-model-path", "/no/such/folder".to_owned(), "without punctuation"),
            ("hotwords", "@/no/such/file".to_owned(), "without hotwords"),
        ];
        for (property, value, without) in wrong {
            let log = run("demo", &[(property, &value)], &recording());
            assert_eq!(log.finals(), sentences(), "{property}={value}");
            let warnings = log.warnings();
            let says = |warning: &String| warning.contains(without) && warning.contains(value.trim_start_matches('@'));
            assert!(warnings.iter().any(says), "{property}={value}: {warnings:?}");
            assert_eq!(log.errors(), Vec::<String>::new());
        }
        // Two that pass for files: a graph cut short, which shows when it is loaded or run.
        let folder = copy_of("offline-bicif");
        let graph = folder.path().join("model_quant.onnx");
        let bytes = std::fs::read(&graph).unwrap();
        std::fs::write(&graph, &bytes[..bytes.len() - 2000]).unwrap();
        let log = run("demo", &[("offline-model-path", folder.path().to_str().unwrap())], &recording());
        assert_eq!(log.finals(), sentences());
        assert!(log.warnings().iter().any(|warning| warning.contains("model_quant.onnx")), "{:?}", log.warnings());
    });
}

/// A file of hotwords: read, and what cannot be one is said.
#[test]
fn hotwords_come_from_a_file_and_change_while_playing() {
    element_test(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words.txt");
        std::fs::write(&file, "实时字幕\n公园\n").unwrap();
        let setting = format!("@{}", file.display());
        let rig = Rig::playing("demo", &[("hotwords", &setting)]);
        rig.push(&recording()).unwrap();
        // Bad ones while playing: told, and captions go on.
        for (contents, says) in [(&b"\xff\xfe\x00"[..], "UTF-16"), (&[0; 100], "zero byte"), (&[b'a'; 10 << 20], "KiB")]
        {
            std::fs::write(&file, contents).unwrap();
            rig.element.set_property("hotwords", None::<&str>);
            rig.push(&[0.0; 1600]).unwrap();
            rig.wait_taken();
            rig.element.set_property("hotwords", &setting);
            rig.push(&[0.0; 1600]).unwrap();
            rig.wait_until("a warning", |rig| rig.log.warnings().iter().any(|warning| warning.contains(says)));
        }
        rig.jump(60 * SECOND);
        rig.push(&recording()).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [sentences(), sentences()].concat());
    });
}

/// Numbers are figures in captions and in final results, and words before.
#[test]
fn numbers_are_figures_in_final_text() {
    element_test(|| {
        let sentence = |name: &str| [support::recording(&format!("sentences/{name}.wav")), vec![0.0; 24_000]].concat();
        let spoken = ["001", "004", "009"].map(sentence).concat();
        let figures = |log: &Log| finals(log).iter().map(|last| last.text.clone()).collect::<Vec<_>>();
        let without = run("demo", &[("inverse-text-normalization", "false")], &spoken);
        let with = run("demo", &[], &spoken);
        assert!(figures(&without).concat().chars().all(|c| !c.is_ascii_digit()), "{:?}", figures(&without));
        assert_eq!(figures(&with), ["电影2026", "4158", "火车几点到8836"]);
        assert_eq!(with.joined().replace('\n', ""), figures(&with).concat());
        assert_eq!(partials(&with), partials(&without));
    });
}

/// With a stage that changes words, a caption is known at the end of its utterance.
#[test]
fn the_latency_covers_the_longest_utterance() {
    element_test(|| {
        let ask = |properties: &[(&str, &str)]| {
            let rig = Rig::new("demo", properties);
            *rig.latency.lock().unwrap() = Some((true, gst::ClockTime::ZERO, None));
            let mut query = gst::query::Latency::new();
            assert!(rig.sink.peer_query(&mut query));
            query.result().1.mseconds()
        };
        let path = model("offline-bicif");
        assert_eq!(ask(&[]), 900 + 500 + 7000 + 800);
        assert_eq!(ask(&[("offline-model-path", &path)]), 900 + 500 + 30_000 + 800);
        assert_eq!(ask(&[("offline-model-path", &path), ("max-utterance-duration", "9000")]), 900 + 500 + 9000 + 800);
        assert_eq!(ask(&[("offline-model-path", &path), ("caption-mode", "progressive")]), 900 + 500);
        assert_eq!(ask(&[("offline-model-path", &path), ("output", "tokens")]), 900 + 500 + 600);
    });
}

/// A flush forgets final texts that are still to come, and takes no time; stopping tells them to the bus.
#[test]
fn flushes_and_stops_do_not_wait_for_a_final_text() {
    element_test(|| {
        let stages = all_stages();
        let properties: Vec<(&str, &str)> = stages.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let rig = Rig::playing("demo", &properties);
        for _ in 0..3 {
            rig.push(&recording()[..70_000]).unwrap();
            rig.flush();
            rig.segment(0);
        }
        rig.log.clear();
        rig.push(&recording()).unwrap();
        rig.wait_until("a result", |rig| !rig.log.results().is_empty());
        let started = Instant::now();
        rig.set_state(gst::State::Ready);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert_results_in_order(&by_utterance(rig.log.results()));
        // And it can begin again, with the same clients.
        rig.log.clear();
        rig.play();
        rig.begin();
        rig.push(&recording()).unwrap();
        rig.end();
        assert_eq!(finals(&rig.log), finals(&run_with(&stages, &[])));
    });
}

/// Results by utterance: a final text may come when the next utterance has begun.
fn by_utterance(mut results: Vec<Outcome>) -> Vec<Outcome> {
    results.sort_by_key(|result| result.utterance);
    results
}
