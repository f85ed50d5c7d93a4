//! Punctuation: marks between the words of final text, by FunASR's CT-Transformer.
//!
//! Reference: Chen et al., "Controllable Time-Delay Transformer for Real-Time Punctuation Prediction and Disfluency
//! Detection" (2020), and `funasr_onnx`'s `CT_Transformer_VadRealtime` and `CT_Transformer`.
//!
//! The text is classified in blocks of 20 words, each after the words that earlier blocks left over: those after the last
//! end of a sentence, whose marks are found anew with what follows them. The realtime form also keeps the words of the
//! unfinished sentence from call to call, and their masks hold them apart from what is new. The classes of each run are
//! the reference's. What is made of them differs where the reference loses or invents text, or grows without bound:
//! - Tokens go in and out, and all come out. The reference works on text: it takes the last character for a mark where it
//!   has the name of one, so that `foo_` loses its `_`; it puts a space before a text that follows a kept ASCII word, and
//!   none where a block was settled between two ASCII words.
//! - What is kept from call to call, and left over from block to block, is bounded ([`LONGEST_WORDS`]).
//! - The mark after the last word is given, neither removed nor forced.
//! - The class `<unk>` puts nothing. The reference writes `<unk>`.
//! - A word that is not known as it is, is looked up in lower case, as in FunASR's C++.
//! - A text without words changes nothing. The reference fails, or punctuates what it kept once more.

mod marks;
mod words;

use crate::engine::hypothesis::DisplayToken;
use crate::engine::vocabulary::Vocabulary;
use crate::engine::{Error, Result};

pub use marks::Marks;
use words::Words;

/// Words that are classified at once, beyond those left over.
const BLOCK_WORDS: usize = 20;
/// A sentence that goes on beyond these words is ended at its last comma.
const LONG_WORDS: usize = 200;
/// The words that are left over or kept at the most. Where there is no comma either, the first are settled with the marks
/// they have, and [`LONG_WORDS`] stay.
pub const LONGEST_WORDS: usize = 400;
/// The first word of a run after which a sentence may end, from 0.
const FIRST_END: usize = 2;

/// Which graph a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PunctuationKind {
    /// For text that comes in parts: words of earlier calls are seen, but do not see what is new (`vad_realtime`).
    Realtime,
    /// For text that is there as a whole.
    Offline,
}

/// All of a punctuation model but its graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PunctuationModel {
    kind: PunctuationKind,
    words: Words,
    marks: Marks,
}

impl PunctuationModel {
    /// From its vocabulary, in the order of the ids, and its classes.
    pub fn new(kind: PunctuationKind, vocabulary: &Vocabulary, marks: Marks) -> Self {
        Self { kind, words: Words::new(vocabulary), marks }
    }

    /// Which graph it has.
    pub fn kind(&self) -> PunctuationKind {
        self.kind
    }

    /// What its classes put after words.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether a text is a mark that ends a sentence.
    pub fn ends_sentence(&self, text: &str) -> bool {
        (0..self.marks.len()).any(|class| self.marks.ends_sentence(class) && self.marks.text(class) == Some(text))
    }

    /// The mark at the end of a text that surely ends there, as the reference has it offline: `last`
    /// ([`Punctuated::last`]) where that ends a sentence, else `。` at `end_ns`.
    pub fn sentence_end(&self, last: Option<DisplayToken>, end_ns: u64) -> DisplayToken {
        match last {
            Some(mark) if self.ends_sentence(&mark.text) => mark,
            last => DisplayToken { text: "。".into(), ..last.unwrap_or_else(|| token("。", end_ns, 1.0)) },
        }
    }

    fn mark(&self, found: Found, end_ns: u64) -> Option<DisplayToken> {
        Some(token(self.marks.text(found.class)?, end_ns, found.confidence))
    }
}

/// What one call of a punctuation network takes.
#[derive(Debug, Clone, Copy)]
pub struct PunctuationInput<'a> {
    /// The ids of the words; at least one.
    pub ids: &'a [i32],
    /// P: where 0 < P < `ids.len()`, the words 0 to P - 2 do not see those from P on. A network for whole texts has no such
    /// mask.
    pub past: usize,
}

/// The graph of a punctuation model.
///
/// A call that fails leaves the stream as it was before, so it can be made again.
pub trait PunctuationNetwork: Send {
    /// Scores each word's classes: `scores` becomes `[words, classes]`, before the softmax. Errors:
    /// [`Error::Network`], [`Error::Cancelled`].
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()>;
}

/// A text with its marks. A mark is a display token without duration, at the end of the word before it; its confidence is
/// the probability of its class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Punctuated {
    /// The mark that now follows the last word of the call before (realtime only). Who showed [`last`](Self::last) there
    /// leaves it out.
    pub before: Option<DisplayToken>,
    /// The tokens that went in, as they are, and the marks between them.
    pub tokens: Vec<DisplayToken>,
    /// The mark after the last word, as far as can be told before what follows is known. The reference leaves it out in
    /// realtime, and makes it [`PunctuationModel::sentence_end`] offline.
    pub last: Option<DisplayToken>,
}

/// The class of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    class: usize,
    confidence: f32,
}

/// Punctuates the text of one stream, call by call.
#[derive(Debug, Clone, Default)]
pub struct Punctuator {
    /// The ids of the words after the last end of a sentence (realtime only), at most [`LONGEST_WORDS`].
    cache: Vec<i32>,
    /// Where the last of them ended.
    end_ns: u64,
    scores: Vec<f32>,
}

impl Punctuator {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a new stream: what was said is forgotten.
    pub fn reset(&mut self) {
        self.cache.clear();
        self.end_ns = 0;
    }

    /// How many words are kept for the next call.
    pub fn cached_words(&self) -> usize {
        self.cache.len()
    }

    /// Punctuates the next part of the text. Errors: those of the network; the state is then as before.
    pub fn punctuate(
        &mut self,
        model: &PunctuationModel,
        network: &mut dyn PunctuationNetwork,
        tokens: &[DisplayToken],
    ) -> Result<Punctuated> {
        let words = model.words.split(tokens);
        if words.is_empty() {
            return Ok(Punctuated { tokens: tokens.to_vec(), ..Punctuated::default() });
        }
        let past = self.cache.len();
        let ids: Vec<i32> = self.cache.iter().copied().chain(words.iter().map(|word| word.id)).collect();
        let found = self.classes(model, network, &ids, past)?;

        let before = past.checked_sub(1).and_then(|last| model.mark(found[last], self.end_ns));
        let mut after: Vec<Option<DisplayToken>> = vec![None; tokens.len()];
        let mut last = None;
        for (word, &class) in words.iter().zip(&found[past..]) {
            if let Some(number) = word.token {
                after[number] = model.mark(class, tokens[number].end_ns);
                last = Some(number);
            }
        }
        if let Some(number) = last {
            self.end_ns = tokens[number].end_ns;
        }
        let last = last.and_then(|number| after[number].take());
        if model.kind == PunctuationKind::Realtime {
            let kept = sentence_end(&model.marks, &found).map_or(0, |end| end + 1);
            self.cache = ids;
            self.cache.drain(..kept);
            if self.cache.len() > LONGEST_WORDS {
                self.cache.drain(..self.cache.len() - LONG_WORDS);
            }
        }
        let tokens = tokens.iter().zip(after).flat_map(|(token, mark)| [Some(token.clone()), mark]).flatten().collect();
        Ok(Punctuated { before, tokens, last })
    }

    /// The classes of all words, of which the first `past` are of earlier calls.
    fn classes(
        &mut self,
        model: &PunctuationModel,
        network: &mut dyn PunctuationNetwork,
        ids: &[i32],
        past: usize,
    ) -> Result<Vec<Found>> {
        let (mut settled, mut end) = (Vec::with_capacity(ids.len()), 0);
        while end < ids.len() {
            end = ids.len().min(end + BLOCK_WORDS);
            let run = &ids[settled.len()..end];
            // The reference has the same P in every block, though from the second one on the first words of a run may be
            // others than the first P: equality is worth more here than sense.
            network.classify(PunctuationInput { ids: run, past }, &mut self.scores)?;
            let mut found = best(&self.scores, run.len(), model.marks.len())?;
            if end < ids.len() {
                let settles = settle(&model.marks, &mut found);
                found.truncate(settles);
            }
            settled.extend(found);
        }
        Ok(settled)
    }
}

/// How many words of a run need not be seen again: those up to the last end of a sentence.
fn settle(marks: &Marks, found: &mut [Found]) -> usize {
    if let Some(end) = sentence_end(marks, found) {
        return end + 1;
    }
    if found.len() <= LONG_WORDS {
        return 0;
    }
    if let Some(comma) = last_within(found, |class| marks.is_comma(class)) {
        found[comma].class = marks.period();
        return comma + 1;
    }
    if found.len() > LONGEST_WORDS { found.len() - LONG_WORDS } else { 0 }
}

/// The last word but one, or an earlier one, after which a sentence ends.
fn sentence_end(marks: &Marks, found: &[Found]) -> Option<usize> {
    last_within(found, |class| marks.ends_sentence(class))
}

fn last_within(found: &[Found], is: impl Fn(usize) -> bool) -> Option<usize> {
    (FIRST_END..found.len().saturating_sub(1)).rev().find(|&word| is(found[word].class))
}

/// The best class of each word, the first of equals, and its probability.
fn best(scores: &[f32], words: usize, classes: usize) -> Result<Vec<Found>> {
    if scores.len() != words * classes {
        let message = format!("{} scores of {words} words, where each has {classes} classes", scores.len());
        return Err(Error::network(message));
    }
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(Error::network("scores of words that are no numbers"));
    }
    let best = |row: &[f32]| {
        let class = (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        let sum: f32 = row.iter().map(|score| (score - row[class]).exp()).sum();
        Found { class, confidence: 1.0 / sum }
    };
    Ok(scores.chunks_exact(classes).map(best).collect())
}

fn token(text: &str, end_ns: u64, confidence: f32) -> DisplayToken {
    DisplayToken { text: text.into(), space_before: false, start_ns: end_ns, end_ns, confidence }
}
