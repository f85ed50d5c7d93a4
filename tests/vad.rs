//! Voice activity: the detector's segments are FunASR's, and utterances are its segments.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::{Path, PathBuf};

use gstparaformer::engine::frames::HeldFrames;
use gstparaformer::engine::frontend::fbank::FbankPlan;
use gstparaformer::engine::segment::detector::Boundary;
use gstparaformer::engine::segment::vad::Vad;
use gstparaformer::engine::{
    ChunkSize, Counters, Error, Event, Network, Result, Stream, StreamOptions, VadInput, VadNetwork, VadOutput,
};
use gstparaformer::runtime::registry::SharedModel;
use gstparaformer::runtime::{LibraryRequest, Precision, SharedVad, VadRequest, vad};
use serde_json::Value;
use support::fake::{self, Fake, Flaky};
use support::{Random, cut, finals, read_wav, root};

const MS_NS: u64 = 1_000_000;
const SECOND: usize = 16_000;

fn try_detector(directory: &Path) -> Result<SharedVad> {
    vad::open(&VadRequest { directory: directory.into(), library: LibraryRequest::default() })
}

fn detector() -> SharedVad {
    try_detector(&support::model_directory("vad-tiny")).unwrap()
}

fn demo() -> SharedModel {
    support::open(&support::model_directory("demo"), Precision::Int8Exact)
}

fn recording() -> Vec<f32> {
    read_wav(&root().join("examples/recording.wav"))
}

fn options(endpoint_silence_ms: u32) -> StreamOptions {
    StreamOptions { endpoint_silence_ms, ..StreamOptions::default() }
}

/// FunASR's events, in ms, of samples that come in these parts.
fn events<'a>(shared: SharedVad, silence_ms: u64, parts: impl IntoIterator<Item = &'a [f32]>) -> Vec<[i64; 2]> {
    let SharedVad { model, mut client } = shared;
    let mut vad = Vad::new(model, Some(silence_ms));
    let (plan, mut frames) = (FbankPlan::default(), HeldFrames::default());
    let mut found = Vec::new();
    let mut take = |vad: &mut Vad| {
        while let Some(boundary) = vad.boundary() {
            vad.done();
            found.push(match boundary {
                Boundary::Start(frame) => [frame as i64 * 10, -1],
                Boundary::End(frame) => [-1, frame as i64 * 10],
            });
        }
    };
    for part in parts {
        frames.push(&plan, part);
        while vad.next() <= frames.end() {
            vad.block(&mut client, &frames).unwrap();
            take(&mut vad);
            frames.forget(vad.needed());
        }
    }
    vad.finish(&mut client, &frames).unwrap();
    take(&mut vad);
    found
}

/// A line of goldens/vad.jsonl with the folders of its model and its recording; none where they are not carried by the
/// project and not there.
fn places(line: &Value) -> Option<(PathBuf, PathBuf)> {
    let (model, audio) = (line["model"].as_str().unwrap(), line["audio"].as_str().unwrap());
    if model == "vad-tiny" {
        let recordings = ["examples", "tests/data/audio", "tests/data/audio/sentences"];
        let audio = recordings.map(|folder| root().join(folder).join(audio)).into_iter().find(|path| path.exists());
        return Some((support::model_directory(model), audio.unwrap()));
    }
    let shared = root().join("../shared");
    let found = (shared.join("models").join(model), shared.join("data/speech").join(audio));
    if found.0.is_dir() && found.1.is_file() {
        return Some(found);
    }
    eprintln!("skipped: no {} and {}", found.0.display(), found.1.display());
    None
}

/// The checkpoint C14 is among them, and the published model, where it is there.
#[test]
fn segments_are_funasrs_for_any_block_size() {
    let text = std::fs::read_to_string(support::data("goldens/vad.jsonl")).unwrap();
    let mut random = Random(21);
    let mut lines = 0;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some((model, audio)) = places(&line) else { continue };
        let samples = read_wav(&audio);
        assert_eq!(samples.len() as u64, line["samples"].as_u64().unwrap(), "{}", audio.display());
        let expected: Vec<[i64; 2]> = serde_json::from_value(line["events"].clone()).unwrap();
        let silence_ms = line["end_silence"].as_u64().unwrap();
        let check = |parts: Vec<&[f32]>, how: &str| {
            let found = events(try_detector(&model).unwrap(), silence_ms, parts);
            assert_eq!(found, expected, "{} {silence_ms} ms, {how}", audio.display());
        };
        check(vec![&samples], "at once");
        for block in [160, 800, 1600, 9600] {
            check(samples.chunks(block).collect(), &format!("blocks of {block}"));
        }
        check(cut(&samples, &mut random), "random blocks");
        lines += 1;
    }
    assert!(lines >= 12, "only {lines} lines");
}

/// All events of a stream with the detector, and what it did.
fn run(
    network: &mut dyn Network,
    stream: &mut Stream,
    detector: &mut dyn VadNetwork,
    parts: Vec<&[f32]>,
    mut wait: impl FnMut() -> bool,
) -> (Vec<Event>, Counters) {
    let mut found = Vec::new();
    for part in parts {
        stream.push(part);
        if !wait() {
            while stream.step(network, Some(detector)).unwrap() {}
            found.extend(std::iter::from_fn(|| stream.next_event()));
        }
    }
    stream.finish();
    while stream.step(network, Some(detector)).unwrap() {}
    found.extend(std::iter::from_fn(|| stream.next_event()));
    (found, stream.counters())
}

fn recognise(options: StreamOptions, parts: Vec<&[f32]>, wait: impl FnMut() -> bool) -> (Vec<Event>, Counters) {
    let (SharedModel { model, mut client, .. }, mut vad) = (demo(), detector());
    let mut stream = Stream::with_vad(model, vad.model, options);
    run(&mut client, &mut stream, &mut vad.client, parts, wait)
}

fn texts(events: &[Event]) -> Vec<&str> {
    finals(events).iter().map(|hypothesis| hypothesis.text.as_str()).collect()
}

#[test]
fn utterances_are_the_segments_and_silence_is_not_encoded() {
    let samples = recording();
    let (found, counters) = recognise(options(800), vec![&samples], || false);
    let segments = events(detector(), 800, [samples.as_slice()]);
    let spoken = std::fs::read_to_string(root().join("examples/recording.txt")).unwrap();
    assert_eq!(texts(&found), spoken.lines().collect::<Vec<_>>());
    for (utterance, segment) in finals(&found).iter().zip(segments.chunks(2)) {
        let (start, end) = (segment[0][0] as u64 * MS_NS, segment[1][1] as u64 * MS_NS);
        for token in &utterance.tokens {
            assert!(start <= token.start_ns && token.end_ns <= end + 700 * MS_NS, "{token:?} in {segment:?}");
        }
    }
    let spoken_ns: u64 = segments.chunks(2).map(|pair| (pair[1][1] - pair[0][0]) as u64 * MS_NS).sum();
    let all_ns = samples.len() as u64 * 62_500;
    // An utterance is encoded up to where its end is told of, 0.7 s of silence; the last 15 to 25 ms fill no frame.
    let most_ns = spoken_ns + 4 * 700 * MS_NS;
    assert!((spoken_ns - 4 * 60 * MS_NS..most_ns).contains(&counters.encoded_ns), "{counters:?}, {spoken_ns}");
    assert!(counters.saved_ns > 0 && counters.saved_ns + spoken_ns <= all_ns, "{counters:?}");
    assert!(counters.saved_ns + counters.encoded_ns + 5 * 600 * MS_NS > all_ns, "{counters:?} of {all_ns}");
}

#[test]
fn silence_alone_costs_nothing() {
    let (found, counters) = recognise(options(800), vec![&[0.0; 60 * SECOND]], || false);
    assert_eq!((texts(&found).len(), counters.calls, counters.encoded_ns), (0, 0, 0));
    assert!(counters.saved_ns > 59_900 * MS_NS, "{counters:?}");
    let told: Vec<u64> = advances(&found).map(|(until_ns, _)| until_ns).collect();
    let steps: Vec<u64> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().rev().skip(2).all(|&step| step <= 300 * MS_NS), "{steps:?}");
}

fn advances(events: &[Event]) -> impl Iterator<Item = (u64, u64)> {
    events.iter().filter_map(|event| match event {
        Event::Advanced { until_ns, safe_ns, .. } => Some((*until_ns, *safe_ns)),
        _ => None,
    })
}

#[test]
fn cutting_changes_nothing() {
    let samples = recording();
    let mut random = Random(22);
    for options in [options(800), options(200), StreamOptions { max_utterance_ms: 1500, ..options(0) }] {
        let expected = recognise(options, vec![&samples], || false);
        assert!(texts(&expected.0).len() > 1);
        for _ in 0..3 {
            let parts = cut(&samples, &mut random);
            let mut steps = Random(random.below(1000) as u64 + 1);
            assert_eq!(recognise(options, parts, || steps.below(3) == 0), expected, "{options:?}");
        }
        assert_eq!(recognise(options, samples.chunks(160).collect(), || false), expected, "{options:?}");
    }
}

/// A detector that hears loudness: frames of digital silence are silent.
struct Loudness {
    /// Every other call is broken off first.
    flaky: bool,
    failed: bool,
}

impl VadNetwork for Loudness {
    fn score(&mut self, input: VadInput<'_>, output: &mut VadOutput) -> Result<()> {
        self.failed ^= self.flaky;
        if self.failed {
            return Err(Error::Cancelled);
        }
        output.silence.clear();
        // The middle of the five frames; the CMVN takes 8 away and divides by 4.
        let loud = |row: &[f32]| row[160..240].iter().sum::<f32>() > 0.0;
        output.silence.extend(input.features.chunks_exact(400).map(|row| if loud(row) { 0.0 } else { 1.0 }));
        output.caches = input.caches.to_vec();
        Ok(())
    }
}

/// Noise and digital silence in turn.
fn bursts(random: &mut Random) -> Vec<f32> {
    let mut audio = Vec::new();
    for _ in 0..random.below(8) {
        audio.extend((0..random.below(3 * SECOND)).map(|_| 0.3 * random.sample()));
        audio.resize(audio.len() + random.below(3 * SECOND), 0.0);
    }
    audio
}

/// Every kind of stream, also such as end in speech, in silence, at once or never.
fn streams() -> Vec<(StreamOptions, Vec<f32>)> {
    let mut random = Random(23);
    let chunk = |[left, stride, ahead]: [i64; 3]| ChunkSize::new(left, stride, ahead).unwrap();
    let mut all = Vec::new();
    for round in 0..40 {
        let audio = bursts(&mut random);
        let sizes = [[5, 10, 5], [0, 1, 0], [8, 8, 4], [0, 4, 2], [10, 30, 6]];
        let options = StreamOptions {
            chunk_size: chunk(sizes[round % sizes.len()]),
            max_utterance_ms: [0, 1000, 30_000][round % 3],
            ..options([0, 100, 200, 800][round % 4])
        };
        all.push((options, audio));
    }
    all.extend([0, 1, 399, 400, 800, 1360, 2000].map(|samples| (options(800), vec![0.3; samples])));
    all
}

#[test]
fn events_are_lawful() {
    let shared = detector();
    let mut with_text = 0;
    for (round, (options, audio)) in streams().into_iter().enumerate() {
        let what = format!("stream {round}, {} samples, {options:?}", audio.len());
        let mut stream = Stream::with_vad(fake::model(0.45), shared.model.clone(), options);
        let mut loudness = Loudness { flaky: false, failed: false };
        let (found, counters) = run(&mut Fake::hearing(), &mut stream, &mut loudness, vec![&audio], || false);
        let pieces: Vec<_> = finals(&found).iter().flat_map(|hypothesis| hypothesis.pieces.clone()).collect();
        let (mut until, mut safe, mut last, mut utterance, mut told) = (0, 0, 0, 0, Vec::new());
        for event in &found {
            match event {
                Event::Advanced { until_ns, safe_ns, .. } => {
                    assert!(until <= *until_ns && safe <= *safe_ns && safe_ns <= until_ns, "{what}: {event:?}");
                    (until, safe) = (*until_ns, *safe_ns);
                }
                Event::Token(token) => {
                    assert!(last <= token.start_ns && token.start_ns <= token.end_ns, "{what}: {token:?}");
                    let first = pieces.iter().find(|piece| piece.start_ns == token.start_ns).unwrap();
                    let waited = first.fire_ns - first.start_ns > 600 * MS_NS;
                    assert!(waited || safe <= token.start_ns, "{what}: {token:?} after {safe}");
                    last = token.start_ns;
                    told.push(token.text.clone());
                }
                Event::Hypothesis(hypothesis) => {
                    assert_eq!(hypothesis.utterance, utterance, "{what}");
                    utterance += u64::from(hypothesis.is_final);
                }
                Event::Preview(tokens) => assert!(!tokens.is_empty(), "{what}"),
                Event::Heard(heard) => panic!("{heard:?}"),
            }
        }
        let all_ns = audio.len() as u64 * 62_500;
        assert_eq!((until, safe), (all_ns, all_ns), "{what}");
        let shown: Vec<String> =
            finals(&found).iter().flat_map(|last| last.tokens.iter().map(|token| token.text.clone())).collect();
        assert_eq!(told, shown, "{what}");
        // Segments overlap nowhere, but for a lead-in where an utterance began anew without text.
        assert!(counters.encoded_ns <= all_ns + 5 * 60 * MS_NS * (1 + all_ns / (5000 * MS_NS)), "{what}: {counters:?}");
        with_text += usize::from(!told.is_empty());
    }
    assert!(with_text > 25, "only {with_text} streams with text");
}

#[test]
fn every_call_can_be_broken_off() {
    let shared = detector();
    for (round, (options, audio)) in streams().into_iter().enumerate() {
        let stream = || Stream::with_vad(fake::model(0.45), shared.model.clone(), options);
        let mut calm = Loudness { flaky: false, failed: false };
        let expected = run(&mut Fake::hearing(), &mut stream(), &mut calm, vec![&audio], || false);
        let (mut stream, mut loudness) = (stream(), Loudness { flaky: true, failed: false });
        let mut fake = Fake::hearing();
        let mut network = Flaky { network: &mut fake, failed: false };
        stream.push(&audio);
        stream.finish();
        loop {
            match stream.step(&mut network, Some(&mut loudness)) {
                Ok(false) => break,
                Ok(true) | Err(Error::Cancelled) => {}
                Err(e) => panic!("{e}"),
            }
        }
        let found: Vec<Event> = std::iter::from_fn(|| stream.next_event()).collect();
        assert_eq!((found, stream.counters()), expected, "stream {round}");
    }
}

#[test]
fn a_stream_goes_on_after_its_end_and_after_a_reset() {
    let samples = &recording()[..5 * SECOND];
    let (SharedModel { model, mut client, .. }, mut shared) = (demo(), detector());
    let mut stream = Stream::with_vad(model, shared.model, options(800));
    let mut again = |stream: &mut Stream| run(&mut client, stream, &mut shared.client, vec![samples], || false).0;
    let first = again(&mut stream);
    let second = again(&mut stream);
    assert_eq!(texts(&first), texts(&second));
    let time = |events: &[Event]| finals(events)[0].tokens[0].start_ns;
    assert_eq!(time(&second) - time(&first), 5_000 * MS_NS);
    stream.reset();
    assert_eq!(again(&mut stream), first);
}

#[test]
fn a_model_of_another_kind_is_named() {
    let message = |folder: &Path| try_detector(folder).err().unwrap().to_string();
    assert!(message(Path::new("/no/such/folder")).contains("no such model folder"));
    let paraformer = message(&support::model_directory("demo"));
    assert!(paraformer.contains("model.onnx: expected a streaming FSMN-VAD"), "{paraformer}");
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        std::fs::copy(support::model_directory("vad-tiny").join(name), folder.path().join(name)).unwrap();
    };
    let missing = |name: &str| {
        let message = message(folder.path());
        assert!(message.contains(name) && message.contains("missing"), "{message}");
        copy(name);
    };
    missing("model.onnx");
    missing("config.yaml");
    missing("am.mvn");
    assert!(try_detector(folder.path()).is_ok());
    std::fs::write(folder.path().join("am.mvn"), "<AddShift> [ 1 2 ]").unwrap();
    assert!(message(folder.path()).contains("am.mvn: expected a component <Rescale>"), "{}", message(folder.path()));
    let bytes = std::fs::read(folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("model.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(message(folder.path()).contains("model.onnx: expected an ONNX graph"), "{}", message(folder.path()));
}
