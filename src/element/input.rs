//! The sink pad: audio and events into the queue. Nothing is recognised here.

use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{CAT, ParaformerAsr};
use crate::scheduler::queue::{Released, Timed};

/// What waits in the queue, in order.
#[derive(Debug)]
pub enum Item {
    /// Samples, 16 kHz mono, -1 to 1; `skipped_ns` before them were dropped.
    Audio { samples: Vec<f32>, pts: Option<gst::ClockTime>, skipped_ns: u64 },
    /// There is no audio from `pts` on.
    Gap { pts: gst::ClockTime, duration: gst::ClockTime },
    /// A stream begins: our own event, to be sent on.
    StreamStart(gst::Event),
    /// The audio's format has changed.
    Caps,
    /// A segment begins.
    Segment(gst::Event),
    /// The stream is at its end.
    Eos(gst::Event),
    /// The segment is at its end.
    SegmentDone(gst::Event),
    /// Final texts are there to be collected.
    Refined,
    /// Anything else that keeps its place in the order.
    Event(gst::Event),
}

impl Timed for Item {
    fn duration_ns(&self) -> u64 {
        match self {
            Self::Audio { samples, .. } => crate::engine::time::samples_to_ns(samples.len() as u64),
            _ => 0,
        }
    }

    fn dropped_before_ns(&self) -> u64 {
        match self {
            Self::Audio { skipped_ns, .. } => *skipped_ns,
            _ => 0,
        }
    }

    fn follows_dropped(&mut self, dropped_ns: u64) {
        if let Self::Audio { skipped_ns, .. } = self {
            *skipped_ns += dropped_ns;
        }
    }
}

/// What the sink pad knows of the audio.
#[derive(Debug, Default)]
pub struct Format {
    info: Option<gst_audio::AudioInfo>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
}

impl ParaformerAsr {
    /// Takes a buffer. Waits where the queue is full; in a live pipeline the oldest audio is skipped instead.
    pub fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.flow()?;
        let (info, segment) = {
            let format = self.lock(&self.format);
            (format.info.clone(), format.segment.clone())
        };
        let Some(info) = info else {
            gst::element_imp_error!(self, gst::CoreError::Negotiation, ("audio came before its format"));
            return Err(gst::FlowError::NotNegotiated);
        };
        let clipped = match &segment {
            Some(segment) if buffer.pts().is_some() => {
                gst_audio::audio_buffer_clip(buffer, segment.upcast_ref(), info.rate(), info.bpf())
            }
            _ => Some(buffer),
        };
        let Some(buffer) = clipped else { return Ok(gst::FlowSuccess::Ok) };
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("an audio buffer cannot be read"));
            gst::FlowError::Error
        })?;
        let samples: Vec<f32> = match info.format() {
            gst_audio::AudioFormat::S16le => {
                map.chunks_exact(2).map(|s| f32::from(i16::from_le_bytes([s[0], s[1]])) / 32768.0).collect()
            }
            _ => map.chunks_exact(4).map(|s| f32::from_le_bytes([s[0], s[1], s[2], s[3]])).collect(),
        };
        drop(map);
        if samples.is_empty() {
            return Ok(gst::FlowSuccess::Ok);
        }
        self.enqueue_audio(Item::Audio { samples, pts: buffer.pts(), skipped_ns: 0 })
    }

    fn enqueue_audio(&self, item: Item) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings();
        let limit_ns = u64::from(settings.max_queue_ms) * 1_000_000;
        let full = self.queue.level_ns() + item.duration_ns() > limit_ns;
        let pushed = if full && self.upstream().0 {
            let keep_ns = u64::from(settings.latency_ms) * 1_000_000;
            self.queue.push_dropping(item, limit_ns, keep_ns).map(|skipped_ns| self.skipped(skipped_ns))
        } else {
            self.queue.push_waiting(item, limit_ns)
        };
        match pushed {
            Ok(()) => Ok(gst::FlowSuccess::Ok),
            Err(Released) => Err(self.flow().err().unwrap_or(gst::FlowError::Flushing)),
        }
    }

    fn skipped(&self, skipped_ns: u64) {
        if skipped_ns == 0 {
            return;
        }
        self.lock(&self.stats).skipped(skipped_ns);
        let obj = self.obj();
        let skipped = gst::ClockTime::from_nseconds(skipped_ns);
        gst::warning!(CAT, imp = self, "too slow for live audio: skipped {skipped}");
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            (
                "recognition is too slow for live audio: {} ms were skipped. Use a smaller model, fewer streams or more threads",
                skipped.mseconds()
            )
        );
        let running = obj.current_running_time();
        let message = gst::message::Qos::builder(true).src(&*obj).running_time(running).duration(skipped).build();
        // Without a bus nobody listens.
        let _ = obj.post_message(message);
    }

    /// Takes an event.
    pub fn sink_event(&self, event: gst::Event) -> bool {
        gst::log!(CAT, imp = self, "event {event:?}");
        match event.view() {
            gst::EventView::FlushStart(_) => self.flush_start(event),
            gst::EventView::FlushStop(_) => self.flush_stop(event),
            gst::EventView::StreamStart(start) => {
                self.eos.store(false, Ordering::Relaxed);
                self.enqueue(Item::StreamStart(self.own_stream_start(start)))
            }
            gst::EventView::Caps(caps) => match gst_audio::AudioInfo::from_caps(caps.caps()) {
                Ok(info) => {
                    let before = self.lock(&self.format).info.replace(info.clone());
                    before == Some(info) || self.enqueue(Item::Caps)
                }
                Err(_) => {
                    gst::element_imp_error!(self, gst::CoreError::Negotiation, ("cannot use {}", caps.caps()));
                    false
                }
            },
            gst::EventView::Segment(segment) => match segment.segment().downcast_ref::<gst::ClockTime>() {
                Some(time) => {
                    self.lock(&self.format).segment = Some(time.clone());
                    self.enqueue(Item::Segment(event))
                }
                None => {
                    let format = segment.segment().format();
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Format,
                        ("expected a segment in time format, found {format:?}")
                    );
                    false
                }
            },
            gst::EventView::Gap(gap) => {
                let (pts, duration) = gap.get();
                self.enqueue(Item::Gap { pts, duration: duration.unwrap_or_default() })
            }
            gst::EventView::Eos(_) => {
                self.eos.store(true, Ordering::Relaxed);
                self.enqueue(Item::Eos(event))
            }
            gst::EventView::SegmentDone(_) => self.enqueue(Item::SegmentDone(event)),
            // They describe the audio: the text has its own.
            gst::EventView::Tag(_) | gst::EventView::StreamCollection(_) | gst::EventView::Toc(_) => true,
            _ if event.is_serialized() => self.enqueue(Item::Event(event)),
            _ => gst::Pad::event_default(&self.sinkpad, Some(&*self.obj()), event),
        }
    }

    fn enqueue(&self, item: Item) -> bool {
        self.queue.push_waiting(item, u64::MAX).is_ok()
    }

    /// The text is a stream of its own, sparse, in the group of the audio.
    fn own_stream_start(&self, upstream: &gst::event::StreamStart) -> gst::Event {
        let stream_id = self.srcpad.create_stream_id(&*self.obj(), Some("text"));
        let flags = upstream.stream_flags() | gst::StreamFlags::SPARSE;
        let mut builder = gst::event::StreamStart::builder(&stream_id).flags(flags).seqnum(upstream.seqnum());
        if let Some(group) = upstream.group_id() {
            builder = builder.group_id(group);
        }
        builder.build()
    }
}
