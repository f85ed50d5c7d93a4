//! What leaves the element, put together to utterances and their captions.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use super::transcript::{Caption, Part, Token, Utterance};

/// No text for so long after an utterance is a pause, in which recognition can begin anew. The element ends an
/// utterance after a longer one; without one it was parted for its length.
const PAUSE_MS: u64 = 600;
/// So much of the pause must be left, as the element leaves it.
const LEAD_IN_MS: u64 = 240;

/// Takes the element's messages, buffers and events in the order in which they come, and sends the parts that are
/// complete.
pub struct Collector {
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// What the running time of text is shifted by.
    lateness_ms: u64,
    /// Utterances whose last captions may still come.
    open: VecDeque<Utterance>,
    over: Vec<Utterance>,
    /// Up to where the element said, after the last of them, that there is no text: as a rule just before the row at
    /// which it began the next one, else a few rows later.
    silent_ms: Option<u64>,
    /// There is text after the last of them, and there was no pause before it.
    goes_on: bool,
    captions: VecDeque<Caption>,
    parts: Sender<Part>,
}

impl Collector {
    /// A collector that sends to `parts`.
    pub fn new(lateness_ms: u32, parts: Sender<Part>) -> Self {
        Self {
            segment: gst::FormattedSegment::new(),
            lateness_ms: lateness_ms.into(),
            open: VecDeque::new(),
            over: Vec::new(),
            silent_ms: None,
            goes_on: false,
            captions: VecDeque::new(),
            parts,
        }
    }

    /// A result.
    pub fn result(&mut self, result: &gst::StructureRef) {
        if result.has_name("paraformerasr") && result.get("final") == Ok(true) {
            self.open.extend(utterance(result));
        }
    }

    /// What goes through the source pad. Gives the position, in ms, where that tells of one.
    pub fn passed(&mut self, data: &gst::PadProbeData) -> Option<u64> {
        match data {
            gst::PadProbeData::Buffer(buffer) => {
                let (start, duration) = (buffer.pts()?, buffer.duration()?);
                let text = String::from_utf8_lossy(&buffer.map_readable().ok()?).into_owned();
                let (start, end) = (self.running_ms(start)?, self.running_ms(start + duration)?);
                self.pause(start);
                self.goes_on = true;
                self.captions.push_back(Caption { start, end, text });
                return Some(end.saturating_sub(self.lateness_ms));
            }
            gst::PadProbeData::Event(event) => match event.view() {
                gst::EventView::Segment(event) => {
                    self.segment = event.segment().downcast_ref()?.clone();
                }
                gst::EventView::Gap(gap) => {
                    let (start, duration) = gap.get();
                    let end = self.running_ms(start + duration.unwrap_or_default())?;
                    self.silent_ms.get_or_insert(end.saturating_sub(self.lateness_ms));
                    self.pause(end);
                    return Some(end.saturating_sub(self.lateness_ms));
                }
                gst::EventView::CustomDownstream(event) => {
                    let ends = event.structure().is_some_and(|s| s.has_name("rstranscribe/final-transcript"));
                    self.over.extend(self.open.pop_front().filter(|_| ends));
                    let over = self.over.last().map_or(0, |last| last.end) + self.lateness_ms;
                    self.goes_on = self.captions.back().is_some_and(|caption| caption.start >= over);
                    self.silent_ms = None;
                }
                gst::EventView::Eos(_) => self.finish(),
                _ => {}
            },
            _ => {}
        }
        None
    }

    /// There is no text up to `ms`. Where that makes a pause, what is over is sent.
    fn pause(&mut self, ms: u64) {
        let ms = ms.saturating_sub(self.lateness_ms);
        if let (Some(last), Some(silent_ms)) = (self.over.last(), self.silent_ms)
            && self.open.is_empty()
            && !self.goes_on
        {
            let resume = silent_ms.max(last.end);
            if ms >= last.end + PAUSE_MS && ms >= resume + LEAD_IN_MS {
                self.send(resume);
            }
        }
    }

    fn running_ms(&self, pts: gst::ClockTime) -> Option<u64> {
        self.segment.to_running_time(pts).map(|time| time.mseconds())
    }

    /// Sends what is over.
    fn send(&mut self, resume: u64) {
        let end = self.over.last().map_or(0, |last| last.end) + self.lateness_ms;
        let captions = self.captions.iter().take_while(|caption| caption.start < end).count();
        let captions = self.captions.drain(..captions).collect();
        let part = Part { captions, utterances: std::mem::take(&mut self.over), resume };
        // Whoever does not listen any more has no use for it.
        let _ = self.parts.send(part);
    }

    /// Nothing more comes.
    fn finish(&mut self) {
        self.over.extend(self.open.drain(..));
        let captions = self.captions.drain(..).collect();
        let part = Part { captions, utterances: std::mem::take(&mut self.over), resume: 0 };
        let _ = self.parts.send(part);
    }
}

/// The utterance that a final result tells of; none where it lacks something.
fn utterance(result: &gst::StructureRef) -> Option<Utterance> {
    let ns = |structure: &gst::StructureRef, field: &str| structure.get::<u64>(field).ok();
    // The film's own times may not begin at 0; those of every output do.
    let (stream, running) = (ns(result, "start-time")?, ns(result, "running-time")?);
    let ms = |time: u64| (time + running).saturating_sub(stream) / 1_000_000;
    let array = result.get::<gst::Array>("tokens").ok()?;
    let tokens = array.iter().filter_map(|value| {
        let token = value.get::<gst::Structure>().ok()?;
        Some(Token {
            start: ms(ns(&token, "start-time")?),
            end: ms(ns(&token, "end-time")?),
            text: token.get("text").ok()?,
            confidence: (token.get::<f64>("confidence").ok()? * 1000.0).round() / 1000.0,
        })
    });
    Some(Utterance {
        start: running / 1_000_000,
        end: ms(ns(result, "end-time")?),
        text: result.get("text").ok()?,
        tokens: tokens.collect(),
    })
}
