//! Films with their captions: as a track beside picture and sound, or drawn into the picture.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::pipeline::{Failure, FilePipeline, Position, add_row, make};
use super::transcript::Caption;

/// What is to be made.
pub struct Request<'a> {
    pub input: &'a Path,
    /// Where it goes; its name need not say what it is.
    pub output: &'a Path,
    /// .mp4, and not .mkv.
    pub mp4: bool,
    pub captions: &'a [Caption],
    /// ISO 639; empty: not said.
    pub language: &'a str,
    /// The font of captions that are burned in; none: they become a track.
    pub burn_in: Option<&'a str>,
}

/// Writes the film. `progress` hears of the position. Gives what the film lacks, in words.
pub fn write(
    request: &Request,
    stop: &AtomicBool,
    progress: impl Fn(u64, Option<u64>),
) -> Result<Vec<String>, Failure> {
    let file = FilePipeline::new(request.input)?;
    let muxer = make(if request.mp4 { "mp4mux" } else { "matroskamux" })?;
    let uri = glib::filename_to_uri(request.output, None)?;
    let sink = gst::Element::make_from_uri(gst::URIType::Sink, &uri, None)?;
    file.pipeline.add_many([&muxer, &sink])?;
    muxer.link(&sink)?;
    let from_start = request.mp4 && request.burn_in.is_none();
    let captions = Captions { from_start, captions: request.captions.into(), language: request.language.into() };
    let found = Arc::new(Found::default());
    let (seen, position) = (found.clone(), file.position.clone());
    let (weak, font) = (muxer.downgrade(), request.burn_in.map(str::to_owned));
    file.on_stream(move |pipeline, caps| {
        let muxer = weak.upgrade().ok_or("the pipeline is gone")?;
        let name = caps.structure(0).map_or("", |s| s.name().as_str());
        let is_picture = name.starts_with("video/") || name.starts_with("image/");
        let is_first_picture = is_picture && !seen.picture.swap(true, Ordering::Relaxed);
        if is_first_picture && let Some(font) = &font {
            return burn(pipeline, &muxer, font, &captions, position.clone()).map(Some);
        }
        let kept = keep(pipeline, &muxer, caps, position.clone())?;
        if kept.is_none() {
            if is_picture || name.starts_with("audio/") {
                let advice =
                    if is_mp4(&muxer) { "an .mp4 cannot hold it: try --mkv" } else { "an .mkv cannot hold it" };
                return Err(format!("it has a track of {name}, and {advice}").into());
            }
            seen.lacks.lock().unwrap_or_else(PoisonError::into_inner).push(format!("without the input's {name}"));
            return Ok(None);
        }
        // The muxer begins when each of its inputs has something. So the captions come once another input is there,
        // from which nothing has come yet. Without captions there is no track: .mp4 knows no empty ones.
        if font.is_none() && !captions.captions.is_empty() && !seen.track.swap(true, Ordering::Relaxed) {
            captions.add(pipeline, &request_pad(&muxer, &text_caps())?)?;
        }
        Ok(kept)
    });
    let mut duration = None;
    file.run(
        stop,
        || {
            duration = duration.or_else(|| file.duration_ms());
            progress(file.position.ms(), duration);
            Ok(())
        },
        |message| match message.view() {
            gst::MessageView::StreamCollection(message) if request.burn_in.is_some() => {
                let streams = message.stream_collection();
                let mut kinds = (0..streams.size()).filter_map(|index| Some(streams.stream(index)?.stream_type()));
                let has_picture = kinds.any(|kind| kind.contains(gst::StreamType::VIDEO));
                if has_picture { Ok(()) } else { Err("it has no picture to burn the captions into".into()) }
            }
            _ => Ok(()),
        },
    )?;
    drop(file);
    let mut lacks = std::mem::take(&mut *found.lacks.lock().unwrap_or_else(PoisonError::into_inner));
    if !found.picture.load(Ordering::Relaxed) {
        lacks.push("without a picture, which the input does not have".into());
    }
    Ok(lacks)
}

/// What the input turned out to have.
#[derive(Default)]
struct Found {
    picture: AtomicBool,
    /// The captions have their track.
    track: AtomicBool,
    lacks: Mutex<Vec<String>>,
}

/// The captions on their way into a pipeline.
struct Captions {
    /// From the start of the film on, with nothing before the first caption.
    from_start: bool,
    captions: Vec<Caption>,
    language: String,
}

impl Captions {
    /// Sends all of them to `sink`: they are known, and wait in the source until they are wanted.
    fn add(&self, pipeline: &gst::Pipeline, sink: &gst::Pad) -> Result<(), Failure> {
        let source = gst_app::AppSrc::builder().caps(&text_caps()).format(gst::Format::Time).max_bytes(0).build();
        let tags = make("taginject")?;
        if !self.language.is_empty() {
            tags.set_property("tags", format!("language-code=\"{}\"", self.language));
        }
        let row = [source.clone().upcast(), tags.clone()];
        pipeline.add_many(&row)?;
        gst::Element::link_many(&row)?;
        tags.static_pad("src").ok_or("the element has no source")?.link(sink)?;
        for element in row.iter().rev() {
            element.sync_state_with_parent()?;
        }
        // In an .mp4 the track begins with the film: where it begins later, players end its last caption too early.
        let start = self.captions.first().map_or(0, |first| first.start);
        let empty = Caption { start: 0, end: start, text: String::new() };
        let empty = (self.from_start && start > 0).then_some(&empty);
        for caption in empty.into_iter().chain(&self.captions) {
            let mut buffer = gst::Buffer::from_slice(caption.text.clone().into_bytes());
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(gst::ClockTime::from_mseconds(caption.start));
                buffer.set_duration(gst::ClockTime::from_mseconds(caption.end.saturating_sub(caption.start)));
            }
            source.push_buffer(buffer)?;
        }
        source.end_of_stream()?;
        Ok(())
    }
}

fn text_caps() -> gst::Caps {
    gst::Caps::builder("text/x-raw").field("format", "utf8").build()
}

/// A queue in front of a muxer, which reads its inputs in the order of their times.
fn unlimited() -> Result<gst::Element, Failure> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

/// A stream into the muxer as it is; none where the muxer does not take it.
fn keep(
    pipeline: &gst::Pipeline,
    muxer: &gst::Element,
    caps: &gst::Caps,
    position: Arc<Position>,
) -> Result<Option<gst::Pad>, Failure> {
    let name = caps.structure(0).map_or("", |s| s.name().as_str());
    let version = caps.structure(0).and_then(|s| s.get::<i32>("mpegversion").ok());
    // Some containers hold these in another form than others.
    let parser = match (name, version) {
        ("video/x-h264", _) => Some("h264parse"),
        ("video/x-h265", _) => Some("h265parse"),
        ("video/x-av1", _) => Some("av1parse"),
        ("audio/mpeg", Some(2 | 4)) => Some("aacparse"),
        _ => None,
    };
    let offered = if parser.is_some() { gst::Caps::new_empty_simple(name) } else { caps.clone() };
    if template(muxer, &offered).is_none() {
        return Ok(None);
    }
    let queue = unlimited()?;
    watch(&queue, position)?;
    let last = parser.map_or_else(|| Ok(queue.clone()), make)?;
    let row = if parser.is_some() { vec![queue, last.clone()] } else { vec![queue] };
    let sink = add_row(pipeline, &row)?;
    link_to(&last, muxer, &offered)?;
    Ok(Some(sink))
}

/// A picture with the captions in it into the muxer.
fn burn(
    pipeline: &gst::Pipeline,
    muxer: &gst::Element,
    font: &str,
    captions: &Captions,
    position: Arc<Position>,
) -> Result<gst::Pad, Failure> {
    let (decoder, upright, overlay, encoder) =
        (make("decodebin")?, make("videoflip")?, make("textoverlay")?, make("x264enc")?);
    // A telephone's films say that they are to be turned; the captions belong on the picture as it is seen.
    upright.set_property_from_str("video-direction", "auto");
    overlay.set_property("font-desc", font);
    // Constant quality; the bit rate, in kbit/s, is the most that it may take.
    encoder.set_property_from_str("pass", "qual");
    encoder.set_property("quantizer", 20u32);
    encoder.set_property("bitrate", 50_000u32);
    // Players jump to key frames only.
    encoder.set_property("key-int-max", 50u32);
    let row = [
        make("videoconvert")?,
        upright,
        overlay.clone(),
        make("videoconvert")?,
        encoder,
        make("h264parse")?,
        unlimited()?,
    ];
    watch(&row[6], position)?;
    let picture = add_row(pipeline, &row)?;
    link_to(&row[6], muxer, &gst::Caps::new_empty_simple("video/x-h264"))?;
    if !captions.captions.is_empty() {
        captions.add(pipeline, &overlay.static_pad("text_sink").ok_or("the overlay takes no text")?)?;
    }
    decoder.connect_pad_added(move |_, pad| {
        // Where it cannot be linked, the flow says so to the bus.
        if !picture.is_linked() {
            let _ = pad.link(&picture);
        }
    });
    add_row(pipeline, &[decoder])
}

/// Tells `position` what passes.
fn watch(element: &gst::Element, position: Arc<Position>) -> Result<(), Failure> {
    let pad = element.static_pad("src").ok_or("the element has no source")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        position.touch();
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && let Some(event) = pad.sticky_event::<gst::event::Segment>(0)
            && let Some(segment) = event.segment().downcast_ref::<gst::ClockTime>()
            && let Some(time) = buffer.pts().and_then(|pts| segment.to_running_time(pts))
        {
            position.reach(time.mseconds());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn link_to(element: &gst::Element, muxer: &gst::Element, caps: &gst::Caps) -> Result<(), Failure> {
    let source = element.static_pad("src").ok_or("the element has no source")?;
    source.link(&request_pad(muxer, caps)?)?;
    Ok(())
}

/// A new input of the muxer.
fn request_pad(muxer: &gst::Element, caps: &gst::Caps) -> Result<gst::Pad, Failure> {
    let template = template(muxer, caps).ok_or("the muxer does not take it")?;
    Ok(muxer.request_pad(&template, None, None).ok_or("the muxer takes no more tracks")?)
}

fn template(muxer: &gst::Element, caps: &gst::Caps) -> Option<gst::PadTemplate> {
    let mut templates = muxer.pad_template_list().into_iter();
    templates.find(|t| t.direction() == gst::PadDirection::Sink && t.caps().can_intersect(caps))
}

fn is_mp4(muxer: &gst::Element) -> bool {
    muxer.factory().is_some_and(|factory| factory.name() == "mp4mux")
}
