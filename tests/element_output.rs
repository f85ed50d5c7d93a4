//! What the element gives: text buffers, gaps, sticky events, messages.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use support::pipeline::*;

/// What is said in examples/recording.wav: as examples/recording.txt has it, letter by letter.
const SPOKEN: [&str; 4] =
    ["大家好欢迎使用实时字幕", "今天下午我们去公园吧", "他们都在学校学习汉语", "外面下雨了请打开窗户"];
/// Where each of these begins and ends, ms: heard in the recording.
const SPOKEN_MS: [(u64, u64); 4] = [(522, 4349), (5562, 9042), (10242, 14151), (15402, 18702)];
/// How far a token's time may be off, ms.
const TOLERANCE_MS: u64 = 150;

const SPEECH: &str = "亀hel乁丵乩乫両丝n3 rd且乂乲丷丠乵dia丰乔中y为両中llo丶";

fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

fn speech() -> Vec<f32> {
    support::recording("speech.wav")
}

fn near(a: u64, b_ms: u64) -> bool {
    (a / MS).abs_diff(b_ms) <= TOLERANCE_MS
}

fn types(entries: &[Entry]) -> Vec<gst::EventType> {
    let events = entries.iter().filter_map(|entry| match entry {
        Entry::Event(event) => Some(event.type_()),
        _ => None,
    });
    events.collect()
}

/// The language codes of the tags, in order.
fn languages(entries: &[Entry]) -> Vec<String> {
    let tags = entries.iter().filter_map(|entry| match entry {
        Entry::Event(event) => match event.view() {
            gst::EventView::Tag(tag) => Some(tag.tag_owned()),
            _ => None,
        },
        _ => None,
    });
    let language = |tags: gst::TagList| {
        assert_eq!((tags.n_tags(), tags.scope()), (1, gst::TagScope::Stream), "{tags:?}");
        tags.get::<gst::tags::LanguageCode>().unwrap().get().to_owned()
    };
    tags.map(language).collect()
}

/// What can be compared between two runs.
fn told(log: &Log) -> Vec<String> {
    let entries = log.entries();
    let told = entries.iter().filter(|entry| match entry {
        Entry::Text(_) | Entry::Gap(..) => true,
        Entry::Message(message) => message.type_() == gst::MessageType::Element,
        Entry::Event(_) => false,
    });
    told.map(|entry| match entry {
        Entry::Message(message) => format!("{:?}", outcome(message.structure().unwrap())),
        other => format!("{other:?}"),
    })
    .collect()
}

fn is_final_transcript(entry: &Entry) -> bool {
    matches!(entry, Entry::Event(event) if event.has_name("rstranscribe/final-transcript"))
}

#[test]
fn the_recording_is_captioned_as_it_was_spoken() {
    element_test(|| {
        let written = std::fs::read_to_string(support::root().join("examples/recording.txt")).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), SPOKEN);
        let log = run("demo", &[], &recording());
        assert_eq!(log.finals(), SPOKEN);
        let texts = log.texts();
        assert_eq!(texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>(), SPOKEN);
        for (text, (start, end)) in texts.iter().zip(SPOKEN_MS) {
            assert!(near(text.start, start) && near(text.end, end + 200), "{text:?} is not at {start}");
        }
        assert!(assert_tiles(&log.entries(), 0) >= 18_600 * MS, "the whole time is told of");
        assert_results_in_order(&log.results());
        assert!(log.errors().is_empty() && log.warnings().is_empty());
    });
}

#[test]
fn tokens_are_pushed_one_by_one() {
    element_test(|| {
        let log = run("demo", &[("output", "tokens")], &recording());
        let texts = log.texts();
        let characters: Vec<String> = SPOKEN.concat().chars().map(String::from).collect();
        assert_eq!(texts.iter().map(|text| text.text.clone()).collect::<Vec<_>>(), characters);
        assert_tiles(&log.entries(), 0);
        assert_eq!(log.finals(), SPOKEN);
        for (result, (start, end)) in log.results().iter().filter(|result| result.is_final).zip(SPOKEN_MS) {
            assert!(near(result.start, start) && near(result.end, end), "{result:#?}");
        }
        // A word of several letters is one buffer, and nothing has a space at its ends.
        let log = run("tiny-1", &[&ONE_UTTERANCE[..], &[("output", "tokens")]].concat(), &speech());
        let words: Vec<String> = log.texts().into_iter().map(|text| text.text).collect();
        assert_eq!(words[..4], ["亀", "hel", "乁", "丵"]);
        assert_eq!(words.concat(), SPEECH.replace(' ', ""));
        assert_tiles(&log.entries(), 0);
    });
}

#[test]
fn both_formats_give_the_same() {
    element_test(|| {
        for properties in [&[][..], &[("output", "tokens")], &[("caption-mode", "progressive")]] {
            let samples = speech();
            let expected = run("tiny-1", properties, &samples);
            let rig = Rig::new("tiny-1", properties);
            rig.play();
            rig.send(gst::event::StreamStart::new("upstream"));
            rig.send(caps_event("F32LE"));
            rig.segment(0);
            for (number, part) in samples.chunks(1600).enumerate() {
                rig.source.push(buffer(&f32(part), Some(number as u64 * 100 * MS), part.len())).unwrap();
            }
            rig.end();
            assert_eq!(told(&rig.log), told(&expected), "{properties:?}");
        }
    });
}

/// Rule 2: however the audio is cut.
#[test]
fn cutting_changes_nothing() {
    element_test(|| {
        for properties in [&[][..], &[("output", "tokens")], &[("caption-mode", "progressive")]] {
            let samples = recording();
            let expected = run("demo", properties, &samples);
            let rig = Rig::playing("demo", properties);
            let mut at = 0;
            for part in support::cut(&samples, &mut support::Random(5)) {
                rig.source.push(buffer(&s16(part), Some(at * 62_500), part.len())).unwrap();
                at += part.len() as u64;
            }
            rig.end();
            assert_eq!(told(&rig.log), told(&expected), "{properties:?}");
        }
    });
}

#[test]
fn captions_have_the_text_of_the_finals() {
    element_test(|| {
        for (model, samples) in [("demo", recording()), ("tiny-1", speech())] {
            for properties in
                [&[][..], &[("max-line-chars", "3"), ("max-lines", "1")], &[("max-caption-duration", "900")]]
            {
                let log = run(model, properties, &samples);
                let finals = log.finals().concat().replace(' ', "");
                assert_eq!(log.joined().replace(' ', ""), finals, "{model} {properties:?}");
                assert_tiles(&log.entries(), 0);
            }
        }
    });
}

#[test]
fn sticky_events_come_in_order_and_once() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &[]);
        rig.play();
        let flags = gst::StreamFlags::SELECT;
        rig.send(gst::event::StreamStart::builder("upstream").group_id(group()).flags(flags).build());
        let mut tags = gst::TagList::new();
        tags.get_mut().unwrap().add::<gst::tags::Title>(&"audio", gst::TagMergeMode::Replace);
        tags.get_mut().unwrap().add::<gst::tags::LanguageCode>(&"fr", gst::TagMergeMode::Replace);
        rig.send(caps_event("S16LE"));
        rig.segment(0);
        rig.send(gst::event::Tag::new(tags));
        rig.push(&speech()).unwrap();
        rig.end();
        let entries = rig.log.entries();
        use gst::EventType::{Caps, Eos, Segment, StreamStart, Tag};
        let sticky: Vec<_> = types(&entries).into_iter().filter(|kind| kind.is_sticky()).collect();
        assert_eq!(sticky[..4], [StreamStart, Caps, Segment, Tag]);
        assert_eq!(languages(&entries), ["zh"], "audio tags are not for text");
        // One caps event is enough for one format.
        assert_eq!(sticky, [StreamStart, Caps, Segment, Tag, Eos]);
        let start = entries.iter().find_map(|entry| match entry {
            Entry::Event(event) => match event.view() {
                gst::EventView::StreamStart(start) => {
                    Some((start.stream_id().to_owned(), start.stream_flags(), start.group_id()))
                }
                _ => None,
            },
            _ => None,
        });
        let (id, flags, group_id) = start.unwrap();
        assert_ne!(id, "upstream");
        assert!(flags.contains(gst::StreamFlags::SPARSE), "{flags:?}");
        assert_eq!(group_id, Some(group()));
    });
}

#[test]
fn the_language_tag_has_the_iso_part() {
    element_test(|| {
        for (code, expected) in
            [("zh-CN", "zh"), ("en-US", "en"), ("yue", "yue"), ("zh_TW", "zh"), ("qq-whatever", "qq")]
        {
            let log = run("tiny-1", &[("language-code", code)], &speech()[..16000]);
            assert_eq!(languages(&log.entries()), [expected], "{code}");
        }
        let rig = Rig::playing("tiny-1", &[]);
        let samples = speech();
        rig.push(&samples[..64000]).unwrap();
        rig.wait_taken();
        rig.element.set_property("language-code", "en-US");
        rig.push(&samples[64000..]).unwrap();
        rig.end();
        assert_eq!(languages(&rig.log.entries()), ["zh", "en"]);
    });
}

/// A model that says `R&D <b>` where tiny-1 says 丵 and 乩.
fn model_with_markup() -> tempfile::TempDir {
    let folder = copy_of("tiny-1");
    let path = folder.path().join("tokens.json");
    let tokens = std::fs::read_to_string(&path).unwrap();
    let mut tokens: Vec<String> = serde_json::from_str(&tokens).unwrap();
    for (from, to) in [("丵", "R&D"), ("乩", "<b>")] {
        let at = tokens.iter().position(|token| token == from).unwrap();
        tokens[at] = to.into();
    }
    std::fs::write(&path, serde_json::to_string(&tokens).unwrap()).unwrap();
    folder
}

#[test]
fn markup_is_escaped_only_where_it_is_negotiated() {
    element_test(|| {
        let folder = model_with_markup();
        for (below, negotiated, escaped) in [
            ("text/x-raw, format={pango-markup, utf8}", "utf8", false),
            ("text/x-raw, format=utf8", "utf8", false),
            ("ANY", "utf8", false),
            ("text/x-raw, format=pango-markup", "pango-markup", true),
        ] {
            let element = element(&ONE_UTTERANCE);
            element.set_property("model-path", folder.path().to_str().unwrap());
            let rig = Rig::around(element, below);
            rig.play();
            rig.begin();
            rig.push(&speech()).unwrap();
            rig.end();
            let caps = rig.sink.current_caps().unwrap();
            let expected = gst::Caps::builder("text/x-raw").field("format", negotiated).build();
            assert_eq!(caps, expected, "{below}");
            let joined = rig.log.joined();
            let (company, bold) = if escaped { ("R&amp;D", "&lt;b&gt;") } else { ("R&D", "<b>") };
            assert!(joined.contains(company) && joined.contains(bold), "{below}: {joined}");
            // The bus is no markup.
            let text = &rig.log.finals()[0];
            assert!(text.contains("R&D") && text.contains("<b>"), "{text}");
        }
    });
}

#[test]
fn text_that_nobody_below_takes_is_refused() {
    element_test(|| {
        let element = element_with_model("tiny-1", &[]);
        let sink = gst::ElementFactory::make("fakesink").build().unwrap();
        let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
        filter.set_property("caps", gst::Caps::builder("audio/x-raw").build());
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&element, &filter, &sink]).unwrap();
        assert!(element.link(&filter).is_err(), "text is no audio");
    });
}

/// `rstranscribe/final-transcript`: once for each utterance, when all of it has been pushed, before the next.
#[test]
fn the_final_transcript_event_follows_its_utterance() {
    element_test(|| {
        for properties in [&[][..], &[("output", "tokens")], &[("max-line-chars", "3"), ("max-lines", "1")]] {
            let log = run("demo", properties, &recording());
            let (mut told, mut utterances) = (String::new(), Vec::new());
            for entry in log.entries() {
                match &entry {
                    Entry::Text(text) => told += &text.text.replace('\n', ""),
                    entry if is_final_transcript(entry) => utterances.push(std::mem::take(&mut told)),
                    _ => {}
                }
            }
            assert_eq!(utterances, SPOKEN, "{properties:?}");
            assert_eq!(told, "");
        }
    });
}

/// With progressive captions too the event comes when all of the utterance has been shown.
#[test]
fn the_final_transcript_event_follows_its_progressive_captions() {
    element_test(|| {
        let log = run("demo", &[("caption-mode", "progressive")], &recording());
        let (mut shown, mut utterances) = (String::new(), Vec::new());
        for entry in log.entries() {
            match &entry {
                Entry::Text(text) => shown = text.text.replace('\n', ""),
                entry if is_final_transcript(entry) => utterances.push(shown.clone()),
                _ => {}
            }
        }
        assert_eq!(utterances, SPOKEN);
    });
}

#[test]
fn results_are_told_on_the_bus() {
    element_test(|| {
        let log = run("demo", &[], &recording());
        let results = log.results();
        assert_results_in_order(&results);
        let partials: Vec<&str> =
            results.iter().filter(|result| !result.is_final).map(|result| result.text.as_str()).collect();
        assert_eq!(partials[..3], ["大家", "大家好", "大家好欢迎"]);
        for result in &results {
            // Without a shift of the segment, running time is stream time.
            assert_eq!(result.running, result.start);
            assert_eq!(result.tokens.iter().map(|token| token.text.as_str()).collect::<String>(), result.text);
            assert!(result.tokens.iter().all(|token| !token.doubtful && token.text.chars().count() == 1));
        }
        assert_eq!(results.iter().filter(|result| result.is_final).count(), 4);

        let log = run("demo", &[("partial-results", "false")], &recording());
        assert_eq!(log.results().iter().map(|result| result.text.as_str()).collect::<Vec<_>>(), SPOKEN);
        assert_eq!(log.joined(), SPOKEN.concat());
    });
}

#[test]
fn an_utterance_without_text_tells_nothing() {
    element_test(|| {
        let log = run("demo", &[], &vec![0.0; 160_000]);
        assert_eq!((log.results().len(), log.texts().len()), (0, 0));
        assert!(!log.entries().iter().any(is_final_transcript));
        assert_eq!(assert_tiles(&log.entries(), 0), 10_000 * MS);
    });
}

#[test]
fn doubtful_tokens_are_marked_and_not_hidden() {
    element_test(|| {
        let samples = speech();
        let sure = run("tiny-1", &ONE_UTTERANCE, &samples);
        let confidences: Vec<f64> =
            sure.results().last().unwrap().tokens.iter().map(|token| token.confidence).collect();
        let mut sorted = confidences.clone();
        sorted.sort_by(f64::total_cmp);
        let limit = sorted[sorted.len() / 2];
        let limit_text = format!("{limit:.17}");
        let log = run("tiny-1", &[&ONE_UTTERANCE[..], &[("min-confidence", &limit_text)]].concat(), &samples);
        assert_eq!(log.finals(), [SPEECH]);
        let results = log.results();
        let last = results.last().unwrap();
        assert!(last.tokens.iter().any(|token| token.doubtful) && last.tokens.iter().any(|token| !token.doubtful));
        for token in &last.tokens {
            assert_eq!(token.doubtful, token.confidence < limit, "{token:?}");
        }
        // While playing.
        let rig = Rig::playing("tiny-1", &ONE_UTTERANCE);
        rig.push(&samples[..64000]).unwrap();
        rig.wait_taken();
        rig.element.set_property("min-confidence", 1.0);
        rig.push(&samples[64000..]).unwrap();
        rig.end();
        let results = rig.log.results();
        assert!(results[0].tokens.iter().all(|token| !token.doubtful));
        assert!(results.last().unwrap().tokens.iter().any(|token| token.doubtful));
        assert_eq!(rig.log.finals(), [SPEECH]);
    });
}

#[test]
fn current_text_is_notified() {
    element_test(|| {
        let rig = Rig::new("demo", &[]);
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = told.clone();
        rig.element.connect_notify(Some("current-text"), move |element, _| {
            let text = element.property::<Option<String>>("current-text").unwrap_or_default();
            heard.lock().unwrap().push(text);
        });
        rig.play();
        rig.begin();
        rig.push(&recording()).unwrap();
        rig.end();
        let told = told.lock().unwrap().clone();
        assert_eq!(told[..3], ["大家", "大家好", "大家好欢迎"]);
        for spoken in SPOKEN {
            assert!(told.iter().any(|text| text == spoken), "{told:?}");
        }
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
        assert_eq!(rig.element.property::<String>("current-text"), SPOKEN[3]);
    });
}

/// Progressive captions tile the ranges that the chunks give out: 300 ms, then 600 ms each, while the utterance lasts.
#[test]
fn progressive_captions_tile_the_chunks() {
    element_test(|| {
        let properties = [&ONE_UTTERANCE[..], &[("caption-mode", "progressive")]].concat();
        for (model, samples, end_ms) in [("demo", recording(), 19_414), ("tiny-1", speech(), 8_368)] {
            let log = run(model, &properties, &samples);
            let entries = log.entries();
            assert_eq!(assert_tiles(&entries, 0) / MS, end_ms);
            let ends: Vec<u64> = entries
                .iter()
                .filter_map(|entry| match entry {
                    Entry::Text(text) => Some(text.end / MS),
                    Entry::Gap(_, end) => Some(end / MS),
                    _ => None,
                })
                .collect();
            let expected: Vec<u64> =
                (0..).map(|chunk| 300 + 600 * chunk).take_while(|&end| end <= end_ms - 300).collect();
            assert_eq!(ends[..expected.len()], expected[..], "{model}: one thing for each chunk");
            assert_eq!(ends[expected.len()..], [end_ms], "{model}: the final call gives out the rest");
        }
    });
}

/// A caption is repeated while it is shown, and gone at most 1.5 s after its last token.
#[test]
fn progressive_captions_stay_and_go() {
    element_test(|| {
        let log = run("demo", &[("caption-mode", "progressive")], &recording());
        assert_tiles(&log.entries(), 0);
        let texts = log.texts();
        for ((_, end_ms), spoken) in SPOKEN_MS.into_iter().zip(SPOKEN) {
            let shown: Vec<&Text> = texts.iter().filter(|text| text.text == spoken).collect();
            assert!(!shown.is_empty(), "{spoken} is never shown whole");
            assert!(shown.windows(2).all(|pair| pair[1].start == pair[0].end), "{spoken} is shown without a break");
            let last = shown.last().unwrap().end / MS;
            assert!(last <= end_ms + TOLERANCE_MS + 1500, "{spoken} stays until {last}");
        }
        // Each text is the one before and more, or begins anew.
        for pair in texts.windows(2) {
            let begins = SPOKEN.iter().any(|spoken| spoken.starts_with(&pair[1].text));
            assert!(pair[1].text.starts_with(&pair[0].text) || begins, "{pair:?}");
        }
        // Without more speech it goes.
        let mut samples = recording();
        samples.extend(vec![0.0; 80_000]);
        let log = run("demo", &[("caption-mode", "progressive")], &samples);
        let last = log.texts().last().unwrap().clone();
        assert_eq!(last.text, SPOKEN[3]);
        assert!(last.end / MS <= SPOKEN_MS[3].1 + TOLERANCE_MS + 1500, "{last:?}");
    });
}
