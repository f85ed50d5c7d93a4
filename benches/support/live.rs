//! One element between a source that is spoken to and a sink that takes whatever comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;

use super::{need, stop};

/// Samples of a buffer: 100 ms.
pub const BUFFER: usize = 1600;
/// How long a buffer lasts.
pub const BUFFER_MS: Duration = Duration::from_millis(100);

/// What the bus has told.
#[derive(Debug, Default)]
struct Told {
    /// Final results, a line for each utterance.
    text: String,
    tokens: usize,
    ended: bool,
}

/// `appsrc ! paraformerasr ! fakesink`, in PLAYING.
pub struct Element {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    element: gst::Element,
    told: Arc<(Mutex<Told>, Condvar)>,
    skipped: Arc<AtomicBool>,
}

impl Element {
    /// With these properties of `paraformerasr`, as gst-launch-1.0 takes them.
    pub fn new(live: bool, properties: &[(&str, String)]) -> Self {
        let caps = "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved";
        // Not live, who speaks waits for the element.
        let line = format!(
            "appsrc name=source is-live={live} block={} format=time caps={caps} ! paraformerasr name=element ! \
            fakesink sync=false async=false",
            !live
        );
        let pipeline = need(gst::parse::launch(&line), "the pipeline").downcast::<gst::Pipeline>();
        let pipeline = pipeline.unwrap_or_else(|_| stop("no pipeline"));
        let named = |name| pipeline.by_name(name).unwrap_or_else(|| stop("the pipeline is not whole"));
        let (source, element) = (named("source"), named("element"));
        let source = source.downcast::<gst_app::AppSrc>().unwrap_or_else(|_| stop("no appsrc"));
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let this = Self { source, element, told: Arc::default(), skipped: Arc::default(), pipeline };
        this.listen();
        need(this.pipeline.set_state(gst::State::Playing), "PLAYING");
        this
    }

    fn listen(&self) {
        let (told, skipped) = (self.told.clone(), self.skipped.clone());
        let bus = self.pipeline.bus().unwrap_or_else(|| stop("no bus"));
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Element(_) => {
                    if let Some((text, tokens)) = message.structure().and_then(final_text) {
                        let mut told = told.0.lock().unwrap_or_else(PoisonError::into_inner);
                        told.text += &text;
                        told.text.push('\n');
                        told.tokens += tokens;
                    }
                }
                gst::MessageView::Qos(_) => skipped.store(true, Ordering::Relaxed),
                gst::MessageView::Eos(_) => {
                    told.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
                    told.1.notify_all();
                }
                gst::MessageView::Error(error) => stop(error.error()),
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
    }

    /// The running time.
    pub fn now(&self) -> gst::ClockTime {
        self.pipeline.current_running_time().unwrap_or_else(|| stop("the pipeline has no clock"))
    }

    /// Speaks: samples, the first of which was heard at this running time.
    pub fn push(&self, samples: &[i16], began: gst::ClockTime) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(began);
            buffer.set_duration(gst::ClockTime::from_nseconds(samples.len() as u64 * 62_500));
        }
        need(self.source.push_buffer(buffer), "the source");
    }

    /// Says no more.
    pub fn end(&self) {
        need(self.source.end_of_stream(), "the source");
    }

    /// Waits until everything said is recognised.
    pub fn wait(&self, patience: Duration) {
        let told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.1.wait_timeout_while(told, patience, |told| !told.ended);
        if !waited.unwrap_or_else(PoisonError::into_inner).0.ended {
            stop(format!("a stream did not end within {patience:?}"));
        }
    }

    /// Whether audio was skipped.
    pub fn has_skipped(&self) -> bool {
        self.skipped.load(Ordering::Relaxed)
    }

    /// The property `stats`.
    pub fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// The final results, a line for each utterance.
    pub fn text(&self) -> String {
        self.told.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// The number of display tokens in them.
    pub fn tokens(&self) -> usize {
        self.told.0.lock().unwrap_or_else(PoisonError::into_inner).tokens
    }
}

/// The text of a final result, and its number of tokens.
fn final_text(structure: &gst::StructureRef) -> Option<(String, usize)> {
    if structure.name() != "paraformerasr" || !structure.get::<bool>("final").ok()? {
        return None;
    }
    Some((structure.get("text").ok()?, structure.get::<gst::Array>("tokens").ok()?.len()))
}

impl Drop for Element {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
