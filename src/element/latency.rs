//! The LATENCY query: how much later than its audio a text may come.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::ParaformerAsr;
use super::settings::Settings;
use super::{CaptionMode, Output};

/// A token is given out by then at the latest: it may begin so long before its fire.
const TOKEN_MS: u64 = 600;

/// A voice activity detector is sure of silence by then: a segment begins 400 ms before the frame that tells of it, its
/// network waits for 80 ms, and the stream tells of silence every 300 ms.
const VAD_MS: u64 = 780;

/// What the element adds to the latency of a live pipeline.
pub fn own(settings: &Settings) -> gst::ClockTime {
    // Sizes that cannot be used fail at READY; until then the default's delay is as good as any.
    let model_ms = settings.windows().unwrap_or_default().delay_ms();
    let model_ms = if settings.vad_model_path.is_some() { model_ms.max(VAD_MS) } else { model_ms };
    let text_ms = match (settings.output, settings.caption_mode) {
        (Output::Tokens, _) => TOKEN_MS,
        (Output::Captions, CaptionMode::Progressive) => 0,
        (Output::Captions, CaptionMode::Final) => {
            // What is said of an utterance is known at its end.
            let limit =
                settings.rewrites_finals().then_some(settings.max_utterance_ms).filter(|&limit_ms| limit_ms > 0);
            u64::from(limit.unwrap_or(settings.shape.max_duration_ms)) + u64::from(settings.endpoint_silence_ms)
        }
    };
    gst::ClockTime::from_mseconds(model_ms + u64::from(settings.latency_ms) + text_ms)
}

impl ParaformerAsr {
    /// Answers the query: upstream's latency, and ours where that is live. It is answered before caps and model are there.
    pub fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        if live {
            let own = own(&self.settings());
            query.set(true, min.saturating_add(own), max.map(|max| max.saturating_add(own)));
        } else {
            query.set(false, min, max);
        }
        true
    }

    /// Whether upstream is live, and its least latency; asks once until the next state change.
    pub fn upstream(&self) -> (bool, gst::ClockTime) {
        let mut known = self.lock(&self.upstream);
        *known.get_or_insert_with(|| {
            let mut query = gst::query::Latency::new();
            if self.sinkpad.peer_query(&mut query) {
                let (live, min, _) = query.result();
                return (live, min);
            }
            (false, gst::ClockTime::ZERO)
        })
    }

    /// Tells the pipeline that the latency is another.
    pub fn latency_changed(&self) {
        let obj = self.obj();
        let message = gst::message::Latency::builder().src(&*obj).build();
        // Without a bus nobody listens.
        let _ = obj.post_message(message);
    }
}
