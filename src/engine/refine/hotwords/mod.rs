//! The user's own words: reading the list, and repairing text that sounds like one of them.
//!
//! ```text
//! property or file -> Hotwords -> words() for a model with a bias input (SeACo-Paraformer, spec 8.3)
//!                              -> Repair: display tokens -> display tokens
//! ```
//!
//! The streaming Paraformer has no bias input, so its text is repaired afterwards: a stretch of characters whose pinyin
//! is that of a hotword, but for the tones or for sounds that are commonly confused, becomes the hotword.
//! [`Thresholds`] say how near and how doubtful it must be. Text that is right already stays.
//!
//! The stage comes before punctuation and inverse text normalisation: it knows only characters and words.

mod list;
mod repair;
mod syllable;
mod trie;
mod unit;

pub use list::{Hotwords, MAX_FILE_BYTES, MAX_WORD_CHARACTERS, MAX_WORDS};
pub use repair::{Repair, Thresholds};

#[cfg(test)]
mod tests;
