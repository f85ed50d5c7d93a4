//! One stream's recognition, on the pipeline's clock: queue items in, text, events and messages out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::imp::CAT;
use super::input::Item;
use super::messages::{self, Times};
use super::models::{Clients, Models};
use super::output::Outgoing;
use super::refine::{Clock, Final, Refiner};
use super::settings::Settings;
use super::text::TextOutput;
use crate::captions::Word;
use crate::engine::refine::chain::Pass;
use crate::engine::refine::numbers::Incremental;
use crate::engine::time::{ns_to_samples, samples_to_ns};
use crate::engine::timeline::{LONGEST_FILL_NS, Placement, Timeline};
use crate::engine::{Counters, DisplayToken, Error, Event, Heard, Hypothesis, Stream, StreamOptions, VadNetwork};
use crate::scheduler::Canceller;

/// Silence is pushed in pieces of this many samples.
const SILENCE: [f32; 1600] = [0.0; 1600];

/// How long a live stream's call waits for others at most.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// An item that could not be processed: the reason, and the item where nothing of it was taken.
pub struct Unfinished(pub Error, pub Option<Item>);

/// The state of one stream.
pub struct Recogniser {
    stream: Stream,
    clients: Clients,
    timeline: Timeline,
    segment: gst::FormattedSegment<gst::ClockTime>,
    text: TextOutput,
    refiner: Refiner,
    /// Numbers in captions that are made as the words come.
    numbers: Incremental,
    /// The audio of the utterance whose final text comes next.
    heard: Option<Heard>,
    live: bool,
    /// The last partial result: its utterance, and its text.
    told: (u64, String),
    /// Warnings about final texts that were given.
    warned: Vec<String>,
    /// The next segment is a new one, whatever it says: a stream begins, or was flushed.
    begins: bool,
    min_confidence: f64,
    partial_results: bool,
    /// When to give up, where that is wanted.
    pub deadline: Option<Instant>,
    /// What had been done when that was last asked.
    counted: Counters,
}

impl Recogniser {
    /// At the start of a stream.
    pub fn new(
        models: Models,
        clients: Clients,
        options: StreamOptions,
        settings: &Settings,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let mut recogniser = Self {
            stream: match models.vad {
                Some(vad) => Stream::with_vad(models.recognition, vad, options),
                None => Stream::new(models.recognition, options),
            },
            refiner: Refiner::new(clients.stages.clone(), settings, wake),
            numbers: Incremental::default(),
            heard: None,
            live: false,
            told: (0, String::new()),
            warned: Vec::new(),
            clients,
            timeline: Timeline::default(),
            segment: gst::FormattedSegment::new(),
            text: TextOutput::new(settings),
            begins: true,
            min_confidence: 0.0,
            partial_results: true,
            deadline: None,
            counted: Counters::default(),
        };
        recogniser.apply(settings);
        recogniser
    }

    /// How long a call may wait for those of other live streams: a small part of the time allowed for processing. Files
    /// wait for nobody.
    pub fn set_live(&mut self, live: bool, settings: &Settings) {
        self.live = live;
        let allowed = Duration::from_millis(settings.latency_ms.into());
        self.clients.recognition.set_patience(if live { LONGEST_WAIT.min(allowed / 5) } else { Duration::ZERO });
    }

    /// Takes the settings that may change while playing.
    pub fn apply(&mut self, settings: &Settings) {
        self.text.set_shape(settings.shape);
        self.min_confidence = settings.min_confidence;
        self.partial_results = settings.partial_results;
        for warning in self.refiner.apply(settings) {
            self.text.output.push(Outgoing::Warning(warning));
        }
        self.text.set_deferring(self.refiner.rewrites());
    }

    /// Processes one item. What comes of it is then in [`take_output`](Self::take_output), also after an error.
    pub fn process(&mut self, item: Item) -> Result<(), Unfinished> {
        let finals = self.refiner.collect(self.live);
        self.finals(finals);
        let needs_end = match &item {
            Item::Audio { pts, skipped_ns, .. } => {
                // What an earlier, interrupted item left to be done comes first.
                if let Err(error) = self.run() {
                    return Err(Unfinished(error, Some(item)));
                }
                self.time_of(*pts, *skipped_ns).is_some_and(|pts| self.breaks(pts))
            }
            Item::Gap { duration, .. } => duration.nseconds() > LONGEST_FILL_NS,
            Item::StreamStart(_) | Item::Caps | Item::Eos(_) | Item::SegmentDone(_) => true,
            Item::Segment(event) => self.is_new_segment(event),
            Item::Event(_) | Item::Refined => false,
        };
        if needs_end && let Err(error) = self.end_utterance() {
            return Err(Unfinished(error, Some(item)));
        }
        self.take(item).map_err(|error| Unfinished(error, None))
    }

    fn take(&mut self, item: Item) -> Result<(), Error> {
        if matches!(item, Item::StreamStart(_) | Item::Eos(_) | Item::SegmentDone(_))
            || matches!(&item, Item::Segment(event) if self.is_new_segment(event))
        {
            self.settle();
        }
        match item {
            Item::Audio { samples, pts, skipped_ns } => {
                let pts = self.time_of(pts, skipped_ns);
                return self.audio(&samples, pts);
            }
            Item::Gap { pts, duration } => return self.hole(pts, duration),
            Item::StreamStart(event) => {
                self.text.finish();
                self.stream.reset();
                self.refiner.reset();
                self.told = (0, String::new());
                self.timeline.reset();
                self.begins = true;
                self.text.output.push(Outgoing::Event(event));
            }
            Item::Caps => self.text.output.push(Outgoing::Caps),
            Item::Segment(event) => self.begin_segment(event),
            Item::Eos(event) | Item::SegmentDone(event) => {
                self.text.finish();
                self.text.output.push(Outgoing::Event(event));
            }
            Item::Event(event) => self.text.output.push(Outgoing::Event(event)),
            Item::Refined => {}
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
        let finals = self.refiner.abandon();
        self.finals(finals);
        self.text.finish();
    }

    /// Waits for the final texts that are still to come.
    pub fn settle(&mut self) {
        let finals = self.refiner.settle(self.live, self.deadline);
        self.finals(finals);
    }

    /// Forgets everything but the segment's format: after a flush.
    pub fn reset(&mut self) {
        self.refiner.reset();
        self.numbers = Incremental::default();
        self.heard = None;
        self.told = (0, String::new());
        self.stream.reset();
        self.timeline.reset();
        self.text.reset();
        self.begins = true;
    }

    /// Takes what is to be handed on.
    pub fn take_output(&mut self) -> Vec<Outgoing> {
        self.text.output.take()
    }

    /// The running time of the newest sample that was taken.
    pub fn newest_running_time(&self) -> Option<gst::ClockTime> {
        let newest_ns = self.timeline.pts_ns(samples_to_ns(self.stream.samples()));
        self.segment.to_running_time(gst::ClockTime::from_nseconds(newest_ns))
    }

    /// Breaks off the wait for final texts.
    pub fn canceller(&self) -> Canceller {
        self.refiner.canceller()
    }

    /// Gives the ways to the networks back.
    pub fn into_clients(self) -> Clients {
        self.clients
    }

    /// What was done since this was last asked.
    pub fn take_counters(&mut self) -> Counters {
        let now = self.stream.counters();
        let before = std::mem::replace(&mut self.counted, now);
        now.since(before)
    }

    /// How many streams share the model, and how many of their calls are made together on average.
    pub fn sharing(&self) -> (usize, f64) {
        (self.clients.recognition.clients(), self.clients.recognition.mean_batch())
    }

    /// The time of audio. Without one it follows the audio before it, and what of that was skipped.
    fn time_of(&self, pts: Option<gst::ClockTime>, skipped_ns: u64) -> Option<gst::ClockTime> {
        let follows = || {
            let end_ns = self.timeline.pts_ns(samples_to_ns(self.stream.samples()));
            gst::ClockTime::from_nseconds(end_ns.saturating_add(skipped_ns))
        };
        pts.or_else(|| (skipped_ns > 0 && self.timeline.is_anchored()).then(follows))
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
            Placement::AfterHole { samples } => {
                gst::debug!(CAT, "a hole before {}: {samples} samples of silence", pts.display());
                self.silence(samples);
            }
            Placement::Breaks => {
                let expected_ns = self.timeline.pts_ns(samples_to_ns(sample));
                let expected = self.timeline.is_anchored().then_some(gst::ClockTime::from_nseconds(expected_ns));
                gst::debug!(CAT, "audio begins at {}, expected at {}", pts.display(), expected.display());
                // Audio without a time begins where the segment does.
                let pts = pts.or(self.segment.start()).unwrap_or_default();
                if self.timeline.is_anchored() {
                    self.text.output.set_discont();
                }
                self.timeline.anchor(sample, pts.nseconds());
                self.text.resume_at(pts.nseconds());
            }
        }
        self.stream.push(samples);
        self.run()
    }

    fn hole(&mut self, pts: gst::ClockTime, duration: gst::ClockTime) -> Result<(), Error> {
        let end_ns = pts.saturating_add(duration).nseconds();
        if duration.nseconds() <= LONGEST_FILL_NS && self.timeline.is_anchored() {
            self.silence(ns_to_samples(duration.nseconds()));
            return self.run();
        }
        // The utterance has ended; the timeline goes on without text.
        self.text.resume_at(end_ns);
        if self.timeline.is_anchored() {
            self.timeline.anchor(self.stream.samples(), end_ns);
            self.text.output.set_discont();
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
        if self.begins {
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
                self.text.finish();
                self.timeline.reset();
                let start_ns = segment.start().unwrap_or_default().nseconds();
                self.text.begin(start_ns);
            }
            self.segment = segment.clone();
            self.begins = false;
        }
        self.text.output.push(Outgoing::Segment(event));
    }

    /// Makes all calls that can be made, and tells of what came.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(Error::Cancelled);
            }
            let vad = self.clients.vad.as_mut().map(|vad| vad as &mut dyn VadNetwork);
            let stepped = self.stream.step(&mut self.clients.recognition, vad);
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
            Event::Token(token) => self.token(token),
            Event::Hypothesis(hypothesis) => self.hypothesis(&hypothesis),
            Event::Heard(heard) => self.heard = Some(heard),
            Event::Preview(tokens) => {
                let words = tokens.iter().map(|token| word(token, &self.timeline)).collect();
                self.text.preview(words);
            }
            Event::Advanced { until_ns, safe_ns, waiting_ns } => {
                let waiting_ns = waiting_ns.filter(|_| self.text.may_wait());
                let earliest_ns = [waiting_ns, self.numbers.held_start_ns()].into_iter().flatten().fold(safe_ns, u64::min);
                self.text.advance(self.timeline.pts_ns(until_ns), self.timeline.pts_ns(earliest_ns));
            }
        }
    }

    fn token(&mut self, token: DisplayToken) {
        // Captions that are finished one by one have their numbers as they come; others have them from the final text.
        if !self.text.is_final() || !self.refiner.options().numbers {
            return self.text.word(word(&token, &self.timeline));
        }
        let mut tokens = Vec::new();
        self.numbers.push(token, &mut tokens);
        tokens.iter().for_each(|token| self.text.word(word(token, &self.timeline)));
    }

    fn hypothesis(&mut self, hypothesis: &Hypothesis) {
        if !hypothesis.is_final {
            return self.partial(hypothesis);
        }
        let mut tokens = Vec::new();
        self.numbers.finish(&mut tokens);
        tokens.iter().for_each(|token| self.text.word(word(token, &self.timeline)));
        let end_ns = hypothesis.tokens.last().map_or(0, |token| self.timeline.pts_ns(token.end_ns));
        let clock = Clock { timeline: self.timeline.clone(), segment: self.segment.clone() };
        let (utterance, heard) = (hypothesis.utterance, self.heard.take());
        match self.refiner.refine(hypothesis, heard, clock) {
            Some(now) => {
                self.result(&now.refined.hypothesis, now.refined.pass, &now.clock);
                self.text.end_utterance(utterance, end_ns);
                self.text.corrected(utterance, words(&now));
            }
            None => {
                if self.told != (utterance, hypothesis.text.clone()) {
                    self.partial(&Hypothesis { is_final: false, ..hypothesis.clone() });
                }
                self.text.end_utterance(utterance, end_ns);
                // A file's captions are the same however fast it is recognised.
                let finals = match (self.live, self.text.is_final()) {
                    (true, _) => Vec::new(),
                    (false, true) => self.refiner.hold_back(),
                    (false, false) => self.refiner.settle(false, self.deadline),
                };
                self.finals(finals);
            }
        }
    }

    fn partial(&mut self, hypothesis: &Hypothesis) {
        self.told = (hypothesis.utterance, hypothesis.text.clone());
        if self.partial_results {
            let clock = Clock { timeline: self.timeline.clone(), segment: self.segment.clone() };
            let message = messages::result(hypothesis, Pass::Streaming, self.min_confidence, |token| clock.times(token));
            self.text.output.push(Outgoing::Message(message));
        }
        self.text.output.push(Outgoing::CurrentText(hypothesis.text.clone()));
    }

    fn finals(&mut self, finals: Vec<Final>) {
        for last in finals {
            self.result(&last.refined.hypothesis, last.refined.pass, &last.clock);
            self.text.corrected(last.refined.hypothesis.utterance, words(&last));
            for warning in &last.refined.warnings {
                if !self.warned.contains(warning) {
                    self.warned.push(warning.clone());
                    self.text.output.push(Outgoing::Warning(warning.clone()));
                }
            }
        }
    }

    /// Tells the final text of an utterance.
    fn result(&mut self, hypothesis: &Hypothesis, pass: Pass, clock: &Clock) {
        let message = messages::result(hypothesis, pass, self.min_confidence, |token| clock.times(token));
        self.text.output.push(Outgoing::Message(message));
        // The text of a later utterance is shown already.
        if hypothesis.utterance >= self.told.0 {
            self.text.output.push(Outgoing::CurrentText(hypothesis.text.clone()));
        }
    }
}

fn words(last: &Final) -> Vec<Word> {
    last.refined.hypothesis.tokens.iter().map(|token| word(token, &last.clock.timeline)).collect()
}

fn word(token: &DisplayToken, timeline: &Timeline) -> Word {
    Word {
        text: token.text.clone(),
        space_before: token.space_before,
        start_ns: timeline.pts_ns(token.start_ns),
        end_ns: timeline.pts_ns(token.end_ns),
    }
}
