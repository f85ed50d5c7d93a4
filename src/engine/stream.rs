//! One audio stream: samples in, events out, all state inside.
//!
//! Sans-IO: [`Stream::push`] and [`Stream::finish`] only note what came; [`Stream::step`] makes one call of a network and
//! can be made again when the network was cancelled or failed. Every decision falls at a fixed place in the samples, so
//! cutting them otherwise changes nothing.
//!
//! Without a voice activity detector all is encoded, and the alphas say where utterances end. With one, utterances are
//! the segments that it finds, and nothing else is encoded.

use std::sync::Arc;

use super::Result;
use super::chunk::ChunkSize;
use super::counters::Counters;
use super::event::{Event, StreamOptions};
use super::frames::HeldFrames;
use super::hypothesis::Hypothesis;
use super::model::Model;
use super::network::{Network, VadNetwork};
use super::segment::detector::Boundary;
use super::segment::vad::{Vad, VadModel};
use super::telling::Telling;
use super::time::{FRAMES_PER_STACK, MS_PER_STACK, NS_PER_MS, SAMPLES_PER_STACK, samples_to_ns};
use super::utterance::Utterance;

/// Rows of silence that an utterance begins with, when it follows another: left context that the model is used to.
const LEAD_IN_ROWS: u64 = 5;

/// How far before its number times 60 ms a row begins, in ns.
const ROW_LEAD_NS: u64 = 17_500_000;

/// While nobody speaks, the stream tells how far it is after so many frames: 300 ms.
const IDLE_FRAMES: u64 = 30;

/// The most frames that are held between two calls: an utterance may yet begin with its lead-in before the rows that were
/// given out last, and a window lies after these.
fn most_held(chunk_size: ChunkSize) -> usize {
    (LEAD_IN_ROWS as usize + chunk_size.window()) * FRAMES_PER_STACK as usize
}

/// Where the stream stands. A call that failed is made again from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Frames are gathered; then the encoder runs.
    Gather,
    /// The encoder has run and CIF has fired; then the decoder runs.
    Decode(Ending),
    /// The last token is to be shown before it is complete.
    Preview,
}

/// What follows a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The next call.
    None,
    /// The next utterance, `silent` rows of silence behind.
    Silence { silent: u64 },
    /// Silence, as the detector found.
    Detected,
    /// The end of what was pushed.
    Finish,
}

/// The state of one audio stream.
#[derive(Debug)]
pub struct Stream {
    model: Arc<Model>,
    options: StreamOptions,
    frames: HeldFrames,
    vad: Option<Vad>,
    /// The detector has seen the last frame.
    vad_finished: bool,
    /// There is an utterance: without a detector, always.
    open: bool,
    /// The first frame that belongs to no utterance yet.
    free: u64,
    /// The next frame for the utterance.
    fed: u64,
    finishing: bool,
    phase: Phase,
    utterance: Utterance,
    telling: Telling,
    counters: Counters,
}

impl Stream {
    /// A new stream, whose utterances end where its alphas say so.
    pub fn new(model: Arc<Model>, options: StreamOptions) -> Self {
        Self::with(model, None, options)
    }

    /// A new stream, whose utterances are the segments that a voice activity detector finds.
    pub fn with_vad(model: Arc<Model>, vad: Arc<VadModel>, options: StreamOptions) -> Self {
        let silence_ms = options.endpoint_silence_ms;
        let vad = Vad::new(vad, (silence_ms > 0).then_some(silence_ms.into()));
        Self::with(model, Some(vad), options)
    }

    fn with(model: Arc<Model>, vad: Option<Vad>, options: StreamOptions) -> Self {
        Self {
            utterance: Utterance::new(&model, &options, vad.is_some()),
            telling: Telling::new(options.spacing),
            model,
            options,
            frames: HeldFrames::with_room(most_held(options.chunk_size)),
            vad_finished: false,
            open: vad.is_none(),
            vad,
            free: 0,
            fed: 0,
            finishing: false,
            phase: Phase::Gather,
            counters: Counters::default(),
        }
    }

    /// Takes samples: 16 kHz, mono, -1 to 1.
    pub fn push(&mut self, samples: &[f32]) {
        self.frames.push(&self.model.fbank, samples);
    }

    /// Ends the utterance after what was pushed: the steps that follow make the final call. Samples pushed later begin a
    /// new utterance; push them once [`step`](Self::step) has nothing more to do.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Forgets everything; the next sample is number 0 of utterance 0.
    pub fn reset(&mut self) {
        self.frames.reset();
        self.telling.reset();
        self.counters = Counters::default();
        self.restart();
    }

    /// The utterance so far.
    pub fn hypothesis(&self) -> &Hypothesis {
        self.telling.hypothesis()
    }

    /// The number of samples pushed since the start or [`reset`](Self::reset).
    pub fn samples(&self) -> u64 {
        self.frames.samples()
    }

    /// What the stream has done since the start or [`reset`](Self::reset).
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.telling.next_event()
    }

    /// Makes the next call of a network, if there is one to make. Gives false where more samples, or
    /// [`finish`](Self::finish), are needed first. `vad` is needed where the stream has a detector.
    ///
    /// Errors: those of the networks. The call is then still to be made.
    pub fn step(&mut self, network: &mut dyn Network, vad: Option<&mut dyn VadNetwork>) -> Result<bool> {
        match self.phase {
            Phase::Gather => self.gather(network, vad),
            Phase::Decode(ending) => self.decode(network, ending).map(|()| true),
            Phase::Preview => self.preview(network).map(|()| true),
        }
    }

    fn gather(&mut self, network: &mut dyn Network, vad_network: Option<&mut dyn VadNetwork>) -> Result<bool> {
        while let Some(boundary) = self.vad.as_ref().and_then(Vad::boundary) {
            match boundary {
                Boundary::Start(frame) => self.begin_segment(frame),
                // The final call of the stream ends it.
                Boundary::End(frame) if self.vad_finished && frame == self.frames.end() => {}
                Boundary::End(frame) => {
                    self.end_segment(network, frame)?;
                    self.boundary_done();
                    return Ok(true);
                }
            }
            self.boundary_done();
        }
        if self.open && self.feed() {
            let silence = self.utterance.stride(network, &self.model, self.telling.has_text())?;
            self.count(self.options.chunk_size.stride() as u64);
            self.phase = Phase::Decode(silence.map_or(Ending::None, |silent| Ending::Silence { silent }));
            return Ok(true);
        }
        if let Some(vad) = &mut self.vad {
            if vad.next() <= self.frames.end() {
                vad.block(vad_network.ok_or_else(no_network)?, &self.frames)?;
                self.idle();
                return Ok(true);
            }
            if self.finishing && !self.vad_finished {
                vad.finish(vad_network.ok_or_else(no_network)?, &self.frames)?;
                self.vad_finished = true;
                return Ok(true);
            }
        }
        if !self.finishing {
            return Ok(false);
        }
        if self.open {
            self.utterance.flush(&self.model);
            let new = self.utterance.last_call(network, &self.model, samples_to_ns(self.samples()))?;
            self.count(new);
        }
        self.phase = Phase::Decode(Ending::Finish);
        Ok(true)
    }

    /// Feeds the utterance; says whether it has a whole stride. A detector is to see a block before the utterance goes on
    /// after it, whatever has come.
    fn feed(&mut self) -> bool {
        let end = match &self.vad {
            Some(vad) if !self.vad_finished => self.frames.end().min(vad.next() - 1),
            _ => self.frames.end(),
        };
        while !self.utterance.is_ready() && self.fed < end {
            let next = end.min(self.fed + FRAMES_PER_STACK);
            self.utterance.feed(&self.model, self.frames.get(self.fed, next));
            self.fed = next;
        }
        self.utterance.is_ready()
    }

    fn decode(&mut self, network: &mut dyn Network, ending: Ending) -> Result<()> {
        self.utterance.decode(network, &self.model, self.telling.recognised())?;
        self.phase = Phase::Gather;
        match ending {
            Ending::None if self.options.preview && self.utterance.wants_preview(&self.model) => {
                self.telling.tell();
                self.phase = Phase::Preview;
            }
            Ending::None => self.end_of_call(),
            Ending::Silence { silent } => self.end_by_silence(silent),
            Ending::Detected => self.end_detected(),
            Ending::Finish => self.end_of_stream(),
        }
        Ok(())
    }

    fn preview(&mut self, network: &mut dyn Network) -> Result<()> {
        let piece = self.utterance.preview(network, &self.model)?;
        self.telling.preview(piece);
        self.phase = Phase::Gather;
        self.end_of_call();
        Ok(())
    }

    fn end_of_call(&mut self) {
        self.telling.tell();
        if let Some(row) = self.utterance.limit() {
            self.hear(self.utterance.cut_sample(row));
            self.telling.part(self.utterance.row_ns(row));
            self.utterance.part(row);
        }
        // The rows that come next begin half a row before their number says.
        let given_out_ns = samples_to_ns(self.utterance.given_out());
        let now_ns = given_out_ns.saturating_sub(ROW_LEAD_NS);
        let ends = self.options.endpoint_silence_ms > 0;
        let waiting_ns = self.utterance.waiting_ns(&self.model).filter(|_| ends);
        self.advance(given_out_ns, self.utterance.earliest_ns(now_ns), waiting_ns);
        self.forget();
    }

    fn end_by_silence(&mut self, silent: u64) {
        self.hear(self.utterance.heard_until(silent));
        self.telling.end_utterance();
        let lead_in = silent.min(LEAD_IN_ROWS) * SAMPLES_PER_STACK;
        let given_out = self.utterance.given_out();
        let end_ns = samples_to_ns(given_out);
        self.advance(end_ns, end_ns.saturating_sub(samples_to_ns(lead_in) + ROW_LEAD_NS), None);
        self.begin_utterance(given_out.saturating_sub(lead_in).max(self.utterance.origin()));
        self.forget();
    }

    fn end_of_stream(&mut self) {
        self.hear(self.samples());
        self.telling.end_utterance();
        if !self.open {
            self.tell_idle(self.frames.end());
        }
        let end_ns = samples_to_ns(self.samples());
        self.advance(end_ns, end_ns, None);
        self.restart();
    }

    fn begin_segment(&mut self, frame: u64) {
        let frame = frame.max(self.free);
        self.tell_idle(frame);
        self.begin_utterance(self.frames.sample_of(frame));
        self.open = true;
    }

    /// The final call of a segment that ends before `frame`.
    fn end_segment(&mut self, network: &mut dyn Network, frame: u64) -> Result<()> {
        let seen = self.vad.as_ref().map_or(0, Vad::seen).min(self.frames.end());
        if self.fed < seen {
            self.utterance.feed(&self.model, self.frames.get(self.fed, seen));
            self.fed = seen;
        }
        // The last window of 25 ms ends with the segment, which may have been parted within its last silence.
        let frames = frame.saturating_sub(self.frames.at_sample(self.utterance.origin()) + 2);
        let new = self.utterance.last_call_before(network, &self.model, frames.div_ceil(FRAMES_PER_STACK))?;
        self.count(new);
        self.phase = Phase::Decode(Ending::Detected);
        Ok(())
    }

    fn end_detected(&mut self) {
        self.hear(self.utterance.given_out());
        self.telling.end_utterance();
        self.open = false;
        self.free = self.frames.at_sample(self.utterance.given_out());
        let end_ns = samples_to_ns(self.utterance.given_out());
        let earliest = self.vad.as_ref().map_or(0, Vad::earliest);
        self.advance(end_ns, samples_to_ns(self.frames.sample_of(earliest)), None);
        self.forget();
    }

    fn boundary_done(&mut self) {
        if let Some(vad) = &mut self.vad {
            vad.done();
        }
    }

    /// Nobody speaks: tells now and then how far the stream is.
    fn idle(&mut self) {
        let Some(vad) = &self.vad else { return };
        if !self.open && vad.boundary().is_none() && vad.seen() % IDLE_FRAMES < FRAMES_PER_STACK {
            self.tell_idle(vad.earliest());
            self.forget();
        }
    }

    /// Nobody has spoken before `frame`.
    fn tell_idle(&mut self, frame: u64) {
        let silent = frame.saturating_sub(self.free);
        if silent > 0 {
            self.counters.saved_ns += silent * 10 * NS_PER_MS;
            self.free = frame;
            let until_ns = samples_to_ns(self.frames.sample_of(frame));
            self.advance(until_ns, until_ns, None);
        }
    }

    /// The utterance's audio ends before sample `until`.
    fn hear(&mut self, until: u64) {
        if self.options.keep_frames && self.telling.has_text() {
            self.telling.hear(self.frames.heard(self.utterance.heard_from(), until));
        }
    }

    fn count(&mut self, rows: u64) {
        self.counters.calls += 1;
        self.counters.encoded_ns += rows * MS_PER_STACK * NS_PER_MS;
    }

    fn advance(&mut self, until_ns: u64, safe_ns: u64, waiting_ns: Option<u64>) {
        self.telling.advance(until_ns.min(samples_to_ns(self.samples())), safe_ns, waiting_ns);
    }

    /// Begins a new utterance at sample number `origin`, where a frame begins that is still held.
    fn begin_utterance(&mut self, origin: u64) {
        self.utterance.begin(origin);
        self.fed = self.frames.at_sample(origin);
        self.phase = Phase::Gather;
    }

    /// The next sample begins all anew, but for the utterances' numbers and what was told.
    fn restart(&mut self) {
        self.frames.restart();
        if let Some(vad) = &mut self.vad {
            vad.reset();
        }
        (self.vad_finished, self.finishing, self.free) = (false, false, 0);
        self.open = self.vad.is_none();
        self.begin_utterance(self.samples());
    }

    /// Drops the frames that nothing needs any more.
    fn forget(&mut self) {
        let sample = self.utterance.needed_from(LEAD_IN_ROWS, self.options.keep_frames);
        let utterance = self.fed.min(self.frames.at_sample(sample));
        self.frames.forget(match self.vad.as_ref().map(Vad::needed) {
            Some(detector) if self.open => detector.min(utterance),
            Some(detector) => detector,
            None => utterance,
        });
    }
}

fn no_network() -> super::Error {
    super::Error::network("the stream's voice activity detector has no network")
}
