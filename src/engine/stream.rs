//! One audio stream: samples in, events out, all state inside.
//!
//! Sans-IO: [`Stream::push`] and [`Stream::finish`] only note what came; [`Stream::step`] makes one call of the network
//! and can be made again when the network was cancelled or failed. Every decision falls at a fixed place in the samples,
//! so cutting them otherwise changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::audio::HeldAudio;
use super::chunk::Chunker;
use super::cif::Cif;
use super::decoder::{Decoded, Decoder};
use super::event::{Event, StreamOptions};
use super::frontend::{FEATURE_DIM, Frontend, position};
use super::hypothesis::{Hypothesis, Piece, Recognised};
use super::model::Model;
use super::network::{EncoderOutput, Network};
use super::segment::endpoint::Endpoint;
use super::time::{SAMPLES_PER_STACK, samples_to_ns, stack_time_ns};
use super::timing::{Span, TokenTimes};
use super::{Result, encoder};

/// Rows of silence that an utterance begins with, when it follows another: left context that the model is used to.
const LEAD_IN_ROWS: u64 = 5;

/// How far before its number times 60 ms a row begins, in ns.
const ROW_LEAD_NS: u64 = 17_500_000;

/// Where the utterance's current call stands. A call that failed is made again from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Rows are gathered; then the encoder runs.
    Gather,
    /// The encoder has run and CIF has fired; then the decoder runs.
    Decode(Ending),
}

/// What follows a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The next call.
    None,
    /// The next utterance, `silent` rows of silence behind.
    Silence { silent: u64 },
    /// The end of what was pushed.
    Finish,
}

/// The state of one audio stream.
#[derive(Debug)]
pub struct Stream {
    model: Arc<Model>,
    options: StreamOptions,
    audio: HeldAudio,
    /// The number of the sample at which the utterance begins.
    origin: u64,
    finishing: bool,
    /// The front end has given out the last rows.
    flushed: bool,
    phase: Phase,
    frontend: Frontend,
    chunker: Chunker,
    /// Rows of the utterance whose alphas have been integrated.
    given_out: u64,
    encoded: EncoderOutput,
    cif: Cif,
    embeddings: Vec<f32>,
    fires: Vec<Fire>,
    times: TokenTimes,
    decoder: Decoder,
    decoded: Vec<Decoded>,
    endpoint: Endpoint,
    recognised: Recognised,
    /// Tokens of the utterance that events have told of.
    told: usize,
    advanced_ns: u64,
    safe_ns: u64,
    events: VecDeque<Event>,
}

/// The time of a token that CIF fired.
#[derive(Debug, Clone, Copy)]
struct Fire {
    at_ns: u64,
    span: Span,
}

impl Stream {
    /// A new stream.
    pub fn new(model: Arc<Model>, options: StreamOptions) -> Self {
        let sizes = model.sizes();
        Self {
            audio: HeldAudio::default(),
            origin: 0,
            finishing: false,
            flushed: false,
            phase: Phase::Gather,
            frontend: Frontend::default(),
            chunker: Chunker::new(options.chunk_size, FEATURE_DIM),
            given_out: 0,
            encoded: EncoderOutput::default(),
            cif: Cif::new(model.cif_threshold, sizes.encoder_dim),
            embeddings: Vec::new(),
            fires: Vec::new(),
            times: TokenTimes::default(),
            decoder: Decoder::new(sizes.vocabulary_size, sizes.decoder_layers, sizes.encoder_dim * sizes.cache_len),
            decoded: Vec::new(),
            endpoint: Endpoint::new(options.endpoint_silence_ms, options.max_utterance_ms),
            recognised: Recognised::new(options.spacing),
            told: 0,
            advanced_ns: 0,
            safe_ns: 0,
            events: VecDeque::new(),
            model,
            options,
        }
    }

    /// Takes samples: 16 kHz, mono, -1 to 1.
    pub fn push(&mut self, samples: &[f32]) {
        self.audio.push(samples);
    }

    /// Ends the utterance after what was pushed: the steps that follow make the final call. Samples pushed later begin a
    /// new utterance; push them once [`step`](Self::step) has nothing more to do.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Forgets everything; the next sample is number 0 of utterance 0.
    pub fn reset(&mut self) {
        self.audio.reset();
        self.begin_utterance(0);
        self.finishing = false;
        self.recognised.reset();
        self.events.clear();
        (self.advanced_ns, self.safe_ns) = (0, 0);
    }

    /// The utterance so far.
    pub fn hypothesis(&self) -> &Hypothesis {
        self.recognised.current()
    }

    /// The number of samples pushed since the start or [`reset`](Self::reset).
    pub fn samples(&self) -> u64 {
        self.audio.end()
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Makes the next call of the network, if there is one to make. Gives false where more samples, or
    /// [`finish`](Self::finish), are needed first.
    ///
    /// Errors: those of the network. The call is then still to be made.
    pub fn step(&mut self, network: &mut dyn Network) -> Result<bool> {
        match self.phase {
            Phase::Gather => self.gather(network),
            Phase::Decode(ending) => self.decode(network, ending).map(|()| true),
        }
    }

    fn gather(&mut self, network: &mut dyn Network) -> Result<bool> {
        while !self.chunker.ready() && !self.audio.is_taken() {
            let (model, scale) = (&self.model, self.model.feature_scale());
            let block = self.audio.take(SAMPLES_PER_STACK as usize);
            self.frontend.push(&model.fbank, &model.cmvn, scale, block, self.chunker.rows_mut());
        }
        let stride = self.options.chunk_size.stride();
        // After the flush there is only the final call, also where it happens to be a whole stride long.
        if !self.flushed && self.chunker.ready() {
            self.encode(network, stride)?;
            let left = self.options.chunk_size.left();
            let silence = self.integrate(left, left + stride);
            self.chunker.advance(stride);
            self.phase = Phase::Decode(silence.map_or(Ending::None, |silent| Ending::Silence { silent }));
        } else if self.finishing {
            if !self.flushed {
                let scale = self.model.feature_scale();
                self.frontend.finish(&self.model.cmvn, scale, self.chunker.rows_mut());
                self.flushed = true;
            }
            self.last_call(network)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The final call: everything that is left, in a single pass, and the tail.
    fn last_call(&mut self, network: &mut dyn Network) -> Result<()> {
        let rest = self.chunker.pending();
        let spoken = self.chunker.done() > 0 || rest > 0;
        let (_, rows) = self.chunker.window(rest);
        // Without context and without rest there is no window; the tail then has the last one.
        if spoken && rows > 0 {
            self.encode(network, rest)?;
            self.integrate(self.options.chunk_size.left(), rows);
            self.chunker.advance(rest);
        }
        if spoken {
            let end_ns = samples_to_ns(self.samples());
            for fire in &mut self.fires {
                fire.at_ns = fire.at_ns.min(end_ns);
                fire.span = Span { start_ns: fire.span.start_ns.min(end_ns), end_ns: fire.span.end_ns.min(end_ns) };
            }
            self.times.limit(end_ns);
            self.tail(end_ns);
        }
        self.phase = Phase::Decode(Ending::Finish);
        Ok(())
    }

    fn encode(&mut self, network: &mut dyn Network, new: usize) -> Result<()> {
        let (features, rows) = self.chunker.window(new);
        encoder::encode(network, features, rows, self.model.sizes.encoder_dim, &mut self.encoded)
    }

    /// CIF over rows `first` to `end` of the window: those that this call gives out. Where the utterance ends within
    /// them, by silence, the rest is left to the next utterance, and the number of silent rows is given back.
    fn integrate(&mut self, first: usize, end: usize) -> Option<u64> {
        let (dim, zeros, origin_ns) =
            (self.model.sizes.encoder_dim, self.chunker.first_stack(), samples_to_ns(self.origin));
        for row in first..end {
            let (alpha, stack) = (self.encoded.alphas[row], zeros + row as i64);
            let time_ns = |fraction| origin_ns + stack_time_ns(stack, fraction);
            self.times.row(alpha, self.cif.integral(), time_ns(0.0), time_ns(1.0));
            let hidden = &self.encoded.encoded[row * dim..][..dim];
            if let Some(part) = self.cif.integrate(alpha, hidden, &mut self.embeddings) {
                let at_ns = time_ns(part.into());
                self.fires.push(Fire { at_ns, span: self.times.fire(at_ns, self.cif.integral()) });
            }
            // The zeros before an utterance are no silence.
            if stack < 0 {
                continue;
            }
            self.given_out = stack as u64 + 1;
            self.endpoint.observe(alpha);
            let has_text = !self.hypothesis().pieces.is_empty() || !self.fires.is_empty();
            if let Some(silent) = self.endpoint.silence(has_text).filter(|_| !self.flushed) {
                // Nothing but the tail is left to fire. It is decoded in the context of this window, which reaches
                // back to the speech.
                self.tail(self.given_out_ns());
                return Some(silent);
            }
        }
        None
    }

    fn tail(&mut self, end_ns: u64) {
        let integral = self.cif.integral();
        if self.cif.tail(self.model.cif_tail_threshold, &mut self.embeddings) {
            self.fires.push(Fire { at_ns: end_ns, span: self.times.tail(end_ns, integral) });
        }
    }

    fn decode(&mut self, network: &mut dyn Network, ending: Ending) -> Result<()> {
        if !self.fires.is_empty() {
            self.decoded.clear();
            let (encoded, frames) = (&self.encoded.encoded, self.encoded.alphas.len());
            let (embeddings, tokens) = (&self.embeddings, self.fires.len());
            self.decoder.decode(network, encoded, frames, embeddings, tokens, &mut self.decoded)?;
            for (fire, decoded) in self.fires.drain(..).zip(&self.decoded) {
                let Some(piece) = self.model.vocabulary.piece(decoded.id) else { continue };
                self.recognised.push(Piece {
                    text: piece.into(),
                    start_ns: fire.span.start_ns,
                    end_ns: fire.span.end_ns,
                    fire_ns: fire.at_ns,
                    confidence: decoded.confidence,
                });
            }
            self.embeddings.clear();
        }
        self.phase = Phase::Gather;
        match ending {
            Ending::None => self.end_of_call(),
            Ending::Silence { silent } => self.end_by_silence(silent),
            Ending::Finish => self.end_of_stream(),
        }
        Ok(())
    }

    fn end_of_call(&mut self) {
        self.tell();
        if let Some(row) = self.endpoint.limit() {
            self.split(row);
        }
        // The rows that come next begin half a row before their number says.
        let now_ns = self.given_out_ns().saturating_sub(ROW_LEAD_NS);
        let waits = self.options.endpoint_silence_ms > 0 && self.cif.would_fire(self.model.cif_tail_threshold);
        let waiting_ns = self.times.onset_ns().filter(|_| waits);
        self.advance(self.given_out_ns(), self.times.earliest_ns(now_ns), waiting_ns);
        self.forget();
    }

    fn end_by_silence(&mut self, silent: u64) {
        self.end_utterance();
        let lead_in = silent.min(LEAD_IN_ROWS) * SAMPLES_PER_STACK;
        let end_ns = self.given_out_ns();
        self.advance(end_ns, end_ns.saturating_sub(samples_to_ns(lead_in) + ROW_LEAD_NS), None);
        let given_out = self.origin + self.given_out * SAMPLES_PER_STACK;
        self.begin_utterance(given_out.saturating_sub(lead_in).max(self.origin));
        self.forget();
    }

    fn end_of_stream(&mut self) {
        self.end_utterance();
        let end_ns = samples_to_ns(self.samples());
        self.advance(end_ns, end_ns, None);
        self.begin_utterance(self.samples());
        self.finishing = false;
        self.forget();
    }

    /// Parts an utterance that is too long. What fired after the start of `row` goes to the next one. Speech goes on
    /// there, so the sum of alphas and the caches are kept, and nothing is decoded twice; only the positions start anew.
    fn split(&mut self, row: u64) {
        let cut_ns = samples_to_ns(self.origin) + stack_time_ns(row as i64, 0.0);
        let moved = self.given_out.saturating_sub(self.options.chunk_size.left() as u64);
        if let Some(last) = self.recognised.split(cut_ns) {
            self.events.push_back(Event::Hypothesis(last));
            // The tokens of the rest were told of as part of the utterance before; its text is new.
            self.told = self.hypothesis().tokens.len();
            if self.told > 0 {
                self.events.push_back(Event::Hypothesis(self.hypothesis().clone()));
            }
        }
        self.chunker.rebase(moved, |stack, features| {
            position::subtract(stack as u64 + 1, features);
            position::add((stack + 1 - moved as i64).max(1) as u64, features);
        });
        self.frontend.rebase(moved);
        self.endpoint.rebase(moved, row);
        self.given_out -= moved;
        self.origin += moved * SAMPLES_PER_STACK;
    }

    fn end_utterance(&mut self) {
        self.recognised.close();
        self.tell_tokens();
        if let Some(last) = self.recognised.finish() {
            self.events.push_back(Event::Hypothesis(last));
        }
        self.told = 0;
    }

    fn given_out_ns(&self) -> u64 {
        samples_to_ns(self.origin + self.given_out * SAMPLES_PER_STACK)
    }

    /// Tells of what is new.
    fn tell(&mut self) {
        if self.tell_tokens() {
            self.events.push_back(Event::Hypothesis(self.hypothesis().clone()));
        }
    }

    fn tell_tokens(&mut self) -> bool {
        let tokens = &self.recognised.current().tokens;
        let told = std::mem::replace(&mut self.told, tokens.len());
        self.events.extend(tokens[told..].iter().cloned().map(Event::Token));
        self.told > told
    }

    fn advance(&mut self, until_ns: u64, safe_ns: u64, waiting_ns: Option<u64>) {
        self.advanced_ns = self.advanced_ns.max(until_ns.min(samples_to_ns(self.samples())));
        let safe_ns = self.recognised.open_start_ns().map_or(safe_ns, |open_ns| open_ns.min(safe_ns));
        self.safe_ns = self.safe_ns.max(safe_ns.min(self.advanced_ns));
        self.events.push_back(Event::Advanced { until_ns: self.advanced_ns, safe_ns: self.safe_ns, waiting_ns });
    }

    /// Begins a new utterance at sample number `origin`, which must still be held.
    fn begin_utterance(&mut self, origin: u64) {
        self.origin = origin;
        self.audio.rewind(origin);
        self.flushed = false;
        self.phase = Phase::Gather;
        self.frontend.reset();
        self.chunker.reset();
        self.given_out = 0;
        self.cif.reset();
        self.decoder.reset();
        self.endpoint.reset();
        self.embeddings.clear();
        self.fires.clear();
        self.times.reset(samples_to_ns(origin));
        self.told = 0;
    }

    /// Drops the samples that neither this utterance nor the next one needs.
    fn forget(&mut self) {
        let next = self.origin + self.given_out.saturating_sub(LEAD_IN_ROWS) * SAMPLES_PER_STACK;
        self.audio.forget(next);
    }
}
