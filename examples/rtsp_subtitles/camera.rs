//! A camera in front of somebody who says the same sentences again and again: an RTSP server of our own, which knows
//! when it sent what.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::AppSrc;
use gst_rtsp_server::prelude::*;

use super::failure::Failure;
use super::serving::Serving;

/// Samples a second.
pub const RATE: u64 = 16_000;
/// Samples of a packet: 20 ms.
const PACKET: u64 = RATE / 50;

const PICTURE: &str = "videotestsrc is-live=true pattern=solid-color foreground-color=0xff203040 \
    ! video/x-raw,width=640,height=360,framerate=15/1 ! clockoverlay halignment=right font-desc=\"Sans, 14\" \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay1 pt=97 config-interval=-1";
const SOUND: &str = "appsrc name=speech is-live=true format=time max-time=200000000 leaky-type=downstream \
    caps=audio/x-raw,format=S16BE,rate=16000,channels=1,layout=interleaved ! rtpL16pay name=pay0 pt=96";

/// What is said, as long as the program runs, whether somebody listens or not.
pub struct Scene {
    samples: Vec<i16>,
    began: Instant,
    /// When the server sent a sample: those that end a packet, by their number since the beginning.
    sent: Mutex<BTreeMap<u64, Instant>>,
    /// Whether the camera hears: else it sends nothing, and keeps its connections.
    pub hears: AtomicBool,
}

impl Scene {
    /// Begins now, and again when the samples are over.
    pub fn begin(samples: Vec<i16>) -> Arc<Self> {
        Arc::new(Self { samples, began: Instant::now(), sent: Mutex::default(), hears: AtomicBool::new(true) })
    }

    /// How many samples there are from one beginning of the recording to the next.
    pub fn cycle(&self) -> u64 {
        self.samples.len() as u64
    }

    /// When a sample is over, by its number since the beginning.
    pub fn spoken(&self, sample: u64) -> Instant {
        self.began + Duration::from_nanos(sample * 1_000_000_000 / RATE)
    }

    /// When the server sent a sample; none where nobody listened.
    pub fn sent(&self, sample: u64) -> Option<Instant> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.range(sample..sample + PACKET).next().map(|(_, &when)| when)
    }

    /// The number of the sample that is spoken now.
    pub fn now(&self) -> u64 {
        (self.began.elapsed().as_nanos() as u64 / 1000) * RATE / 1_000_000
    }

    fn packet(&self, first: u64) -> Vec<u8> {
        let sample = |number: u64| self.samples[(number % self.cycle()) as usize];
        (first..first + PACKET).flat_map(|number| sample(number).to_be_bytes()).collect()
    }
}

/// The camera, on this machine.
pub struct Camera {
    serving: Serving,
}

impl Camera {
    /// Serves the scene; port 0 is any free one.
    pub fn start(scene: &Arc<Scene>, port: u16) -> Result<Self, Failure> {
        let serving = Serving::start("127.0.0.1", port)?;
        let has_picture = ["x264enc", "clockoverlay"].iter().all(|name| gst::ElementFactory::find(name).is_some());
        for (path, picture) in [("/stream", if has_picture { PICTURE } else { "" }), ("/sound", "")] {
            let factory = gst_rtsp_server::RTSPMediaFactory::new();
            factory.set_launch(&format!("( {SOUND} {picture} )"));
            factory.set_shared(true);
            let scene = scene.clone();
            factory.connect_media_configure(move |_, media| watch(&scene, &media.element()));
            let mounts = serving.server.mount_points().ok_or_else(|| Failure::of_settings("no RTSP server"))?;
            mounts.add_factory(path, factory);
        }
        Ok(Self { serving })
    }

    /// The URL of the stream at a path.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}{path}", self.port())
    }

    /// The port it listens at.
    pub fn port(&self) -> i32 {
        self.serving.port()
    }

    /// Hangs up on everybody; they may call again.
    pub fn hang_up(&self) {
        self.serving.hang_up();
    }
}

/// Lets those who watch together hear the scene, from now on.
fn watch(scene: &Arc<Scene>, element: &gst::Element) {
    let Some(bin) = element.downcast_ref::<gst::Bin>() else { return };
    let source = bin.by_name("speech").and_then(|source| source.downcast::<AppSrc>().ok());
    let sender = bin.by_name("pay0").and_then(|payloader| payloader.static_pad("src"));
    let Some((source, sender)) = source.zip(sender) else { return };
    // Which sample has which time in this pipeline.
    let start: Arc<Mutex<Option<(u64, gst::ClockTime)>>> = Arc::default();
    let (known, told, held) = (start.clone(), scene.clone(), source.clone());
    let is_first = AtomicBool::new(true);
    sender.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        // What waited for somebody to listen is old; from now on nothing is.
        if !is_first.swap(false, Ordering::Relaxed) {
            held.set_max_time(gst::ClockTime::from_seconds(5));
        }
        let known = *known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((pts, (first, start))) = pts.zip(known) {
            let past = (pts.saturating_sub(start).nseconds() + 500_000) / 1_000_000 * RATE / 1000;
            let mut sent = told.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert(first + past + PACKET, Instant::now());
        }
        gst::PadProbeReturn::Ok
    });
    let scene = scene.clone();
    // It ends with the pipeline.
    std::thread::spawn(move || speak(&scene, &source, &start));
}

/// Hands each packet on when its last sample is spoken, as a microphone does.
fn speak(scene: &Scene, source: &AppSrc, start: &Mutex<Option<(u64, gst::ClockTime)>>) {
    let prepared = Instant::now();
    while source.current_state() != gst::State::Playing || source.current_running_time().is_none() {
        if prepared.elapsed() > Duration::from_secs(20) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let first = scene.now();
    let time = source.current_running_time().unwrap_or_default();
    *start.lock().unwrap_or_else(PoisonError::into_inner) = Some((first, time));
    for packet in 0.. {
        let number = first + packet * PACKET;
        std::thread::sleep(scene.spoken(number + PACKET).saturating_duration_since(Instant::now()));
        if !scene.hears.load(Ordering::Relaxed) {
            continue;
        }
        let mut buffer = gst::Buffer::from_mut_slice(scene.packet(number));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time + gst::ClockTime::from_mseconds(packet * 20));
            buffer.set_duration(gst::ClockTime::from_mseconds(20));
        }
        if source.push_buffer(buffer).is_err() {
            return;
        }
    }
}
