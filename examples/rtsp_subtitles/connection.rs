//! One connection to the stream: from the first request until it is lost, and what was said until then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::failure::Failure;
use super::news::{News, State, Utterance};
use super::recogniser::Recogniser;
use super::republish::{Republisher, Track};

/// How often the program looks around.
const TICK: Duration = Duration::from_millis(100);
/// How long what was said last may take to be recognised.
const FAREWELL: Duration = Duration::from_secs(3);

/// Sound to text. The element has a queue of its own; a live pipeline never blocks in it.
const SOUND: &str = "decodebin name=audio ! tee name=sound \
    sound. ! queue name=heard ! audioconvert ! audioresample ! paraformerasr name=asr caption-mode=progressive";
/// Nobody wants the text but the bus.
const TEXT: &str = " ! fakesink sync=false async=false";
/// The text of a moment comes later than its picture: the queues hold that much. A machine too slow to encode loses
/// pictures, not memory.
const PICTURE: &str = " ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! overlay.text_sink \
    queue name=picture max-size-time=20000000000 max-size-bytes=0 max-size-buffers=0 leaky=downstream \
    ! decodebin ! videoconvert ! textoverlay name=overlay font-desc=\"Sans, 24\" \
    ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=50 \
    ! video/x-h264,stream-format=byte-stream,alignment=au ! queue ! appsink name=video-out async=false max-buffers=100 \
    sound. ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! audioconvert ! audioresample ! opusenc \
    ! appsink name=audio-out async=false max-buffers=100";

/// What is asked for, and how.
pub struct Request<'a> {
    pub url: &'a str,
    pub jitter_ms: u32,
    /// As the property `protocols` of rtspsrc has them.
    pub protocols: &'a str,
    /// A connection without sound for so long is lost.
    pub patience: Duration,
    pub recogniser: &'a Recogniser,
    pub republisher: Option<&'a Arc<Republisher>>,
}

/// What is known of the stream while it plays.
#[derive(Default)]
struct Stream {
    has_audio: AtomicBool,
    has_video: AtomicBool,
    /// When sound came last, in ns of the program; 0: never.
    heard_ns: AtomicU64,
    /// The same of the picture, where it is published.
    seen_ns: AtomicU64,
    /// What was said is recognised, to the end.
    is_finished: AtomicBool,
    /// The elements behind the source are there.
    is_built: Mutex<bool>,
}

/// How a connection ended, unless the program was told to stop.
pub struct Lost {
    pub failure: Failure,
    /// There was sound before.
    pub was_live: bool,
}

/// Plays the stream until it is lost or `stop` is set. `tell` hears of everything, and is called without news now and
/// then.
pub fn run(request: &Request, stop: &AtomicBool, tell: &mut dyn FnMut(Option<News>)) -> Option<Lost> {
    let stream = Arc::new(Stream::default());
    let (failed, failures) = mpsc::channel();
    let pipeline = match pipeline(request, &stream, failed) {
        Ok(pipeline) => pipeline,
        Err(failure) => return Some(Lost { failure, was_live: false }),
    };
    let mut playing = Playing { request, stream, pipeline, decoder: None, is_live: false };
    let failure = playing.play(stop, &failures, tell);
    playing.finish(tell);
    failure.map(|failure| Lost { failure, was_live: playing.is_live })
}

struct Playing<'a> {
    request: &'a Request<'a>,
    stream: Arc<Stream>,
    pipeline: gst::Pipeline,
    /// What is missing to decode the stream.
    decoder: Option<String>,
    is_live: bool,
}

impl Playing<'_> {
    fn play(
        &mut self,
        stop: &AtomicBool,
        failures: &mpsc::Receiver<Failure>,
        tell: &mut dyn FnMut(Option<News>),
    ) -> Option<Failure> {
        let Some(bus) = self.pipeline.bus() else { return Some(Failure::of_settings("the pipeline has no bus")) };
        let started = Instant::now();
        // Where this fails, the bus has the reason.
        let _ = self.pipeline.set_state(gst::State::Playing);
        let mut ticked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let message = bus.timed_pop(gst::ClockTime::from_mseconds(TICK.as_millis() as u64 / 2));
            if let Some(failure) = message.and_then(|message| self.message(&message, tell)) {
                return Some(failure);
            }
            if let Ok(failure) = failures.try_recv() {
                return Some(failure);
            }
            if ticked.elapsed() < TICK {
                continue;
            }
            ticked = Instant::now();
            tell(None);
            let heard_ns = self.stream.heard_ns.load(Ordering::Relaxed);
            if heard_ns > 0 && !std::mem::replace(&mut self.is_live, true) {
                tell(Some(News::State(State::Live)));
            }
            let seconds = self.request.patience.as_secs_f32();
            // An overlay waits for both.
            for (what, last_ns) in [("sound", heard_ns), ("picture", self.stream.seen_ns.load(Ordering::Relaxed))] {
                let missed_ns = self.request.recogniser.now_ns().saturating_sub(last_ns);
                if last_ns > 0 && Duration::from_nanos(missed_ns) > self.request.patience {
                    return Some(Failure::of_stream(format!("no {what} came for {seconds} s")));
                }
            }
            // To connect takes a few round trips more.
            if heard_ns == 0 && started.elapsed() > self.request.patience * 3 {
                let waited = seconds * 3.0;
                return Some(Failure::of_stream(format!("the server sent no sound within {waited} s")));
            }
        }
        None
    }

    /// Looks at a message; gives what ends the connection.
    fn message(&mut self, message: &gst::Message, tell: &mut dyn FnMut(Option<News>)) -> Option<Failure> {
        let from_recogniser = message.src().is_some_and(|source| source.name() == "asr");
        match message.view() {
            gst::MessageView::Element(element) => {
                let structure = element.structure()?;
                if structure.name() == "missing-plugin" {
                    self.decoder = structure.get("name").ok();
                }
                let zero_ns = self.request.recogniser.program_ns(self.pipeline.base_time()?);
                if let Some(utterance) = Utterance::read(structure, zero_ns) {
                    tell(Some(if utterance.is_final { News::Finished(utterance) } else { News::Growing(utterance) }));
                }
                None
            }
            gst::MessageView::Warning(warning) => {
                let missing = self.decoder.as_ref().map(|decoder| format!(": {decoder}")).unwrap_or_default();
                tell(Some(News::Warning(format!("{}{missing}", warning.error()))));
                None
            }
            gst::MessageView::Latency(_) => {
                // A pipeline that cannot answer yet asks again.
                let _ = self.pipeline.recalculate_latency();
                None
            }
            gst::MessageView::Eos(_) => Some(Failure::of_stream("the server ended the stream")),
            gst::MessageView::Error(error) => Some(match (self.is_mute(), &self.decoder) {
                (true, _) => no_audio(),
                (_, Some(decoder)) => Failure::of_stream(format!("nothing here decodes this stream: {decoder}"))
                    .with_advice(
                        "apt-get install gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly.",
                    ),
                _ => Failure::of_pipeline(error, from_recogniser),
            }),
            _ => None,
        }
    }

    /// The server has told what the stream has, and there is no sound in it.
    fn is_mute(&self) -> bool {
        self.stream.has_video.load(Ordering::Relaxed) && !self.stream.has_audio.load(Ordering::Relaxed)
    }

    /// What was said before the end is recognised to its end, and becomes final.
    fn finish(&mut self, tell: &mut dyn FnMut(Option<News>)) {
        if let (Some(heard), Some(bus)) = (self.pipeline.by_name("heard"), self.pipeline.bus()) {
            // Where the source has said so already, this one is refused.
            let _ = heard.static_pad("sink").map(|pad| pad.send_event(gst::event::Eos::new()));
            let started = Instant::now();
            let was_heard = self.stream.heard_ns.load(Ordering::Relaxed) > 0;
            while was_heard && !self.stream.is_finished.load(Ordering::Relaxed) && started.elapsed() < FAREWELL {
                let message = bus.timed_pop(gst::ClockTime::from_mseconds(20));
                message.into_iter().for_each(|message| drop(self.message(&message, tell)));
            }
            while let Some(message) = bus.pop() {
                self.message(&message, tell);
            }
        }
        // A pipeline that does not stop is left behind.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn no_audio() -> Failure {
    Failure::of_stream("the stream has no audio: there is nothing to caption")
        .with_advice("Look at the URL: cameras often have sound in one of their streams only.")
}

/// The source; what follows it is built when the source knows what the stream has.
fn pipeline(request: &Request, stream: &Arc<Stream>, failed: mpsc::Sender<Failure>) -> Result<gst::Pipeline, Failure> {
    let pipeline = gst::Pipeline::new();
    pipeline.use_clock(Some(request.recogniser.clock()));
    let source = gst::ElementFactory::make("rtspsrc")
        .property("location", request.url)
        .property("latency", request.jitter_ms)
        .property("tcp-timeout", request.patience.as_micros() as u64)
        .property_from_str("protocols", request.protocols)
        .build()
        .map_err(|_| {
            Failure::of_settings("GStreamer has no rtspsrc").with_advice("apt-get install gstreamer1.0-plugins-good.")
        })?;
    let (told, wants_video) = (stream.clone(), request.republisher.is_some());
    source.connect("select-stream", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|caps| caps.structure(0)?.get::<&str>("media").ok()).unwrap_or_default();
        let is_first = match media {
            "audio" => !told.has_audio.swap(true, Ordering::Relaxed),
            "video" => !told.has_video.swap(true, Ordering::Relaxed) && wants_video,
            _ => false,
        };
        Some(is_first.to_value())
    });
    let (weak, stream) = (pipeline.downgrade(), stream.clone());
    let (recogniser, republisher) = (request.recogniser.clone(), request.republisher.cloned());
    source.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(failure) = attach(&pipeline, pad, &stream, &recogniser, republisher.as_ref()) {
            // The connection may be over.
            let _ = failed.send(failure);
        }
    });
    pipeline.add(&source).map_err(|error| Failure::of_settings(error.to_string()))?;
    Ok(pipeline)
}

/// Links a pad of the source.
fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    stream: &Arc<Stream>,
    recogniser: &Recogniser,
    republisher: Option<&Arc<Republisher>>,
) -> Result<(), Failure> {
    if !stream.has_audio.load(Ordering::Relaxed) {
        return Err(no_audio());
    }
    let mut is_built = stream.is_built.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *is_built, true) {
        let has_video = stream.has_video.load(Ordering::Relaxed);
        if republisher.is_some() && !has_video {
            let text = "the stream has no picture: nothing is published";
            gst::element_warning!(pipeline, gst::StreamError::Failed, ("{text}"));
        }
        let republisher = republisher.filter(|_| has_video);
        build(pipeline, stream, recogniser, republisher)?;
    }
    let caps = pad.current_caps().or_else(|| Some(pad.query_caps(None)));
    let media = caps.as_ref().and_then(|caps| caps.structure(0)?.get::<&str>("media").ok()).unwrap_or_default();
    let entry = pipeline.by_name(if media == "video" { "picture" } else { "audio" });
    let entry = entry.and_then(|entry| entry.static_pad("sink"));
    let linked = entry.is_some_and(|entry| pad.link_maybe_ghosting(&entry).is_ok());
    if linked { Ok(()) } else { Err(Failure::of_stream(format!("the stream's {media} cannot be used"))) }
}

/// What follows the source.
fn build(
    pipeline: &gst::Pipeline,
    stream: &Arc<Stream>,
    recogniser: &Recogniser,
    republisher: Option<&Arc<Republisher>>,
) -> Result<(), Failure> {
    let line = [SOUND, if republisher.is_some() { PICTURE } else { TEXT }].concat();
    let body = gst::parse::bin_from_description(&line, false)
        .map_err(|error| Failure::of_settings(format!("the pipeline cannot be built: {error}")))?;
    let asr = body.by_name("asr").ok_or_else(|| Failure::of_settings("the pipeline has no paraformerasr"))?;
    recogniser.apply_to(&asr)?;
    if let (Some(heard), Some(text)) = (body.by_name("heard"), asr.static_pad("src")) {
        let (told, clock) = (stream.clone(), recogniser.clone());
        note_arrivals(&heard, move || told.heard_ns.store(clock.now_ns().max(1), Ordering::Relaxed));
        let told = stream.clone();
        text.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                told.is_finished.store(true, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
    }
    if let (Some(republisher), Some(picture)) = (republisher, body.by_name("picture")) {
        let (told, clock) = (stream.clone(), recogniser.clone());
        note_arrivals(&picture, move || told.seen_ns.store(clock.now_ns().max(1), Ordering::Relaxed));
        republisher.follow(&body, Track::Video, "video-out");
        republisher.follow(&body, Track::Audio, "audio-out");
    }
    pipeline.add(&body).map_err(|error| Failure::of_settings(error.to_string()))?;
    body.sync_state_with_parent().map_err(|error| Failure::of_settings(error.to_string()))
}

/// Has `note` called for every buffer that comes to an element.
fn note_arrivals(element: &gst::Element, note: impl Fn() + Send + Sync + 'static) {
    let Some(pad) = element.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
        note();
        gst::PadProbeReturn::Ok
    });
}
