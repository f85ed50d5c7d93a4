//! One stream's recognition, on the pipeline's clock: queue items in, text, events and messages out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::input::Item;
use super::messages::{self, Times};
use super::output::{Outgoing, Output};
use super::settings::Settings;
use super::{CaptionMode, Output as OutputKind};
use crate::captions::{FinalCaptions, ProgressiveCaption, Word};
use crate::engine::time::ns_to_samples;
use crate::engine::timeline::{LONGEST_FILL_NS, Placement, Timeline};
use crate::engine::{DisplayToken, Error, Event, Hypothesis, Model, Stream, StreamOptions};
use crate::scheduler::Client;

/// Silence is pushed in pieces of this many samples.
const SILENCE: [f32; 1600] = [0.0; 1600];

/// An item that could not be processed: the reason, and the item where nothing of it was taken.
pub struct Unfinished(pub Error, pub Option<Item>);

/// The state of one stream.
pub struct Recogniser {
    stream: Stream,
    client: Client,
    timeline: Timeline,
    segment: gst::FormattedSegment<gst::ClockTime>,
    mode: OutputKind,
    caption_mode: CaptionMode,
    finals: FinalCaptions,
    progressive: ProgressiveCaption,
    /// Where utterances end whose `rstranscribe/final-transcript` waits for their last caption.
    transcript_ends: VecDeque<u64>,
    /// Up to where progressive captions are told of.
    shown_ns: u64,
    /// The last chunk of an utterance is to be shown.
    utterance_ended: bool,
    /// The next segment is a new one, whatever it says.
    flushed: bool,
    output: Output,
    min_confidence: f64,
    partial_results: bool,
    /// When to give up, where that is wanted.
    pub deadline: Option<Instant>,
    /// Chunks that were recognised since this was last asked.
    pub chunks: u64,
}

impl Recogniser {
    /// At the start of a stream.
    pub fn new(model: Arc<Model>, client: Client, options: StreamOptions, settings: &Settings) -> Self {
        let mut recogniser = Self {
            stream: Stream::new(model, options),
            client,
            timeline: Timeline::default(),
            segment: gst::FormattedSegment::new(),
            mode: settings.output,
            caption_mode: settings.caption_mode,
            finals: FinalCaptions::new(settings.shape),
            progressive: ProgressiveCaption::new(settings.shape),
            transcript_ends: VecDeque::new(),
            shown_ns: 0,
            utterance_ended: false,
            flushed: false,
            output: Output::default(),
            min_confidence: 0.0,
            partial_results: true,
            deadline: None,
            chunks: 0,
        };
        recogniser.apply(settings);
        recogniser
    }

    /// Takes the settings that may change while playing.
    pub fn apply(&mut self, settings: &Settings) {
        self.finals.set_shape(settings.shape);
        self.progressive.set_shape(settings.shape);
        self.min_confidence = settings.min_confidence;
        self.partial_results = settings.partial_results;
    }

    /// Processes one item. What comes of it is then in [`take_output`](Self::take_output), also after an error.
    pub fn process(&mut self, item: Item) -> Result<(), Unfinished> {
        let needs_end = match &item {
            Item::Audio { pts, .. } => {
                // What an earlier, interrupted item left to be done comes first.
                if let Err(error) = self.run() {
                    return Err(Unfinished(error, Some(item)));
                }
                pts.is_some_and(|pts| self.breaks(pts))
            }
            Item::Gap { duration, .. } => duration.nseconds() > LONGEST_FILL_NS,
            Item::StreamStart(_) | Item::Caps | Item::Eos(_) | Item::SegmentDone(_) => true,
            Item::Segment(event) => self.is_new_segment(event),
            Item::Event(_) => false,
        };
        if needs_end && let Err(error) = self.end_utterance() {
            return Err(Unfinished(error, Some(item)));
        }
        self.take(item).map_err(|error| Unfinished(error, None))
    }

    fn take(&mut self, item: Item) -> Result<(), Error> {
        match item {
            Item::Audio { samples, pts } => return self.audio(&samples, pts),
            Item::Gap { pts, duration } => return self.hole(pts, duration),
            Item::StreamStart(event) => {
                self.release_captions();
                self.stream.reset();
                self.timeline.reset();
                self.output.push(Outgoing::Event(event));
            }
            Item::Caps => self.output.push(Outgoing::Caps),
            Item::Segment(event) => self.begin_segment(event),
            Item::Eos(event) | Item::SegmentDone(event) => {
                self.release_captions();
                self.output.push(Outgoing::Event(event));
            }
            Item::Event(event) => self.output.push(Outgoing::Event(event)),
        }
        Ok(())
    }

    /// Ends the utterance with its final call, after everything that was taken.
    pub fn end_utterance(&mut self) -> Result<(), Error> {
        if self.timeline.is_anchored() {
            self.stream.finish();
            self.run()?;
        }
        Ok(())
    }

    /// What was recognised so far becomes final: nothing more can come.
    pub fn abandon(&mut self) {
        let mut last = self.stream.hypothesis().clone();
        if !last.tokens.is_empty() {
            last.is_final = true;
            self.hypothesis(&last);
        }
        self.release_captions();
    }

    /// Forgets everything but the segment's format: after a flush.
    pub fn reset(&mut self) {
        self.stream.reset();
        self.timeline.reset();
        self.finals.reset();
        self.progressive.reset();
        self.transcript_ends.clear();
        self.output.reset();
        self.output.set_discont();
        self.shown_ns = 0;
        self.utterance_ended = false;
        self.flushed = true;
    }

    /// Takes what is to be handed on.
    pub fn take_output(&mut self) -> Vec<Outgoing> {
        self.output.take()
    }

    /// The running time of the newest sample that was taken.
    pub fn newest_running_time(&self) -> Option<gst::ClockTime> {
        let newest_ns = self.timeline.pts_ns(crate::engine::time::samples_to_ns(self.stream.samples()));
        self.segment.to_running_time(gst::ClockTime::from_nseconds(newest_ns))
    }

    /// Gives the way to the network back.
    pub fn into_client(self) -> Client {
        self.client
    }

    /// How many streams share the model.
    pub fn streams(&self) -> usize {
        self.client.clients()
    }

    fn breaks(&self, pts: gst::ClockTime) -> bool {
        self.timeline.place(self.stream.samples(), pts.nseconds()) == Placement::Breaks
    }

    fn audio(&mut self, samples: &[f32], pts: Option<gst::ClockTime>) -> Result<(), Error> {
        let sample = self.stream.samples();
        let placement = match pts {
            Some(pts) => self.timeline.place(sample, pts.nseconds()),
            None if self.timeline.is_anchored() => Placement::Continues,
            None => Placement::Breaks,
        };
        match placement {
            Placement::Continues => {
                if let Some(pts) = pts {
                    self.timeline.follow(sample, pts.nseconds());
                }
            }
            Placement::AfterHole { samples } => self.silence(samples),
            Placement::Breaks => {
                // Audio without a time begins where the segment does.
                let pts = pts.or(self.segment.start()).unwrap_or_default();
                if self.timeline.is_anchored() {
                    self.output.set_discont();
                }
                self.timeline.anchor(sample, pts.nseconds());
                self.shown_ns = pts.nseconds();
                self.output.gap(pts.nseconds());
            }
        }
        self.stream.push(samples);
        self.run()
    }

    fn hole(&mut self, pts: gst::ClockTime, duration: gst::ClockTime) -> Result<(), Error> {
        let end_ns = (pts + duration).nseconds();
        if duration.nseconds() <= LONGEST_FILL_NS && self.timeline.is_anchored() {
            self.silence(ns_to_samples(duration.nseconds()));
            return self.run();
        }
        // The utterance has ended; the timeline goes on without text.
        self.finals.advance(end_ns);
        self.release();
        self.output.gap(self.finals.earliest_ns().map_or(end_ns, |earliest_ns| earliest_ns.min(end_ns)));
        if self.timeline.is_anchored() {
            self.timeline.anchor(self.stream.samples(), end_ns);
            self.output.set_discont();
            self.shown_ns = end_ns;
        }
        Ok(())
    }

    fn silence(&mut self, samples: u64) {
        let mut left = samples as usize;
        while left > 0 {
            let part = left.min(SILENCE.len());
            self.stream.push(&SILENCE[..part]);
            left -= part;
        }
    }

    fn is_new_segment(&self, event: &gst::Event) -> bool {
        let gst::EventView::Segment(event) = event.view() else { return true };
        let Some(new) = event.segment().downcast_ref::<gst::ClockTime>() else { return true };
        if self.flushed {
            return true;
        }
        let old = &self.segment;
        (new.rate(), new.applied_rate(), new.base(), new.offset(), new.start(), new.time())
            != (old.rate(), old.applied_rate(), old.base(), old.offset(), old.start(), old.time())
    }

    fn begin_segment(&mut self, event: gst::Event) {
        let is_new = self.is_new_segment(&event);
        if let gst::EventView::Segment(view) = event.view()
            && let Some(segment) = view.segment().downcast_ref::<gst::ClockTime>()
        {
            if is_new {
                self.release_captions();
                self.timeline.reset();
                let start_ns = segment.start().unwrap_or_default().nseconds();
                self.output.begin(start_ns);
                self.shown_ns = start_ns;
            }
            self.segment = segment.clone();
            self.flushed = false;
        }
        self.output.push(Outgoing::Segment(event));
    }

    /// Makes all calls that can be made, and tells of what came.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(Error::Cancelled);
            }
            let stepped = self.stream.step(&mut self.client);
            while let Some(event) = self.stream.next_event() {
                self.event(event);
            }
            if !stepped? {
                return Ok(());
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Token(token) => self.token(&token),
            Event::Hypothesis(hypothesis) => self.hypothesis(&hypothesis),
            Event::Advanced { until_ns, safe_ns, waiting_ns } => {
                self.chunks += 1;
                // A caption waits for the token that completes it; a token by itself would come too late.
                let waiting_ns = waiting_ns.filter(|_| self.mode == OutputKind::Captions);
                let until_ns = self.timeline.pts_ns(until_ns);
                let safe_ns = self.timeline.pts_ns(waiting_ns.map_or(safe_ns, |waiting_ns| waiting_ns.min(safe_ns)));
                self.advanced(until_ns, safe_ns);
            }
        }
    }

    fn token(&mut self, token: &DisplayToken) {
        let word = Word {
            text: token.text.clone(),
            space_before: token.space_before,
            start_ns: self.timeline.pts_ns(token.start_ns),
            end_ns: self.timeline.pts_ns(token.end_ns),
        };
        match (self.mode, self.caption_mode) {
            (OutputKind::Tokens, _) => self.output.text(word.text, word.start_ns, word.end_ns),
            (OutputKind::Captions, CaptionMode::Final) => self.finals.word(word),
            (OutputKind::Captions, CaptionMode::Progressive) => self.progressive.word(word),
        }
        self.release();
    }

    fn hypothesis(&mut self, hypothesis: &Hypothesis) {
        if hypothesis.is_final || self.partial_results {
            let times = |token: &DisplayToken| self.times(token);
            let message = messages::result(hypothesis, self.min_confidence, times);
            self.output.push(Outgoing::Message(message));
        }
        self.output.push(Outgoing::CurrentText(hypothesis.text.clone()));
        if hypothesis.is_final {
            self.finals.end_utterance();
            self.utterance_ended = true;
            let end_ns = hypothesis.tokens.last().map_or(0, |token| self.timeline.pts_ns(token.end_ns));
            self.transcript_ends.push_back(end_ns);
            self.release();
        }
    }

    fn times(&self, token: &DisplayToken) -> Times {
        let pts = |ns| gst::ClockTime::from_nseconds(self.timeline.pts_ns(ns));
        let (start, end) = (pts(token.start_ns), pts(token.end_ns));
        let stream = |pts: gst::ClockTime| self.segment.to_stream_time(pts).unwrap_or(pts).nseconds();
        let running = self.segment.to_running_time(start).unwrap_or(start).nseconds();
        Times { start_ns: stream(start), end_ns: stream(end), running_ns: running }
    }

    fn advanced(&mut self, until_ns: u64, safe_ns: u64) {
        match (self.mode, self.caption_mode) {
            (OutputKind::Captions, CaptionMode::Progressive) => {
                // Buffers tile the timeline: one for each chunk.
                if until_ns > self.shown_ns {
                    match self.progressive.shown(until_ns) {
                        Some(text) => self.output.text(text, self.shown_ns, until_ns),
                        None => self.output.gap(until_ns),
                    }
                    self.shown_ns = until_ns;
                }
                if std::mem::take(&mut self.utterance_ended) {
                    self.progressive.end_utterance();
                }
            }
            (OutputKind::Captions, CaptionMode::Final) => {
                self.finals.advance(safe_ns);
                self.release();
                self.output.gap(self.finals.earliest_ns().map_or(safe_ns, |earliest_ns| earliest_ns.min(safe_ns)));
            }
            (OutputKind::Tokens, _) => self.output.gap(safe_ns),
        }
        self.release();
    }

    /// Hands on the captions that are finished, and the ends of the utterances that are complete with them.
    fn release(&mut self) {
        for caption in self.finals.by_ref() {
            self.output.text(caption.text, caption.start_ns, caption.end_ns);
        }
        // Progressive buffers follow their chunk, so the end of the utterance does too.
        while let Some(&end_ns) = self.transcript_ends.front() {
            let waits = match (self.mode, self.caption_mode) {
                (OutputKind::Captions, CaptionMode::Final) => {
                    self.finals.earliest_ns().is_some_and(|earliest_ns| earliest_ns < end_ns)
                }
                (OutputKind::Captions, CaptionMode::Progressive) => self.shown_ns < end_ns,
                (OutputKind::Tokens, _) => false,
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

    /// Hands on everything that is held: the timeline ends here.
    fn release_captions(&mut self) {
        self.finals.finish();
        self.release();
        self.progressive.reset();
        // Whatever an overlay has not shown of them, the utterances are over.
        let ends = self.transcript_ends.drain(..).count();
        (0..ends).for_each(|_| self.end_transcript());
    }
}
