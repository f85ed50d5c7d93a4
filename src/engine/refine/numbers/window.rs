//! What the grammar sees: the tokens from here on, as characters, and a little of what was said before.

use super::super::super::hypothesis::DisplayToken;
use std::cell::Cell;

/// The most tokens that one decision looks at, which bounds what is held. 23 write the longest number below 10^12.
pub(super) const LONGEST: usize = 24;

/// Where there is no token: the end of the utterance, or further on than a decision looks.
pub(super) const END: char = '\0';

/// The characters of numbers.
pub(super) const NUMERALS: &str = "零〇一幺二两三四五六七八九十百千万亿";

/// A token that is not one character.
const WORD: char = '\u{fffd}';

/// What was said before, and whether it became a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    /// The last characters, the latest first.
    last: [char; 4],
    /// How many tokens ago a number ended: 0 is the token just before. Nothing where there was none, or too long ago.
    pub number_ago: Option<usize>,
    /// Whether that number was a percentage.
    pub percent: bool,
    /// Whether what is said is a number longer than a decision looks, which stays as it is.
    pub in_long_run: bool,
}

impl Left {
    /// Takes tokens that stayed as they are.
    pub fn copied(&mut self, tokens: &[DisplayToken]) {
        tokens.iter().for_each(|token| self.said(token));
        self.number_ago = self.number_ago.map(|ago| ago + tokens.len()).filter(|&ago| ago < self.last.len());
        self.in_long_run = tokens.len() >= LONGEST || self.in_long_run && NUMERALS.contains(self.last[0]);
    }

    /// Takes the tokens that became the number `text`.
    pub fn replaced(&mut self, tokens: &[DisplayToken], text: &str) {
        tokens.iter().for_each(|token| self.said(token));
        self.number_ago = Some(0);
        self.in_long_run = false;
        self.percent = text.ends_with('%');
    }

    /// Whether what was said ends in `text`, of at most four characters.
    pub fn ends_with(&self, text: &str) -> bool {
        text.chars().rev().zip(self.last).all(|(wanted, said)| wanted == said)
    }

    /// The character `n` before the last one.
    pub fn said_at(&self, n: usize) -> char {
        self.last.get(n).copied().unwrap_or(END)
    }

    /// Whether the character before is one of `set`.
    pub fn is_in(&self, set: &str) -> bool {
        set.contains(self.last[0])
    }

    fn said(&mut self, token: &DisplayToken) {
        self.last.rotate_right(1);
        self.last[0] = symbol(&token.text);
    }
}

/// The tokens from the place of a decision on.
///
/// It notes when it is asked for a token that has not come yet. A decision taken without such a question is the one that
/// the whole utterance gives, because it has read nothing that could still change.
pub(super) struct Window<'a> {
    pub tokens: &'a [DisplayToken],
    pub left: &'a Left,
    ended: bool,
    short: Cell<bool>,
}

impl<'a> Window<'a> {
    /// `ended`: after these tokens the utterance ends.
    pub fn new(tokens: &'a [DisplayToken], left: &'a Left, ended: bool) -> Self {
        Self { tokens, left, ended, short: Cell::new(false) }
    }

    /// Whether a token was asked for that has not come yet.
    pub fn is_short(&self) -> bool {
        self.short.get()
    }

    /// The token `k` from here, if there is one.
    pub fn token(&self, k: usize) -> Option<&'a DisplayToken> {
        if k >= LONGEST {
            return None;
        }
        let token = self.tokens.get(k);
        if token.is_none() && !self.ended {
            self.short.set(true);
        }
        token
    }

    /// The character of token `k`; [`END`] where there is none.
    pub fn at(&self, k: usize) -> char {
        self.token(k).map_or(END, |token| symbol(&token.text))
    }

    /// Whether the tokens from `k` on are the characters of `text`.
    pub fn has(&self, k: usize, text: &str) -> bool {
        text.chars().enumerate().all(|(n, wanted)| self.at(k + n) == wanted)
    }

    /// Whether token `k` is one of `set`.
    pub fn is_in(&self, k: usize, set: &str) -> bool {
        set.contains(self.at(k))
    }
}

/// A token as one character. No character of the grammar is [`WORD`] or [`END`].
fn symbol(text: &str) -> char {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => only,
        _ => WORD,
    }
}
