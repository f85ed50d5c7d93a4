//! All stages, one after another: the second pass, or the repair of hotwords where there is none, then punctuation, then
//! numbers. A stage that fails is left out, and said.

use std::sync::Arc;

use super::hotwords::{Hotwords, Repair};
use super::numbers;
use super::offline::network::OfflineNetwork;
use super::offline::{self, OfflineModel, OfflinePass, OfflineUtterance};
use super::punctuation::{PunctuationModel, PunctuationNetwork, Punctuator};
use crate::engine::detokenizer::Spacing;
use crate::engine::event::Heard;
use crate::engine::hypothesis::joined;
use crate::engine::{DisplayToken, Error, Hypothesis, Result};

/// Which pass a text is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The text that came as it was spoken.
    Streaming,
    /// The second pass.
    Offline,
}

/// The user's words, and what repairs them.
#[derive(Debug, Default)]
pub struct HotwordSet {
    /// As they were given.
    pub words: Hotwords,
    /// Finds them in a text that sounds like them.
    pub repair: Repair,
}

impl HotwordSet {
    /// Prepares a list.
    pub fn new(words: Hotwords) -> Self {
        Self { repair: Repair::new(&words), words }
    }
}

/// What is asked of the stages.
#[derive(Debug, Clone, Default)]
pub struct RefineOptions {
    /// The user's words.
    pub hotwords: Arc<HotwordSet>,
    /// What stands between Chinese and English.
    pub spacing: Spacing,
    /// Numbers are written as figures.
    pub numbers: bool,
}

/// The networks of the stages that have one.
#[derive(Default)]
pub struct Networks<'a> {
    /// Of the second pass.
    pub offline: Option<&'a mut dyn OfflineNetwork>,
    /// Of the punctuation.
    pub punctuation: Option<&'a mut dyn PunctuationNetwork>,
}

/// What became of a final result.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// The final text, with the utterance and the range of times of the streaming one.
    pub hypothesis: Hypothesis,
    /// Where its words are from.
    pub pass: Pass,
    /// What went wrong, each a sentence.
    pub warnings: Vec<String>,
}

/// The stages of one stream.
#[derive(Debug)]
pub struct Chain {
    offline: Option<OfflinePass>,
    punctuation: Option<(Arc<PunctuationModel>, Punctuator)>,
    /// The hotwords that the second pass has.
    embedded: Option<Arc<HotwordSet>>,
}

impl Chain {
    /// With the stages that there are.
    pub fn new(offline: Option<Arc<OfflineModel>>, punctuation: Option<Arc<PunctuationModel>>) -> Self {
        Self {
            offline: offline.map(OfflinePass::new),
            punctuation: punctuation.map(|model| (model, Punctuator::new())),
            embedded: None,
        }
    }

    /// Starts a new stream.
    pub fn reset(&mut self) {
        if let Some((_, punctuator)) = &mut self.punctuation {
            punctuator.reset();
        }
    }

    /// Refines a final result. Errors: [`Error::Cancelled`] only.
    pub fn refine(
        &mut self,
        networks: &mut Networks<'_>,
        streaming: &Hypothesis,
        heard: Option<&Heard>,
        options: &RefineOptions,
    ) -> Result<Refined> {
        let hotwords = &options.hotwords;
        let mut warnings = Vec::new();
        let mut second = None;
        if let (Some(pass), Some(network), Some(heard)) = (&mut self.offline, &mut networks.offline, heard) {
            if !self.embedded.as_ref().is_some_and(|embedded| Arc::ptr_eq(embedded, hotwords)) {
                match pass.set_hotwords(*network, hotwords.words.words()) {
                    Ok(notes) => {
                        self.embedded = Some(hotwords.clone());
                        warnings.extend(notes.iter().map(|note| format!("hotwords in the second pass: {note}")));
                    }
                    Err(error) => failed(&mut warnings, "the hotwords are not used in the second pass", error)?,
                }
            }
            let utterance = OfflineUtterance {
                frames: &heard.frames,
                start_ns: heard.start_ns,
                end_ns: heard.end_ns(),
                streaming: &streaming.tokens,
            };
            match pass.recognise(*network, &utterance) {
                Ok(pieces) => second = offline::hypothesis(pieces, options.spacing, streaming.utterance),
                Err(error) => failed(&mut warnings, "the second pass failed, so the streaming text is final", error)?,
            }
        }
        let (mut hypothesis, pass) = match second {
            Some(hypothesis) => (within(hypothesis, streaming), Pass::Offline),
            None => (repaired(streaming, hotwords), Pass::Streaming),
        };
        if let (Some((model, punctuator)), Some(network)) = (&mut self.punctuation, &mut networks.punctuation) {
            match punctuator.punctuate(model, *network, &hypothesis.tokens) {
                Ok(punctuated) => {
                    // The utterance has ended here, so its last mark is shown; the next one has no mark to begin with.
                    hypothesis.tokens = punctuated.tokens;
                    hypothesis.tokens.extend(punctuated.last);
                }
                Err(error) => failed(&mut warnings, "the text is not punctuated", error)?,
            }
        }
        Ok(Refined { hypothesis: finished(hypothesis, options.numbers), pass, warnings })
    }
}

/// A stage is left out, unless all of it was broken off.
fn failed(warnings: &mut Vec<String>, what: &str, error: Error) -> Result<()> {
    match error {
        Error::Cancelled => Err(Error::Cancelled),
        error => {
            warnings.push(format!("{what}: {error}"));
            Ok(())
        }
    }
}

/// What can be done without a network.
pub fn refine_streaming(streaming: &Hypothesis, options: &RefineOptions) -> Hypothesis {
    finished(repaired(streaming, &options.hotwords), options.numbers)
}

fn repaired(streaming: &Hypothesis, hotwords: &HotwordSet) -> Hypothesis {
    Hypothesis { tokens: hotwords.repair.repair(&streaming.tokens), ..streaming.clone() }
}

fn finished(mut hypothesis: Hypothesis, numbers: bool) -> Hypothesis {
    if numbers {
        hypothesis.tokens = numbers::normalise(&hypothesis.tokens);
    }
    hypothesis.text = joined(&hypothesis.tokens);
    hypothesis.is_final = true;
    hypothesis
}

/// The second pass says the same utterance again: its times stay within those of the first.
fn within(mut second: Hypothesis, streaming: &Hypothesis) -> Hypothesis {
    let limits = |tokens: &[DisplayToken]| Some((tokens.first()?.start_ns, tokens.last()?.end_ns));
    if let Some((start_ns, end_ns)) = limits(&streaming.tokens) {
        for token in &mut second.tokens {
            token.start_ns = token.start_ns.clamp(start_ns, end_ns.max(start_ns));
            token.end_ns = token.end_ns.clamp(start_ns, end_ns.max(start_ns));
        }
    }
    second
}
