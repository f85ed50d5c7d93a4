//! The element's subclass: pads, properties, states, and the task on the source pad that recognises.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::{Format, Item};
use super::messages::{post_error, progress};
use super::output::Outgoing;
use super::recogniser::{Recogniser, Unfinished};
use super::settings::{PROPERTIES, Settings};
use super::stats::Stats;
use crate::engine::{Error, Model};
use crate::runtime::{SharedModel, registry};
use crate::scheduler::{Canceller, Client, Queue};

pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "paraformerasr",
        gst::DebugColorFlags::empty(),
        Some("streaming Paraformer speech recognition"),
    )
});

/// How long PAUSED to READY may go on recognising what has come, so that nothing said is lost.
const FAREWELL: Duration = Duration::from_millis(500);

/// A model that is open, from READY on.
struct Open {
    model: std::sync::Arc<Model>,
    /// Taken by the recogniser while there is one.
    client: Option<Client>,
    canceller: Canceller,
    precision: &'static str,
    /// PROGRESS was started and not yet ended.
    loading: bool,
}

/// What goes to the source pad besides the recogniser's output.
#[derive(Default)]
struct Downstream {
    markup: bool,
    language_sent: Option<String>,
    segment: Option<gst::Event>,
    lateness_sent: Option<u32>,
}

pub struct ParaformerAsr {
    pub sinkpad: gst::Pad,
    pub srcpad: gst::Pad,
    settings: Mutex<Settings>,
    open: Mutex<Option<Open>>,
    pub queue: Queue<Item>,
    pub format: Mutex<Format>,
    recogniser: Mutex<Option<Recogniser>>,
    downstream: Mutex<Downstream>,
    flow: Mutex<Result<gst::FlowSuccess, gst::FlowError>>,
    pub upstream: Mutex<Option<(bool, gst::ClockTime)>>,
    pub stats: Mutex<Stats>,
    current_text: Mutex<String>,
}

#[glib::object_subclass]
impl ObjectSubclass for ParaformerAsr {
    const NAME: &'static str = "GstParaformerAsr";
    type Type = super::ParaformerAsr;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template =
            |name| class.pad_template(name).unwrap_or_else(|| unreachable!("the class has the template {name}"));
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| {
                        let _ = pad;
                        this.chain(buffer)
                    },
                )
            })
            .event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(event))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |this| match query.view_mut() {
                        gst::QueryViewMut::Latency(latency) => this.answer_latency(latency),
                        _ => gst::Pad::query_default(pad, Some(&*this.obj()), query),
                    },
                )
            })
            .activatemode_function(|_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked while the source pad was activated")),
                    |this| this.activate(mode, active),
                )
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            open: Mutex::default(),
            queue: Queue::default(),
            format: Mutex::default(),
            recogniser: Mutex::default(),
            downstream: Mutex::default(),
            flow: Mutex::new(Ok(gst::FlowSuccess::Ok)),
            upstream: Mutex::default(),
            stats: Mutex::default(),
            current_text: Mutex::default(),
        }
    }
}

impl ObjectImpl for ParaformerAsr {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let before = super::latency::own(&self.settings());
        let taken = self.lock(&self.settings).set(pspec.name(), value);
        if let Err(error) = taken {
            gst::error!(CAT, imp = self, "{}: {error}", pspec.name());
        }
        if super::latency::own(&self.settings()) != before {
            self.latency_changed();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "current-text" => self.lock(&self.current_text).to_value(),
            "max-observed-delay" => self.lock(&self.stats).max_delay_ms().to_value(),
            "stats" => {
                let (precision, streams) = match &*self.lock(&self.open) {
                    Some(open) => (open.precision, 1),
                    None => ("", 0),
                };
                // The recogniser is busy while it recognises; then the count is the last known.
                let streams =
                    self.recogniser.try_lock().ok().and_then(|r| Some(r.as_ref()?.streams())).unwrap_or(streams);
                self.lock(&self.stats).structure(self.queue.level_ns(), streams, precision).to_value()
            }
            name => self.settings().get(name).unwrap_or_else(|| pspec.default_value().clone()),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            if obj.add_pad(pad).is_err() {
                gst::error!(CAT, imp = self, "cannot add {}", pad.name());
            }
        }
    }
}

impl GstObjectImpl for ParaformerAsr {}

impl ElementImpl for ParaformerAsr {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Streaming Paraformer speech recognition",
                "Audio/Text/Filter",
                "Turns live Mandarin (and English) speech into captions on this machine, with FunASR's streaming Paraformer",
                "The paraformerasr authors",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let audio = gst_audio::AudioCapsBuilder::new_interleaved()
                .format_list([gst_audio::AudioFormat::S16le, gst_audio::AudioFormat::F32le])
                .rate(crate::engine::SAMPLE_RATE as i32)
                .channels(1)
                .build();
            let text =
                gst::Caps::builder("text/x-raw").field("format", gst::List::new(["utf8", "pango-markup"])).build();
            [("sink", gst::PadDirection::Sink, audio), ("src", gst::PadDirection::Src, text)]
                .into_iter()
                .filter_map(|(name, direction, caps)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.open_model()?,
            gst::StateChange::ReadyToPaused => self.begin()?,
            gst::StateChange::PausedToReady => self.interrupt(),
            _ => {}
        }
        let changed = self.parent_change_state(transition);
        match transition {
            gst::StateChange::PausedToReady => self.farewell(),
            gst::StateChange::ReadyToNull => self.close_model(),
            _ => {}
        }
        changed
    }
}

impl ParaformerAsr {
    /// A lock that a panic elsewhere does not spoil.
    pub fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings, as they are now.
    pub fn settings(&self) -> Settings {
        self.lock(&self.settings).clone()
    }

    /// What became of the last push downstream.
    pub fn flow(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        *self.lock(&self.flow)
    }

    // States.

    fn open_model(&self) -> Result<(), gst::StateChangeError> {
        let failed = |error: Error| {
            post_error(self, &error);
            gst::StateChangeError
        };
        let settings = self.settings();
        settings.windows().map_err(failed)?;
        let SharedModel { model, client, precision, warnings } =
            registry::open(&settings.model_request(plugin_folder())).map_err(failed)?;
        for warning in warnings {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ["{warning}"]);
        }
        let loading = !client.is_settled();
        let canceller = client.canceller();
        let weak = self.obj().downgrade();
        if loading {
            progress(self, gst::ProgressType::Start, "loading the model");
            client.when_loaded(move |result| {
                if let Some(element) = weak.upgrade() {
                    element.imp().loaded(result);
                }
            });
        }
        let open = Open { model, client: Some(client), canceller, precision: precision.name(), loading };
        *self.lock(&self.open) = Some(open);
        Ok(())
    }

    /// The model is there, or cannot be. On the thread that loads it.
    fn loaded(&self, result: Result<(), Error>) {
        // The element may have been closed meanwhile, or not be open yet: then it says so itself.
        let told = self.lock(&self.open).as_mut().is_some_and(|open| std::mem::take(&mut open.loading));
        match result {
            Ok(()) if told => progress(self, gst::ProgressType::Complete, "the model is loaded"),
            Err(error) => {
                if told {
                    progress(self, gst::ProgressType::Error, &error.to_string());
                }
                self.fail(&error);
            }
            Ok(()) => {}
        }
    }

    fn close_model(&self) {
        let open = self.lock(&self.open).take();
        if open.is_some_and(|open| open.loading) {
            progress(self, gst::ProgressType::Canceled, "the element was stopped before the model was loaded");
        }
    }

    fn begin(&self) -> Result<(), gst::StateChangeError> {
        let settings = self.settings();
        let options = settings.stream_options().map_err(|error| {
            post_error(self, &error);
            gst::StateChangeError
        })?;
        let mut open = self.lock(&self.open);
        let Some((model, client)) = open.as_mut().and_then(|open| Some((open.model.clone(), open.client.take()?)))
        else {
            return Err(gst::StateChangeError);
        };
        drop(open);
        *self.lock(&self.recogniser) = Some(Recogniser::new(model, client, options, &settings));
        *self.lock(&self.downstream) = Downstream::default();
        *self.lock(&self.format) = Format::default();
        *self.lock(&self.upstream) = None;
        self.lock(&self.stats).reset();
        self.lock(&self.current_text).clear();
        Ok(())
    }

    /// Lets go of everything that waits.
    fn interrupt(&self) {
        if let Some(open) = &*self.lock(&self.open) {
            open.canceller.cancel();
        }
        self.queue.release();
    }

    fn resume(&self) {
        if let Some(open) = &*self.lock(&self.open) {
            open.canceller.resume();
        }
        self.queue.resume();
    }

    /// The pads are down: what has come is recognised and told to the bus, for a short time at most.
    fn farewell(&self) {
        let Some(mut recogniser) = self.lock(&self.recogniser).take() else { return };
        let loaded = self.lock(&self.open).as_ref().is_some_and(|open| {
            open.canceller.resume();
            !open.loading
        });
        if loaded && self.flow() != Err(gst::FlowError::Error) {
            recogniser.deadline = Some(Instant::now() + FAREWELL);
            while let Some(item) = self.queue.take_left() {
                if recogniser.process(item).is_err() {
                    break;
                }
            }
            // Where the time is up, what is known becomes final as it is.
            if recogniser.end_utterance().is_err() {
                recogniser.abandon();
            }
            for item in recogniser.take_output() {
                match item {
                    Outgoing::Message(structure) => self.post(structure),
                    Outgoing::CurrentText(text) => self.show(text),
                    _ => {}
                }
            }
        }
        self.queue.clear();
        if let Some(open) = self.lock(&self.open).as_mut() {
            open.client = Some(recogniser.into_client());
        }
    }

    // The source pad.

    fn activate(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
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
        self.resume();
        let weak = self.obj().downgrade();
        self.srcpad.start_task(move || {
            if let Some(element) = weak.upgrade() {
                element.imp().iterate();
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
        let ends = matches!(item, Item::Eos(_));
        let started = Instant::now();
        let audio_ns = crate::scheduler::queue::Timed::duration_ns(&item);
        let mut guard = self.lock(&self.recogniser);
        let Some(recogniser) = guard.as_mut() else { return };
        recogniser.apply(&self.settings());
        let result = recogniser.process(item);
        if matches!(&result, Err(Unfinished(error, _)) if *error != Error::Cancelled) {
            recogniser.abandon();
        }
        let chunks = std::mem::take(&mut recogniser.chunks);
        let newest = recogniser.newest_running_time();
        let output = recogniser.take_output();
        drop(guard);
        self.lock(&self.stats).recognised(chunks, audio_ns, started.elapsed());
        if chunks > 0 && audio_ns > 0 {
            self.observe_delay(newest);
        }
        let flow = output.into_iter().try_fold(gst::FlowSuccess::Ok, |_, item| self.hand_on(item));
        if let Err(flow) = flow {
            self.stop(flow, ends);
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

    /// An error that ends the stream.
    fn fail(&self, error: &Error) {
        let first = {
            let mut flow = self.lock(&self.flow);
            std::mem::replace(&mut *flow, Err(gst::FlowError::Error)) != Err(gst::FlowError::Error)
        };
        if first {
            post_error(self, error);
        }
        self.queue.release();
        let _ = self.srcpad.pause_task();
    }

    /// Downstream takes no more.
    fn stop(&self, flow: gst::FlowError, ends: bool) {
        *self.lock(&self.flow) = Err(flow);
        self.queue.release();
        let _ = self.srcpad.pause_task();
        gst::debug!(CAT, imp = self, "downstream says {flow}");
        // Upstream hears of it from the next buffer; after the last one nobody would.
        if ends && !matches!(flow, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(self, gst::StreamError::Failed, ["downstream failed: {flow}"]);
        }
    }

    fn hand_on(&self, item: Outgoing) -> Result<gst::FlowSuccess, gst::FlowError> {
        match item {
            Outgoing::Caps => self.negotiate()?,
            Outgoing::Event(event) => {
                if event.type_() == gst::EventType::StreamStart {
                    *self.lock(&self.downstream) = Downstream::default();
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
                let duration = gst::ClockTime::from_nseconds(end_ns - start_ns);
                self.srcpad.push_event(
                    gst::event::Gap::builder(gst::ClockTime::from_nseconds(start_ns)).duration(duration).build(),
                );
            }
            Outgoing::Message(structure) => self.post(structure),
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
            buffer.set_duration(gst::ClockTime::from_nseconds(end_ns - start_ns));
            if discont {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.srcpad.push(buffer)
    }

    // The bus.

    fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        // Without a bus nobody listens.
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    fn show(&self, text: String) {
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
        let delay_ms = now.saturating_sub(newest + upstream).mseconds().min(u64::from(u32::MAX)) as u32;
        let longest = self.lock(&self.stats).delayed(delay_ms);
        if !longest {
            return;
        }
        let allowed = self.settings().latency_ms;
        if delay_ms > allowed {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ["recognition took {delay_ms} ms, longer than latency={allowed}: set latency higher, or text comes too late"],
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
    segment.set_base(segment.base().unwrap_or_default() + lateness);
    Some(gst::event::Segment::builder(&segment).seqnum(event.seqnum()).build())
}

/// The folder that the plugin's file lies in.
fn plugin_folder() -> Option<std::path::PathBuf> {
    let plugin = gst::Registry::get().find_plugin("paraformer")?;
    plugin.filename()?.parent().map(Into::into)
}
