//! Hotwords: words to ids, one for each character, and their embeddings to the vectors that bias the recognition.
//!
//! The embedder is an LSTM, so a word's vector is its state after the word's last character. Reference: FunASR
//! `ContextualParaformer` in Python, and its C++ runtime where the two differ.

use std::fmt;

use super::network::{Bias, HOTWORD_IDS, OfflineNetwork};
use super::{OfflineModel, unexpected};
use crate::engine::Result;

/// The most hotwords.
pub const MAX_HOTWORDS: usize = 1000;
/// `<s>`, as FunASR numbers it in every vocabulary.
const START: i32 = 1;

/// What the user should know of a hotword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotwordNote {
    /// The word, as it was given.
    pub word: String,
    /// What became of it.
    pub outcome: HotwordOutcome,
}

/// What became of a hotword that was not taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotwordOutcome {
    /// Left out: the model has no such character.
    Unknown(char),
    /// Taken without what follows its first ten characters.
    Shortened,
    /// Left out: there are [`MAX_HOTWORDS`] before it.
    TooMany,
}

impl fmt::Display for HotwordNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = &self.word;
        match self.outcome {
            HotwordOutcome::Unknown(character) => {
                write!(f, "hotword \"{word}\" is left out: the model does not know \"{character}\"")
            }
            HotwordOutcome::Shortened => {
                write!(f, "hotword \"{word}\" is longer than {HOTWORD_IDS} characters: only these are used")
            }
            HotwordOutcome::TooMany => {
                write!(f, "hotword \"{word}\" is left out: there are more than {MAX_HOTWORDS}")
            }
        }
    }
}

/// Embeds hotwords, in one call: gives the vectors `[words taken + 1, width]`, with that of `<s>` last, and what was not
/// taken as it is. White space around a word does not count, and a word of nothing else is no word.
///
/// Errors: those of the network.
pub fn embed(
    model: &OfflineModel,
    network: &mut dyn OfflineNetwork,
    words: &[String],
) -> Result<(Bias, Vec<HotwordNote>)> {
    let (mut ids, mut lengths, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    // FunASR makes a hotword of ten zeros of an empty one.
    for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        let mut note = |outcome| notes.push(HotwordNote { word: word.into(), outcome });
        if lengths.len() == MAX_HOTWORDS {
            note(HotwordOutcome::TooMany);
            continue;
        }
        match ids_of(model, word) {
            Ok(found) => {
                if word.chars().nth(HOTWORD_IDS).is_some() {
                    note(HotwordOutcome::Shortened);
                }
                lengths.push(found.len());
                ids.extend((0..HOTWORD_IDS).map(|at| found.get(at).copied().unwrap_or(0)));
            }
            Err(unknown) => note(HotwordOutcome::Unknown(unknown)),
        }
    }
    // It means that none of the words was said, and the models learnt with it in every list.
    lengths.push(1);
    ids.extend((0..HOTWORD_IDS).map(|at| if at == 0 { START } else { 0 }));
    let mut embedded = Vec::new();
    network.embed(&ids, &mut embedded)?;
    let rows = lengths.len();
    let width = embedded.len() / (HOTWORD_IDS * rows);
    if width == 0 || embedded.len() != HOTWORD_IDS * rows * width {
        return Err(unexpected(format!("{} values for {rows} hotwords of {HOTWORD_IDS} steps", embedded.len())));
    }
    let mut vectors = Vec::with_capacity(rows * width);
    for (row, length) in lengths.into_iter().enumerate() {
        vectors.extend_from_slice(&embedded[((length - 1) * rows + row) * width..][..width]);
    }
    Ok((Bias { vectors, rows }, notes))
}

/// The ids of a word's characters, ten at most, or the first that is unknown.
///
/// Letters are looked up in small ones too, which is all that FunASR's vocabularies have. FunASR's Python takes id 8403
/// for what is unknown, which is an error in any other vocabulary; its C++ leaves the word out, as we do. And more than
/// ten characters are an error there in Python, and are cut in C++.
fn ids_of(model: &OfflineModel, word: &str) -> std::result::Result<Vec<i32>, char> {
    let id = |c: char| model.character(c).or_else(|| model.character(c.to_ascii_lowercase())).ok_or(c);
    word.chars().take(HOTWORD_IDS).map(id).collect()
}
