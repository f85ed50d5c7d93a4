//! All stages on a final result, with networks that are made up: what each may change, and what it may not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gstparaformer::engine::hypothesis::joined;
use gstparaformer::engine::refine::chain::{Chain, HotwordSet, Networks, Pass, RefineOptions, refine_streaming};
use gstparaformer::engine::refine::hotwords::Hotwords;
use gstparaformer::engine::refine::offline::network::{OfflineInput, OfflineNetwork, OfflineOutput};
use gstparaformer::engine::refine::punctuation::{PunctuationInput, PunctuationNetwork};
use gstparaformer::engine::{DisplayToken, Error, Heard, Hypothesis, Result};
use gstparaformer::runtime::{LibraryRequest, OfflineRequest, Precision, PunctuationRequest, offline, punctuation};
use support::Random;

const MARKS: [&str; 4] = ["，", "。", "？", "、"];

/// Says what it is told to, or fails.
struct Fake<'a> {
    random: &'a mut Random,
    vocabulary: usize,
    fails: bool,
}

impl OfflineNetwork for Fake<'_> {
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
        if self.fails {
            return Err(Error::network("made to fail"));
        }
        output.token_num = self.random.below(input.frames / 3 + 2);
        output.logits = (0..output.token_num * self.vocabulary).map(|_| -5.0 - self.random.sample().abs()).collect();
        (output.alphas, output.peaks) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn embed(&mut self, _ids: &[i32], _embedded: &mut Vec<f32>) -> Result<()> {
        Err(Error::network("it takes no hotwords"))
    }
}

impl PunctuationNetwork for Fake<'_> {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        if self.fails {
            return Err(Error::network("made to fail"));
        }
        scores.clear();
        scores.extend((0..input.ids.len() * 6).map(|_| self.random.sample()));
        Ok(())
    }
}

fn library() -> LibraryRequest {
    LibraryRequest::default()
}

/// An utterance of characters, words and digits, with pauses.
fn utterance(random: &mut Random, number: u64) -> (Hypothesis, Heard) {
    const WORDS: [&str; 16] =
        ["今", "天", "一", "二", "十", "百", "点", "分", "之", "年", "公", "园", "hello", "world", "ok", "学"];
    let start_ns = 1_000_000_000 * number + 500_000_000;
    let (mut tokens, mut at) = (Vec::new(), start_ns);
    for _ in 0..=random.below(40) {
        let text = WORDS[random.below(WORDS.len())];
        let end = at + 50_000_000 + random.below(200_000_000) as u64;
        let confidence = (random.sample().abs()).min(1.0);
        let space_before = text.is_ascii() && !tokens.is_empty();
        tokens.push(DisplayToken { text: text.into(), space_before, start_ns: at, end_ns: end, confidence });
        at = end + random.below(2) as u64 * random.below(600_000_000) as u64;
    }
    let frames = vec![0.1; 80 * ((at - start_ns) / 10_000_000 + 60) as usize];
    let last = Hypothesis { utterance: number, text: joined(&tokens), tokens, is_final: true, ..Hypothesis::default() };
    (last, Heard { frames, start_ns: start_ns - 300_000_000 })
}

fn assert_lawful(refined: &Hypothesis, streaming: &Hypothesis) {
    let (first, last) = (streaming.tokens[0].start_ns, streaming.tokens[streaming.tokens.len() - 1].end_ns);
    assert!(refined.is_final && refined.utterance == streaming.utterance);
    assert_eq!(refined.text, joined(&refined.tokens));
    let (mut start, mut end) = (first, first);
    for token in &refined.tokens {
        assert!(start <= token.start_ns && end <= token.end_ns, "{token:?} goes back: {:?}", refined.tokens);
        assert!(token.start_ns <= token.end_ns && token.end_ns <= last, "{token:?} outside {first} to {last}");
        assert!((0.0..=1.0).contains(&token.confidence) && !token.text.is_empty(), "{token:?}");
        (start, end) = (token.start_ns, token.end_ns);
    }
}

fn letters(tokens: &[DisplayToken]) -> String {
    tokens.iter().map(|token| token.text.as_str()).filter(|text| !MARKS.contains(text)).collect()
}

#[test]
fn every_stage_keeps_times_and_words() {
    let directory = support::model_directory("offline-plain");
    let offline = offline::open(&OfflineRequest { directory, precision: Precision::Auto, library: library() }).unwrap();
    let directory = support::model_directory("punctuation-realtime-1");
    let punctuation = punctuation::open(&PunctuationRequest { directory, library: library() }).unwrap();
    // Only the models' sizes are used; their graphs must be loaded before the process ends.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(offline.client.is_settled() && punctuation.client.is_settled()) {
        assert!(Instant::now() < deadline, "the models are not loaded");
        std::thread::sleep(Duration::from_millis(5));
    }
    let vocabulary = offline.model.vocabulary().len();
    let mut random = Random(7);
    let hotwords = Arc::new(HotwordSet::new(Hotwords::parse_list("公园 今天 学校 OK").unwrap()));
    let (mut offline_finals, mut marks, mut warned) = (0, 0, 0);
    for round in 0..12 {
        let (second, marked, numbers) = (round % 2 == 0, round % 3 != 1, round % 4 < 2);
        let options = RefineOptions {
            hotwords: if round % 5 == 0 { Arc::default() } else { hotwords.clone() },
            numbers,
            ..RefineOptions::default()
        };
        let mut chain = Chain::new(second.then(|| offline.model.clone()), marked.then(|| punctuation.model.clone()));
        for number in 0..25 {
            let (streaming, heard) = utterance(&mut random, number);
            let (mut one, mut other) = (Random(number + 1), Random(number + 99));
            let fails = number % 7 == 3;
            let mut pass = Fake { random: &mut one, vocabulary, fails };
            let mut marker = Fake { random: &mut other, vocabulary, fails };
            let mut networks = Networks { offline: Some(&mut pass), punctuation: Some(&mut marker) };
            let refined = chain.refine(&mut networks, &streaming, Some(&heard), &options).unwrap();
            assert_lawful(&refined.hypothesis, &streaming);
            assert_eq!(refined.warnings.is_empty(), !(fails && (second || marked)), "{:?}", refined.warnings);
            warned += refined.warnings.len();
            marks += refined.hypothesis.tokens.iter().filter(|token| MARKS.contains(&token.text.as_str())).count();
            match refined.pass {
                Pass::Offline => {
                    assert!(second && !fails);
                    offline_finals += 1;
                }
                // Nothing but marks comes to what can be done without a network.
                Pass::Streaming if !numbers => {
                    let plain = refine_streaming(&streaming, &options);
                    assert_eq!(letters(&refined.hypothesis.tokens), letters(&plain.tokens));
                }
                Pass::Streaming => {}
            }
        }
    }
    assert!(offline_finals > 80 && marks > 300 && warned > 20, "{offline_finals} {marks} {warned}");
}

/// Without any stage a final result is what it was.
#[test]
fn no_stage_changes_nothing() {
    let mut random = Random(3);
    for number in 0..50 {
        let (streaming, _) = utterance(&mut random, number);
        assert_eq!(refine_streaming(&streaming, &RefineOptions::default()), streaming);
    }
}
