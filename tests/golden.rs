//! The engine and its runtime against what other implementations gave: every token, call by call, and its time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use gstparaformer::engine::{Model, Stream};
use gstparaformer::runtime::Precision;
use gstparaformer::scheduler::RecognitionClient;
use support::naive::{MUTATIONS, Mutation, Naive};
use support::sha256::sha256;
use support::{Golden, Observed, Random, compare, data, goldens, model_directory, one_utterance, open, pieces};

/// Between a time of the reference, which rounds to a hundredth of a millisecond, and ours.
const TOLERANCE_MS: f64 = 0.2;

/// The models, each opened once.
#[derive(Default)]
struct Models(BTreeMap<String, (Arc<Model>, RecognitionClient)>);

impl Models {
    fn get(&mut self, name: &str, precision: Precision) -> (&Arc<Model>, &mut RecognitionClient) {
        let key = format!("{name} {}", precision.name());
        let (model, client) = self.0.entry(key).or_insert_with(|| {
            let shared = open(&model_directory(name), precision);
            (shared.model, shared.client)
        });
        (model, client)
    }
}

/// What differs from a golden: the ids of each call, the pieces, the times.
fn check(models: &mut Models, golden: &Golden, folder: &Path) -> Result<(), String> {
    let (model, client) = models.get(&golden.model, golden.precision);
    let mut network = Observed::new(client);
    let events = support::events_of(model, &mut network, golden.options(), &golden.samples_in(folder));
    if let Some(call) =
        (0..golden.calls.len().max(network.ids.len())).find(|&i| golden.calls.get(i) != network.ids.get(i))
    {
        return Err(format!("call {call} gave {:?}, expected {:?}", network.ids.get(call), golden.calls.get(call)));
    }
    compare(&pieces(&events), &golden.tokens, TOLERANCE_MS)
}

fn check_all(cases: &[Golden], folder: &Path) {
    let mut models = Models::default();
    let verdicts = cases.iter().filter_map(|golden| {
        let error = check(&mut models, golden, folder).err()?;
        Some(format!("{}: {error}", golden.name()))
    });
    let failures: Vec<String> = verdicts.collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn every_case_of_the_host_loop() {
    let cases = goldens("host_loop.jsonl");
    assert_eq!(cases.len(), 272);
    check_all(&cases, &data("audio"));
}

#[test]
fn sentences() {
    check_all(&goldens("sentences.jsonl"), &data("audio"));
}

/// Recordings of the FunASR repository, which are not carried here.
#[test]
fn real_speech() {
    let folder = support::root().join("../shared/data/speech");
    let cases = goldens("shared_speech.jsonl");
    let (here, missing): (Vec<Golden>, Vec<Golden>) =
        cases.into_iter().partition(|case| folder.join(&case.audio).exists());
    for case in &missing {
        eprintln!("skipped: no {}", folder.join(&case.audio).display());
    }
    for case in &here {
        assert_eq!(sha256(&std::fs::read(folder.join(&case.audio)).unwrap()), case.sha256, "{}", case.audio);
    }
    check_all(&here, &folder);
}

/// The second oracle. It ends a stream by other rules, so the last call is left out.
#[test]
fn every_call_but_the_last_of_funasr_onnx() {
    let (mut models, mut compared) = (Models::default(), 0);
    for golden in goldens("funasr_onnx.jsonl") {
        let (model, client) = models.get(&golden.model, golden.precision);
        let mut network = Observed::new(client);
        support::events_of(model, &mut network, golden.options(), &golden.samples_in(&data("audio")));
        let tokens = std::fs::read_to_string(model_directory(&golden.model).join("tokens.json")).unwrap();
        let vocabulary: Vec<String> = serde_json::from_str(&tokens).unwrap();
        let comparable = golden.pieces.len() - 1;
        assert!(network.ids.len() >= comparable, "{}", golden.name());
        for (call, (ids, expected)) in network.ids.iter().zip(&golden.pieces[..comparable]).enumerate() {
            let text = funasr_text(ids, &vocabulary);
            assert_eq!(Some(&text), expected.as_ref(), "{} call {call}: {ids:?}", golden.name());
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared} calls");
}

/// A call's text as funasr_onnx has it, each call alone (`sentence_postprocess`): Chinese and digits stand close, words
/// are parted by spaces but for Chinese after them, neighbouring single letters become one word of capitals, and a piece
/// that is to be continued waits for the next word, or is lost.
fn funasr_text(ids: &[usize], vocabulary: &[String]) -> String {
    let pieces = ids.iter().filter(|&&id| id != 0 && id != 2).map(|&id| vocabulary[id].as_str());
    let pieces: Vec<&str> = pieces.filter(|piece| !["<s>", "</s>", "<unk>"].contains(piece)).collect();
    let is_chinese = |piece: &str| piece.chars().all(|c| matches!(c, '\u{4e00}'..='\u{9fff}' | '0'..='9'));
    let (mut words, mut open): (Vec<String>, String) = (Vec::new(), String::new());
    for piece in pieces {
        if is_chinese(piece) {
            if words.last().is_some_and(|word| word == " ") && open.is_empty() {
                words.pop();
            }
            words.push(piece.to_owned());
        } else if piece.contains("@@") {
            open.push_str(&piece.replace("@@", ""));
        } else {
            words.extend([std::mem::take(&mut open) + piece, " ".to_owned()]);
        }
    }
    capitals(&mut words);
    words.concat().trim().to_owned()
}

/// Runs of two or more single letters, parted by one space each, to capitals without spaces.
fn capitals(words: &mut Vec<String>) {
    let is_letter = |word: &String| word.len() == 1 && word.chars().all(|c| c.is_ascii_alphabetic());
    let mut at = 0;
    while at + 2 < words.len() {
        let mut end = at + 1;
        while is_letter(&words[at]) && end + 1 < words.len() && words[end] == " " && is_letter(&words[end + 1]) {
            words.remove(end);
            end += 1;
        }
        if end > at + 1 {
            words[at..end].iter_mut().for_each(|word| word.make_ascii_uppercase());
        }
        at = end;
    }
}

/// The rules of the reference that the comparison above needs.
#[test]
fn funasr_s_detokenising() {
    let vocabulary: Vec<String> =
        ["<blank>", "<s>", "</s>", "你", "he@@", "llo", "a", "b", "4", "it"].map(String::from).to_vec();
    let text = |ids: &[usize]| funasr_text(ids, &vocabulary);
    assert_eq!(text(&[3, 4, 5, 3]), "你hello你");
    assert_eq!(text(&[3, 6, 7, 7, 3]), "你ABB你");
    assert_eq!(text(&[4, 5, 9, 6, 7]), "hello it AB");
    assert_eq!(text(&[3, 8, 8, 1, 0, 2]), "你44");
    assert_eq!(text(&[4]), "");
}

/// A model that says the same whatever it hears is no test.
#[test]
fn goldens_are_rich() {
    let mut sets: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for golden in goldens("host_loop.jsonl") {
        let set = format!("{} {} {:?}", golden.model, golden.precision.name(), golden.chunk);
        sets.entry(set).or_default().extend(golden.calls.iter().flatten());
    }
    assert_eq!(sets.len(), 36);
    for (set, ids) in sets {
        assert!(ids.len() >= 20, "{set}: {} distinct tokens", ids.len());
    }
}

/// The second implementation gives the goldens, and breaking any of its rules is noticed.
#[test]
fn goldens_notice_each_broken_rule() {
    let chunks = [[5, 10, 5], [8, 8, 4], [0, 10, 5]];
    let mut cases = goldens("host_loop.jsonl");
    cases.retain(|golden| golden.repeat == 1 && golden.model != "demo" && chunks.contains(&golden.chunk));
    let mut models = Models::default();
    let mut noticed = [0; MUTATIONS.len()];
    for golden in &cases {
        let (model, client) = models.get(&golden.model, golden.precision);
        let mut naive = Naive::new(&model_directory(&golden.model), model.sizes(), golden.chunk);
        let samples = golden.samples_in(&data("audio"));
        let twice = [samples.as_slice(); 2];
        let right = naive.run(client, &twice[..1]).remove(0);
        assert_eq!(right.calls, golden.calls, "{}", golden.name());
        compare(&right.tokens, &golden.tokens, TOLERANCE_MS).unwrap_or_else(|e| panic!("{}: {e}", golden.name()));
        for (mutation, noticed) in MUTATIONS.into_iter().zip(&mut noticed) {
            naive.mutation = Some(mutation);
            // Only the second utterance can show what should have begun anew.
            let utterances = if mutation == Mutation::PositionNotRestarted { &twice[..] } else { &twice[..1] };
            let wrong = naive.run(client, utterances).pop().unwrap();
            let differs = wrong.calls != golden.calls || compare(&wrong.tokens, &golden.tokens, TOLERANCE_MS).is_err();
            *noticed += usize::from(differs);
        }
    }
    println!("{:24} noticed by, of {} cases", "broken rule", cases.len());
    for (mutation, noticed) in MUTATIONS.into_iter().zip(noticed) {
        println!("{:24} {noticed}", format!("{mutation:?}"));
        assert!(noticed > 0, "{mutation:?} changes no golden");
    }
}

/// On audio and chunk sizes that no golden has.
#[test]
fn the_engine_equals_the_naive_host() {
    let mut random = Random(11);
    let (speech, noise) = (support::recording("speech.wav"), support::recording("noise.wav"));
    let mut models = Models::default();
    let odd = [[3, 7, 2], [0, 1, 0], [12, 3, 9], [0, 10, 0], [1, 1, 1], [5, 10, 5], [0, 2, 7], [20, 4, 0], [2, 30, 3]];
    for (number, chunk) in odd.into_iter().cycle().take(3 * odd.len()).enumerate() {
        let name = ["tiny-1", "tiny-2", "tiny-3"][number % 3];
        let (model, client) = models.get(name, Precision::Int8Exact);
        let mut part = |length: usize| -> Vec<f32> {
            let (source, gain) =
                (if random.below(2) == 0 { &speech } else { &noise }, random.below(100) as f32 / 100.0);
            let start = random.below(source.len() - length);
            source[start..start + length].iter().map(|sample| sample * gain).collect()
        };
        let first: Vec<f32> = [part(20_000), vec![0.0; 3_000], part(9_000)].concat();
        let second = part([0, 399, 400, 960, 9_519, 15_555][number % 6]);
        let utterances = [first.as_slice(), second.as_slice()];
        let expected = Naive::new(&model_directory(name), model.sizes(), chunk).run(client, &utterances);

        let mut stream = Stream::new(model.clone(), one_utterance(chunk));
        let mut start_ms = 0.0;
        for (samples, expected) in utterances.iter().zip(expected) {
            let mut network = Observed::new(client);
            let events = support::finish(&mut stream, &mut network, samples);
            let mut calls = expected.calls;
            // Without a window the engine makes no encoder call, so its tail belongs to the call before.
            if calls.len() == network.ids.len() + 1 {
                let tail = calls.pop().unwrap();
                calls.last_mut().unwrap().extend(tail);
            }
            let what = format!("{name} {chunk:?} {} samples", samples.len());
            assert_eq!(network.ids, calls, "{what}");
            let tokens: Vec<_> = expected.tokens.iter().map(|(piece, ms)| (piece.clone(), ms + start_ms)).collect();
            compare(&pieces(&events), &tokens, 1e-3).unwrap_or_else(|e| panic!("{what}: {e}"));
            start_ms += samples.len() as f64 / 16.0;
        }
    }
}

/// Every length at which something changes, and none of them fails (checkpoint C18).
#[test]
fn streams_of_every_awkward_length() {
    let speech = support::recording("speech.wav");
    let mut models = Models::default();
    let (model, client) = models.get("tiny-1", Precision::Int8Exact);
    for samples in [0, 1, 399, 400, 879, 880, 959, 960, 1359, 1360, 9519, 9520, 9599, 9600, 9601] {
        for chunk in [[5, 10, 5], [0, 10, 5], [0, 1, 0]] {
            let expected =
                Naive::new(&model_directory("tiny-1"), model.sizes(), chunk).run(client, &[&speech[..samples]]);
            let events = support::events_of(model, client, one_utterance(chunk), &speech[..samples]);
            compare(&pieces(&events), &expected[0].tokens, 1e-3).unwrap_or_else(|e| panic!("{samples} {chunk:?}: {e}"));
        }
    }
}
