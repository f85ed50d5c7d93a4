//! Display tokens to text buffers, gaps and the ends of transcripts, as `output` and `caption-mode` ask for.

use std::collections::VecDeque;

use super::output::{Outgoing, Output};
use super::settings::Settings;
use super::{CaptionMode, Output as OutputKind};
use crate::captions::{FinalCaptions, ProgressiveCaption, Shape, Word};

/// What a text buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tokens,
    Final,
    Progressive,
}

/// Captions that are made of final text alone: what becomes of an utterance is not known before its end.
#[derive(Debug, Default)]
struct Deferred {
    wanted: bool,
    /// Of this utterance, whose first word begins here. It is as it was wanted when the utterance began.
    open: Option<(bool, u64)>,
    /// The numbers of the utterances that have ended and whose final text is to come, and where they begin.
    waiting: VecDeque<(u64, u64)>,
}

impl Deferred {
    /// Takes the start of a word; whether its utterance is deferred.
    fn word(&mut self, start_ns: u64) -> bool {
        self.open.get_or_insert((self.wanted, start_ns)).0
    }

    /// The utterance of this number ends; whether it is deferred.
    fn end(&mut self, utterance: u64) -> bool {
        match self.open.take() {
            Some((true, start_ns)) => {
                self.waiting.push_back((utterance, start_ns));
                true
            }
            _ => false,
        }
    }

    /// There is no utterance any more.
    fn clear(&mut self) {
        self.open = None;
        self.waiting.clear();
    }

    /// Before this there is no text to come.
    fn earliest_ns(&self) -> Option<u64> {
        let open = self.open.filter(|open| open.0).map(|open| open.1);
        self.waiting.front().map(|waiting| waiting.1).or(open)
    }
}

/// The text of one stream, on its way out. Times are PTS, in ns.
pub struct TextOutput {
    mode: Mode,
    deferred: Deferred,
    finals: FinalCaptions,
    progressive: ProgressiveCaption,
    /// Where utterances end whose `rstranscribe/final-transcript` waits for their last caption.
    transcript_ends: VecDeque<u64>,
    /// Up to where progressive captions are told of.
    shown_ns: u64,
    /// The last chunk of an utterance is to be shown.
    utterance_ended: bool,
    /// Everything that goes out, in order.
    pub output: Output,
}

impl TextOutput {
    /// At the start of a stream.
    pub fn new(settings: &Settings) -> Self {
        let mode = match (settings.output, settings.caption_mode) {
            (OutputKind::Tokens, _) => Mode::Tokens,
            (OutputKind::Captions, CaptionMode::Final) => Mode::Final,
            (OutputKind::Captions, CaptionMode::Progressive) => Mode::Progressive,
        };
        Self {
            mode,
            deferred: Deferred::default(),
            finals: FinalCaptions::new(settings.shape),
            progressive: ProgressiveCaption::new(settings.shape),
            transcript_ends: VecDeque::new(),
            shown_ns: 0,
            utterance_ended: false,
            output: Output::default(),
        }
    }

    /// Changes the shape of captions, from the next word on.
    pub fn set_shape(&mut self, shape: Shape) {
        self.finals.set_shape(shape);
        self.progressive.set_shape(shape);
    }

    /// Whether a text may wait for the token that completes it; a token by itself would come too late.
    pub fn may_wait(&self) -> bool {
        self.mode != Mode::Tokens
    }

    /// A segment begins.
    pub fn begin(&mut self, start_ns: u64) {
        self.finals.reset();
        self.output.begin(start_ns);
        self.shown_ns = start_ns;
    }

    /// Audio goes on at `pts_ns` after a break, or begins there.
    pub fn resume_at(&mut self, pts_ns: u64) {
        self.shown_ns = pts_ns;
        self.gap(pts_ns);
    }

    /// Whether captions are made of words as they come, to be finished one by one.
    pub fn is_final(&self) -> bool {
        self.mode == Mode::Final
    }

    /// From the next utterance on, final captions are made of [`corrected`](Self::corrected) text alone, or not.
    pub fn set_deferring(&mut self, wanted: bool) {
        self.deferred.wanted = wanted && self.mode == Mode::Final;
    }

    /// Takes a word.
    pub fn word(&mut self, word: Word) {
        let deferred = self.deferred.word(word.start_ns);
        match self.mode {
            Mode::Tokens => self.output.text(word.text, word.start_ns, word.end_ns),
            Mode::Final if deferred => {}
            Mode::Final => self.finals.word(word),
            Mode::Progressive => self.progressive.word(word),
        }
        self.release();
    }

    /// Takes the words that an utterance may end with: a caption that grows shows them already.
    pub fn preview(&mut self, words: Vec<Word>) {
        self.progressive.preview(words);
    }

    /// The utterance of this number, which has text, has ended; its last word ends at `end_ns`.
    pub fn end_utterance(&mut self, utterance: u64, end_ns: u64) {
        if self.deferred.end(utterance) {
            return;
        }
        self.finals.end_utterance();
        self.utterance_ended = true;
        self.transcript_ends.push_back(end_ns);
        self.release();
    }

    /// The final words of an utterance that has ended.
    pub fn corrected(&mut self, utterance: u64, words: Vec<Word>) {
        if self.mode == Mode::Progressive {
            self.progressive.correct(&words);
        }
        if self.deferred.waiting.front().is_some_and(|waiting| waiting.0 == utterance) {
            self.deferred.waiting.pop_front();
            let end_ns = words.iter().map(|word| word.end_ns).max();
            words.into_iter().for_each(|word| self.finals.word(word));
            self.finals.end_utterance();
            self.transcript_ends.extend(end_ns);
            self.release();
        }
    }

    /// Rows up to `until_ns` have been given out, and no word starts before `safe_ns` any more.
    pub fn advance(&mut self, until_ns: u64, safe_ns: u64) {
        match self.mode {
            Mode::Tokens => self.output.gap(safe_ns),
            Mode::Final => self.gap(safe_ns),
            Mode::Progressive => {
                self.show(until_ns);
                if std::mem::take(&mut self.utterance_ended) {
                    self.progressive.end_utterance();
                }
            }
        }
        self.release();
    }

    /// There is no word up to `end_ns`; what is held and lies before it goes out.
    pub fn gap(&mut self, end_ns: u64) {
        let end_ns = self.deferred.earliest_ns().map_or(end_ns, |earliest_ns| earliest_ns.min(end_ns));
        self.finals.advance(end_ns);
        self.release();
        self.output.gap(self.finals.earliest_ns().map_or(end_ns, |earliest_ns| earliest_ns.min(end_ns)));
    }

    /// Hands on everything that is held: the timeline ends here.
    pub fn finish(&mut self) {
        self.finals.finish();
        self.release();
        self.progressive.reset();
        self.deferred.clear();
        // Whatever an overlay has not shown of them, the utterances are over.
        let ends = self.transcript_ends.drain(..).count();
        (0..ends).for_each(|_| self.end_transcript());
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.finals.reset();
        self.progressive.reset();
        self.transcript_ends.clear();
        self.deferred.clear();
        self.shown_ns = 0;
        self.utterance_ended = false;
        self.output.reset();
        self.output.set_discont();
    }

    /// The caption as it has grown: buffers tile the timeline, one for each chunk.
    fn show(&mut self, until_ns: u64) {
        if until_ns > self.shown_ns {
            match self.progressive.shown(until_ns) {
                Some(text) => self.output.text(text, self.shown_ns, until_ns),
                None => self.output.gap(until_ns),
            }
            self.shown_ns = until_ns;
        }
    }

    /// Hands on the captions that are finished, and the ends of the utterances that are complete with them.
    fn release(&mut self) {
        for caption in self.finals.by_ref() {
            self.output.text(caption.text, caption.start_ns, caption.end_ns);
        }
        while let Some(&end_ns) = self.transcript_ends.front() {
            let waits = match self.mode {
                Mode::Tokens => false,
                Mode::Final => self.finals.earliest_ns().is_some_and(|earliest_ns| earliest_ns < end_ns),
                // Its last words are in the buffer of the chunk that is about to be told of.
                Mode::Progressive => self.utterance_ended,
            };
            if waits {
                break;
            }
            self.transcript_ends.pop_front();
            self.end_transcript();
        }
    }

    fn end_transcript(&mut self) {
        let structure = gst::Structure::new_empty("rstranscribe/final-transcript");
        self.output.push(Outgoing::Event(gst::event::CustomDownstream::new(structure)));
    }
}
