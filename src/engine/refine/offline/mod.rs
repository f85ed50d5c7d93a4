//! The second pass: the whole utterance again, by FunASR's offline Paraformer, which hears all of it at once.
//!
//! ```text
//! fbank frames -> LFR -> CMVN -> graph (encoder, CIF, decoder) -> ids -> pieces, with times -> display tokens
//! ```
//!
//! References: Gao et al., "Paraformer" (2022); Shi et al., "Achieving Timestamp Prediction While Recognizing with
//! Non-Autoregressive End-to-End ASR Model" (2023) for BiCif; Shi et al., "SeACo-Paraformer" (2023) for hotwords. The
//! steps around the graphs are those of `funasr_onnx`, but for its errors, which are named where we differ.

pub mod config;
pub mod hotwords;
pub mod network;
pub mod peaks;

use std::collections::HashMap;
use std::sync::Arc;

pub use hotwords::{HotwordNote, HotwordOutcome, MAX_HOTWORDS};
pub use network::{Bias, HOTWORD_IDS, OfflineInput, OfflineNetwork, OfflineOutput};

use super::align;
use crate::engine::detokenizer::Spacing;
use crate::engine::frontend::cmvn::Cmvn;
use crate::engine::frontend::lfr::Lfr;
use crate::engine::frontend::{FEATURE_DIM, LFR_SHIFT, MEL_BINS};
use crate::engine::hypothesis::Recognised;
use crate::engine::vocabulary::Vocabulary;
use crate::engine::{DisplayToken, Error, Hypothesis, Piece, Result};

const MS_NS: i64 = 1_000_000;
/// The longest utterance, in rows of 60 ms: 3 minutes. The encoder's memory grows with the square of the length, here to
/// 150 MB of attention.
const MAX_ROWS: usize = 3000;

/// The four kinds of offline Paraformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineKind {
    /// Text alone.
    Plain,
    /// And when each token was spoken.
    BiCif,
    /// Text alone; takes hotwords.
    Contextual,
    /// And when each token was spoken; takes hotwords.
    SeACo,
}

impl OfflineKind {
    /// Of what a graph has.
    pub fn of(takes_hotwords: bool, gives_times: bool) -> Self {
        match (takes_hotwords, gives_times) {
            (false, false) => Self::Plain,
            (false, true) => Self::BiCif,
            (true, false) => Self::Contextual,
            (true, true) => Self::SeACo,
        }
    }

    /// Whether it takes hotwords.
    pub fn takes_hotwords(self) -> bool {
        matches!(self, Self::Contextual | Self::SeACo)
    }

    /// Whether it says when each token was spoken.
    pub fn gives_times(self) -> bool {
        matches!(self, Self::BiCif | Self::SeACo)
    }
}

/// Everything of an offline Paraformer that is not its graphs: immutable, shared by all streams.
#[derive(Debug)]
pub struct OfflineModel {
    kind: OfflineKind,
    predictor_bias: usize,
    cmvn: Cmvn,
    vocabulary: Vocabulary,
    /// The ids of the pieces that are one character.
    characters: HashMap<char, i32>,
}

impl OfflineModel {
    /// From its parts, which must fit each other. `predictor_bias`: how many rows at the end are no tokens.
    pub fn new(kind: OfflineKind, predictor_bias: usize, cmvn: Cmvn, vocabulary: Vocabulary) -> Self {
        let single = |piece: &str| {
            let mut characters = piece.chars();
            characters.next().filter(|_| characters.next().is_none())
        };
        let characters = (0..vocabulary.len())
            .filter_map(|id| Some((vocabulary.piece(id).and_then(single)?, i32::try_from(id).ok()?)))
            .collect();
        Self { kind, predictor_bias, cmvn, vocabulary, characters }
    }

    /// Its kind.
    pub fn kind(&self) -> OfflineKind {
        self.kind
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The id of the piece that is this character.
    fn character(&self, character: char) -> Option<i32> {
        self.characters.get(&character).copied()
    }

    /// Fbank frames `[m, 80]` to the graph's rows `[ceil(m / 6), 560]`.
    fn features(&self, frames: &[f32], rows: &mut Vec<f32>) {
        rows.clear();
        let mut lfr = Lfr::default();
        lfr.push(frames, rows);
        lfr.finish(rows);
        rows.chunks_exact_mut(FEATURE_DIM).for_each(|row| self.cmvn.apply(row, 1.0));
    }
}

/// An utterance that the first pass has ended. Times in ns of the stream's samples (sample 0 at 0).
#[derive(Debug, Clone, Copy)]
pub struct OfflineUtterance<'a> {
    /// `[m, 80]`: its fbank frames, as the first pass had them.
    pub frames: &'a [f32],
    /// When the first frame begins.
    pub start_ns: u64,
    /// When the utterance ends: no token lasts longer.
    pub end_ns: u64,
    /// What the first pass made of it; models that give no times take them from here.
    pub streaming: &'a [DisplayToken],
}

/// One stream's second pass.
#[derive(Debug)]
pub struct OfflinePass {
    model: Arc<OfflineModel>,
    bias: Option<Bias>,
    features: Vec<f32>,
    output: OfflineOutput,
}

impl OfflinePass {
    /// Without hotwords.
    pub fn new(model: Arc<OfflineModel>) -> Self {
        Self { model, bias: None, features: Vec::new(), output: OfflineOutput::default() }
    }

    /// The model.
    pub fn model(&self) -> &Arc<OfflineModel> {
        &self.model
    }

    /// Takes another list of hotwords, and says what was not taken as it is. Nothing happens where the model takes none.
    ///
    /// Errors: those of the network; then the hotwords stay what they were.
    pub fn set_hotwords(&mut self, network: &mut dyn OfflineNetwork, words: &[String]) -> Result<Vec<HotwordNote>> {
        if !self.model.kind.takes_hotwords() {
            return Ok(Vec::new());
        }
        let (bias, notes) = hotwords::embed(&self.model, network, words)?;
        self.bias = Some(bias);
        Ok(notes)
    }

    /// Recognises an utterance. Times rise and lie within the utterance. Nothing where no token is heard.
    ///
    /// Errors: those of the network; [`Error::Network`] where sizes are wrong; [`Error::Setting`] where it is longer than
    /// 3 minutes.
    pub fn recognise(
        &mut self,
        network: &mut dyn OfflineNetwork,
        utterance: &OfflineUtterance<'_>,
    ) -> Result<Vec<Piece>> {
        if utterance.frames.len() < MEL_BINS {
            return Ok(Vec::new());
        }
        let rows = (utterance.frames.len() / MEL_BINS).div_ceil(LFR_SHIFT);
        if rows > MAX_ROWS {
            return Err(Error::Setting {
                name: "max-utterance-duration",
                value: format!("{} s in one utterance", rows * 60 / 1000),
                expected: format!("{} s at most with a second pass", MAX_ROWS * 60 / 1000),
            });
        }
        if self.bias.is_none() {
            self.set_hotwords(network, &[])?;
        }
        self.model.features(utterance.frames, &mut self.features);
        let frames = self.features.len() / FEATURE_DIM;
        let input = OfflineInput { features: &self.features, frames, bias: self.bias.as_ref() };
        network.recognise(input, &mut self.output)?;
        self.pieces(utterance)
    }

    fn pieces(&self, utterance: &OfflineUtterance<'_>) -> Result<Vec<Piece>> {
        let OfflineOutput { logits, token_num, alphas, peaks } = &self.output;
        let size = self.model.vocabulary.len().max(1);
        if logits.len() < token_num * size || (*token_num > 0 && logits.len() % size != 0) {
            return Err(unexpected(format!("{} logits for {token_num} tokens of {size}", logits.len())));
        }
        // FunASR drops <blank> and </s> first and then counts, so that a row at the end slips in for each dropped one.
        let tokens = token_num.saturating_sub(self.model.predictor_bias);
        let times = if self.model.kind.gives_times() { peaks::spans(alphas, peaks, tokens) } else { None };
        let clock = Clock::new(utterance);
        let mut pieces = Vec::with_capacity(tokens);
        for (row, logits) in logits.chunks_exact(size).take(tokens).enumerate() {
            let (id, confidence) = best(logits);
            // <unk> leaves with its time. FunASR keeps the time, so that the later tokens have that of their neighbour.
            let Some(text) = self.model.vocabulary.piece(id) else { continue };
            let [start_ns, end_ns] = match &times {
                Some(times) => times[row].map(|ms| clock.ns(ms)),
                None => [clock.start_ns; 2],
            };
            pieces.push(Piece { text: text.into(), start_ns, end_ns, fire_ns: end_ns, confidence });
        }
        if times.is_none() {
            align::align(&mut pieces, utterance.streaming, clock.start_ns, clock.end_ns);
        }
        Ok(pieces)
    }
}

/// The final result that pieces make; nothing where they make no text. `number`: that of the utterance.
pub fn hypothesis(pieces: Vec<Piece>, spacing: Spacing, number: u64) -> Option<Hypothesis> {
    let mut recognised = Recognised::new(spacing);
    recognised.extend(pieces);
    let mut last = recognised.finish()?;
    last.utterance = number;
    Some(last)
}

/// Times within an utterance.
struct Clock {
    start_ns: u64,
    end_ns: u64,
}

impl Clock {
    fn new(utterance: &OfflineUtterance<'_>) -> Self {
        Self { start_ns: utterance.start_ns, end_ns: utterance.end_ns.max(utterance.start_ns) }
    }

    /// So many ms after the start, within the utterance.
    fn ns(&self, ms: i64) -> u64 {
        self.start_ns.saturating_add_signed(ms.saturating_mul(MS_NS)).clamp(self.start_ns, self.end_ns)
    }
}

/// The first of the highest, and its probability, of log-softmax values.
fn best(logits: &[f32]) -> (usize, f32) {
    let (mut id, mut highest) = (0, f32::NEG_INFINITY);
    for (i, &logit) in logits.iter().enumerate() {
        if logit > highest {
            (id, highest) = (i, logit);
        }
    }
    (id, highest.exp().min(1.0))
}

/// The graphs gave something else than they should.
fn unexpected(found: String) -> Error {
    Error::network(format!("the offline model gave {found}"))
}
