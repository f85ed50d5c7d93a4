//! Hotwords over whole texts: what is left alone, what always holds, how long it takes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gstparaformer::engine::DisplayToken;
use gstparaformer::engine::refine::hotwords::{Hotwords, Repair};
use serde_json::Value;
use support::Random;

fn read(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// What is said in the recordings and what the built-in model was trained to hear, each sentence once.
fn sentences() -> BTreeSet<String> {
    let spoken = read("tests/data/audio/sentences/sentences.jsonl");
    let spoken =
        spoken.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned));
    let phrases = read("tests/data/demo_phrases.txt") + &read("examples/recording.txt");
    let phrases = phrases.lines().map(|line| line.split_whitespace().collect()).collect::<Vec<String>>();
    spoken.chain(phrases).filter(|sentence| !sentence.is_empty()).collect()
}

/// The Chinese characters of the built-in model.
fn characters() -> Vec<char> {
    let tokens: Vec<String> = serde_json::from_str(&read("models/demo/tokens.json")).unwrap();
    let characters: Vec<char> =
        tokens.iter().filter_map(|token| token.chars().next().filter(|c| !c.is_ascii())).collect();
    assert!(characters.len() > 300, "{}", characters.len());
    characters
}

/// One character a token, 200 ms each.
fn tokens(text: &str, confidence: f32) -> Vec<DisplayToken> {
    let token = |(number, character): (usize, char)| DisplayToken {
        text: character.to_string(),
        space_before: false,
        start_ns: number as u64 * 200_000_000,
        end_ns: (number as u64 + 1) * 200_000_000,
        confidence,
    };
    text.chars().enumerate().map(token).collect()
}

fn text(tokens: &[DisplayToken]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

fn random_words(random: &mut Random, characters: &[char], count: usize, longest: usize) -> String {
    let mut words = String::new();
    for _ in 0..count {
        let length = 2 + random.below(longest - 1);
        words.extend((0..length).map(|_| characters[random.below(characters.len())]));
        words.push(' ');
    }
    words
}

#[test]
fn right_text_is_left_alone() {
    let (sentences, characters) = (sentences(), characters());
    let heard: usize = sentences.iter().map(|sentence| sentence.chars().count()).sum();
    let (mut random, mut sure, mut doubtful) = (Random(5), Vec::new(), Vec::new());
    for _ in 0..10 {
        let repair = Repair::new(&Hotwords::parse_list(&random_words(&mut random, &characters, 300, 4)).unwrap());
        for sentence in &sentences {
            for (confidence, changed) in [(0.9, &mut sure), (0.5, &mut doubtful)] {
                let after = text(&repair.repair(&tokens(sentence, confidence)));
                if after != *sentence {
                    changed.push(format!("{sentence} -> {after}"));
                }
            }
        }
    }
    println!("{} sentences, {heard} characters, 10 lists of 300 random hotwords", sentences.len());
    println!("changed: {} sure, {} where all is doubtful: {doubtful:?}", sure.len(), doubtful.len());
    // Of random words some do differ from right text in tones alone.
    assert!(sure.len() * 200 <= 10 * sentences.len(), "{sure:?}");
    assert!(!doubtful.is_empty(), "nothing sounds alike: this tests nothing");
    assert!(doubtful.len() * 100 <= 10 * sentences.len() * 15, "{}", doubtful.len());
}

#[test]
fn times_and_all_other_tokens_are_kept() {
    let characters = characters();
    let mut random = Random(6);
    let mut odd: Vec<String> = "a b gs streamer g 5 , 。 ？ é カ 🎤 你好 - ' '' \u{0} \u{301} C++ . 𠀀 〇 \n"
        .split(' ')
        .map(str::to_owned)
        .collect();
    odd.push(String::new());
    let mut changes = 0;
    for round in 0..300 {
        let few: Vec<char> = (0..30).map(|_| characters[random.below(characters.len())]).collect();
        let list = random_words(&mut random, &few, 300, 4) + "GStreamer ab 5G基站 a, 。。 é’ 🎤🎤 𠀀〇 5G";
        let repair = Repair::new(&Hotwords::parse_list(&list).unwrap());
        let (mut before, mut at) = (Vec::new(), 0);
        for _ in 0..random.below(60) {
            let text = match random.below(5) {
                0 => odd[random.below(odd.len())].clone(),
                _ => few[random.below(few.len())].to_string(),
            };
            let start_ns = at + random.below(3) as u64 / 2 * 600_000_000;
            let end_ns = start_ns + random.below(300_000_000) as u64;
            let (space_before, confidence) = (random.below(4) == 0, random.sample().abs());
            before.push(DisplayToken { text, space_before, start_ns, end_ns, confidence });
            at = end_ns;
        }
        let after = repair.repair(&before);
        assert_eq!(after, repair.repair(&before), "round {round}");
        changes += usize::from(after != before);

        // Each token is one of before, or spans some of before and is a part of a hotword.
        let mut next = 0;
        for token in &after {
            let end = next + before[next..].iter().take_while(|one| one.end_ns <= token.end_ns).count();
            if before.get(next) == Some(token) {
                next += 1;
                continue;
            }
            let span = &before[next..end];
            next = end;
            assert_eq!(token.start_ns, span[0].start_ns, "round {round}: {token:?}");
            assert_eq!(token.end_ns, span[span.len() - 1].end_ns, "round {round}: {token:?}");
            assert_eq!(token.space_before, span[0].space_before);
            assert!(span.iter().all(|one| one.confidence >= token.confidence));
            assert!(span.len() == 1 || span.iter().all(|one| one.text.is_ascii()), "{span:?}");
            assert!(list.contains(&token.text), "{token:?}");
        }
        assert_eq!(next, before.len());
        assert!(after.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns));
        assert_eq!(Repair::new(&Hotwords::default()).repair(&before), before);
    }
    assert!(changes > 50, "{changes} changes: this tests little");
}

#[test]
fn any_list_and_any_file_is_parsed_or_refused() {
    let mut random = Random(7);
    let before = tokens("你好，世界gstreamer。", 0.1);
    for _ in 0..300 {
        let bytes: Vec<u8> =
            (0..random.below(200)).map(|_| b" \n\r\t#:20a\xe4\xbd\xa0\xef\xbb\xbf\0\xff"[random.below(17)]).collect();
        let listed = String::from_utf8_lossy(&bytes).into_owned();
        for hotwords in [Hotwords::parse_file("x", &bytes), Hotwords::parse_list(&listed)].into_iter().flatten() {
            assert!(hotwords.words().iter().all(|word| !word.trim().is_empty()));
            let _ = Repair::new(&hotwords).repair(&before);
        }
    }
}

/// The shortest of some runs: other work on the machine only adds.
fn shortest(repair: &Repair, tokens: &[DisplayToken]) -> Duration {
    let run = || {
        let start = Instant::now();
        std::hint::black_box(repair.repair(tokens));
        start.elapsed()
    };
    (0..20).map(|_| run()).min().unwrap()
}

#[test]
fn thousands_of_hotwords_take_milliseconds() {
    let characters = characters();
    let mut random = Random(8);
    let list = random_words(&mut random, &characters, 5000, 6);
    let utterance: String = (0..200).map(|_| characters[random.below(characters.len())]).collect();
    let repair = Repair::new(&Hotwords::parse_list(&list).unwrap());
    let usual = shortest(&repair, &tokens(&utterance, 0.5));

    // All begin alike, and the text is nothing but such beginnings.
    let alike: String =
        (0..5000).map(|_| format!("上海{} ", random_words(&mut random, &characters, 1, 4).trim())).collect();
    let repair = Repair::new(&Hotwords::parse_list(&alike).unwrap());
    let same_beginning = shortest(&repair, &tokens(&"上海".repeat(100), 0.5));

    let letters: Vec<char> = ('a'..='z').collect();
    let english = random_words(&mut random, &letters, 5000, 9);
    let mut words = tokens(&utterance, 0.5);
    for word in &mut words {
        word.text = random_words(&mut random, &letters, 1, 6).trim().into();
    }
    let latin = shortest(&Repair::new(&Hotwords::parse_list(&english).unwrap()), &words);

    println!("5,000 hotwords, 200 tokens: {usual:?}, same beginning {same_beginning:?}, Latin {latin:?}");
    let limit = Duration::from_millis(20);
    assert!(usual < limit && same_beginning < limit && latin < limit, "{usual:?} {same_beginning:?} {latin:?}");
}
