//! What comes from above: the ends of streams, flushes, holes, segments, formats, odd buffers, states.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;
use support::pipeline::*;

/// What tiny-1 makes of speech.wav.
const SPEECH: &str = "亀hel乁丵乩乫両丝n3 rd且乂乲丷丠乵dia丰乔中y为両中llo丶";
/// What is said in examples/recording.wav.
const SPOKEN: [&str; 4] =
    ["大家好欢迎使用实时字幕", "今天下午我们去公园吧", "他们都在学校学习汉语", "外面下雨了请打开窗户"];

fn speech() -> Vec<f32> {
    support::recording("speech.wav")
}

fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

/// The finals of a stream that is nothing but these samples.
fn alone(samples: &[f32]) -> Vec<String> {
    run("tiny-1", &ONE_UTTERANCE, samples).finals()
}

/// Where the events of a type stand among the entries.
fn places(entries: &[Entry], is: impl Fn(&Entry) -> bool) -> Vec<usize> {
    (0..entries.len()).filter(|&at| is(&entries[at])).collect()
}

fn is_event(entry: &Entry, kind: gst::EventType) -> bool {
    matches!(entry, Entry::Event(event) if event.type_() == kind)
}

fn is_final(entry: &Entry) -> bool {
    matches!(entry, Entry::Message(message) if message.type_() == gst::MessageType::Element
        && message.structure().unwrap().get::<bool>("final") == Ok(true))
}

// The end.

/// The tail is in the golden text, also where the stream ends in the middle of a chunk.
#[test]
fn eos_releases_the_tail() {
    element_test(|| {
        assert_eq!(alone(&speech()), [SPEECH]);
        let goldens = support::goldens("host_loop.jsonl");
        let cases = goldens.iter().filter(|case| {
            case.model == "tiny-1"
                && case.precision.name() == "int8-exact"
                && case.sha256.is_empty()
                && case.repeat == 1
        });
        let mut number = 0;
        for case in cases.filter(|case| case.chunk == [5, 10, 5]) {
            let pieces: String = case.tokens.iter().map(|(piece, _)| piece.replace("@@", "")).collect();
            let samples = case.samples_in(&support::data("audio"));
            let rig = Rig::playing("tiny-1", &[&ONE_UTTERANCE[..], &[("precision", "int8-exact")]].concat());
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals().concat().replace(' ', ""), pieces, "{}", case.name());
            number += 1;
        }
        assert!(number >= 2, "{number} goldens");
    });
}

#[test]
fn eos_without_audio_passes() {
    element_test(|| {
        let log = run("tiny-1", &[], &[]);
        assert_eq!((log.results().len(), log.texts().len(), log.errors().len()), (0, 0, 0));
        // Before caps, and before any segment.
        let rig = Rig::new("tiny-1", &[]);
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        rig.end();
        assert_eq!(rig.log.errors(), [""; 0]);
    });
}

/// A short file is all in the queue before the model is there. If what is below then fails, nobody above can hear of it
/// from the next buffer: there is none. So the element must say so.
#[test]
fn a_failure_below_after_eos_was_queued_is_an_error() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &[("output", "tokens")]);
        rig.valve.close();
        rig.push(&speech()[..48000]).unwrap();
        assert!(rig.send(gst::event::Eos::new()));
        rig.valve.wait_blocked();
        rig.valve.refuse(gst::FlowError::NotNegotiated);
        rig.valve.open();
        rig.log.wait("an ERROR or EOS", |entries| {
            entries
                .iter()
                .any(|entry| {
                    is_event(entry, gst::EventType::Eos)
                        || matches!(entry, Entry::Message(message) if message.type_() == gst::MessageType::Error)
                })
                .then_some(())
        });
        assert_eq!(rig.log.errors().len(), 1);
    });
}

#[test]
fn a_failure_below_reaches_upstream() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &[("output", "tokens")]);
        rig.valve.refuse(gst::FlowError::Eos);
        let samples = speech();
        let ended = samples.chunks(1600).cycle().take(10_000).find_map(|part| rig.push(part).err());
        assert_eq!(ended, Some(gst::FlowError::Eos));
    });
}

// Flushes.

#[test]
fn a_flush_discards_and_the_next_text_is_whole() {
    element_test(|| {
        let samples = speech();
        for played in [1600, 16_000, 50_000, samples.len()] {
            let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
            rig.push(&samples[..played]).unwrap();
            rig.flush();
            rig.log.clear();
            rig.segment(0);
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH], "after {played} samples");
            assert_eq!(rig.log.joined().replace(' ', ""), SPEECH.replace(' ', ""));
            assert_tiles(&rig.log.entries(), 0);
            // Utterances count anew.
            assert_results_in_order(&rig.log.results());
        }
    });
}

#[test]
fn a_flush_after_eos_begins_anew() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        for _ in 0..3 {
            rig.push(&speech()).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH]);
            rig.flush();
            rig.log.clear();
            rig.segment(0);
        }
    });
}

/// The element's task waits below, its queue is full, and upstream waits in `chain`: a flush frees all of them at once.
#[test]
fn a_flush_frees_those_who_wait() {
    element_test(|| {
        let properties = [&ONE_UTTERANCE[..], &[("max-queue-time", "500"), ("output", "tokens")]].concat();
        let rig = Rig::playing("tiny-1", &properties);
        let samples = speech();
        for _ in 0..5 {
            rig.valve.close();
            thread::scope(|scope| {
                let (told, ended) = mpsc::channel();
                let (rig, samples) = (&rig, &samples);
                scope.spawn(move || {
                    let mut rounds = samples.chunks(1600).cycle().take(10_000);
                    told.send((rounds.find_map(|part| rig.push(part).err()), Instant::now())).unwrap();
                });
                rig.valve.wait_blocked();
                rig.wait_until("a full queue", |rig| rig.stat("queued") >= 500 * MS);
                let start = Instant::now();
                assert!(rig.send(gst::event::FlushStart::new()));
                let (flow, at) = ended.recv_timeout(PATIENCE).unwrap();
                assert_eq!(flow, Some(gst::FlowError::Flushing));
                assert!(at.duration_since(start) < Duration::from_millis(200));
                assert!(rig.send(gst::event::FlushStop::new(true)));
                assert!(start.elapsed() < Duration::from_millis(200), "the flush took {:?}", start.elapsed());
            });
            rig.valve.open();
            rig.log.clear();
            rig.segment(0);
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH]);
            rig.flush();
            rig.log.clear();
            rig.segment(0);
        }
    });
}

/// A copy of the model is loaded anew, so the flush comes while it loads, at times later.
#[test]
fn a_flush_while_the_model_loads_takes_no_time() {
    element_test(|| {
        for round in 0..10 {
            let folder = copy_of("tiny-1");
            let element = element(&ONE_UTTERANCE);
            element.set_property("model-path", folder.path().to_str().unwrap());
            let rig = Rig::around(element, "text/x-raw");
            rig.play();
            rig.begin();
            rig.push(&speech()[..16000 * (round % 4)]).unwrap();
            rig.flush();
            rig.log.wait_message(gst::MessageType::Progress);
            rig.segment(0);
            rig.push(&speech()).unwrap();
            rig.end();
            assert_eq!(rig.log.finals().last().map(String::as_str), Some(SPEECH), "round {round}");
        }
    });
}

#[test]
fn flushes_at_any_time_lose_nothing_of_what_follows() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        let samples = speech();
        let pushed = AtomicU64::new(0);
        for round in 0..30u64 {
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                let (rig, pushed, done, samples) = (&rig, &pushed, &done, &samples);
                pushed.store(0, Ordering::Relaxed);
                scope.spawn(move || {
                    // Between two pushes it may not notice the flush at all.
                    for part in samples.chunks(1600).cycle() {
                        if done.load(Ordering::Relaxed) || rig.push(part).is_err() {
                            break;
                        }
                        pushed.fetch_add(1, Ordering::Relaxed);
                    }
                });
                while pushed.load(Ordering::Relaxed) < round {
                    thread::yield_now();
                }
                rig.flush();
                done.store(true, Ordering::Relaxed);
            });
            // What it pushed after the flush goes as well.
            rig.flush();
            rig.log.clear();
            rig.segment(0);
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH], "round {round}");
            rig.flush();
            rig.segment(0);
        }
    });
}

/// A file, played, sought in and played to its end, as a player does it.
#[test]
fn a_flushing_seek_in_a_file() {
    element_test(|| {
        let file = support::root().join("examples/recording.wav");
        let line = format!(
            "filesrc location={} ! wavparse ! audioconvert ! audioresample ! paraformerasr name=asr model-path={} ! appsink name=sink sync=false",
            file.display(),
            support::model_directory("demo").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        sink.set_max_buffers(1);
        pipeline.set_state(gst::State::Playing).unwrap();
        let pull = || sink.try_pull_sample(gst::ClockTime::from_seconds(30));
        let text = |sample: gst::Sample| {
            let buffer = sample.buffer().unwrap();
            (String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap(), buffer.pts().unwrap().mseconds())
        };
        // Back to the start, from the second caption on: all of it once more.
        assert_eq!([text(pull().unwrap()).0, text(pull().unwrap()).0], SPOKEN[..2]);
        pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).unwrap();
        assert_eq!([text(pull().unwrap()).0, text(pull().unwrap()).0], SPOKEN[..2]);
        // Into the pause before the third: its time is the file's time.
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        pipeline.seek_simple(flags, gst::ClockTime::from_mseconds(9600)).unwrap();
        let (third, start_ms) = text(pull().unwrap());
        assert_eq!(third, SPOKEN[2]);
        assert!((10_092..10_392).contains(&start_ms), "{start_ms}");
        assert_eq!(text(pull().unwrap()).0, SPOKEN[3]);
        assert!(pull().is_none() && sink.is_eos());
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

// Holes.

/// Two parts of the speech, the second `shift_ms` off.
fn with_hole(shift_ms: i64, discont: bool) -> Rig {
    let rig = Rig::playing("tiny-1", &[&ONE_UTTERANCE[..], &[("output", "tokens")]].concat());
    let samples = speech();
    rig.push(&samples[..64_000]).unwrap();
    rig.jump(rig.position().saturating_add_signed(shift_ms * MS as i64));
    let mut first = buffer(&s16(&samples[64_000..65_600]), Some(rig.position()), 1600);
    if discont {
        first.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    }
    rig.source.push(first).unwrap();
    rig.jump(rig.position() + 100 * MS);
    rig.push(&samples[65_600..]).unwrap();
    rig.end();
    rig
}

/// The flags of the first buffers of the parts, and of all.
fn disconts(rig: &Rig) -> Vec<usize> {
    let texts = rig.log.texts();
    (0..texts.len()).filter(|&at| texts[at].discont).collect()
}

#[test]
fn jitter_is_no_hole() {
    element_test(|| {
        for (shift_ms, discont) in [(39, false), (-39, false), (-41, false), (-300, false), (39, true), (0, true)] {
            let rig = with_hole(shift_ms, discont);
            assert_eq!(rig.log.finals(), [SPEECH], "{shift_ms}");
            assert!(disconts(&rig).iter().all(|&at| at == 0), "{shift_ms}: {:?}", rig.log.texts());
            assert_tiles(&rig.log.entries(), 0);
        }
    });
}

#[test]
fn a_small_hole_is_silence_inside_the_utterance() {
    element_test(|| {
        for shift_ms in [41, 200, 300] {
            let samples = speech();
            let hole = vec![0.0; 16 * shift_ms];
            let filled = [&samples[..64_000], &hole, &samples[64_000..]].concat();
            let expected = alone(&filled);
            for discont in [false, true] {
                let rig = with_hole(shift_ms as i64, discont);
                assert_eq!(rig.log.finals(), expected, "{shift_ms}");
                assert!(disconts(&rig).iter().all(|&at| at == 0), "{shift_ms}: {:?}", rig.log.texts());
                assert_tiles(&rig.log.entries(), 0);
            }
        }
    });
}

#[test]
fn a_large_hole_and_a_jump_back_begin_a_new_utterance() {
    element_test(|| {
        let samples = speech();
        let parts = [&samples[..64_000], &samples[64_000..]].map(|part| alone(part).concat());
        for shift_ms in [301, 5000, 3_600_000, -301, -2000] {
            let rig = with_hole(shift_ms, false);
            assert_eq!(rig.log.finals(), parts, "{shift_ms}");
            assert_results_in_order(&rig.log.results());
            assert_tiles(&rig.log.entries(), 0);
            let texts = rig.log.texts();
            // Which text is the first after the break: those before make the first final.
            let mut told = 0;
            let first = texts
                .iter()
                .position(|text| {
                    told += text.text.len();
                    told > parts[0].replace(' ', "").len()
                })
                .unwrap();
            assert_eq!(disconts(&rig).into_iter().filter(|&at| at > 0).collect::<Vec<_>>(), [first], "{shift_ms}");
            let second = rig.log.results().into_iter().rev().find(|result| result.is_final).unwrap();
            let begins = 4000i64.saturating_add(shift_ms) as u64 * MS;
            assert!(second.start >= begins && second.start < begins + 700 * MS, "{shift_ms}: {second:?}");
            if shift_ms > 0 {
                assert!(texts[first].start >= begins, "{shift_ms}: {:?}", texts[first]);
            }
        }
    });
}

fn gap(pts: u64, duration: Option<u64>) -> gst::Event {
    let builder = gst::event::Gap::builder(gst::ClockTime::from_nseconds(pts));
    match duration {
        Some(duration) => builder.duration(gst::ClockTime::from_nseconds(duration)).build(),
        None => builder.build(),
    }
}

#[test]
fn gap_events_are_holes() {
    element_test(|| {
        let samples = speech();
        let run_with = |duration_ms: Option<u64>| {
            let rig = Rig::playing("tiny-1", &[&ONE_UTTERANCE[..], &[("output", "tokens")]].concat());
            rig.push(&samples[..64_000]).unwrap();
            assert!(rig.send(gap(rig.position(), duration_ms.map(|ms| ms * MS))));
            rig.jump(rig.position() + duration_ms.unwrap_or(0) * MS);
            rig.push(&samples[64_000..]).unwrap();
            rig.end();
            assert_tiles(&rig.log.entries(), 0);
            rig
        };
        // No duration: nothing is known of it.
        assert_eq!(run_with(None).log.finals(), [SPEECH]);
        assert_eq!(run_with(Some(0)).log.finals(), [SPEECH]);
        for ms in [10, 100, 300] {
            let hole = vec![0.0; 16 * ms];
            let filled = [&samples[..64_000], &hole, &samples[64_000..]].concat();
            let rig = run_with(Some(ms as u64));
            assert_eq!(rig.log.finals(), alone(&filled), "{ms} ms");
            assert!(disconts(&rig).iter().all(|&at| at == 0));
        }
        let parts = [&samples[..64_000], &samples[64_000..]].map(|part| alone(part).concat());
        for ms in [301, 1000, 60_000] {
            let rig = run_with(Some(ms));
            assert_eq!(rig.log.finals(), parts, "{ms} ms");
            assert_eq!(disconts(&rig).into_iter().filter(|&at| at > 0).count(), 1);
        }
    });
}

/// A live source without audio sends GAP events: text sinks and muxers hear of the time all the same.
#[test]
fn gap_events_alone_move_the_time_on() {
    element_test(|| {
        for properties in [&[][..], &[("output", "tokens")], &[("caption-mode", "progressive")]] {
            let rig = Rig::playing("tiny-1", properties);
            for second in 0..5 {
                assert!(rig.send(gap(second * 1000 * MS, Some(1000 * MS))));
            }
            rig.log.wait("gaps up to 5 s", |entries| {
                entries.iter().any(|entry| matches!(entry, Entry::Gap(_, end) if *end == 5000 * MS)).then_some(())
            });
            rig.jump(5000 * MS);
            rig.push(&speech()).unwrap();
            rig.end();
            assert_eq!(rig.log.finals().concat(), SPEECH, "{properties:?}");
            assert_tiles(&rig.log.entries(), 0);
            assert!(rig.log.texts()[0].start >= 5000 * MS);
        }
    });
}

/// After a large GAP within speech too, the time is told of up to its end at once.
#[test]
fn a_large_gap_is_told_of_at_once() {
    element_test(|| {
        for properties in [&[][..], &[("output", "tokens")], &[("caption-mode", "progressive")]] {
            let rig = Rig::playing("tiny-1", properties);
            rig.push(&speech()[..64_000]).unwrap();
            assert!(rig.send(gap(4000 * MS, Some(20_000 * MS))));
            rig.log.wait(&format!("a gap up to 24 s, {properties:?}"), |entries| {
                entries.iter().any(|entry| matches!(entry, Entry::Gap(_, end) if *end == 24_000 * MS)).then_some(())
            });
            assert_tiles(&rig.log.entries(), 0);
        }
    });
}

// Segments.

fn segment(start_ms: u64, time_ms: u64, base_ms: u64) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_mseconds(start_ms));
    segment.set_time(gst::ClockTime::from_mseconds(time_ms));
    segment.set_base(gst::ClockTime::from_mseconds(base_ms));
    gst::event::Segment::new(&segment)
}

/// Its PTS, stream time and running time all differ.
#[test]
fn a_new_segment_drains_and_moves_the_times() {
    element_test(|| {
        for properties in [&ONE_UTTERANCE[..], &[&ONE_UTTERANCE[..], &[("output", "tokens")]].concat()] {
            let rig = Rig::playing("tiny-1", properties);
            let samples = speech();
            rig.push(&samples).unwrap();
            assert!(rig.send(segment(100_000, 50_000, 9000)));
            rig.jump(100_000 * MS);
            rig.push(&samples).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH, SPEECH]);
            assert_results_in_order(&rig.log.results());
            let entries = rig.log.entries();
            let segments = places(&entries, |entry| is_event(entry, gst::EventType::Segment));
            assert_eq!(segments.len(), 2);
            let (before, after) = entries.split_at(segments[1]);
            assert_eq!(before.iter().filter(|entry| is_final(entry)).count(), 1, "the first is drained before");
            let text =
                |entries: &[Entry]| texts(entries).iter().map(|text| text.text.replace('\n', "")).collect::<String>();
            assert_eq!(text(before).replace(' ', ""), SPEECH.replace(' ', ""));
            assert_eq!(text(after).replace(' ', ""), SPEECH.replace(' ', ""));
            assert_tiles(before, 0);
            assert_tiles(after, 100_000 * MS);
            assert!(texts(after)[0].discont && !texts(after)[1].discont);
            let finals: Vec<Outcome> = rig.log.results().into_iter().filter(|result| result.is_final).collect();
            assert_eq!(finals[1].start, finals[0].start + 50_000 * MS);
            assert_eq!(finals[1].running, finals[0].running + 9000 * MS);
            assert_eq!(finals[1].duration, finals[0].duration);
            for (a, b) in finals[0].tokens.iter().zip(&finals[1].tokens) {
                assert_eq!((a.start + 50_000 * MS, a.end + 50_000 * MS), (b.start, b.end));
            }
        }
    });
}

/// The same segment once more, as after a state change above: nothing is broken off.
#[test]
fn the_same_segment_again_changes_nothing() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        let samples = speech();
        rig.push(&samples[..64_000]).unwrap();
        assert!(rig.send(segment(0, 0, 0)));
        rig.push(&samples[64_000..]).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
        assert_tiles(&rig.log.entries(), 0);
    });
}

#[test]
fn a_segment_in_bytes_is_an_error() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &[]);
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        rig.send(caps_event("S16LE"));
        let bytes = gst::FormattedSegment::<gst::format::Bytes>::new();
        rig.send(gst::event::Segment::new(&bytes));
        let message = rig.log.wait_message(gst::MessageType::Error);
        let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
        assert!(error.error().matches(gst::StreamError::Format), "{error:?}");
    });
}

#[test]
fn segment_done_drains() {
    element_test(|| {
        for properties in [&ONE_UTTERANCE[..], &[&ONE_UTTERANCE[..], &[("caption-mode", "progressive")]].concat()] {
            let rig = Rig::playing("tiny-1", properties);
            rig.push(&speech()).unwrap();
            let position = gst::ClockTime::from_nseconds(rig.position());
            assert!(rig.send(gst::event::SegmentDone::new(position)));
            rig.log.wait_for("SEGMENT_DONE", |entry| is_event(entry, gst::EventType::SegmentDone));
            assert_eq!(rig.log.finals(), [SPEECH]);
            assert!(!rig.log.texts().is_empty());
            // A loop goes on with the next segment.
            let before = rig.log.texts();
            rig.log.clear();
            assert!(rig.send(segment(0, 0, position.mseconds())));
            rig.jump(0);
            rig.push(&speech()).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH]);
            let [first, second] = [before, rig.log.texts()]
                .map(|texts| texts.into_iter().map(|text| (text.text, text.start, text.end)).collect::<Vec<_>>());
            assert_eq!(first, second);
        }
    });
}

#[test]
fn a_change_of_format_keeps_the_text() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &[&ONE_UTTERANCE[..], &[("output", "tokens")]].concat());
        let samples = speech();
        rig.push(&samples[..64_000]).unwrap();
        assert!(rig.send(caps_event("F32LE")));
        rig.source.push(buffer(&f32(&samples[64_000..]), Some(4000 * MS), samples.len() - 64_000)).unwrap();
        rig.end();
        let parts = [&samples[..64_000], &samples[64_000..]].map(|part| alone(part).concat());
        assert_eq!(rig.log.finals(), parts);
        assert_tiles(&rig.log.entries(), 0);
        assert_results_in_order(&rig.log.results());
    });
}

/// Another stream without EOS between, as concat and playlists give it: the text of the first is out before, and the
/// second is as if it were alone.
#[test]
fn a_new_stream_begins_anew() {
    element_test(|| {
        for mode in [&[][..], &[("output", "tokens")], &[("caption-mode", "progressive")]] {
            let rig = Rig::playing("tiny-1", &[&ONE_UTTERANCE[..], mode].concat());
            rig.push(&speech()).unwrap();
            rig.send(gst::event::StreamStart::builder("another").group_id(group()).build());
            rig.send(caps_event("S16LE"));
            rig.segment(0);
            rig.push(&speech()).unwrap();
            rig.end();
            let entries = rig.log.entries();
            let starts = places(&entries, |entry| is_event(entry, gst::EventType::StreamStart));
            assert_eq!(starts.len(), 2);
            let (first, second) = entries.split_at(starts[1]);
            for (entries, which) in [(first, "first"), (second, "second")] {
                let results = results(entries);
                assert_eq!(results.last().unwrap().text, SPEECH, "{mode:?}, the {which} stream");
                assert_results_in_order(&results);
            }
            let texts = [first, second].map(|entries| {
                texts(entries).into_iter().map(|text| (text.text, text.start, text.end)).collect::<Vec<_>>()
            });
            assert_eq!(texts[0], texts[1], "{mode:?}: both streams have the same text at the same times");
        }
    });
}

/// As after the end of a title in a playlist: EOS, and then another stream without a flush.
#[test]
fn a_new_stream_after_eos_begins_anew() {
    element_test(|| {
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        rig.push(&speech()).unwrap();
        rig.end();
        let first = rig.log.texts();
        rig.log.clear();
        rig.begin();
        rig.push(&speech()).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
        assert_eq!(rig.log.texts(), first);
        assert_results_in_order(&rig.log.results());
    });
}

// Lateness.

/// The bases of the segments below, ms.
fn bases(rig: &Rig) -> Vec<u64> {
    let entries = rig.log.entries();
    let bases = entries.iter().filter_map(|entry| match entry {
        Entry::Event(event) => match event.view() {
            gst::EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
                Some(segment.base().unwrap().mseconds())
            }
            _ => None,
        },
        _ => None,
    });
    bases.collect()
}

#[test]
fn lateness_shifts_the_segment() {
    element_test(|| {
        let expected = run("tiny-1", &ONE_UTTERANCE, &speech()).texts();
        let rig = Rig::new("tiny-1", &[&ONE_UTTERANCE[..], &[("lateness", "700")]].concat());
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        rig.send(caps_event("S16LE"));
        assert!(rig.send(segment(0, 0, 3000)));
        let samples = speech();
        rig.push(&samples[..64_000]).unwrap();
        rig.wait_taken();
        assert_eq!(bases(&rig), [3700]);
        rig.element.set_property("lateness", 1200u32);
        rig.push(&samples[64_000..]).unwrap();
        rig.end();
        assert_eq!(bases(&rig), [3700, 4200]);
        assert_eq!(rig.log.texts(), expected, "PTS stay as they are");
        // The audio is where it was.
        let result = rig.log.results().pop().unwrap();
        assert_eq!((result.text.as_str(), result.running), (SPEECH, result.start + 3000 * MS));
    });
}

// Odd buffers.

#[test]
fn buffers_without_pts_go_on() {
    element_test(|| {
        let expected = run("tiny-1", &ONE_UTTERANCE, &speech());
        let times = |texts: Vec<Text>, from: u64| -> Vec<_> {
            texts.into_iter().map(|text| (text.text, text.start - from, text.end - from)).collect()
        };
        let samples = speech();
        // All without; the first with; every third without.
        for (start, has) in [(0, 0), (5000 * MS, 0), (5000 * MS, 1), (5000 * MS, 3)] {
            let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
            rig.segment(start);
            for (number, part) in samples.chunks(1600).enumerate() {
                let pts = start + number as u64 * 100 * MS;
                let timed = match has {
                    0 => false,
                    1 => number == 0,
                    other => !number.is_multiple_of(other),
                };
                rig.source.push(buffer(&s16(part), timed.then_some(pts), part.len())).unwrap();
            }
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH]);
            assert_eq!(times(rig.log.texts(), start), times(expected.texts(), 0), "from {start}, {has}");
        }
    });
}

#[test]
fn what_lies_outside_the_segment_is_clipped() {
    element_test(|| {
        let samples = speech();
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_mseconds(1050));
        segment.set_time(gst::ClockTime::from_mseconds(1050));
        segment.set_stop(gst::ClockTime::from_mseconds(6025));
        assert!(rig.send(gst::event::Segment::new(&segment)));
        rig.jump(0);
        rig.push(&samples).unwrap();
        rig.end();
        let inside = &samples[1050 * 16..6025 * 16];
        let expected = run("tiny-1", &ONE_UTTERANCE, inside);
        assert_eq!(rig.log.finals(), expected.finals());
        let times = |log: &Log, from: u64| -> Vec<_> {
            log.texts().into_iter().map(|text| (text.text, text.start - from, text.end - from)).collect()
        };
        assert_eq!(times(&rig.log, 1050 * MS), times(&expected, 0));
    });
}

#[test]
fn buffers_of_any_size_are_taken() {
    element_test(|| {
        let samples = speech();
        let expected = run("tiny-1", &ONE_UTTERANCE, &samples);
        for size in [1, 7, 133_898] {
            let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
            for (number, part) in samples.chunks(size).enumerate() {
                let pts = number as u64 * size as u64 * 62_500;
                if number % 1000 == 3 {
                    rig.source.push(buffer(&[], Some(pts), 0)).unwrap();
                    rig.source.push(buffer(&[], None, 0)).unwrap();
                }
                rig.source.push(buffer(&s16(part), Some(pts), part.len())).unwrap();
            }
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH], "{size}");
            assert_eq!(rig.log.texts(), expected.texts(), "{size}");
        }
        // Half a sample at the end is none.
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        let mut bytes = s16(&samples);
        bytes.push(7);
        rig.source.push(buffer(&bytes, Some(0), samples.len())).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
    });
}

/// Bad samples: an error or a text, but an end; and after a flush all is well again.
#[test]
fn samples_that_are_no_numbers_do_not_stay() {
    element_test(|| {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e30] {
            let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
            rig.play();
            rig.send(gst::event::StreamStart::new("upstream"));
            rig.send(caps_event("F32LE"));
            rig.segment(0);
            let mut samples = speech();
            samples[64_000..64_010].fill(bad);
            for (number, part) in samples.chunks(1600).enumerate() {
                if rig.source.push(buffer(&f32(part), Some(number as u64 * 100 * MS), part.len())).is_err() {
                    break;
                }
            }
            rig.send(gst::event::Eos::new());
            rig.log.wait(&format!("an end, after {bad}"), |entries| {
                let failed = !of_type(entries, gst::MessageType::Error).is_empty();
                (failed || entries.iter().any(|entry| is_event(entry, gst::EventType::Eos))).then_some(())
            });
            assert!(rig.log.errors().len() <= 1, "{bad}: {:?}", rig.log.errors());
            rig.flush();
            rig.log.clear();
            rig.segment(0);
            let samples = speech();
            rig.source.push(buffer(&f32(&samples), Some(0), samples.len())).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH], "after {bad}");
        }
    });
}

/// One bad sample of a sick decoder must not end captions that run for weeks: what is said later is recognised.
#[test]
fn what_follows_a_bad_sample_is_recognised() {
    element_test(|| {
        let rig = Rig::new("demo", &[]);
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        rig.send(caps_event("F32LE"));
        rig.segment(0);
        let mut samples = recording();
        samples[100] = f32::NAN;
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for (number, part) in samples.chunks(1600).enumerate() {
            flow = flow.and(rig.source.push(buffer(&f32(part), Some(number as u64 * 100 * MS), part.len())));
        }
        assert!(flow.is_ok(), "{flow:?} {:?}", rig.log.errors());
        rig.end();
        assert_eq!(rig.log.finals()[1..], SPOKEN[1..], "{:?}", rig.log.errors());
    });
}

// States.

/// What was said before READY is told, there to the bus only.
#[test]
fn stopping_tells_the_bus_what_was_said() {
    element_test(|| {
        let samples = speech();
        for played in [20_000, 64_000, 100_000] {
            let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
            rig.set_state(gst::State::Ready);
            rig.wait_loaded();
            rig.play();
            rig.begin();
            // No waiting: what is in the queue counts.
            rig.push(&samples[..played]).unwrap();
            rig.set_state(gst::State::Ready);
            assert_eq!(rig.log.finals(), alone(&samples[..played]), "{played}");
            assert_results_in_order(&rig.log.results());
        }
    });
}

#[test]
fn a_hundred_starts_and_stops() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        let samples = speech();
        for round in 0..100 {
            rig.set_state(gst::State::Playing);
            rig.begin();
            rig.push(&samples[..round * 400]).unwrap();
            if round % 10 == 9 {
                rig.end();
            }
            rig.set_state(gst::State::Null);
            rig.source.set_active(false).unwrap();
            rig.source.set_active(true).unwrap();
        }
        rig.log.clear();
        rig.set_state(gst::State::Playing);
        rig.begin();
        rig.push(&samples).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
        assert_results_in_order(&rig.log.results());
        assert_tiles(&rig.log.entries(), 0);
    });
}

#[test]
fn ready_and_paused_in_turn() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        let samples = speech();
        for round in 0..20 {
            rig.set_state(gst::State::Paused);
            rig.log.clear();
            rig.begin();
            rig.push(&samples[..round * 6000]).unwrap();
            rig.set_state(gst::State::Ready);
            rig.source.set_active(false).unwrap();
            rig.source.set_active(true).unwrap();
        }
        rig.set_state(gst::State::Paused);
        rig.log.clear();
        rig.begin();
        rig.push(&samples).unwrap();
        rig.end();
        assert_eq!(rig.log.finals(), [SPEECH]);
        assert_results_in_order(&rig.log.results());
    });
}

/// Rule 2: whatever other streams run in the process.
#[test]
fn two_elements_at_once_do_not_disturb_each_other() {
    element_test(|| {
        let expected = run("demo", &[], &recording());
        let threads: Vec<_> = (0..3)
            .map(|number| {
                thread::spawn(move || {
                    let properties = if number == 2 { &[("caption-mode", "progressive")][..] } else { &[] };
                    (number, run("demo", properties, &recording()))
                })
            })
            .collect();
        for thread in threads {
            let (number, log) = thread.join().unwrap();
            assert_eq!(log.finals(), SPOKEN);
            assert_eq!(log.results(), expected.results());
            if number < 2 {
                assert_eq!(log.texts(), expected.texts());
            }
        }
    });
}

/// One is flushed and stopped all the time; the others, of the same model, do not notice.
#[test]
fn a_flushed_element_does_not_disturb_others() {
    element_test(|| {
        let expected = run("demo", &[], &recording());
        let (ended, end) = mpsc::channel::<()>();
        let restless = thread::spawn(move || {
            let rig = Rig::new("demo", &[]);
            let samples = recording();
            let mut rounds = 0;
            while end.try_recv() == Err(mpsc::TryRecvError::Empty) {
                rig.play();
                rig.begin();
                rig.push(&samples[..50_000]).unwrap();
                rig.flush();
                rig.segment(0);
                rig.push(&samples[..30_000 + 1600 * (rounds % 9)]).unwrap();
                rig.set_state(gst::State::Ready);
                rig.source.set_active(false).unwrap();
                rig.source.set_active(true).unwrap();
                rounds += 1;
            }
            rounds
        });
        for _ in 0..4 {
            let log = run("demo", &[], &recording());
            assert_eq!(log.results(), expected.results());
            assert_eq!(log.texts(), expected.texts());
        }
        ended.send(()).unwrap();
        assert!(restless.join().unwrap() > 0);
    });
}

/// A pipeline that is simply let go of, in the middle of the audio.
#[test]
fn a_pipeline_is_dropped_without_eos() {
    element_test(|| {
        for round in 0..5 {
            let line = format!(
                "audiotestsrc wave=white-noise ! audio/x-raw,rate=16000,channels=1 ! paraformerasr name=asr output=tokens model-path={} ! appsink name=sink sync=false max-buffers=1",
                support::model_directory("tiny-1").display()
            );
            let pipeline = gst::parse::launch(&line).unwrap();
            let sink = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("sink").unwrap();
            let asr = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("asr").unwrap().downgrade();
            pipeline.set_state(gst::State::Playing).unwrap();
            let sink = sink.downcast::<gst_app::AppSink>().unwrap();
            for _ in 0..round {
                assert!(sink.try_pull_sample(gst::ClockTime::from_seconds(30)).is_some());
            }
            pipeline.set_state(gst::State::Null).unwrap();
            drop((pipeline, sink));
            assert!(asr.upgrade().is_none(), "somebody keeps the element");
        }
    });
}
