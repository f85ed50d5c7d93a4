//! The element's subclass: pads, properties, states.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::{Format, Item};
use super::messages::{post_error, progress};
use super::models::{Clients, Models, Opened, Requests};
use super::output::Outgoing;
use super::properties::PROPERTIES;
use super::recogniser::Recogniser;
use super::settings::Settings;
use super::stats::Stats;
use super::task::Downstream;
use crate::engine::Error;
use crate::runtime::registry::GraphReports;
use crate::scheduler::{Canceller, Queue};

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
    /// Counts the models that the element has opened: what is told of an earlier one is stale.
    number: u64,
    requests: Requests,
    models: Models,
    /// Taken by the recogniser while there is one.
    clients: Option<Clients>,
    cancellers: Vec<Canceller>,
    precision: &'static str,
    rewrites: Arc<OnceLock<GraphReports>>,
    /// PROGRESS was started and not yet ended.
    loading: bool,
}

pub struct ParaformerAsr {
    pub sinkpad: gst::Pad,
    pub srcpad: gst::Pad,
    settings: Mutex<Settings>,
    open: Mutex<Option<Open>>,
    opened: AtomicU64,
    pub queue: Queue<Item>,
    pub format: Mutex<Format>,
    pub recogniser: Mutex<Option<Recogniser>>,
    /// Breaks off the recogniser's wait for final texts.
    refining: Mutex<Option<Canceller>>,
    pub downstream: Mutex<Downstream>,
    pub flow: Mutex<Result<gst::FlowSuccess, gst::FlowError>>,
    /// An error has ended the stream.
    pub failed: AtomicBool,
    /// EOS has come: upstream hears of no flow any more.
    pub eos: AtomicBool,
    pub upstream: Mutex<Option<(bool, gst::ClockTime)>>,
    pub stats: Mutex<Stats>,
    pub current_text: Mutex<String>,
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
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.chain(buffer))
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
            opened: AtomicU64::new(0),
            queue: Queue::default(),
            format: Mutex::default(),
            recogniser: Mutex::default(),
            refining: Mutex::default(),
            downstream: Mutex::default(),
            flow: Mutex::new(Ok(gst::FlowSuccess::Ok)),
            failed: AtomicBool::new(false),
            eos: AtomicBool::new(false),
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
                let (precision, rewrites, streams) = match &*self.lock(&self.open) {
                    Some(open) => (open.precision, open.rewrites.get().map(ToString::to_string), 1),
                    None => ("", None, 0),
                };
                // The recogniser is busy while it recognises; then the numbers are the last known.
                let sharing = self.recogniser.try_lock().ok().and_then(|r| Some(r.as_ref()?.sharing()));
                let mut stats = self.lock(&self.stats);
                let sharing = sharing.unwrap_or(stats.sharing(streams));
                stats.shared(sharing);
                stats.structure(self.queue.level_ns(), precision, &rewrites.unwrap_or_default()).to_value()
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
        let requests = Requests::of(&settings);
        let Opened { models, clients, cancellers, precision, rewrites, warnings } = requests.open().map_err(failed)?;
        for warning in warnings {
            gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{warning}"));
        }
        let loading = !clients.recognition.is_settled();
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let precision = precision.name();
        let open = Open { number, requests, models, clients: None, cancellers, precision, rewrites, loading };
        *self.lock(&self.open) = Some(open);
        if loading {
            progress(self, gst::ProgressType::Start, "loading the model");
            let weak = self.obj().downgrade();
            clients.recognition.when_loaded(move |result| {
                if let Some(element) = weak.upgrade() {
                    element.imp().loaded(number, result);
                }
            });
        }
        if let Some(client) = &clients.vad {
            let weak = self.obj().downgrade();
            client.when_loaded(move |result| {
                if let (Some(element), Err(error)) = (weak.upgrade(), result) {
                    element.imp().loaded(number, Err(error));
                }
            });
        }
        // Only now: the calls above may come back at once, and take the same lock.
        if let Some(open) = self.lock(&self.open).as_mut() {
            open.clients = Some(clients);
        }
        Ok(())
    }

    /// The model is there, or cannot be. On the thread that loads it.
    fn loaded(&self, number: u64, result: Result<(), Error>) {
        // The element may have been closed meanwhile, or opened with another model: then it has said so itself.
        let told = {
            let mut open = self.lock(&self.open);
            let Some(open) = open.as_mut().filter(|open| open.number == number) else { return };
            std::mem::take(&mut open.loading)
        };
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
        // What is set in READY holds from here on.
        let requests = Requests::of(&settings);
        if self.lock(&self.open).as_ref().is_none_or(|open| open.requests != requests) {
            self.close_model();
            self.open_model()?;
        }
        let mut open = self.lock(&self.open);
        let taken = open.as_mut().and_then(|open| Some((open.models.clone(), open.clients.take()?)));
        drop(open);
        let Some((models, clients)) = taken else { return Err(gst::StateChangeError) };
        let recogniser = Recogniser::new(models, clients, options, &settings, self.wake());
        *self.lock(&self.refining) = Some(recogniser.canceller());
        *self.lock(&self.recogniser) = Some(recogniser);
        *self.lock(&self.downstream) = Downstream::default();
        *self.lock(&self.format) = Format::default();
        *self.lock(&self.upstream) = None;
        self.lock(&self.stats).reset();
        self.lock(&self.current_text).clear();
        Ok(())
    }

    /// Lets go of everything that waits.
    pub fn interrupt(&self) {
        if let Some(open) = &*self.lock(&self.open) {
            open.cancellers.iter().for_each(Canceller::cancel);
        }
        self.lock(&self.refining).iter().for_each(Canceller::cancel);
        self.queue.release();
    }

    pub fn resume(&self) {
        if let Some(open) = &*self.lock(&self.open) {
            open.cancellers.iter().for_each(Canceller::resume);
        }
        self.lock(&self.refining).iter().for_each(Canceller::resume);
        self.queue.resume();
    }

    /// The pads are down: what has come is recognised and told to the bus, for a short time at most.
    fn farewell(&self) {
        let Some(mut recogniser) = self.lock(&self.recogniser).take() else { return };
        let loaded = self.lock(&self.open).as_ref().is_some_and(|open| {
            open.cancellers.iter().for_each(Canceller::resume);
            !open.loading
        });
        self.lock(&self.refining).iter().for_each(Canceller::resume);
        if loaded && self.flow() != Err(gst::FlowError::Error) {
            recogniser.set_deadline(Instant::now() + FAREWELL);
            while let Some(item) = self.queue.take_left() {
                if recogniser.process(item).is_err() {
                    break;
                }
            }
            // Where the time is up, what is known becomes final as it is.
            match recogniser.end_utterance() {
                Ok(()) => recogniser.settle(),
                Err(_) => recogniser.abandon(),
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
            open.clients = Some(recogniser.into_clients());
        }
    }
}
