//! Display tokens as the words of a punctuation model: each character that is not ASCII alone, each run of ASCII as one word.

use std::collections::HashMap;

use crate::engine::hypothesis::DisplayToken;
use crate::engine::vocabulary::Vocabulary;

/// A word, as the network takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its id.
    pub id: i32,
    /// The number of the display token that ends where the word ends; none where the word ends within one.
    pub token: Option<usize>,
}

/// The ids of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    ids: HashMap<Box<str>, i32>,
    unknown: i32,
}

impl Words {
    /// From the words in the order of their ids. `<unk>` is the unknown word, or where there is none the last entry, as
    /// FunASR takes it; FunASR's vocabularies have the one as the other.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        // A network takes 32-bit ids, so that a vocabulary has no more.
        let ids = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let special = (0..vocabulary.len()).rev().find(|&number| vocabulary.piece(number).is_none());
        let unknown = ids(special.unwrap_or(vocabulary.len().saturating_sub(1)));
        let word = |number| Some((Box::from(vocabulary.piece(number)?), ids(number)));
        Self { ids: (0..vocabulary.len()).filter_map(word).collect(), unknown }
    }

    /// The id of a word as it is; else of its lower case, which FunASR's Python omits and its C++ does; else the unknown's.
    pub fn id(&self, word: &str) -> i32 {
        let known = self.ids.get(word).or_else(|| self.ids.get(word.to_lowercase().as_str()));
        known.copied().unwrap_or(self.unknown)
    }

    /// The words of a text in display tokens. White space parts words and is none. ASCII tokens without a space between them
    /// are one word, as in the text they make: the letters of `ABC`, the figures of `40`.
    pub fn split(&self, tokens: &[DisplayToken]) -> Vec<Word> {
        let (mut words, mut run, mut run_token) = (Vec::with_capacity(tokens.len()), String::new(), None);
        let close = |run: &mut String, token: Option<usize>, words: &mut Vec<Word>| {
            if !run.is_empty() {
                words.push(Word { id: self.id(run), token });
                run.clear();
            }
        };
        for (number, token) in tokens.iter().enumerate() {
            if token.space_before {
                close(&mut run, run_token, &mut words);
            }
            let end = token.text.trim_end().len();
            for (at, character) in token.text.char_indices() {
                let after = at + character.len_utf8();
                let ends = (after == end).then_some(number);
                if character.is_ascii() && !character.is_ascii_whitespace() {
                    run.push(character);
                    run_token = ends;
                    continue;
                }
                close(&mut run, run_token, &mut words);
                if !character.is_whitespace() {
                    words.push(Word { id: self.id(&token.text[at..after]), token: ends });
                }
            }
        }
        close(&mut run, run_token, &mut words);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::new(&Vocabulary::new(["今", "天", "hello", "OK", "40", "<unk>"].map(String::from).to_vec()))
    }

    /// Tokens parted by `|`; one that begins with a space has it before.
    fn split(text: &str) -> Vec<(i32, Option<usize>)> {
        let token = |text: &str| DisplayToken {
            text: text.strip_prefix(' ').unwrap_or(text).into(),
            space_before: text.starts_with(' '),
            start_ns: 0,
            end_ns: 0,
            confidence: 1.0,
        };
        let tokens: Vec<DisplayToken> = text.split('|').map(token).collect();
        words().split(&tokens).iter().map(|word| (word.id, word.token)).collect()
    }

    #[test]
    fn words_are_found_as_they_are_or_in_lower_case() {
        let ids = ["hello", "Hello", "HELLO", "OK", "ok", "今", "好"].map(|word| words().id(word));
        assert_eq!(ids, [2, 2, 2, 3, 5, 0, 5]);
        let without_unknown = Words::new(&Vocabulary::new(["a", "b"].map(String::from).to_vec()));
        assert_eq!(without_unknown.id("c"), 1);
    }

    #[test]
    fn tokens_are_split_as_the_text_they_make() {
        assert_eq!(split("今|天|hello"), [(0, Some(0)), (1, Some(1)), (2, Some(2))]);
        assert_eq!(split("4|0|今"), [(4, Some(1)), (0, Some(2))]);
        assert_eq!(split("4| 0| hello"), [(5, Some(0)), (5, Some(1)), (2, Some(2))]);
        // Within a token, and beside blanks, which are no words.
        assert_eq!(split("今天"), [(0, None), (1, Some(0))]);
        assert_eq!(split("今hello天"), [(0, None), (2, None), (1, Some(0))]);
        assert_eq!(split("hel|lo今|"), [(2, None), (0, Some(1))]);
        assert_eq!(split("今 天\u{3000}"), [(0, None), (1, Some(0))]);
        assert_eq!(split("hello |40|"), [(2, Some(0)), (4, Some(1))]);
        assert_eq!(split(""), []);
    }
}
