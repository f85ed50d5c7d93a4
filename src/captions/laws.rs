//! What holds of captions whatever is said: seeded random speech, honest and not.

use unicode_width::UnicodeWidthStr;

use super::*;

/// xorshift64*: the same speech on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn shape(&mut self) -> Shape {
        Shape {
            max_line_chars: [1, 2, 3, 5, 8, 16, 16, 0][self.below(8) as usize],
            max_lines: self.below(4) as u32,
            max_duration_ms: [0, 30, 400, 1500, 7000, 7000][self.below(6) as usize],
            min_duration_ms: [0, 833, 833, 3000][self.below(4) as usize],
            max_reading_speed: [0, 3, 9, 9][self.below(4) as usize],
        }
    }

    fn word(&mut self, start_ns: u64) -> Word {
        let text = match self.below(10) {
            0..=5 => self.pick(&["今", "天", "气", "我", "们", "一二"]),
            6 | 7 => self.pick(&["a", "hello", "GStreamer", "internationalization", "3.14", "don't", "New York", "é"]),
            8 => self.pick(&["，", "。", "？", "…", "”", ",", ".", "！”"]),
            _ => self.pick(&["《", "（", "好，", "50%", " 空 格 ", "", "\n", "👍"]),
        };
        let length_ms = [0, 60, 120, 240, 900][self.below(5) as usize];
        Word {
            text: text.to_owned(),
            space_before: self.below(3) == 0,
            start_ns,
            end_ns: start_ns + length_ms * NS_PER_MS,
        }
    }

    fn silence_ns(&mut self) -> u64 {
        [0, 0, 0, 60, 120, 299, 300, 700, 5000][self.below(9) as usize] * NS_PER_MS
    }
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// The laws of the lines of one caption, in any shape the captions had.
fn check_lines(text: &str, max_line_chars: u32) {
    assert!(!text.is_empty());
    for line in text.split('\n') {
        assert!(!line.is_empty() && line.trim() == line, "{text:?}");
        assert!(line.width() <= 2 * max_line_chars.max(1) as usize, "{text:?}");
    }
}

/// Words of one speech, in time order, with the ends of utterances (`None`).
fn speech(random: &mut Random) -> Vec<Option<Word>> {
    let mut at_ns = 0;
    let mut said = Vec::new();
    for _ in 0..random.below(80) {
        if random.below(12) == 0 {
            said.push(None);
        }
        at_ns += random.silence_ns();
        let word = random.word(at_ns);
        at_ns = word.end_ns;
        said.push(Some(word));
    }
    said
}

#[test]
fn captions_hold_every_word_in_order_and_in_shape() {
    for seed in 1..=3000 {
        let mut random = Random(seed);
        let shape = random.shape();
        let mut captions = FinalCaptions::new(shape);
        let mut words = Vec::new();
        for word in speech(&mut random) {
            match word {
                Some(word) => {
                    words.push(without_space(&word.text));
                    captions.word(word);
                }
                None => captions.end_utterance(),
            }
        }
        captions.finish();
        let said = words.concat();
        assert_eq!(captions.earliest_ns().is_none(), said.is_empty());
        let all: Vec<Caption> = captions.by_ref().collect();
        assert_eq!(all.iter().map(|c| without_space(&c.text)).collect::<String>(), said, "seed {seed}");

        let longest_ns = (u64::from(shape.max_duration_ms) * NS_PER_MS).max(SHORTEST_NS);
        let least_ns = (u64::from(shape.min_duration_ms) * NS_PER_MS).min(longest_ns);
        for (i, caption) in all.iter().enumerate() {
            check_lines(&caption.text, shape.max_line_chars);
            let one_word = || words.contains(&without_space(&caption.text));
            let in_lines = caption.text.split('\n').count() <= shape.max_lines.max(1) as usize;
            assert!(in_lines || one_word(), "seed {seed}: {caption:?}");

            let duration_ns = caption.end_ns - caption.start_ns;
            assert!(duration_ns >= SHORTEST_NS.min(longest_ns) && duration_ns <= longest_ns, "seed {seed}");
            let next_ns = all.get(i + 1).map(|next| next.start_ns);
            assert!(next_ns.is_none_or(|next_ns| next_ns >= caption.end_ns), "seed {seed}");
            assert!(duration_ns >= least_ns || next_ns == Some(caption.end_ns), "seed {seed}: {caption:?}");
        }
    }
}

#[test]
fn advancing_in_steps_of_any_size_changes_nothing() {
    for seed in 1..=3000 {
        let mut random = Random(seed);
        let shape = random.shape();
        let said = speech(&mut random);
        let mut at_once = FinalCaptions::new(shape);
        let mut in_steps = FinalCaptions::new(shape);
        let mut safe_ns = 0;
        for word in &said {
            let Some(word) = word else {
                at_once.end_utterance();
                in_steps.end_utterance();
                continue;
            };
            at_once.word(word.clone());
            while random.below(3) > 0 {
                safe_ns += random.below(word.start_ns - safe_ns + 1);
                in_steps.advance(safe_ns);
            }
            in_steps.word(word.clone());
        }
        at_once.finish();
        in_steps.finish();
        assert_eq!(in_steps.collect::<Vec<_>>(), at_once.collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn nothing_comes_before_what_was_declared_empty() {
    for seed in 1..=3000 {
        let mut random = Random(seed);
        let mut shape = random.shape();
        let mut captions = FinalCaptions::new(shape);
        let (mut position_ns, mut at_ns) = (0, 0);
        let (mut said, mut read) = (String::new(), String::new());
        let mut widest = shape.max_line_chars;
        for _ in 0..100 {
            match random.below(10) {
                0 => captions.end_utterance(),
                1 => {
                    shape = random.shape();
                    widest = widest.max(shape.max_line_chars);
                    captions.set_shape(shape);
                }
                2..=5 => {
                    captions.advance(at_ns);
                    for caption in captions.by_ref() {
                        assert!(caption.start_ns >= position_ns && caption.end_ns > caption.start_ns, "seed {seed}");
                        check_lines(&caption.text, widest);
                        position_ns = caption.end_ns;
                        read.push_str(&without_space(&caption.text));
                    }
                    position_ns = position_ns.max(captions.earliest_ns().unwrap_or(at_ns).min(at_ns));
                }
                _ => {
                    at_ns += random.silence_ns();
                    // One word in four breaks the promise and comes late.
                    let late_ns = if random.below(4) == 0 { random.below(2000) * NS_PER_MS } else { 0 };
                    let word = random.word(at_ns.saturating_sub(late_ns));
                    said.push_str(&without_space(&word.text));
                    captions.word(word);
                }
            }
        }
        captions.finish();
        for caption in captions {
            assert!(caption.start_ns >= position_ns && caption.end_ns > caption.start_ns, "seed {seed}");
            position_ns = caption.end_ns;
            read.push_str(&without_space(&caption.text));
        }
        assert_eq!(read, said, "seed {seed}");
    }
}

#[test]
fn lines_hold_the_text_whatever_it_is() {
    for seed in 1..=3000 {
        let mut random = Random(seed);
        let max_line_chars = random.below(10) as u32;
        let mut text = String::new();
        for _ in 0..random.below(30) {
            text.push_str(&random.word(0).text);
            text.push_str(random.pick(&["", "", "", " ", "\n"]));
        }
        let lines: Vec<&str> = break_lines(&text, max_line_chars).collect();
        assert_eq!(without_space(&lines.concat()), without_space(&text));
        if !lines.is_empty() {
            check_lines(&lines.join("\n"), max_line_chars);
        }
    }
}

#[test]
fn an_overlay_shows_every_word_of_common_speech() {
    for seed in 1..=500 {
        let mut random = Random(seed);
        let mut caption = ProgressiveCaption::default();
        // Every character is said once, so that being seen is being in the text.
        let mut said = '一'..='龥';
        let mut at_ns = 0;
        for chunk in 0..100u64 {
            let now_ns = (chunk + 1) * 600 * NS_PER_MS;
            at_ns = at_ns.max(now_ns - 600 * NS_PER_MS);
            let mut unseen = Vec::new();
            while at_ns < now_ns && random.below(10) > 0 {
                let Some(c) = said.next() else { break };
                let end_ns = at_ns + (120 + random.below(180)) * NS_PER_MS;
                caption.word(Word { text: c.to_string(), space_before: false, start_ns: at_ns, end_ns });
                unseen.push(c);
                if random.below(4) == 0 {
                    caption.word(Word { text: "，".into(), space_before: false, start_ns: end_ns, end_ns });
                }
                at_ns = end_ns;
            }
            let shown = caption.shown(now_ns);
            for c in unseen {
                assert!(shown.as_ref().is_some_and(|text| text.contains(c)), "seed {seed}: {c} not in {shown:?}");
            }
            if let Some(text) = shown {
                check_lines(&text, 16);
                assert!(text.split('\n').count() <= 2);
            }
            if random.below(10) == 0 {
                caption.end_utterance();
            }
        }
    }
}
