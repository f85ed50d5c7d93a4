//! Pieces to words, with state over an utterance: a word whose pieces fall into different chunks is one word.
//!
//! A piece that ends in `@@` is continued by the next one (subword-nmt). Rules: an open word takes the next piece unless
//! that is Chinese; Chinese or the end of the utterance closes it; English words are parted by one space, except
//! neighbouring single letters (a b c is abc); digits stand close to digits and to Chinese; between Chinese and English
//! there is what [`Spacing`] says. Nothing is ever lost or refused.

/// What stands between Chinese and English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spacing {
    /// Nothing, as FunASR.
    #[default]
    None,
    /// One space.
    Space,
}

/// A word, and the range of its pieces' numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text, without spaces at its ends.
    pub text: String,
    /// Whether a space parts it from the word before in the same utterance.
    pub space_before: bool,
    /// The number of its first piece.
    pub first_piece: usize,
    /// The number after its last piece.
    pub end_piece: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Chinese,
    Digit,
    Letters,
}

/// The state over one utterance.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    spacing: Spacing,
    open: Option<Word>,
    /// Class of the last closed word's end, and whether it is a single character.
    previous: Option<(Class, bool)>,
}

impl Detokenizer {
    /// At the start of an utterance.
    pub fn new(spacing: Spacing) -> Self {
        Self { spacing, ..Self::default() }
    }

    /// Takes piece number `number`, and appends the words that it closes to `words`.
    pub fn push(&mut self, number: usize, piece: &str, words: &mut Vec<Word>) {
        let (text, continued) = match piece.strip_suffix("@@") {
            Some(text) if !text.is_empty() => (text, true),
            _ => (piece, false),
        };
        let text = text.trim();
        if !text.is_ascii() {
            self.finish(words);
            self.close(Word::new(text, number), words);
            return;
        }
        let mut word = self.open.take().unwrap_or_else(|| Word::new("", number));
        word.text.push_str(text);
        word.end_piece = number + 1;
        if continued {
            self.open = Some(word);
        } else {
            self.close(word, words);
        }
    }

    /// Ends the utterance: closes the open word. The next piece begins a new utterance only after [`reset`](Self::reset).
    pub fn finish(&mut self, words: &mut Vec<Word>) {
        if let Some(word) = self.open.take() {
            self.close(word, words);
        }
    }

    /// The number of the first piece of the word that is open, if there is one.
    pub fn open_piece(&self) -> Option<usize> {
        self.open.as_ref().map(|word| word.first_piece)
    }

    /// Starts a new utterance. What is open is dropped: call [`finish`](Self::finish) first.
    pub fn reset(&mut self) {
        self.open = None;
        self.previous = None;
    }

    fn close(&mut self, mut word: Word, words: &mut Vec<Word>) {
        let (Some(first), Some(last)) = (word.text.chars().next(), word.text.chars().last()) else { return };
        let single = word.text.chars().nth(1).is_none();
        word.space_before = self.previous.is_some_and(|previous| self.parted(previous, class(first), single, first));
        self.previous = Some((class(last), single));
        words.push(word);
    }

    fn parted(&self, (before, before_single): (Class, bool), after: Class, single: bool, first: char) -> bool {
        match (before, after) {
            (Class::Chinese, Class::Chinese) => false,
            (Class::Digit, Class::Digit | Class::Chinese) | (Class::Chinese, Class::Digit) => false,
            (Class::Chinese, _) | (_, Class::Chinese) => self.spacing == Spacing::Space,
            _ => first != '\'' && !(before_single && single),
        }
    }
}

impl Word {
    fn new(text: &str, number: usize) -> Self {
        Self { text: text.into(), space_before: false, first_piece: number, end_piece: number + 1 }
    }
}

fn class(character: char) -> Class {
    match character {
        '0'..='9' => Class::Digit,
        c if c.is_ascii() => Class::Letters,
        _ => Class::Chinese,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(spacing: Spacing, pieces: &str) -> Vec<Word> {
        let (mut detokenizer, mut words) = (Detokenizer::new(spacing), Vec::new());
        for (number, piece) in pieces.split(' ').enumerate() {
            detokenizer.push(number, piece, &mut words);
        }
        detokenizer.finish(&mut words);
        words
    }

    fn text(spacing: Spacing, pieces: &str) -> String {
        words(spacing, pieces).iter().map(|w| format!("{}{}", if w.space_before { " " } else { "" }, w.text)).collect()
    }

    #[test]
    fn c12_table() {
        for (pieces, expected) in [
            ("你 好", "你好"),
            ("he@@ llo wor@@ ld", "hello world"),
            ("你 he@@ llo 好", "你hello好"),
            ("你 a b c 好", "你abc好"),
            ("hello a b", "hello ab"),
            ("你 4 0", "你40"),
            ("4 g", "4g"),
            ("4 0 g", "40g"),
            ("he@@ 好", "he好"),
            ("he@@", "he"),
            ("我 & 你", "我&你"),
            ("it 's he@@ re", "it's here"),
            ("@", "@"),
            ("@@", "@@"),
            ("1 2 年", "12年"),
            ("iphone 1 2", "iphone 12"),
        ] {
            assert_eq!(text(Spacing::None, pieces), expected, "{pieces}");
        }
    }

    #[test]
    fn a_space_between_chinese_and_english() {
        assert_eq!(text(Spacing::Space, "你 he@@ llo 好"), "你 hello 好");
        assert_eq!(text(Spacing::Space, "你 4 0 好"), "你40好");
        assert_eq!(text(Spacing::Space, "你 a b c 好"), "你 abc 好");
    }

    #[test]
    fn a_word_knows_its_pieces() {
        let words = words(Spacing::None, "你 he@@ l@@ lo 好");
        let ranges: Vec<_> = words.iter().map(|w| (w.text.as_str(), w.first_piece, w.end_piece)).collect();
        assert_eq!(ranges, [("你", 0, 1), ("hello", 1, 4), ("好", 4, 5)]);
    }

    #[test]
    fn a_word_stays_open_until_it_is_closed() {
        let (mut detokenizer, mut words) = (Detokenizer::default(), Vec::new());
        detokenizer.push(0, "he@@", &mut words);
        assert!(words.is_empty());
        detokenizer.push(1, "llo", &mut words);
        assert_eq!(words.len(), 1);
    }
}
