//! The source pad: the task that recognises, and what it hands on downstream and to the bus.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{CAT, ParaformerAsr};
use super::input::Item;
use super::messages::post_error;
use super::output::Outgoing;
use super::recogniser::Unfinished;
use crate::engine::Error;
use crate::scheduler::queue::Timed;

/// What goes to the source pad besides the recogniser's output.
#[derive(Default)]
pub struct Downstream {
    /// Whether the text is Pango's markup.
    markup: bool,
    language_sent: Option<String>,
    segment: Option<gst::Event>,
    lateness_sent: Option<u32>,
}

impl ParaformerAsr {
    pub fn activate(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode is possible"));
        }
        if active {
            self.start_task()?;
        } else {
            self.interrupt();
            self.srcpad.stop_task()?;
        }
        Ok(())
    }

    fn start_task(&self) -> Result<(), glib::BoolError> {
        *self.lock(&self.flow) = Ok(gst::FlowSuccess::Ok);
        self.failed.store(false, Ordering::Relaxed);
        self.eos.store(false, Ordering::Relaxed);
        self.resume();
        let weak = self.obj().downgrade();
        self.srcpad.start_task(move || {
            if let Some(element) = weak.upgrade() {
                let this = element.imp();
                // After a panic the element has posted an error, and there is nothing more to do.
                let stop = || drop(this.srcpad.pause_task());
                this.catch_panic(stop, |this| this.iterate());
            }
        })
    }

    pub fn flush_start(&self, event: gst::Event) -> bool {
        let forwarded = self.srcpad.push_event(event);
        *self.lock(&self.flow) = Err(gst::FlowError::Flushing);
        self.interrupt();
        let _ = self.srcpad.pause_task();
        forwarded
    }

    pub fn flush_stop(&self, event: gst::Event) -> bool {
        // The task is over when its pad's stream lock can be had.
        let streaming = self.srcpad.stream_lock();
        self.queue.clear();
        if let Some(recogniser) = &mut *self.lock(&self.recogniser) {
            recogniser.reset();
        }
        *self.lock(&self.upstream) = None;
        drop(streaming);
        let forwarded = self.srcpad.push_event(event);
        let started = self.start_task();
        forwarded && started.is_ok()
    }

    /// One round of the task: one item.
    fn iterate(&self) {
        let Ok(item) = self.queue.pop() else {
            let _ = self.srcpad.pause_task();
            return;
        };
        let started = Instant::now();
        let audio_ns = item.duration_ns();
        let (settings, live) = (self.settings(), (audio_ns > 0).then(|| self.upstream().0));
        let mut guard = self.lock(&self.recogniser);
        let Some(recogniser) = guard.as_mut() else { return };
        recogniser.apply(&settings);
        live.into_iter().for_each(|live| recogniser.set_live(live, &settings));
        let result = recogniser.process(item);
        if matches!(&result, Err(Unfinished(error, _)) if *error != Error::Cancelled) {
            recogniser.abandon();
        }
        let done = recogniser.take_counters();
        let newest = recogniser.newest_running_time();
        let output = recogniser.take_output();
        drop(guard);
        self.lock(&self.stats).recognised(done, audio_ns, started.elapsed());
        if done.calls > 0 && audio_ns > 0 {
            self.observe_delay(newest);
        }
        let flow = output.into_iter().try_fold(gst::FlowSuccess::Ok, |_, item| self.hand_on(item));
        if let Err(flow) = flow {
            self.stop(flow);
        }
        match result {
            Err(Unfinished(Error::Cancelled, item)) => {
                // The audio is not lost: a state change still wants it.
                item.into_iter().for_each(|item| self.queue.put_back(item));
            }
            Err(Unfinished(error, _)) => self.fail(&error),
            Ok(()) => {}
        }
    }

    /// An error that ends the stream. The bus hears of it before upstream does, who would only say that something failed.
    pub fn fail(&self, error: &Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            post_error(self, error);
            *self.lock(&self.flow) = Err(gst::FlowError::Error);
            self.queue.release();
        }
        let _ = self.srcpad.pause_task();
    }

    /// Downstream takes no more.
    fn stop(&self, flow: gst::FlowError) {
        *self.lock(&self.flow) = Err(flow);
        self.queue.release();
        let _ = self.srcpad.pause_task();
        gst::debug!(CAT, imp = self, "downstream says {flow}");
        // Upstream hears of it from the next buffer; after the last one nobody would.
        let ends = self.eos.load(Ordering::Relaxed);
        if ends && !matches!(flow, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("downstream failed: {flow}"));
        }
    }

    fn hand_on(&self, item: Outgoing) -> Result<gst::FlowSuccess, gst::FlowError> {
        match item {
            Outgoing::Caps => self.negotiate()?,
            Outgoing::Event(event) => {
                if event.type_() == gst::EventType::StreamStart {
                    *self.lock(&self.downstream) = Downstream::default();
                } else {
                    self.send_sticky();
                }
                self.srcpad.push_event(event);
            }
            Outgoing::Segment(event) => {
                let mut downstream = self.lock(&self.downstream);
                downstream.segment = Some(event);
                downstream.lateness_sent = None;
            }
            Outgoing::Text { text, start_ns, end_ns, discont } => {
                self.send_sticky();
                return self.push_text(text, start_ns, end_ns, discont);
            }
            Outgoing::Gap { start_ns, end_ns } => {
                self.send_sticky();
                let duration = gst::ClockTime::from_nseconds(end_ns.saturating_sub(start_ns));
                self.srcpad.push_event(
                    gst::event::Gap::builder(gst::ClockTime::from_nseconds(start_ns)).duration(duration).build(),
                );
            }
            Outgoing::Message(structure) => self.post(structure),
            Outgoing::Warning(text) => gst::element_imp_warning!(self, gst::StreamError::Failed, ("{text}")),
            Outgoing::CurrentText(text) => self.show(text),
        }
        // The segment and the language go out as soon as they can: a muxer waits for them.
        self.send_sticky();
        Ok(gst::FlowSuccess::Ok)
    }

    /// Sends the segment and the language tag where they are new or have changed.
    fn send_sticky(&self) {
        let settings = self.settings();
        let mut downstream = self.lock(&self.downstream);
        let mut events = Vec::new();
        if let Some(event) = &downstream.segment
            && downstream.lateness_sent != Some(settings.lateness_ms)
        {
            events.extend(late(event, settings.lateness_ms));
            downstream.lateness_sent = Some(settings.lateness_ms);
        }
        let language = settings.language().map(str::to_owned);
        if downstream.lateness_sent.is_some() && language.is_some() && downstream.language_sent != language {
            let mut tags = gst::TagList::new();
            if let (Some(tags), Some(language)) = (tags.get_mut(), language.as_deref()) {
                tags.add::<gst::tags::LanguageCode>(&language, gst::TagMergeMode::Replace);
                tags.set_scope(gst::TagScope::Stream);
            }
            events.push(gst::event::Tag::new(tags));
            downstream.language_sent = language;
        }
        drop(downstream);
        for event in events {
            self.srcpad.push_event(event);
        }
    }

    /// Plain text where downstream takes it, else Pango's markup.
    fn negotiate(&self) -> Result<(), gst::FlowError> {
        let allowed = self.srcpad.peer_query_caps(Some(&self.srcpad.pad_template_caps()));
        let plain = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
        let marked = gst::Caps::builder("text/x-raw").field("format", "pango-markup").build();
        // Where nobody is linked, anything goes.
        let markup = !allowed.can_intersect(&plain) && allowed.can_intersect(&marked);
        self.lock(&self.downstream).markup = markup;
        let caps = if markup { marked } else { plain };
        if self.srcpad.current_caps().as_ref() == Some(&caps) {
            return Ok(());
        }
        if self.srcpad.push_event(gst::event::Caps::new(&caps)) || self.srcpad.peer().is_none() {
            return Ok(());
        }
        Err(self.flow().err().unwrap_or(gst::FlowError::NotNegotiated))
    }

    fn push_text(
        &self,
        text: String,
        start_ns: u64,
        end_ns: u64,
        discont: bool,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.srcpad.check_reconfigure() {
            self.negotiate()?;
        }
        let markup = self.lock(&self.downstream).markup;
        let text = if markup { glib::markup_escape_text(&text).to_string() } else { text };
        gst::debug!(CAT, imp = self, "{text}");
        let mut buffer = gst::Buffer::from_mut_slice(text.into_bytes());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(start_ns));
            buffer.set_duration(gst::ClockTime::from_nseconds(end_ns.saturating_sub(start_ns)));
            if discont {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.srcpad.push(buffer)
    }

    /// What makes the task collect final texts. Called from other threads.
    pub fn wake(&self) -> Arc<dyn Fn() + Send + Sync> {
        let weak = self.obj().downgrade();
        Arc::new(move || {
            if let Some(element) = weak.upgrade() {
                // Where the queue is released, whoever waits for the texts collects them.
                let _ = element.imp().queue.push_waiting(Item::Refined, u64::MAX);
            }
        })
    }

    // The bus.

    pub fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        // Without a bus nobody listens.
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    pub fn show(&self, text: String) {
        let before = std::mem::replace(&mut *self.lock(&self.current_text), text.clone());
        if before != text {
            self.obj().notify("current-text");
        }
    }

    /// In a live pipeline: how long after its last sample could be had a chunk was recognised.
    fn observe_delay(&self, newest: Option<gst::ClockTime>) {
        let (live, upstream) = self.upstream();
        let (Some(now), Some(newest)) = (self.obj().current_running_time(), newest) else { return };
        if !live {
            return;
        }
        let delay_ms = now.saturating_sub(newest.saturating_add(upstream)).mseconds().min(u64::from(u32::MAX)) as u32;
        let longest = self.lock(&self.stats).delayed(delay_ms);
        if !longest {
            return;
        }
        let allowed = self.settings().latency_ms;
        if delay_ms > allowed {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("recognition took {delay_ms} ms, longer than latency={allowed}: set latency higher, or text comes too \
            late"),
                details: gst::Structure::builder("paraformerasr/excessive-delay").field("new-observed-max-delay", delay_ms).build()
            );
        }
        self.obj().notify("max-observed-delay");
    }
}

/// The segment with its running time shifted.
fn late(event: &gst::Event, lateness_ms: u32) -> Option<gst::Event> {
    let gst::EventView::Segment(view) = event.view() else { return None };
    let mut segment = view.segment().downcast_ref::<gst::ClockTime>()?.clone();
    let lateness = gst::ClockTime::from_mseconds(lateness_ms.into());
    segment.set_base(segment.base().unwrap_or_default().saturating_add(lateness));
    Some(gst::event::Segment::builder(&segment).seqnum(event.seqnum()).build())
}
