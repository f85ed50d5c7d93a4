//! One stream's recognition, on the pipeline's clock: queue items in, text, events and messages out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::imp::CAT;
use super::input::Item;
use super::models::{Clients, Models};
use super::output::Outgoing;
use super::refine::Clock;
use super::results::Results;
use super::settings::Settings;
use crate::engine::time::{ns_to_samples, samples_to_ns};
use crate::engine::timeline::{LONGEST_FILL_NS, Placement};
use crate::engine::{Counters, Error, Stream, StreamOptions, VadNetwork};
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
    clock: Clock,
    results: Results,
    /// The next segment is a new one, whatever it says: a stream begins, or was flushed.
    begins: bool,
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
            results: Results::new(clients.stages.clone(), settings, wake),
            clients,
            clock: Clock::default(),
            begins: true,
            counted: Counters::default(),
        };
        recogniser.apply(settings);
        recogniser
    }

    /// How long a call may wait for those of other live streams: a small part of the time allowed for processing. Files
    /// wait for nobody.
    pub fn set_live(&mut self, live: bool, settings: &Settings) {
        self.results.live = live;
        let allowed = Duration::from_millis(settings.latency_ms.into());
        self.clients.recognition.set_patience(if live { LONGEST_WAIT.min(allowed / 5) } else { Duration::ZERO });
    }

    /// Takes the settings that may change while playing.
    pub fn apply(&mut self, settings: &Settings) {
        self.results.apply(settings);
    }

    /// From now on, gives up at `deadline`.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.results.deadline = Some(deadline);
    }

    /// Processes one item. What comes of it is then in [`take_output`](Self::take_output), also after an error.
    pub fn process(&mut self, item: Item) -> Result<(), Unfinished> {
        self.results.collect();
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
                self.results.text.finish();
                self.stream.reset();
                self.results.begin_stream();
                self.clock.timeline.reset();
                self.begins = true;
                self.results.text.output.push(Outgoing::Event(event));
            }
            Item::Caps => self.results.text.output.push(Outgoing::Caps),
            Item::Segment(event) => self.begin_segment(event),
            Item::Eos(event) | Item::SegmentDone(event) => {
                self.results.text.finish();
                self.results.text.output.push(Outgoing::Event(event));
            }
            Item::Event(event) => self.results.text.output.push(Outgoing::Event(event)),
            Item::Refined => {}
        }
        Ok(())
    }

    /// Ends the utterance with its final call, after everything that was taken.
    pub fn end_utterance(&mut self) -> Result<(), Error> {
        if self.clock.timeline.is_anchored() {
            self.stream.finish();
            self.run()?;
        }
        Ok(())
    }

    /// What was recognised so far becomes final: nothing more can come.
    pub fn abandon(&mut self) {
        self.results.abandon(self.stream.hypothesis(), &self.clock);
    }

    /// Waits for the final texts that are still to come.
    pub fn settle(&mut self) {
        self.results.settle();
    }

    /// Forgets everything but the segment's format: after a flush.
    pub fn reset(&mut self) {
        self.stream.reset();
        self.clock.timeline.reset();
        self.results.reset();
        self.begins = true;
    }

    /// Takes what is to be handed on.
    pub fn take_output(&mut self) -> Vec<Outgoing> {
        self.results.text.output.take()
    }

    /// The running time of the newest sample that was taken.
    pub fn newest_running_time(&self) -> Option<gst::ClockTime> {
        let newest_ns = self.clock.timeline.pts_ns(samples_to_ns(self.stream.samples()));
        self.clock.segment.to_running_time(gst::ClockTime::from_nseconds(newest_ns))
    }

    /// Breaks off the wait for final texts.
    pub fn canceller(&self) -> Canceller {
        self.results.canceller()
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
            let end_ns = self.clock.timeline.pts_ns(samples_to_ns(self.stream.samples()));
            gst::ClockTime::from_nseconds(end_ns.saturating_add(skipped_ns))
        };
        pts.or_else(|| (skipped_ns > 0 && self.clock.timeline.is_anchored()).then(follows))
    }

    fn breaks(&self, pts: gst::ClockTime) -> bool {
        self.clock.timeline.place(self.stream.samples(), pts.nseconds()) == Placement::Breaks
    }

    fn audio(&mut self, samples: &[f32], pts: Option<gst::ClockTime>) -> Result<(), Error> {
        let sample = self.stream.samples();
        let placement = match pts {
            Some(pts) => self.clock.timeline.place(sample, pts.nseconds()),
            None if self.clock.timeline.is_anchored() => Placement::Continues,
            None => Placement::Breaks,
        };
        match placement {
            Placement::Continues => {
                if let Some(pts) = pts {
                    self.clock.timeline.follow(sample, pts.nseconds());
                }
            }
            Placement::AfterHole { samples } => {
                gst::debug!(CAT, "a hole before {}: {samples} samples of silence", pts.display());
                self.silence(samples);
            }
            Placement::Breaks => {
                let expected_ns = self.clock.timeline.pts_ns(samples_to_ns(sample));
                let expected = self.clock.timeline.is_anchored().then_some(gst::ClockTime::from_nseconds(expected_ns));
                gst::debug!(CAT, "audio begins at {}, expected at {}", pts.display(), expected.display());
                // Audio without a time begins where the segment does.
                let pts = pts.or(self.clock.segment.start()).unwrap_or_default();
                if self.clock.timeline.is_anchored() {
                    self.results.text.output.set_discont();
                }
                self.clock.timeline.anchor(sample, pts.nseconds());
                self.results.text.resume_at(pts.nseconds());
            }
        }
        self.stream.push(samples);
        self.run()
    }

    fn hole(&mut self, pts: gst::ClockTime, duration: gst::ClockTime) -> Result<(), Error> {
        let end_ns = pts.saturating_add(duration).nseconds();
        if duration.nseconds() <= LONGEST_FILL_NS && self.clock.timeline.is_anchored() {
            self.silence(ns_to_samples(duration.nseconds()));
            return self.run();
        }
        // The utterance has ended; the timeline goes on without text.
        self.results.text.resume_at(end_ns);
        if self.clock.timeline.is_anchored() {
            self.clock.timeline.anchor(self.stream.samples(), end_ns);
            self.results.text.output.set_discont();
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
        let old = &self.clock.segment;
        (new.rate(), new.applied_rate(), new.base(), new.offset(), new.start(), new.time())
            != (old.rate(), old.applied_rate(), old.base(), old.offset(), old.start(), old.time())
    }

    fn begin_segment(&mut self, event: gst::Event) {
        let is_new = self.is_new_segment(&event);
        if let gst::EventView::Segment(view) = event.view()
            && let Some(segment) = view.segment().downcast_ref::<gst::ClockTime>()
        {
            if is_new {
                self.results.text.finish();
                self.clock.timeline.reset();
                let start_ns = segment.start().unwrap_or_default().nseconds();
                self.results.text.begin(start_ns);
            }
            self.clock.segment = segment.clone();
            self.begins = false;
        }
        self.results.text.output.push(Outgoing::Segment(event));
    }

    /// Makes all calls that can be made, and tells of what came.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            if self.results.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(Error::Cancelled);
            }
            let vad = self.clients.vad.as_mut().map(|vad| vad as &mut dyn VadNetwork);
            let stepped = self.stream.step(&mut self.clients.recognition, vad);
            while let Some(event) = self.stream.next_event() {
                self.results.event(event, &self.clock);
            }
            if !stepped? {
                return Ok(());
            }
        }
    }
}
