//! Audio that comes faster than it is recognised: a file waits, a live stream skips, says so, and goes on.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::mpsc;
use std::time::Duration;

use gst::prelude::*;
use support::pipeline::*;

/// What tiny-1 makes of speech.wav.
const SPEECH: &str = "亀hel乁丵乩乫両丝n3 rd且乂乲丷丠乵dia丰乔中y为両中llo丶";

fn speech() -> Vec<f32> {
    support::recording("speech.wav")
}

/// A rig whose task stands still below, in the middle of `before`.
fn stalled(live: bool, properties: &[(&str, &str)], before: &[f32]) -> Rig {
    let properties = [&ONE_UTTERANCE[..], &[("output", "tokens")], properties].concat();
    let rig = Rig::new("tiny-1", &properties);
    *rig.latency.lock().unwrap() = Some((live, gst::ClockTime::ZERO, None));
    rig.play();
    rig.begin();
    push_in_time(&rig, before);
    // The next thing that comes out waits, and the task with it.
    rig.valve.close();
    rig
}

/// Pushes no faster than it is recognised.
fn push_in_time(rig: &Rig, samples: &[f32]) {
    for part in samples.chunks(8000) {
        rig.push(part).unwrap();
        rig.wait_taken();
    }
}

fn qos(rig: &Rig) -> Vec<(bool, Option<u64>)> {
    let messages = rig.log.messages(gst::MessageType::Qos);
    let qos = messages.iter().map(|message| match message.view() {
        gst::MessageView::Qos(qos) => {
            let (live, _, _, _, duration) = qos.get();
            (live, duration.map(gst::ClockTime::nseconds))
        }
        _ => unreachable!(),
    });
    qos.collect()
}

#[test]
fn a_live_stream_skips_to_the_newest() {
    element_test(|| {
        let samples = speech();
        let rig = stalled(true, &[("max-queue-time", "1000"), ("latency", "200")], &samples[..64_000]);
        // A minute and more while nothing moves: it must never wait, and never grow.
        let (mut most, mut pushed) = (0, 0);
        for _ in 0..10 {
            for part in samples.chunks(1600) {
                rig.push(part).unwrap();
                pushed += part.len() as u64 * 62_500;
                most = most.max(rig.stat("queued"));
            }
        }
        assert!(most <= 1000 * MS, "{most} ns are queued");
        let skipped = rig.stat("skipped");
        assert!(skipped >= pushed - 3000 * MS, "{skipped} of {pushed} ns");
        // What is said after it counts: from a pause on, nothing is lost.
        rig.valve.open();
        rig.wait_taken();
        rig.log.clear();
        let after = rig.position() + 2000 * MS;
        rig.jump(after);
        push_in_time(&rig, &samples);
        rig.end();
        let finals = rig.log.finals();
        assert_eq!(finals.last().map(String::as_str), Some(SPEECH), "{finals:?}");
        let last = rig.log.results().pop().unwrap();
        assert!(last.start >= after && last.start < after + 500 * MS, "on the pipeline's clock: {last:?}");
    });
}

#[test]
fn what_was_skipped_is_told() {
    element_test(|| {
        let samples = speech();
        let rig = stalled(true, &[("max-queue-time", "1000"), ("latency", "200")], &samples[..64_000]);
        let before = rig.log.finals();
        rig.push(&samples[64_000..]).unwrap();
        rig.push(&samples).unwrap();
        let skipped = rig.stat("skipped");
        assert!(skipped > 0);
        let warnings = rig.log.warnings();
        assert!(!warnings.is_empty() && warnings.iter().all(|text| text.contains(" ms were skipped")), "{warnings:?}");
        let qos = qos(&rig);
        assert_eq!(qos.len(), warnings.len());
        assert!(qos.iter().all(|(live, _)| *live));
        assert_eq!(qos.iter().map(|(_, duration)| duration.unwrap()).sum::<u64>(), skipped);
        // The utterance before has its final, and the timeline goes on.
        rig.valve.open();
        rig.end();
        assert!(before.is_empty());
        let finals = rig.log.finals();
        assert!(finals.len() >= 2, "{finals:?}");
        assert!(finals[0].starts_with("亀hel乁丵乩乫両"), "{finals:?}");
        assert_results_in_order(&rig.log.results());
        assert_tiles(&rig.log.entries(), 0);
        assert!(rig.log.texts().iter().skip(1).any(|text| text.discont), "what was skipped is a break");
    });
}

/// Also where the buffers have no times: the audio after what was skipped is not glued to the audio before.
#[test]
fn audio_without_times_breaks_where_it_was_skipped() {
    element_test(|| {
        let samples = speech();
        let rig = stalled(true, &[("max-queue-time", "1000"), ("latency", "200")], &samples[..64_000]);
        for part in samples.chunks(1600).cycle().take(600) {
            rig.source.push(buffer(&s16(part), None, part.len())).unwrap();
        }
        let skipped = rig.stat("skipped");
        assert!(skipped > 50_000 * MS);
        rig.valve.open();
        rig.end();
        let finals = rig.log.finals();
        assert!(finals.len() >= 2, "{finals:?}");
        let last = rig.log.results().pop().unwrap();
        assert!(last.start >= 50_000 * MS, "skipped time is time: {last:?}");
    });
}

#[test]
fn a_file_waits_and_loses_nothing() {
    element_test(|| {
        let samples = speech();
        let rig = std::sync::Arc::new(stalled(false, &[("max-queue-time", "1000")], &samples[..64_000]));
        let (told, done) = mpsc::channel();
        let pusher = {
            let (rig, samples) = (rig.clone(), samples.clone());
            std::thread::spawn(move || {
                rig.push(&samples[64_000..]).unwrap();
                told.send(()).unwrap();
            })
        };
        rig.valve.wait_blocked();
        rig.wait_until("a full queue", |rig| rig.stat("queued") >= 1000 * MS);
        assert!(done.recv_timeout(Duration::from_millis(200)).is_err(), "upstream must wait");
        assert!(rig.stat("queued") <= 1100 * MS);
        rig.valve.open();
        pusher.join().unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
        assert_eq!((rig.stat("skipped"), qos(&rig).len(), rig.log.warnings().len()), (0, 0, 0));
        assert_tiles(&rig.log.entries(), 0);
    });
}

/// The model may take a while to load: a live stream does not wait for it, a file does.
#[test]
fn live_audio_before_the_model_is_there() {
    element_test(|| {
        for _ in 0..5 {
            let folder = copy_of("demo");
            let element = element(&[("max-queue-time", "300"), ("latency", "100")]);
            element.set_property("model-path", folder.path().to_str().unwrap());
            let rig = Rig::around(element, "text/x-raw");
            *rig.latency.lock().unwrap() = Some((true, gst::ClockTime::ZERO, None));
            rig.play();
            rig.begin();
            for _ in 0..20 {
                rig.push(&speech()).unwrap();
                assert!(rig.stat("queued") <= 300 * MS);
            }
            rig.end();
            assert_eq!(rig.log.errors(), [""; 0]);
            assert_results_in_order(&rig.log.results());
        }
    });
}

/// A live source in a real pipeline, as fast as it can push: the sink stands still for a while, then all goes on.
#[test]
fn a_live_pipeline_recovers() {
    element_test(|| {
        let line = format!(
            "appsrc name=source is-live=true format=time max-bytes=0 ! paraformerasr name=asr output=tokens endpoint-silence=0 max-utterance-duration=0 max-queue-time=1000 latency=100 model-path={} ! fakesink sync=false",
            support::model_directory("tiny-1").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let bus = pipeline.bus().unwrap();
        let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let asr = pipeline.by_name("asr").unwrap();
        source.set_caps(Some(&audio_caps("S16LE")));
        source.set_latency(gst::ClockTime::ZERO, gst::ClockTime::NONE);
        // A probe that blocks holds the task.
        let pad = asr.static_pad("src").unwrap();
        let block = pad.add_probe(
            gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
            |_, _| gst::PadProbeReturn::Ok,
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut at = 0;
        let mut push = |samples: &[f32]| {
            for part in samples.chunks(1600) {
                source.push_buffer(buffer(&s16(part), Some(at), part.len())).unwrap();
                at += part.len() as u64 * 62_500;
            }
            at
        };
        let pushed = (0..10).map(|_| push(&speech())).last().unwrap();
        let skipped = || asr.property::<gst::Structure>("stats").get::<u64>("skipped").unwrap();
        // The time limit of the test ends a wait in vain.
        while skipped() < pushed - 2500 * MS {
            std::thread::sleep(Duration::from_millis(1));
        }
        pad.remove_probe(block.unwrap());
        source.end_of_stream().unwrap();
        let mut warned = 0;
        loop {
            let types =
                [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::Qos];
            let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &types).unwrap();
            match message.view() {
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Error(error) => panic!("{error:?}"),
                _ => warned += 1,
            }
        }
        assert!(warned >= 2);
        pipeline.set_state(gst::State::Null).unwrap();
    });
}
