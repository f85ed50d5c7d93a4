//! From the last sample of a word at the server to its text at the client.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::AppSrc;

use super::camera::{RATE, Scene};
use super::failure::Failure;
use super::news::Utterance;

/// A sentence of the recording; times from the recording's beginning.
pub struct Sentence {
    pub text: String,
    /// Each word, and the sample that it begins and ends with.
    pub words: Vec<(String, u64, u64)>,
}

/// What is in the recording, by running it through the element once, without the network.
pub fn script(recording: &[i16], set: impl Fn(&gst::Element) -> Result<(), Failure>) -> Result<Vec<Sentence>, Failure> {
    let failed = |what: String| Failure::of_settings(format!("the recording cannot be recognised: {what}"));
    let line = "appsrc name=source format=time caps=audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved \
        ! paraformerasr name=asr ! fakesink";
    let pipeline = gst::parse::launch(line).map_err(|error| failed(error.to_string()))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed("no pipeline".into()))?;
    let (Some(asr), Some(bus)) = (pipeline.by_name("asr"), pipeline.bus()) else { return Err(failed("no bus".into())) };
    let source = pipeline.by_name("source").and_then(|source| source.downcast::<AppSrc>().ok());
    set(&asr)?;
    let mut buffer = gst::Buffer::from_mut_slice(recording.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<_>>());
    buffer.get_mut().into_iter().for_each(|buffer| buffer.set_pts(gst::ClockTime::ZERO));
    let started = pipeline.set_state(gst::State::Playing).is_ok();
    let pushed = source.is_some_and(|source| source.push_buffer(buffer).is_ok() && source.end_of_stream().is_ok());
    let mut sentences = Vec::new();
    let outcome = loop {
        let message = bus.timed_pop(gst::ClockTime::from_seconds(60)).filter(|_| started && pushed);
        let Some(message) = message else { break Err(failed("it does not end".into())) };
        match message.view() {
            gst::MessageView::Eos(_) => break Ok(sentences),
            gst::MessageView::Error(error) => break Err(failed(error.error().to_string())),
            gst::MessageView::Element(element) => {
                let utterance = element.structure().and_then(|structure| Utterance::read(structure, 0));
                let sample = |ns: u64| (ns / 1000) * RATE / 1_000_000;
                sentences.extend(utterance.filter(|utterance| utterance.is_final).map(|utterance| {
                    Sentence {
                        words: utterance
                            .words
                            .iter()
                            .map(|word| (word.text.clone(), sample(word.start_ns), sample(word.end_ns)))
                            .collect(),
                        text: utterance.text,
                    }
                }));
            }
            _ => {}
        }
    };
    // The result counts, not how it is put away.
    let _ = pipeline.set_state(gst::State::Null);
    outcome
}

/// A text, and when it came.
pub struct Seen {
    pub when: Instant,
    pub text: String,
    pub is_final: bool,
    /// The number of the connection that it came from.
    pub connection: usize,
}

/// Delays, sorted.
#[derive(Default)]
pub struct Delays {
    /// Of words that came with the chunk they are in.
    pub growing: Vec<Duration>,
    /// Of words that came with the end of the utterance only: nothing that was spoken later brought them.
    pub tail: Vec<Duration>,
    /// Utterances that are a sentence of the recording.
    pub sentences: usize,
    /// Others at the beginning and the end of a connection.
    pub parts: Vec<String>,
    /// Others elsewhere.
    pub strange: Vec<String>,
}

/// The value that a share of all does not exceed.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last)).copied().unwrap_or_default()
}

/// Finds out what of which sentence was seen when.
pub fn measure(scene: &Scene, script: &[Sentence], seen: &[Seen]) -> Delays {
    let mut delays = Delays::default();
    let utterances: Vec<&[Seen]> = seen.split_inclusive(|seen| seen.is_final).collect();
    let connection = |number: Option<usize>| Some(utterances.get(number?)?.last()?.connection);
    for (number, part) in utterances.iter().enumerate() {
        let Some(last) = part.last().filter(|seen| seen.is_final) else { continue };
        let Some(sentence) = script.iter().find(|sentence| sentence.text == last.text) else {
            let inside = connection(number.checked_sub(1)) == connection(Some(number + 1));
            if inside { &mut delays.strange } else { &mut delays.parts }.push(last.text.clone());
            continue;
        };
        delays.sentences += 1;
        // The last time that it was begun before it was seen.
        let (Some(begin), Some(first)) = (sentence.words.first(), part.first()) else { continue };
        let times = (0..=scene.now() / scene.cycle()).map(|n| n * scene.cycle());
        let Some(offset) = times.rev().find(|n| scene.spoken(n + begin.1) <= first.when) else { continue };
        let mut shown = String::new();
        for (word, _, end) in &sentence.words {
            shown.push_str(word);
            let holds = |seen: &&Seen| seen.text.replace(' ', "").starts_with(&shown);
            let Some((first, sent)) = part.iter().find(holds).zip(scene.sent(offset + end)) else { continue };
            let delay = first.when.saturating_duration_since(sent);
            if first.is_final { delays.tail.push(delay) } else { delays.growing.push(delay) }
        }
    }
    delays.growing.sort();
    delays.tail.sort();
    delays
}

impl std::fmt::Display for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "From the end of a word at the server to its text here:")?;
        let mut line = |name: &str, delays: &[Duration]| {
            let [p50, p95] = [0.5, 0.95].map(|share| percentile(delays, share).as_millis());
            writeln!(f, "{name:34} {:4} words, p50 {p50:5} ms, p95 {p95:5} ms", delays.len())
        };
        line("  as it is spoken", &self.growing)?;
        line("  released by the utterance's end", &self.tail)
    }
}
