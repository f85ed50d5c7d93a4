//! The stream once more, over RTSP, with its captions in the picture.
//!
//! While the source is away, those who watch stay connected and see the last picture; it goes on when the source is
//! back. Who comes meanwhile is told 404, as before the first picture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst_app::{AppSink, AppSrc};
use gst_base::prelude::*;
use gst_rtsp_server::prelude::*;

use super::failure::Failure;
use super::serving::Serving;

/// Where the stream is found on the server.
pub const PATH: &str = "/captioned";

/// Sound that waited for somebody to listen is not sent: a burst of it would throw the listener's clock off.
const MEDIA: &str = "( \
    appsrc name=video is-live=true format=time max-time=10000000000 leaky-type=downstream \
    ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 \
    appsrc name=audio is-live=true format=time max-time=300000000 leaky-type=downstream \
    ! rtpopuspay name=pay1 pt=97 )";

/// Video or audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    Video,
    Audio,
}

impl Track {
    fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// The server's end of a track, for one who watches.
struct Screen {
    track: Track,
    source: AppSrc,
    /// A picture that stands for itself has come.
    has_begun: bool,
}

/// Publishes what it is given to [`follow`](Self::follow).
pub struct Republisher {
    serving: Serving,
    factory: gst_rtsp_server::RTSPMediaFactory,
    screens: Arc<Mutex<Vec<Screen>>>,
    is_on_air: Mutex<bool>,
}

impl Republisher {
    /// Serves at an address.
    pub fn start(host: &str, port: u16) -> Result<Arc<Self>, Failure> {
        for (element, package) in [
            ("x264enc", "ugly"),
            ("textoverlay", "base gstreamer1.0-x"),
            ("opusenc", "base"),
            ("rtph264pay", "good"),
            ("h264parse", "bad"),
        ] {
            if gst::ElementFactory::find(element).is_none() {
                return Err(Failure::of_settings(format!("--republish needs {element}, which is not there"))
                    .with_advice(&format!("apt-get install gstreamer1.0-plugins-{package}.")));
            }
        }
        let serving = Serving::start(host, port)?;
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(MEDIA);
        // Each who watches has payloaders of his own, and may take the sound alone; the picture is encoded once.
        factory.set_shared(false);
        let screens: Arc<Mutex<Vec<Screen>>> = Arc::default();
        let shared = screens.clone();
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>();
            for track in [Track::Video, Track::Audio] {
                let source = bin.as_ref().ok().and_then(|bin| bin.by_name(track.name()));
                if let Some(source) = source.and_then(|source| source.downcast::<AppSrc>().ok()) {
                    let gone = source.clone();
                    lock(&shared).push(Screen { track, source, has_begun: false });
                    let shared = shared.clone();
                    media.connect_unprepared(move |_| lock(&shared).retain(|screen| screen.source != gone));
                }
            }
        });
        Ok(Arc::new(Self { serving, factory, screens, is_on_air: Mutex::new(false) }))
    }

    /// The URL of the stream.
    pub fn url(&self, host: &str) -> String {
        format!("rtsp://{host}:{}{PATH}", self.serving.port())
    }

    /// Publishes what comes out of an appsink of a connection's pipeline.
    pub fn follow(self: &Arc<Self>, body: &gst::Bin, track: Track, sink: &str) {
        let Some(sink) = body.by_name(sink).and_then(|sink| sink.downcast::<AppSink>().ok()) else { return };
        let this = self.clone();
        let new_sample = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            this.publish(track, sink, &sample);
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
    }

    /// The source is lost.
    pub fn off_air(&self) {
        self.mount(false);
    }

    fn mount(&self, is_on_air: bool) {
        if std::mem::replace(&mut *lock(&self.is_on_air), is_on_air) == is_on_air {
            return;
        }
        if let Some(mounts) = self.serving.server.mount_points() {
            // Those who watch keep what they have; who comes finds it, or not.
            if is_on_air { mounts.add_factory(PATH, self.factory.clone()) } else { mounts.remove_factory(PATH) }
        }
    }

    fn publish(&self, track: Track, sink: &AppSink, sample: &gst::Sample) {
        let Some((buffer, caps)) = sample.buffer().zip(sample.caps()) else { return };
        if track == Track::Video {
            self.mount(true);
        }
        // When the sink was to show it, on the clock that both pipelines follow.
        let Some(segment) = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>()) else {
            return;
        };
        let latency = sink.dynamic_cast_ref::<gst_base::BaseSink>().map(|sink| sink.latency());
        let delay = latency.unwrap_or_default() + sink.base_time().unwrap_or_default();
        let shown = |time: Option<gst::ClockTime>| Some(segment.to_running_time(time?)? + delay);
        let is_whole = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        for screen in lock(&self.screens).iter_mut().filter(|screen| screen.track == track) {
            let source = &screen.source;
            // Before it plays it has no time yet.
            let Some(base) = source.base_time().filter(|_| source.current_state() == gst::State::Playing) else {
                continue;
            };
            if !screen.has_begun && track == Track::Video && !is_whole {
                // The picture begins with the next one that stands for itself: now, please.
                let request = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
                sink.send_event(gst::event::CustomUpstream::new(request));
                continue;
            }
            let Some(pts) = shown(buffer.pts()).and_then(|pts| pts.checked_sub(base)) else { continue };
            screen.has_begun = true;
            let mut copy = buffer.copy();
            if let Some(copy) = copy.get_mut() {
                copy.set_pts(pts);
                copy.set_dts(shown(buffer.dts()).and_then(|dts| dts.checked_sub(base)));
            }
            if source.caps().is_none_or(|known| !known.is_strictly_equal(caps)) {
                source.set_caps(Some(&caps.to_owned()));
            }
            // It is on its way out, then.
            let _ = source.push_buffer(copy);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
