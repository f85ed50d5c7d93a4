//! The LATENCY query and message.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use gst::prelude::*;
use support::pipeline::*;

/// What the element answers to the query: live, least and most, ms.
fn ask(rig: &Rig) -> Option<(bool, u64, Option<u64>)> {
    let mut query = gst::query::Latency::new();
    rig.sink.peer_query(&mut query).then(|| {
        let (live, min, max) = query.result();
        (live, min.mseconds(), max.map(gst::ClockTime::mseconds))
    })
}

fn upstream(rig: &Rig, live: bool, min_ms: u64, max_ms: Option<u64>) {
    let ms = gst::ClockTime::from_mseconds;
    *rig.latency.lock().unwrap() = Some((live, ms(min_ms), max_ms.map(ms)));
}

/// Properties, and what they add in a live pipeline, ms: stride + look-ahead + latency, and what the output needs.
const ADDED: [(&[(&str, &str)], u64); 14] = [
    // 900 + 500 + 7000 + 800
    (&[], 9200),
    // 900 + 500 + 600
    (&[("output", "tokens")], 2000),
    (&[("output", "tokens"), ("caption-mode", "progressive")], 2000),
    // 900 + 500
    (&[("caption-mode", "progressive")], 1400),
    // 240 + 240 + 500
    (&[("caption-mode", "progressive"), ("chunk-size", "<8,4,4>")], 980),
    // 600 + 0
    (&[("caption-mode", "progressive"), ("chunk-size", "<0,10,0>"), ("latency", "0")], 600),
    (&[("caption-mode", "progressive"), ("latency", "2000")], 2900),
    (&[("latency", "0")], 8700),
    (&[("output", "tokens"), ("chunk-size", "<0,8,4>")], 1820),
    (&[("max-caption-duration", "3000")], 5200),
    (&[("endpoint-silence", "300")], 8700),
    (&[("endpoint-silence", "0")], 8400),
    // Neither matters to a final caption.
    (&[("lateness", "3000"), ("max-utterance-duration", "60000")], 9200),
    (&[("min-caption-duration", "5000"), ("max-queue-time", "10000")], 9200),
];

#[test]
fn live_pipelines_get_the_delay_of_model_and_output() {
    element_test(|| {
        for (properties, added) in ADDED {
            let rig = Rig::new("tiny-1", properties);
            upstream(&rig, true, 20, Some(1000));
            let expected = Some((true, 20 + added, Some(1000 + added)));
            assert_eq!(ask(&rig), expected, "{properties:?} in NULL");
            rig.set_state(gst::State::Playing);
            // Before any event, maybe before the model is there.
            assert_eq!(ask(&rig), expected, "{properties:?}");
            rig.begin();
            rig.push(&[0.0; 16_000]).unwrap();
            rig.wait_taken();
            assert_eq!(ask(&rig), expected, "{properties:?} with audio");
            // No most stays none.
            upstream(&rig, true, 0, None);
            assert_eq!(ask(&rig), Some((true, added, None)));
        }
    });
}

#[test]
fn files_have_the_latency_of_upstream() {
    element_test(|| {
        for (properties, _) in ADDED {
            let rig = Rig::new("tiny-1", properties);
            rig.set_state(gst::State::Playing);
            assert_eq!(ask(&rig), Some((false, 0, None)));
            upstream(&rig, false, 30, Some(70));
            assert_eq!(ask(&rig), Some((false, 30, Some(70))), "{properties:?}");
        }
    });
}

#[test]
fn without_an_answer_from_above_there_is_none() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &[]);
        *rig.latency.lock().unwrap() = None;
        assert_eq!(ask(&rig), None);
        rig.set_state(gst::State::Playing);
        assert_eq!(ask(&rig), None);
    });
}

#[test]
fn the_harness_asks_the_same() {
    element_test(|| {
        let element = element_with_model("tiny-1", &[]);
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        // The harness is live.
        harness.set_upstream_latency(gst::ClockTime::from_mseconds(100));
        assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(9300)));
    });
}

#[test]
fn a_changed_latency_is_told_of() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &[]);
        upstream(&rig, true, 0, None);
        let told = |rig: &Rig| {
            let number = rig.log.messages(gst::MessageType::Latency).len();
            rig.log.clear();
            number
        };
        rig.log.clear();
        for (name, value, expected) in [("latency", "700", 9400), ("max-caption-duration", "5000", 7400)] {
            rig.element.set_property_from_str(name, value);
            assert_eq!(told(&rig), 1, "{name}");
            assert_eq!(ask(&rig), Some((true, expected, None)), "{name}");
            // The same once more is no change.
            rig.element.set_property_from_str(name, value);
            assert_eq!(told(&rig), 0, "{name}");
        }
        for (name, value) in [("lateness", "100"), ("min-confidence", "0.5"), ("max-lines", "1")] {
            rig.element.set_property_from_str(name, value);
            assert_eq!(told(&rig), 0, "{name}");
        }
    });
}

/// In a pipeline the message is answered: the sink has the latency.
#[test]
fn a_live_pipeline_plays_with_it() {
    element_test(|| {
        let line = format!(
            "audiotestsrc is-live=true wave=silence ! audio/x-raw,rate=16000,channels=1 ! paraformerasr name=asr caption-mode=progressive model-path={} ! fakesink name=sink sync=true",
            support::model_directory("tiny-1").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let (asr, bus) = (pipeline.by_name("asr").unwrap(), pipeline.bus().unwrap());
        pipeline.set_state(gst::State::Playing).unwrap();
        let (change, state, _) = pipeline.state(gst::ClockTime::from_seconds(30));
        assert_eq!((change, state), (Ok(gst::StateChangeSuccess::Success), gst::State::Playing));
        let latency = |pipeline: &gst::Pipeline| {
            let mut query = gst::query::Latency::new();
            assert!(pipeline.query(&mut query));
            query.result()
        };
        let (live, min, _) = latency(&pipeline);
        assert!(live && min >= gst::ClockTime::from_mseconds(1400), "{min}");
        asr.set_property("latency", 1500u32);
        let types = [gst::MessageType::Latency, gst::MessageType::Error];
        let message = loop {
            let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &types).unwrap();
            if message.src().is_some_and(|source| source == asr.upcast_ref::<gst::Object>()) {
                break message;
            }
        };
        assert_eq!(message.type_(), gst::MessageType::Latency);
        assert_eq!(latency(&pipeline).1, min + gst::ClockTime::from_mseconds(1000));
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

/// transcriberbin asks a new element for its latency: unparented, in PAUSED, below a live fakesrc, without any data; then
/// it is set back to NULL, and used later.
#[test]
fn transcriberbin_asks_for_the_latency() {
    element_test(|| {
        let started = std::time::Instant::now();
        for _ in 0..5 {
            let element = element_with_model("demo", &[]);
            let source = gst::ElementFactory::make("fakesrc").property("is-live", true).build().unwrap();
            source.link(&element).unwrap();
            source.set_state(gst::State::Paused).unwrap();
            assert_eq!(element.set_state(gst::State::Paused), Ok(gst::StateChangeSuccess::Success));
            let mut query = gst::query::Latency::new();
            assert!(element.static_pad("src").unwrap().query(&mut query));
            let (live, min, _) = query.result();
            assert_eq!((live, min), (true, gst::ClockTime::from_mseconds(9200)));
            assert_eq!(element.set_state(gst::State::Null), Ok(gst::StateChangeSuccess::Success));
            source.set_state(gst::State::Null).unwrap();
            source.unlink(&element);
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "it waits for the model");
    });
}
