//! One utterance, from fbank frames to tokens: front end, chunks, encoder, CIF, decoder, with the state that the calls of
//! the network carry on.

use super::chunk::{ChunkSize, Chunker};
use super::cif::Cif;
use super::decoder::{Decoded, Decoder};
use super::event::StreamOptions;
use super::frontend::{FEATURE_DIM, Frontend, position};
use super::hypothesis::{Piece, Recognised};
use super::model::Model;
use super::network::{EncoderOutput, Network};
use super::segment::endpoint::Endpoint;
use super::time::{SAMPLES_PER_STACK, ns_to_samples, samples_to_ns, stack_time_ns};
use super::timing::{Span, TokenTimes};
use super::{Result, encoder};

/// How much of the silence around an utterance belongs to its audio, in rows: 480 ms, as much as FunASR's detector leaves.
const MARGIN_ROWS: u64 = 8;

/// The audio of a longer utterance is not kept: 90 s.
const LONGEST_HEARD_SAMPLES: u64 = 1500 * SAMPLES_PER_STACK;

/// The time of a token that CIF fired.
#[derive(Debug, Clone, Copy)]
struct Fire {
    at_ns: u64,
    span: Span,
}

/// The state of one utterance.
#[derive(Debug)]
pub struct Utterance {
    chunk_size: ChunkSize,
    /// The number of the sample at which the utterance begins.
    origin: u64,
    /// The number of the sample before which all belongs to the utterance before.
    own_from: u64,
    frontend: Frontend,
    chunker: Chunker,
    /// The front end has given out the last rows.
    flushed: bool,
    /// Rows whose alphas have been integrated.
    given_out: u64,
    encoded: EncoderOutput,
    cif: Cif,
    embeddings: Vec<f32>,
    fires: Vec<Fire>,
    times: TokenTimes,
    decoder: Decoder,
    decoded: Vec<Decoded>,
    endpoint: Endpoint,
    /// The token that is not complete has been previewed.
    previewed: bool,
    /// A voice activity detector ends the utterances that have text.
    is_detected: bool,
}

impl Utterance {
    /// At the start of a stream. `is_detected`: a voice activity detector ends utterances, and not the alphas.
    pub fn new(model: &Model, options: &StreamOptions, is_detected: bool) -> Self {
        let sizes = model.sizes();
        Self {
            chunk_size: options.chunk_size,
            origin: 0,
            own_from: 0,
            frontend: Frontend::default(),
            chunker: Chunker::new(options.chunk_size, FEATURE_DIM),
            flushed: false,
            given_out: 0,
            encoded: EncoderOutput::default(),
            cif: Cif::new(model.cif_threshold, sizes.encoder_dim),
            embeddings: Vec::new(),
            fires: Vec::new(),
            times: TokenTimes::default(),
            decoder: Decoder::new(sizes.vocabulary_size, sizes.decoder_layers, sizes.encoder_dim * sizes.cache_len),
            decoded: Vec::new(),
            endpoint: Endpoint::new(options.endpoint_silence_ms, options.max_utterance_ms),
            previewed: false,
            is_detected,
        }
    }

    /// Begins a new utterance at sample number `origin`.
    pub fn begin(&mut self, origin: u64) {
        (self.origin, self.own_from) = (origin, origin);
        self.frontend.reset();
        self.chunker.reset();
        self.flushed = false;
        self.given_out = 0;
        self.cif.reset();
        self.embeddings.clear();
        self.fires.clear();
        self.times.reset(samples_to_ns(origin));
        self.decoder.reset();
        self.endpoint.reset();
        self.previewed = false;
    }

    /// The number of the sample at which it begins.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// The number of the sample up to which rows have been integrated.
    pub fn given_out(&self) -> u64 {
        self.origin + self.given_out * SAMPLES_PER_STACK
    }

    /// Takes fbank frames `[m, 80]`.
    pub fn feed(&mut self, model: &Model, frames: &[f32]) {
        self.frontend.push(&model.cmvn, model.feature_scale(), frames, self.chunker.rows_mut());
    }

    /// Whether a normal call can be made. After the flush there is only the final call, also where it happens to be a
    /// whole stride long.
    pub fn is_ready(&self) -> bool {
        self.chunker.ready() && !self.flushed
    }

    /// No more frames come.
    pub fn flush(&mut self, model: &Model) {
        if !self.flushed {
            self.frontend.finish(&model.cmvn, model.feature_scale(), self.chunker.rows_mut());
            self.flushed = true;
        }
    }

    /// A normal call: encodes a stride and integrates the rows that have their look-ahead. Where the utterance ends
    /// within them, by silence, the rest is left to the next utterance, and the number of silent rows is given back.
    pub fn stride(&mut self, network: &mut dyn Network, model: &Model, has_text: bool) -> Result<Option<u64>> {
        let (left, stride) = (self.chunk_size.left(), self.chunk_size.stride());
        self.encode(network, model, stride)?;
        let mut silence = None;
        for row in left..left + stride {
            self.integrate(model, row);
            silence = self.silence(has_text);
            if silence.is_some() {
                // Nothing but the tail is left to fire. It is decoded in the context of this window, which reaches back
                // to the speech.
                self.tail(model, samples_to_ns(self.given_out()));
                break;
            }
        }
        self.chunker.advance(stride);
        Ok(silence)
    }

    /// The final call of a flushed utterance, whose audio ends at `end_ns`: everything that is left, in a single pass,
    /// and the tail. Gives the number of rows that were new to the encoder.
    pub fn last_call(&mut self, network: &mut dyn Network, model: &Model, end_ns: u64) -> Result<u64> {
        let rest = self.chunker.pending();
        let spoken = self.chunker.done() > 0 || rest > 0;
        let (_, rows) = self.chunker.window(rest);
        // Without context and without rest there is no window; the tail then has the last one.
        if spoken && rows > 0 {
            self.encode(network, model, rest)?;
            (self.chunk_size.left()..rows).for_each(|row| self.integrate(model, row));
            self.chunker.advance(rest);
        }
        if spoken {
            for fire in &mut self.fires {
                fire.at_ns = fire.at_ns.min(end_ns);
                fire.span = Span { start_ns: fire.span.start_ns.min(end_ns), end_ns: fire.span.end_ns.min(end_ns) };
            }
            self.times.limit(end_ns);
            self.tail(model, end_ns);
        }
        Ok(rest as u64)
    }

    /// The final call of an utterance that ends before row `end`, while the audio goes on: the rows that are left up to
    /// there, with the look-ahead that has come, and the tail. Gives the number of rows that were new to the encoder.
    pub fn last_call_before(&mut self, network: &mut dyn Network, model: &Model, end: u64) -> Result<u64> {
        let (left, look_ahead) = (self.chunk_size.left(), self.chunk_size.look_ahead());
        let mut new = 0;
        if self.given_out < end {
            let wanted = (end + look_ahead as u64).saturating_sub(self.chunker.done()) as usize;
            new = wanted.min(self.chunker.pending());
            self.encode(network, model, new)?;
            let first = self.chunker.first_stack();
            let rows = left + look_ahead + new;
            (left..rows).filter(|&row| first + (row as i64) < end as i64).for_each(|row| self.integrate(model, row));
            self.chunker.advance(new);
        }
        self.tail(model, samples_to_ns(self.given_out()));
        Ok(new as u64)
    }

    fn encode(&mut self, network: &mut dyn Network, model: &Model, new: usize) -> Result<()> {
        let (features, rows) = self.chunker.window(new);
        encoder::encode(network, features, rows, model.sizes.encoder_dim, &mut self.encoded)
    }

    /// CIF over a row of the window.
    fn integrate(&mut self, model: &Model, row: usize) {
        let (dim, stack) = (model.sizes.encoder_dim, self.chunker.first_stack() + row as i64);
        let (alpha, origin_ns) = (self.encoded.alphas[row], samples_to_ns(self.origin));
        let time_ns = |fraction| origin_ns + stack_time_ns(stack, fraction);
        self.times.row(alpha, self.cif.integral(), time_ns(0.0), time_ns(1.0));
        let hidden = &self.encoded.encoded[row * dim..][..dim];
        if let Some(part) = self.cif.integrate(alpha, hidden, &mut self.embeddings) {
            let at_ns = time_ns(part.into());
            self.fires.push(Fire { at_ns, span: self.times.fire(at_ns, self.cif.integral()) });
            self.previewed = false;
        }
        // The zeros before an utterance are no silence.
        if stack >= 0 {
            self.given_out = stack as u64 + 1;
            self.endpoint.observe(alpha);
        }
    }

    /// How many of the last rows are silence, where that ends the utterance.
    fn silence(&self, has_text: bool) -> Option<u64> {
        match (self.is_detected, has_text || !self.fires.is_empty()) {
            (false, _) => self.endpoint.silence(),
            (true, false) => self.endpoint.idle(),
            (true, true) => None,
        }
    }

    fn tail(&mut self, model: &Model, end_ns: u64) {
        let integral = self.cif.integral();
        if self.cif.tail(model.cif_tail_threshold, &mut self.embeddings) {
            self.fires.push(Fire { at_ns: end_ns, span: self.times.tail(end_ns, integral) });
        }
    }

    /// Decodes the tokens that have fired.
    ///
    /// Errors: those of the network. The tokens are then still to be decoded.
    pub fn decode(&mut self, network: &mut dyn Network, model: &Model, recognised: &mut Recognised) -> Result<()> {
        if self.fires.is_empty() {
            return Ok(());
        }
        self.decoded.clear();
        let (encoded, frames) = (&self.encoded.encoded, self.encoded.alphas.len());
        let (embeddings, tokens) = (&self.embeddings, self.fires.len());
        self.decoder.decode(network, encoded, frames, embeddings, tokens, &mut self.decoded)?;
        for (fire, decoded) in self.fires.drain(..).zip(&self.decoded) {
            recognised.extend(piece(model, fire, *decoded));
        }
        self.embeddings.clear();
        Ok(())
    }

    /// Whether the last token, which only the end of the utterance makes fire, can be shown before that: nothing has been
    /// heard after it for 300 ms.
    pub fn wants_preview(&self, model: &Model) -> bool {
        !self.previewed && self.times.is_paused() && self.cif.would_fire(model.cif_tail_threshold)
    }

    /// What the last token would be if the utterance ended now. Nothing of the state changes.
    ///
    /// Errors: those of the network. The token is then still to be previewed.
    pub fn preview(&mut self, network: &mut dyn Network, model: &Model) -> Result<Option<Piece>> {
        let (encoded, frames) = (&self.encoded.encoded, self.encoded.alphas.len());
        let decoded = self.decoder.preview(network, encoded, frames, self.cif.hidden())?;
        self.previewed = true;
        let at_ns = samples_to_ns(self.given_out());
        let span = self.times.clone().tail(at_ns, self.cif.integral());
        Ok(piece(model, Fire { at_ns, span }, decoded))
    }

    /// The row at whose start an utterance that is too long is to be parted.
    pub fn limit(&self) -> Option<u64> {
        self.endpoint.limit()
    }

    /// The time at which a row begins, in ns of the stream.
    pub fn row_ns(&self, row: u64) -> u64 {
        samples_to_ns(self.origin) + stack_time_ns(row as i64, 0.0)
    }

    /// The number of the sample before which nothing was said, but for a margin.
    pub fn heard_from(&self) -> u64 {
        // Speech goes on where an utterance was parted.
        if self.is_detected || self.own_from != self.origin {
            return self.own_from;
        }
        let speech = self.endpoint.speech_start().unwrap_or(self.given_out);
        self.own_from.max(self.origin + speech.saturating_sub(MARGIN_ROWS) * SAMPLES_PER_STACK)
    }

    /// The number of the first sample that is still needed, where the next utterance begins with `lead_in` rows of this
    /// one; `whole`: the audio of the utterance is wanted at its end.
    pub fn needed_from(&self, lead_in: u64, whole: bool) -> u64 {
        let given_out = self.given_out();
        let sample = given_out.saturating_sub(lead_in * SAMPLES_PER_STACK).max(self.origin);
        if !whole {
            return sample;
        }
        sample.min(self.heard_from().max(given_out.saturating_sub(LONGEST_HEARD_SAMPLES)))
    }

    /// The number of the sample after which nothing was said, but for a margin, where it ends with `silent` rows of
    /// silence.
    pub fn heard_until(&self, silent: u64) -> u64 {
        self.given_out().saturating_sub(silent.saturating_sub(MARGIN_ROWS) * SAMPLES_PER_STACK)
    }

    /// The number of the sample before which the audio belongs to what is parted off at the start of `row`: not to the
    /// token that has begun and is not complete.
    pub fn cut_sample(&self, row: u64) -> u64 {
        let cut = self.origin + row * SAMPLES_PER_STACK;
        let cut = self.times.onset_ns().map_or(cut, |onset_ns| cut.min(ns_to_samples(onset_ns)));
        cut.max(self.own_from)
    }

    /// Parts the utterance at the start of `row`: what follows is the next one. Speech goes on there, so the sum of alphas
    /// and the caches are kept, and nothing is decoded twice; only the positions start anew.
    pub fn part(&mut self, row: u64) {
        self.own_from = self.cut_sample(row);
        let moved = self.given_out.saturating_sub(self.chunk_size.left() as u64);
        self.chunker.rebase(moved, |stack, features| {
            position::subtract(stack as u64 + 1, features);
            position::add((stack + 1 - moved as i64).max(1) as u64, features);
        });
        self.frontend.rebase(moved);
        self.endpoint.rebase(moved, row);
        self.given_out -= moved;
        self.origin += moved * SAMPLES_PER_STACK;
    }

    /// Where the token begins that is not complete and that the end of the utterance will make fire.
    pub fn waiting_ns(&self, model: &Model) -> Option<u64> {
        self.times.onset_ns().filter(|_| self.cif.would_fire(model.cif_tail_threshold))
    }

    /// Before this time no token starts that has not fired yet, when what is before `now_ns` was taken.
    pub fn earliest_ns(&self, now_ns: u64) -> u64 {
        self.times.earliest_ns(now_ns)
    }
}

fn piece(model: &Model, fire: Fire, decoded: Decoded) -> Option<Piece> {
    Some(Piece {
        text: model.vocabulary.piece(decoded.id)?.into(),
        start_ns: fire.span.start_ns,
        end_ns: fire.span.end_ns,
        fire_ns: fire.at_ns,
        confidence: decoded.confidence,
    })
}
