//! Pipelines in this process: a live one, to which somebody speaks as fast as people do, and any other.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::support::pipeline::{PATIENCE, error_text, s16};

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
    let bytes = s16(samples);
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
    let end = wait(&pipeline, Duration::from_millis(samples.len() as u64 / 16));
    voice.join().unwrap();
    end.unwrap_or_else(|e| panic!("{e}: {line}"));
}

/// Plays a line to its end, which may last as long as 20 s of film; panics as [`speak`] does.
pub fn play(line: &str) {
    let pipeline = gst::parse::launch(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, Duration::from_secs(20)).unwrap_or_else(|e| panic!("{e}: {line}"));
}

/// Waits for the end of a pipeline that lasts so long, and stops it.
fn wait(pipeline: &gst::Pipeline, length: Duration) -> Result<(), String> {
    let limit = gst::ClockTime::from_nseconds((length + PATIENCE).as_nanos() as u64);
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(limit, &types);
    pipeline.set_state(gst::State::Null).unwrap();
    match message {
        None => Err(format!("no end after {limit}")),
        Some(message) if message.type_() == gst::MessageType::Error => Err(error_text(&message)),
        Some(_) => Ok(()),
    }
}
