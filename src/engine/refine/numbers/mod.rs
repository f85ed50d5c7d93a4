//! Inverse text normalisation: numbers said in words to figures (二零二六年 to 2026年), each with the time it was said.
//!
//! Display tokens go in and come out. A number becomes one token, which begins where its first word begins and ends where
//! its last one ends; every other token comes out as it was. What becomes figures, and in which style, is in [`grammar`].
//!
//! The decision at a token depends on a few tokens before it and at most [`MAX_HELD`] from it on, so numbers can also be
//! written while the utterance goes on ([`Incremental`]), with the same result.
//!
//! No crate does this. `chinese-number` gives the value of a text that is a number but does not find where one begins and
//! ends, and `wetext-rs` needs WeTextProcessing's compiled grammars as files and loses the times.

mod cardinal;
#[cfg(test)]
mod cases;
mod clock;
mod english;
mod grammar;
#[cfg(test)]
mod laws;
mod units;
mod window;
mod words;

use super::super::hypothesis::DisplayToken;
use grammar::Piece;
use window::{Left, Window};

/// The most tokens that [`Incremental`] holds after a call.
pub const MAX_HELD: usize = window::LONGEST;

/// Writes the numbers of a whole utterance in figures. Anything may come in; nothing is refused.
pub fn normalise(tokens: &[DisplayToken]) -> Vec<DisplayToken> {
    let (mut writer, mut out) = (Writer::default(), Vec::with_capacity(tokens.len()));
    let mut at = 0;
    while at < tokens.len() {
        at += writer.step(&tokens[at..], true, &mut out);
    }
    out
}

/// [`normalise`] for tokens that come one by one. The same tokens come out, each as soon as nothing that may still come can
/// change it.
#[derive(Debug, Clone, Default)]
pub struct Incremental {
    writer: Writer,
    held: Vec<DisplayToken>,
}

impl Incremental {
    /// Takes a token, and appends the tokens that are decided to `out`. At most [`MAX_HELD`] stay held.
    pub fn push(&mut self, token: DisplayToken, out: &mut Vec<DisplayToken>) {
        self.held.push(token);
        self.decide(false, out);
    }

    /// Ends the utterance: appends what is held to `out`, and starts the next one.
    pub fn finish(&mut self, out: &mut Vec<DisplayToken>) {
        self.decide(true, out);
        *self = Self::default();
    }

    /// Where the first token begins that is held, in ns; nothing is appended later that begins before it.
    pub fn held_start_ns(&self) -> Option<u64> {
        self.held.first().map(|token| token.start_ns)
    }

    fn decide(&mut self, ended: bool, out: &mut Vec<DisplayToken>) {
        let mut at = 0;
        while at < self.held.len() {
            match self.writer.step(&self.held[at..], ended, out) {
                0 => break,
                taken => at += taken,
            }
        }
        self.held.drain(..at);
    }
}

/// The state of an utterance at the token about to be decided.
#[derive(Debug, Clone, Default)]
struct Writer {
    left: Left,
    /// The end of the last token written.
    previous: Side,
}

impl Writer {
    /// Decides about the first tokens of `tokens`, appends what becomes of them, and says how many they were: 0 where that
    /// depends on tokens that have not come. `ended`: none will come.
    fn step(&mut self, tokens: &[DisplayToken], ended: bool, out: &mut Vec<DisplayToken>) -> usize {
        let window = Window::new(tokens, &self.left, ended);
        let pieces = grammar::decide(&window);
        if window.is_short() {
            return 0;
        }
        let mut rest = tokens;
        for piece in pieces {
            let (length, text) = match piece {
                Piece::Copy(length) => (length, None),
                Piece::Number(length, text) => (length, Some(text)),
            };
            let (words, after) = rest.split_at(length.max(1).min(rest.len()));
            rest = after;
            match text.and_then(|text| number(words, text)) {
                Some(number) => {
                    self.left.replaced(words, &number.text);
                    self.write(number, true, out);
                }
                None => {
                    self.left.copied(words);
                    words.iter().for_each(|word| self.write(word.clone(), false, out));
                }
            }
        }
        tokens.len() - rest.len()
    }

    /// Appends a token. Spaces beside a number are those that the detokeniser gives figures.
    fn write(&mut self, mut token: DisplayToken, is_number: bool, out: &mut Vec<DisplayToken>) {
        let begin = Side::of(token.text.chars().next(), &token.text, is_number);
        let end = Side::of(token.text.chars().last(), &token.text, is_number);
        let parted = match (self.previous, begin) {
            (Side::Number, Side::Chinese) | (Side::Chinese, Side::Number) => false,
            (Side::Number, Side::Number | Side::Digit | Side::Letters) => true,
            (Side::Digit | Side::Letters, Side::Number) => true,
            _ => token.space_before,
        };
        token.space_before = parted;
        self.previous = end;
        out.push(token);
    }
}

/// What stands at one side of a space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Side {
    /// A number that was written here.
    Number,
    /// A figure that the model itself wrote: another number, not to be glued to ours.
    Digit,
    /// A word of several ASCII letters.
    Letters,
    Chinese,
    /// The beginning of the utterance, a single letter (5g), ASCII punctuation: the space is as it was.
    #[default]
    Other,
}

impl Side {
    fn of(c: Option<char>, text: &str, is_number: bool) -> Self {
        match c {
            _ if is_number => Side::Number,
            Some('0'..='9') => Side::Digit,
            Some(c) if c.is_ascii_alphabetic() && text.len() > 1 => Side::Letters,
            Some(c) if !c.is_ascii() => Side::Chinese,
            _ => Side::Other,
        }
    }
}

/// The token that stands for `words`.
fn number(words: &[DisplayToken], text: String) -> Option<DisplayToken> {
    let (first, last) = (words.first()?, words.last()?);
    Some(DisplayToken {
        text,
        space_before: first.space_before,
        start_ns: first.start_ns,
        end_ns: last.end_ns,
        confidence: words.iter().map(|word| word.confidence).fold(f32::INFINITY, f32::min),
    })
}
