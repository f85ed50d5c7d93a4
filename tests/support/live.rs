//! A live pipeline: somebody speaks the recording, as fast as it was spoken, and the clock of the pipeline is the wall's.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// What is pushed at once.
const PART_MS: u64 = 100;

/// Plays `speaker ! REST`, where the speaker is a live source of these samples; panics on an error, and where the end does not
/// come in time.
pub fn speak(samples: &[f32], rest: &str) {
    let caps = "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved";
    let line = format!("appsrc name=speaker is-live=true format=time caps={caps} ! {rest}");
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let speaker = pipeline.by_name("speaker").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut latency = gst::query::Latency::new();
    assert!(speaker.query(&mut latency) && latency.result().0, "not live: {line}");
    let bytes = crate::support::pipeline::s16(samples);
    let voice = thread::spawn(move || {
        let start = Instant::now();
        for (number, part) in bytes.chunks(32 * PART_MS as usize).enumerate() {
            let mut buffer = gst::Buffer::from_slice(part.to_vec());
            let writable = buffer.get_mut().unwrap();
            let at = number as u64 * PART_MS;
            writable.set_pts(gst::ClockTime::from_mseconds(at));
            writable.set_duration(gst::ClockTime::from_nseconds(part.len() as u64 * 31_250));
            // A microphone gives a buffer when its last sample has been heard.
            let heard = start + Duration::from_millis(at + PART_MS);
            thread::sleep(heard.saturating_duration_since(Instant::now()));
            if speaker.push_buffer(buffer).is_err() {
                // The pipeline has failed, and says so on the bus.
                return;
            }
        }
        let _ = speaker.end_of_stream();
    });
    let limit = Duration::from_millis(samples.len() as u64 / 16) + crate::support::pipeline::PATIENCE;
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let limit = gst::ClockTime::from_mseconds(limit.as_millis() as u64);
    let message = pipeline.bus().unwrap().timed_pop_filtered(limit, &types);
    pipeline.set_state(gst::State::Null).unwrap();
    voice.join().unwrap();
    match message {
        None => panic!("no end after {limit}: {line}"),
        Some(message) if message.type_() == gst::MessageType::Error => {
            panic!("{}: {line}", crate::support::pipeline::error_text(&message))
        }
        Some(_) => {}
    }
}
