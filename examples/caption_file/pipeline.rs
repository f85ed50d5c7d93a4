//! What recognising a film and writing one have in common: a file that is parsed, and a pipeline that runs to its end.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

/// A pipeline in which nothing moves for so long hangs: some broken files do that to demuxers.
const STALLED: Duration = Duration::from_secs(120);

/// Why a file was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The user wants to stop.
    Interrupted,
    /// The file, or what is asked of it.
    Failed(String),
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Where a running pipeline stands, as its streaming threads tell.
#[derive(Debug, Default)]
pub struct Position {
    ms: AtomicU64,
    moves: AtomicU64,
}

impl Position {
    /// Something moved.
    pub fn touch(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// The film is worked on up to `ms`.
    pub fn reach(&self, ms: u64) {
        self.ms.fetch_max(ms, Ordering::Relaxed);
        self.touch();
    }

    /// How far it is, in ms.
    pub fn ms(&self) -> u64 {
        self.ms.load(Ordering::Relaxed)
    }
}

/// A pipeline that begins with a file, taken apart into its streams. It stops when it goes.
pub struct FilePipeline {
    pub pipeline: gst::Pipeline,
    parser: gst::Element,
    pub position: Arc<Position>,
}

impl FilePipeline {
    /// A pipeline that reads `path`.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let pipeline = gst::Pipeline::new();
        let parser = make("parsebin")?;
        // As a URI, any name can be said, also one that is no UTF-8.
        let uri = glib::filename_to_uri(path, None)?;
        let source = gst::Element::make_from_uri(gst::URIType::Src, &uri, None)?;
        pipeline.add_many([&source, &parser])?;
        source.link(&parser)?;
        Ok(Self { pipeline, parser, position: Arc::default() })
    }

    /// Calls `take` with each stream of the file and its caps. What it gives back is linked to the stream; a stream it
    /// has no use for is thrown away. What goes wrong ends the pipeline.
    pub fn on_stream(
        &self,
        take: impl Fn(&gst::Pipeline, &gst::Caps) -> Result<Option<gst::Pad>, Failure> + Send + Sync + 'static,
    ) {
        let pipeline = self.pipeline.downgrade();
        self.parser.connect_pad_added(move |parser, pad| {
            let Some(pipeline) = pipeline.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let linked = take(&pipeline, &caps).and_then(|sink| match sink {
                Some(sink) => Ok(pad.link(&sink).map(drop)?),
                None => {
                    // Not into a sink: one that waits for the others to begin would hold back the streams they wait
                    // for.
                    let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
                    pad.add_probe(data, |_, _| gst::PadProbeReturn::Drop);
                    Ok(())
                }
            });
            if let Err(Failure::Failed(reason)) = linked {
                let error = gst::message::Error::builder(gst::StreamError::Failed, &reason).src(parser).build();
                // Without a bus the pipeline is gone.
                let _ = pipeline.post_message(error);
            }
        });
    }

    /// The duration of the file, where it is known already.
    pub fn duration_ms(&self) -> Option<u64> {
        self.parser.query_duration::<gst::ClockTime>().map(|duration| duration.mseconds())
    }

    /// Runs to the end of the file. `tick` is called some times a second, `heard` with each message.
    pub fn run(
        &self,
        stop: &AtomicBool,
        mut tick: impl FnMut() -> Result<(), Failure>,
        mut heard: impl FnMut(&gst::MessageRef) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let bus = self.pipeline.bus().ok_or("the pipeline has no bus")?;
        // Where it fails, a message says why.
        let started = self.pipeline.set_state(gst::State::Playing);
        let (mut moves, mut moved, mut missing) = (0, Instant::now(), Vec::new());
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            tick()?;
            let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else {
                started.map_err(|_| "the pipeline does not start")?;
                let now = self.position.moves.load(Ordering::Relaxed);
                if now != std::mem::replace(&mut moves, now) {
                    moved = Instant::now();
                } else if moved.elapsed() > STALLED {
                    return Err(format!("nothing has moved for {} s", STALLED.as_secs()).into());
                }
                continue;
            };
            heard(&message)?;
            match message.view() {
                gst::MessageView::Eos(_) => return tick(),
                gst::MessageView::Error(error) => return Err(reason(error, &missing).into()),
                gst::MessageView::Element(element) => {
                    let structure = element.structure().filter(|s| s.has_name("missing-plugin"));
                    missing.extend(structure.and_then(|s| s.get::<String>("name").ok()));
                }
                _ => {}
            }
        }
    }
}

impl Drop for FilePipeline {
    fn drop(&mut self) {
        // There is nothing to be done where it fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// An element, or what to install where it is missing.
pub fn make(name: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        let package = match name {
            "x264enc" => "gstreamer1.0-plugins-ugly",
            "textoverlay" => "gstreamer1.0-x",
            "h264parse" | "h265parse" | "av1parse" => "gstreamer1.0-plugins-bad",
            "matroskamux" | "mp4mux" | "aacparse" | "taginject" => "gstreamer1.0-plugins-good",
            _ => "gstreamer1.0-plugins-base",
        };
        format!("GStreamer has no {name} here: install {package}").into()
    })
}

/// Adds a row of elements to a running pipeline, linked one to the next; gives the first one's sink.
pub fn add_row(pipeline: &gst::Pipeline, row: &[gst::Element]) -> Result<gst::Pad, Failure> {
    pipeline.add_many(row)?;
    gst::Element::link_many(row)?;
    // From the last to the first, so that nothing flows into what does not run yet.
    for element in row.iter().rev() {
        element.sync_state_with_parent()?;
    }
    Ok(row.first().and_then(|first| first.static_pad("sink")).ok_or("the element has no sink")?)
}

/// What an error means to the one who has the file.
fn reason(error: &gst::message::Error, missing: &[String]) -> String {
    let (error, debug) = (error.error(), error.debug().unwrap_or_default());
    let message = error.message().trim_end_matches('.');
    if error.matches(gst::CoreError::MissingPlugin) || !missing.is_empty() {
        let what = if missing.is_empty() { message.to_owned() } else { missing.join(", ") };
        return format!(
            "GStreamer lacks a plugin: {what}. gstreamer1.0-libav or gstreamer1.0-plugins-ugly may have it"
        );
    }
    // What these say by themselves is that something went wrong.
    let is_vague = ["Internal", "GStreamer", "Could not multiplex"].iter().any(|start| message.starts_with(start));
    match debug.lines().last().filter(|_| is_vague) {
        Some(detail) => format!("{message}: {}", detail.trim()),
        None => message.to_owned(),
    }
}
