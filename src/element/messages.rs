//! What goes to the bus: results, health, errors.

use gst::prelude::*;

use super::imp;
use crate::engine::refine::chain::Pass;
use crate::engine::{DisplayToken, Error, Hypothesis};

/// The name of the element messages that carry results.
pub const RESULT: &str = "paraformerasr";

/// The times of a span: stream time for people, running time for clocks.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub start_ns: u64,
    pub end_ns: u64,
    pub running_ns: u64,
}

/// The message for a hypothesis. `times` gives a token's times.
pub fn result(
    hypothesis: &Hypothesis,
    pass: Pass,
    min_confidence: f64,
    times: impl Fn(&DisplayToken) -> Times,
) -> gst::Structure {
    let pass = match pass {
        Pass::Streaming => "streaming",
        Pass::Offline => "offline",
    };
    let mut builder = gst::Structure::builder(RESULT)
        .field("text", &hypothesis.text)
        .field("final", hypothesis.is_final)
        .field("pass", pass)
        .field("utterance", hypothesis.utterance);
    if let (Some(first), Some(last)) = (hypothesis.tokens.first(), hypothesis.tokens.last()) {
        let (first, last) = (times(first), times(last));
        builder = builder
            .field("start-time", first.start_ns)
            .field("end-time", last.end_ns)
            .field("running-time", first.running_ns)
            .field("duration", last.end_ns.saturating_sub(first.start_ns));
    }
    let tokens = hypothesis.tokens.iter().map(|token| {
        let span = times(token);
        gst::Structure::builder("token")
            .field("text", &token.text)
            .field("start-time", span.start_ns)
            .field("end-time", span.end_ns)
            .field("confidence", f64::from(token.confidence))
            .field("doubtful", f64::from(token.confidence) < min_confidence)
            .build()
            .to_send_value()
    });
    builder.field("tokens", gst::Array::new(tokens)).build()
}

/// Posts an error of the engine or the runtime. This is the one table from their kinds to GStreamer's.
pub fn post_error(element: &imp::ParaformerAsr, error: &Error) {
    use gst::subclass::prelude::*;
    let text = error.to_string();
    let obj = element.obj();
    match error {
        Error::NotFound { .. } => gst::element_error!(obj, gst::ResourceError::NotFound, ("{text}")),
        Error::Model { .. } => gst::element_error!(obj, gst::ResourceError::OpenRead, ("{text}")),
        Error::Setting { .. } => gst::element_error!(obj, gst::ResourceError::Settings, ("{text}")),
        Error::Library { .. } => gst::element_error!(obj, gst::LibraryError::Init, ("{text}")),
        Error::Network { .. } => gst::element_error!(obj, gst::LibraryError::Failed, ("{text}")),
        Error::Cancelled => {}
    }
}

/// A PROGRESS message of the model's loading.
pub fn progress(element: &imp::ParaformerAsr, kind: gst::ProgressType, text: &str) {
    use gst::subclass::prelude::*;
    let obj = element.obj();
    let message = gst::message::Progress::builder(kind, "loading", text).src(&*obj).build();
    // Without a bus nobody listens.
    let _ = obj.post_message(message);
}
