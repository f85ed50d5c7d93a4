//! What has been recognised of one utterance: pieces with their times, display tokens, text.

use super::detokenizer::{Detokenizer, Spacing, Word};

/// One token of the model, as it fired. Times in ns of the stream's samples (sample 0 at 0).
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The vocabulary's piece as it is, `@@` included.
    pub text: String,
    /// Where the token begins.
    pub start_ns: u64,
    /// Where it ends.
    pub end_ns: u64,
    /// Where its alphas reached the threshold, which is after its end where they waited over a pause.
    pub fire_ns: u64,
    /// The probability the model gave it, 0 to 1.
    pub confidence: f32,
}

/// What is shown: one Chinese character, or one whole word. Times as in [`Piece`].
#[derive(Debug, Clone, PartialEq)]
pub struct DisplayToken {
    /// The text, without spaces at its ends.
    pub text: String,
    /// Whether a space parts it from the token before in the same utterance.
    pub space_before: bool,
    /// Where it begins.
    pub start_ns: u64,
    /// Where it ends.
    pub end_ns: u64,
    /// The lowest confidence of its pieces.
    pub confidence: f32,
}

/// The state of one utterance: everything recognised so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Counts the utterances that have text, from 0.
    pub utterance: u64,
    /// The whole text so far: the display tokens joined.
    pub text: String,
    /// The display tokens that are closed.
    pub tokens: Vec<DisplayToken>,
    /// The pieces, also those of a word still open.
    pub pieces: Vec<Piece>,
    /// Whether this is the utterance's last word.
    pub is_final: bool,
}

/// Grows a [`Hypothesis`] piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Recognised {
    current: Hypothesis,
    detokenizer: Detokenizer,
    words: Vec<Word>,
    /// For each display token the number of the piece after its last one.
    token_ends: Vec<usize>,
}

impl Recognised {
    /// At the start of a stream.
    pub fn new(spacing: Spacing) -> Self {
        Self { detokenizer: Detokenizer::new(spacing), ..Self::default() }
    }

    /// The utterance so far.
    pub fn current(&self) -> &Hypothesis {
        &self.current
    }

    /// Takes a piece. The display tokens that it closes are appended to the utterance's.
    pub fn push(&mut self, piece: Piece) {
        let number = self.current.pieces.len();
        self.detokenizer.push(number, &piece.text, &mut self.words);
        self.current.pieces.push(piece);
        self.take_words();
    }

    /// Takes the pieces that there are.
    pub fn extend(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        pieces.into_iter().for_each(|piece| self.push(piece));
    }

    /// The utterance as it would be if it ended with this piece.
    pub fn with(&self, piece: Piece) -> Hypothesis {
        let mut copy = self.clone();
        copy.push(piece);
        copy.close();
        copy.current
    }

    /// Closes the word that is open.
    pub fn close(&mut self) {
        self.detokenizer.finish(&mut self.words);
        self.take_words();
    }

    /// Ends the utterance: gives its final state, and starts the next one.
    /// Nothing where it has no text: then its number goes to the next one.
    pub fn finish(&mut self) -> Option<Hypothesis> {
        self.close();
        self.detokenizer.reset();
        self.token_ends.clear();
        let utterance = self.current.utterance;
        let mut last = std::mem::take(&mut self.current);
        if last.tokens.is_empty() {
            self.current.utterance = utterance;
            return None;
        }
        self.current.utterance = utterance + 1;
        last.is_final = true;
        Some(last)
    }

    /// Ends the utterance at `cut_ns`: what ends later goes to the next one. Nothing where nothing ends before.
    pub fn split(&mut self, cut_ns: u64) -> Option<Hypothesis> {
        let kept = self.current.tokens.partition_point(|token| token.end_ns <= cut_ns);
        if kept == 0 {
            return None;
        }
        let rest = self.current.pieces.split_off(self.token_ends[kept - 1]);
        self.token_ends.clear();
        self.current.tokens.truncate(kept);
        self.current.text = joined(&self.current.tokens);
        let mut last = std::mem::take(&mut self.current);
        last.is_final = true;
        self.current.utterance = last.utterance + 1;
        self.detokenizer.reset();
        rest.into_iter().for_each(|piece| self.push(piece));
        Some(last)
    }

    /// Where the word begins that is still open, if there is one.
    pub fn open_start_ns(&self) -> Option<u64> {
        let first = self.detokenizer.open_piece()?;
        Some(self.current.pieces.get(first)?.start_ns)
    }

    /// Starts a new stream: nothing recognised, utterance 0.
    pub fn reset(&mut self) {
        self.current = Hypothesis::default();
        self.token_ends.clear();
        self.detokenizer.reset();
    }

    fn take_words(&mut self) {
        for word in self.words.drain(..) {
            let pieces = &self.current.pieces[word.first_piece..word.end_piece];
            let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { continue };
            if word.space_before {
                self.current.text.push(' ');
            }
            self.current.text.push_str(&word.text);
            self.token_ends.push(word.end_piece);
            self.current.tokens.push(DisplayToken {
                start_ns: first.start_ns,
                end_ns: last.end_ns,
                confidence: pieces.iter().map(|piece| piece.confidence).fold(1.0, f32::min),
                text: word.text,
                space_before: word.space_before,
            });
        }
    }
}

/// The text of tokens in a row.
pub fn joined(tokens: &[DisplayToken]) -> String {
    let mut text = String::new();
    for token in tokens {
        if token.space_before && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, fire_ns: u64) -> Piece {
        Piece { text: text.into(), start_ns: fire_ns - 1, end_ns: fire_ns, fire_ns, confidence: 0.5 }
    }

    fn recognised(pieces: &str) -> Recognised {
        let mut recognised = Recognised::new(Spacing::None);
        for (i, text) in pieces.split(' ').enumerate() {
            recognised.push(piece(text, 10 * (i as u64 + 1)));
        }
        recognised
    }

    #[test]
    fn a_final_closes_the_open_word_and_counts_on() {
        let mut all = recognised("你 he@@ llo wor@@");
        assert_eq!(all.current().text, "你hello");
        let last = all.finish().unwrap();
        assert_eq!((last.utterance, last.text.as_str(), last.is_final), (0, "你hello wor", true));
        assert_eq!((last.tokens[1].start_ns, last.tokens[1].end_ns), (19, 30));
        assert_eq!(all.finish(), None);
        assert_eq!(all.current().utterance, 1);
    }

    #[test]
    fn a_split_loses_nothing() {
        let mut all = recognised("你 好 he@@ llo wor@@ ld");
        let first = all.split(35).unwrap();
        assert_eq!((first.text.as_str(), first.pieces.len()), ("你好", 2));
        assert_eq!(all.current().text, "hello world");
        let second = all.finish().unwrap();
        assert_eq!((second.utterance, second.text.as_str()), (1, "hello world"));
        assert!(!second.tokens[0].space_before);
        assert_eq!(recognised("你 好").split(5), None);
    }
}
