//! The recognition of one file: a pipeline around the element.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use gst::prelude::*;

use super::collector::Collector;
use super::element;
use super::pipeline::{Failure, FilePipeline, Position, add_row, make};
use super::transcript::Part;

/// A row of the model's input.
const ROW: gst::ClockTime = gst::ClockTime::from_mseconds(60);

/// What is to be recognised.
pub struct Request<'a> {
    pub path: &'a Path,
    /// From 1.
    pub audio_track: usize,
    pub properties: &'a BTreeMap<String, String>,
    pub lateness_ms: u32,
    /// What lies before is known from an earlier run. It is decoded and dropped, not sought: by decoding every format
    /// has right times, and it takes little time compared with recognition.
    pub start_ms: u64,
}

/// Recognises the file, from pause to pause: `part` is called with what was said up to each. `progress` hears of the
/// position and the duration. Gives the duration of the audio and, where it says one, of the file, in ms.
pub fn recognise(
    request: &Request,
    stop: &AtomicBool,
    mut part: impl FnMut(Part) -> Result<(), Failure>,
    progress: impl Fn(u64, Option<u64>),
) -> Result<(u64, Option<u64>), Failure> {
    let file = FilePipeline::new(request.path)?;
    let recogniser = element::build(request.properties)?;
    let (sender, parts) = mpsc::channel();
    let heard = Arc::new(Position::default());
    collect(&file, &recogniser, Collector::new(request.lateness_ms, sender))?;
    skip(&recogniser, request.start_ms, heard.clone(), file.position.clone())?;
    let tracks = Arc::new(AtomicUsize::new(0));
    let row = recogniser_row(&file.pipeline, &recogniser)?;
    let (wanted, counted) = (request.audio_track, tracks.clone());
    file.on_stream(move |pipeline, caps| {
        let is_audio = caps.structure(0).is_some_and(|s| s.name().starts_with("audio/"));
        if !is_audio || counted.fetch_add(1, Ordering::Relaxed) + 1 != wanted {
            return Ok(None);
        }
        decoder(pipeline, &row).map(Some)
    });
    let mut duration = None;
    file.run(
        stop,
        || {
            duration = duration.or_else(|| file.duration_ms());
            progress(file.position.ms().max(request.start_ms), duration);
            parts.try_iter().try_for_each(&mut part)
        },
        |message| match message.view() {
            gst::MessageView::StreamCollection(message) => {
                let streams = message.stream_collection();
                let kinds = (0..streams.size()).filter_map(|index| Some(streams.stream(index)?.stream_type()));
                let audio = kinds.filter(|kind| kind.contains(gst::StreamType::AUDIO));
                if streams.size() == 0 { Ok(()) } else { has_track(audio.count(), wanted) }
            }
            _ => Ok(()),
        },
    )?;
    has_track(tracks.load(Ordering::Relaxed), wanted)?;
    Ok((heard.ms(), duration))
}

fn has_track(tracks: usize, wanted: usize) -> Result<(), Failure> {
    match tracks {
        0 => Err("it has no sound".into()),
        1 if wanted > 1 => Err(format!("it has 1 audio track, and no number {wanted}").into()),
        n if wanted > n => Err(format!("it has {n} audio tracks, and no number {wanted}").into()),
        _ => Ok(()),
    }
}

/// Everything behind the decoder; gives what the decoder is linked to.
fn recogniser_row(pipeline: &gst::Pipeline, recogniser: &gst::Element) -> Result<gst::Element, Failure> {
    let (convert, sink) = (make("audioconvert")?, make("fakesink")?);
    sink.set_property("sync", false);
    // The pipeline reaches its states before there is audio; the element's end of stream is what is waited for.
    sink.set_property("async", false);
    add_row(pipeline, &[convert.clone(), make("audioresample")?, recogniser.clone(), sink])?;
    Ok(convert)
}

/// A decoder for the audio track, linked to `row`.
fn decoder(pipeline: &gst::Pipeline, row: &gst::Element) -> Result<gst::Pad, Failure> {
    let decoder = make("decodebin")?;
    let sink = row.static_pad("sink").ok_or("the element has no sink")?;
    decoder.connect_pad_added(move |_, pad| {
        // Where it cannot be linked, the flow says so to the bus.
        if !sink.is_linked() {
            let _ = pad.link(&sink);
        }
    });
    add_row(pipeline, &[decoder])
}

/// The collector sees everything that leaves the element, in its order.
fn collect(file: &FilePipeline, recogniser: &gst::Element, collector: Collector) -> Result<(), Failure> {
    let collector = Arc::new(Mutex::new(collector));
    let (results, position) = (collector.clone(), file.position.clone());
    let bus = file.pipeline.bus().ok_or("the pipeline has no bus")?;
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Element(message) = message.view()
            && let Some(structure) = message.structure()
        {
            results.lock().unwrap_or_else(PoisonError::into_inner).result(structure);
        }
        gst::BusSyncReply::Pass
    });
    let pad = recogniser.static_pad("src").ok_or("the element has no source")?;
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(data) = &info.data
            && let Some(ms) = collector.lock().unwrap_or_else(PoisonError::into_inner).passed(data)
        {
            position.reach(ms);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Drops the audio before `start_ms`, and notes how much there is.
fn skip(recogniser: &gst::Element, start_ms: u64, heard: Arc<Position>, moved: Arc<Position>) -> Result<(), Failure> {
    let pad = recogniser.static_pad("sink").ok_or("the element has no sink")?;
    let begin = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        moved.touch();
        let (event, caps) = (pad.sticky_event::<gst::event::Segment>(0), pad.current_caps());
        let segment = event.as_ref().and_then(|event| event.segment().downcast_ref::<gst::ClockTime>());
        let audio = caps.as_ref().and_then(|caps| gst_audio::AudioInfo::from_caps(caps).ok());
        if let (Some(gst::PadProbeData::Buffer(buffer)), Some(segment), Some(audio)) = (&mut info.data, segment, audio)
            && let Some(pts) = buffer.pts()
        {
            let end = segment.to_running_time(pts + buffer.duration().unwrap_or_default());
            heard.reach(end.map_or(0, |end| end.mseconds()));
            let mut begin = begin.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = *begin.get_or_insert_with(|| row_at(segment, pts, start_ms));
            if start_ms > 0 && pts < begin {
                let mut wanted = segment.clone();
                wanted.set_start(begin);
                match gst_audio::audio_buffer_clip(buffer.copy(), wanted.upcast_ref(), audio.rate(), audio.bpf()) {
                    Some(rest) => *buffer = rest,
                    None => return gst::PadProbeReturn::Handled,
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Where recognition begins: the model looks at rows of 60 ms, counted from the first sample, `first`. From the row at
/// which the element began an utterance itself it gives to the last bit what it would have given without the
/// interruption; from another one, times may differ by a row.
fn row_at(segment: &gst::FormattedSegment<gst::ClockTime>, first: gst::ClockTime, start_ms: u64) -> gst::ClockTime {
    let start = segment.position_from_running_time(gst::ClockTime::from_mseconds(start_ms)).unwrap_or(first);
    first + ROW * start.saturating_sub(first).nseconds().div_ceil(ROW.nseconds())
}
