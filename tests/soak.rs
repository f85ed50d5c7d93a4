//! A month of audio uses the memory of a minute, judged by two hours of speech, at full speed, through one element.
//! In a process of its own, because what is measured is the process.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::pipeline::*;

/// The process's resident memory, in kB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Memory at the end of each 10 minutes of audio, in kB, of `minutes` of it.
fn resident_over(properties: &[(&str, &str)], minutes: usize) -> Vec<u64> {
    let recording = support::read_wav(&support::root().join("examples/recording.wav"));
    let rig = Rig::playing("demo", properties);
    let mut all = Vec::new();
    let mut text = 0;
    for minute in 0..minutes {
        let mut samples = [&recording[..], &recording, &recording].concat();
        samples.resize(60 * 16_000, 0.0);
        rig.push(&samples).unwrap();
        text += rig.log.finals().len();
        // The log is the test's own memory.
        rig.log.clear();
        if minute % 10 == 9 {
            rig.wait_taken();
            all.push(resident_kb());
        }
    }
    rig.end();
    assert!(rig.log.errors().is_empty());
    assert!(text >= minutes * 11, "{text} utterances in {minutes} minutes");
    all
}

/// Less than 1 MB an hour, once the first 20 minutes have filled every buffer and the allocator's arenas.
fn assert_flat(resident: &[u64], what: &str) {
    let settled = &resident[1..];
    let hours = (settled.len() - 1) as f64 / 6.0;
    let growth = (settled[settled.len() - 1] as f64 - settled[0] as f64) / hours;
    println!("{what}: resident {resident:?} kB every 10 minutes of audio, {growth:.0} kB an hour");
    assert!(growth < 1024.0, "{what}: memory grows by {growth:.0} kB an hour: {resident:?}");
}

#[test]
#[ignore = "four hours of audio: a minute or two"]
fn two_hours_of_audio_use_the_memory_of_minutes() {
    init();
    let detector = support::model_directory("vad-tiny");
    within(std::time::Duration::from_secs(900), "the soak", move || {
        assert_flat(&resident_over(&[], 120), "captions");
        assert_flat(&resident_over(&[("vad-model-path", detector.to_str().unwrap())], 120), "with a detector");
    });
}
