//! Which of the stretches that sound like hotwords are repaired, and how.

use std::cmp::Reverse;
use std::ops::Range;
use std::slice;

use super::list::Hotwords;
use super::trie::{Match, Trie};
use super::unit::{Heard, Unit, letters, units};
use crate::engine::DisplayToken;
use crate::engine::time::NS_PER_MS;

/// What is near enough, and what is doubtful enough, to be repaired.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A stretch whose characters have a lower mean confidence than this, 0 to 1, is doubtful. 0: none is.
    pub doubtful_confidence: f32,
    /// The highest cost of a doubtful stretch, in hundredths of a syllable, for each of its characters after the first:
    /// the fewer there are, the more words are like them. A wrong tone costs 10; in for ing, en for eng, a rare reading
    /// 20; z for zh, n for l, an for ang, f for hu 30, and so does a character that every sentence has, as 的; b for p
    /// 50.
    pub max_cost: u32,
    /// A stretch that is not doubtful is repaired where it differs in tones alone and has at least so many characters.
    pub min_sure_characters: usize,
    /// Nothing is repaired across a longer pause between two characters.
    pub max_pause_ms: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { doubtful_confidence: 0.7, max_cost: 20, min_sure_characters: 3, max_pause_ms: 500 }
    }
}

/// Repairs text by hotwords. Immutable: one serves many streams.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    hotwords: Vec<String>,
    trie: Trie,
    thresholds: Thresholds,
}

impl Repair {
    /// With the usual thresholds.
    pub fn new(hotwords: &Hotwords) -> Self {
        Self::with_thresholds(hotwords, Thresholds::default())
    }

    /// With thresholds of one's own.
    pub fn with_thresholds(hotwords: &Hotwords, thresholds: Thresholds) -> Self {
        let words = hotwords.words();
        let parts: Vec<Vec<Unit>> = words.iter().map(|word| repairable(word).unwrap_or_default()).collect();
        let trie = Trie::new(parts.iter().enumerate().map(|(number, units)| (number as u32, units.as_slice())));
        Self { hotwords: words.to_vec(), trie, thresholds }
    }

    /// The display tokens of an utterance with the hotwords put right. Each character keeps its token's times and
    /// confidence; words that become one word take its time from the first's start to the last's end, and the lowest
    /// confidence. All other tokens are as they were. The longest match comes first, then the nearest in sound,
    /// then in characters, then the first.
    pub fn repair(&self, tokens: &[DisplayToken]) -> Vec<DisplayToken> {
        if self.hotwords.is_empty() {
            return tokens.to_vec();
        }
        let mut chosen = self.choose(self.candidates(tokens), tokens);
        chosen.sort_by_key(|candidate| candidate.found.start);
        let (mut repaired, mut at) = (Vec::with_capacity(tokens.len()), 0);
        for candidate in chosen {
            let range = candidate.range();
            repaired.extend_from_slice(&tokens[at..range.start]);
            at = range.end;
            repaired.extend(candidate.replacement);
        }
        repaired.extend_from_slice(&tokens[at..]);
        repaired
    }

    /// All stretches that can be compared with a hotword.
    fn candidates(&self, tokens: &[DisplayToken]) -> Vec<Candidate> {
        let text: Vec<Heard> = tokens.iter().map(|token| Heard::new(&token.text)).collect();
        let max_pause_ns = self.thresholds.max_pause_ms.saturating_mul(NS_PER_MS);
        let pause = |at: usize| tokens[at].start_ns.saturating_sub(tokens[at - 1].end_ns);
        let linked: Vec<bool> = (0..tokens.len()).map(|at| at > 0 && pause(at) <= max_pause_ns).collect();
        let found = self.trie.find(&text, &linked).into_iter();
        found.map(|found| Candidate { replacement: self.replacement(&found, tokens), found }).collect()
    }

    /// Those that are repaired; none overlaps another.
    fn choose(&self, mut candidates: Vec<Candidate>, tokens: &[DisplayToken]) -> Vec<Candidate> {
        // What is right already keeps its text, whatever else sounds like it.
        let mut right = vec![false; tokens.len()];
        for candidate in &candidates {
            let range = candidate.range();
            if same_text(&candidate.replacement, &tokens[range.clone()]) {
                right[range].fill(true);
            }
        }
        candidates.retain(|candidate| {
            let mut changes = candidate.changes(tokens);
            self.is_repair(candidate, tokens) && !changes.any(|stretch| right[stretch].contains(&true))
        });
        candidates.sort_by_key(|candidate| {
            let Match { start, word, difference, .. } = &candidate.found;
            (Reverse(candidate.range().len()), difference.cost(), candidate.changes(tokens).count(), *start, *word)
        });
        let mut taken = vec![false; tokens.len()];
        candidates.retain(|candidate| {
            let range = candidate.range();
            let free = !taken[range.clone()].contains(&true);
            if free {
                taken[range].fill(true);
            }
            free
        });
        candidates
    }

    /// Whether a stretch is near and doubtful enough.
    fn is_repair(&self, candidate: &Candidate, tokens: &[DisplayToken]) -> bool {
        let Thresholds { doubtful_confidence, max_cost, min_sure_characters, .. } = self.thresholds;
        let (units, difference) = (candidate.found.ends.len(), candidate.found.difference);
        let stretch = &tokens[candidate.range()];
        if same_text(&candidate.replacement, stretch) {
            return false;
        }
        let mean = stretch.iter().map(|token| token.confidence).sum::<f32>() / stretch.len() as f32;
        let only_words = stretch.iter().all(|token| token.text.is_ascii());
        let near = only_words || difference.cost() <= max_cost.saturating_mul(units as u32 - 1);
        let alike = difference.sounds == 0 && (only_words || units >= min_sure_characters);
        alike || (mean < doubtful_confidence && near)
    }

    /// The hotword as display tokens.
    fn replacement(&self, found: &Match, tokens: &[DisplayToken]) -> Vec<DisplayToken> {
        let hotword = self.hotwords.get(found.word as usize).map_or("", String::as_str);
        let mut start = found.start;
        let mut replacement = Vec::with_capacity(found.ends.len());
        for (unit, &end) in units(hotword).unwrap_or_default().into_iter().zip(&found.ends) {
            let (first, last) = (&tokens[start], &tokens[end - 1]);
            replacement.push(DisplayToken {
                text: match unit {
                    Unit::Character(character) => character.to_string(),
                    Unit::Word(word) => word.to_owned(),
                },
                space_before: first.space_before,
                start_ns: first.start_ns,
                end_ns: last.end_ns,
                confidence: tokens[start..end].iter().map(|token| token.confidence).fold(first.confidence, f32::min),
            });
            start = end;
        }
        replacement
    }
}

/// A stretch that may be repaired.
struct Candidate {
    found: Match,
    replacement: Vec<DisplayToken>,
}

impl Candidate {
    /// The tokens of the stretch.
    fn range(&self) -> Range<usize> {
        self.found.start..self.found.ends.last().copied().unwrap_or(self.found.start)
    }

    /// The stretches that it would change.
    fn changes(&self, tokens: &[DisplayToken]) -> impl Iterator<Item = Range<usize>> {
        let mut start = self.found.start;
        self.found.ends.iter().zip(&self.replacement).filter_map(move |(&end, token)| {
            let stretch = start..end;
            start = end;
            (!same_text(&tokens[stretch.clone()], slice::from_ref(token))).then_some(stretch)
        })
    }
}

/// Whether tokens read the same.
fn same_text(some: &[DisplayToken], others: &[DisplayToken]) -> bool {
    some.iter().map(|token| &token.text).eq(others.iter().map(|token| &token.text))
}

/// The parts of a hotword by which text can be repaired: at least two characters, or a word of two letters; none where
/// there are fewer, or others.
pub fn repairable(hotword: &str) -> Option<Vec<Unit<'_>>> {
    let units = units(hotword)?;
    let enough = match units.as_slice() {
        [Unit::Word(word)] => letters(word).is_some_and(|letters| letters.len() > 1),
        units => units.len() > 1,
    };
    enough.then_some(units)
}
