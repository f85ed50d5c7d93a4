//! What holds for every stream, however it is cut, shared, broken off or ended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gstparaformer::engine::frontend::fbank::{Fbank, FbankPlan};
use gstparaformer::engine::hypothesis::{Recognised, joined};
use gstparaformer::engine::{DisplayToken, Error, Event, Piece, Stream, StreamOptions};
use gstparaformer::runtime::Precision;
use gstparaformer::runtime::registry::SharedModel;
use support::fake::{self, Fake, Flaky};
use support::{Observed, Random, cut, drain, events_of, finals, one_utterance, pieces};

const MINUTE: usize = 60 * 16000;

fn tiny() -> SharedModel {
    support::open(&support::model_directory("tiny-1"), Precision::Int8Exact)
}

/// The real model hears pauses; the tiny ones, which are random, hear none.
fn demo() -> SharedModel {
    support::open(&support::model_directory("demo"), Precision::Int8Exact)
}

/// With utterances that end by silence, and others that are too long.
fn usual(endpoint_silence_ms: u32, max_utterance_ms: u32) -> StreamOptions {
    StreamOptions { endpoint_silence_ms, max_utterance_ms, ..StreamOptions::default() }
}

/// Speech of three voices with pauses of two seconds between, then speech without any.
fn speech_with_pauses() -> Vec<f32> {
    let (speech, pause) = (support::recording("speech.wav"), vec![0.0; 32_000]);
    let sentence = |name: &str| support::recording(&format!("sentences/{name}.wav"));
    [speech.clone(), pause.clone(), sentence("002"), pause.clone(), sentence("005"), sentence("009"), speech, pause]
        .concat()
}

/// Noise and digital silence in turn, of random lengths up to `longest` samples.
fn bursts(random: &mut Random, samples: usize, longest: usize) -> Vec<f32> {
    let mut audio = Vec::new();
    while audio.len() < samples {
        for _ in 0..random.below(longest) {
            audio.push(random.sample() * 0.3);
        }
        audio.resize(audio.len() + random.below(longest), 0.0);
    }
    audio.truncate(samples);
    audio
}

/// The tokens that came one by one.
fn tokens(events: &[Event]) -> Vec<&DisplayToken> {
    let tokens = events.iter().filter_map(|event| match event {
        Event::Token(token) => Some(token),
        _ => None,
    });
    tokens.collect()
}

/// Splits and ends by silence did happen: else a test of them tests nothing.
fn assert_utterances(events: &[Event], at_least: usize) {
    let utterances = finals(events).len();
    assert!(utterances >= at_least, "only {utterances} utterances");
}

#[test]
fn cutting_changes_nothing() {
    let SharedModel { model, mut client, .. } = demo();
    let audio = speech_with_pauses();
    let mut random = Random(1);
    for (options, utterances) in [(one_utterance([5, 10, 5]), 1), (usual(800, 3000), 6), (usual(800, 30_000), 3)] {
        let expected = events_of(&model, &mut client, options, &audio);
        assert_utterances(&expected, utterances);
        for _ in 0..4 {
            let (mut stream, mut found) = (Stream::new(model.clone(), options), Vec::new());
            for part in cut(&audio, &mut random) {
                stream.push(part);
                // Steps may wait, too.
                if random.below(3) > 0 {
                    found.extend(drain(&mut stream, &mut client));
                }
            }
            found.extend(support::finish(&mut stream, &mut client, &[]));
            assert_eq!(found, expected);
        }
    }
}

/// The last token of an utterance, which only its end makes fire, is told of before, and what follows is as without that.
#[test]
fn a_preview_comes_early_and_changes_nothing() {
    let SharedModel { model, mut client, .. } = demo();
    let audio = speech_with_pauses();
    let (mut previews, mut right) = (0, 0);
    for options in [usual(800, 30_000), usual(800, 3000), usual(0, 0)] {
        let with = events_of(&model, &mut client, options, &audio);
        let without = events_of(&model, &mut client, StreamOptions { preview: false, ..options }, &audio);
        let mut left = Vec::new();
        for (at, event) in with.iter().enumerate() {
            let Event::Preview(tokens) = event else {
                left.push(event.clone());
                continue;
            };
            let Some(Event::Hypothesis(told)) = left.pop() else { panic!("{:?}", left.last()) };
            assert!(!told.is_final && told.text.ends_with(&tokens[tokens.len() - 1].text), "{told:?}");
            let later = finals(&with[at..]).into_iter().find(|last| last.utterance == told.utterance).unwrap();
            // An utterance that is too long may be parted before the token.
            if options.max_utterance_ms != 3000 {
                previews += 1;
                right += usize::from(later.text.starts_with(&told.text));
            }
        }
        assert_eq!(left, without, "{options:?}");
    }
    assert!(previews >= 6 && right == previews, "{right} of {previews} previews were right");
}

/// Part of a word, too short to be a token, has no share in what is said after a silence; and a word alone is an
/// utterance that ends in time.
#[test]
fn a_piece_of_a_word_is_not_added_to_the_next() {
    let SharedModel { model, mut client, .. } = demo();
    let speech = support::read_wav(&support::root().join("examples/recording.wav"));
    let words = speech.iter().position(|sample| sample.abs() > 0.01).unwrap();
    let mut single_words = 0;
    for length in (480..9600).step_by(480) {
        let piece = &speech[words..words + length];
        let audio = [piece, &[0.0; 48_000], &speech].concat();
        let found = events_of(&model, &mut client, usual(800, 30_000), &audio);
        let finals: Vec<_> = finals(&found).into_iter().map(|last| last.text.as_str()).collect();
        let (before, sentences) = finals.split_at(finals.len() - 4);
        assert!(before.len() <= 1, "{finals:?}");
        assert_eq!(sentences[0], "大家好欢迎使用实时字幕", "after {length} samples: {finals:?}");
        single_words += usize::from(before.iter().any(|text| text.chars().count() == 1));
    }
    assert!(single_words > 0, "no piece was a word");
}

/// Each final text comes with the frames of its own audio, and nothing else changes.
#[test]
fn an_utterance_s_audio_comes_with_its_text() {
    let SharedModel { model, mut client, .. } = demo();
    let audio = speech_with_pauses();
    let mut frames = Vec::new();
    Fbank::default().push(&FbankPlan::default(), &audio, &mut frames);
    for options in [usual(800, 30_000), usual(800, 3000), usual(0, 0)] {
        let without = events_of(&model, &mut client, options, &audio);
        let with = events_of(&model, &mut client, StreamOptions { keep_frames: true, ..options }, &audio);
        let (mut others, mut heard, mut end_ns) = (Vec::new(), None, 0);
        for event in with {
            match &event {
                Event::Heard(one) => heard = Some(one.clone()),
                Event::Hypothesis(last) if last.is_final => {
                    let heard = heard.take().unwrap();
                    assert!(heard.start_ns >= end_ns, "{} before {end_ns}", heard.start_ns);
                    end_ns = heard.start_ns + heard.frames.len() as u64 / 80 * 10_000_000;
                    let from = (heard.start_ns / 10_000_000) as usize * 80;
                    assert!(frames[from..].starts_with(&heard.frames), "other frames from {} on", heard.start_ns);
                    let (first, last) = (&last.tokens[0], &last.tokens[last.tokens.len() - 1]);
                    // A token may lie across the place where an utterance that is too long is parted.
                    let across_ns = if options.max_utterance_ms == 3000 { 300_000_000 } else { 0 };
                    assert!(heard.start_ns <= first.start_ns + across_ns, "{} {first:?}", heard.start_ns);
                    assert!(last.end_ns <= end_ns + 60_000_000 + across_ns, "{last:?} {end_ns}");
                }
                _ => {}
            }
            if !matches!(event, Event::Heard(_)) {
                others.push(event);
            }
        }
        assert_eq!(others, without);
    }
}

#[test]
fn single_samples_change_nothing() {
    let SharedModel { model, mut client, .. } = tiny();
    let audio = &support::recording("speech.wav")[..30_000];
    let expected = events_of(&model, &mut client, usual(800, 600), audio);
    let (mut stream, mut found) = (Stream::new(model.clone(), usual(800, 600)), Vec::new());
    for sample in audio.chunks(1) {
        stream.push(sample);
        found.extend(drain(&mut stream, &mut client));
    }
    found.extend(support::finish(&mut stream, &mut client, &[]));
    assert_eq!(found, expected);
}

#[test]
fn streams_that_share_a_model_do_not_touch_each_other() {
    let audio = speech_with_pauses();
    let streams = [(0, 0, 0), (800, 3000, 7_000), (800, 30_000, 50_001), (0, 3000, 1), (800, 0, 99_999)];
    let shared = demo();
    let alone: Vec<Vec<Event>> = streams
        .iter()
        .map(|&(silence, limit, skip)| {
            events_of(&shared.model, &mut demo().client, usual(silence, limit), &audio[skip..])
        })
        .collect();
    assert_utterances(&alone[1], 6);

    // One thread, in turn.
    let mut random = Random(2);
    let mut running: Vec<_> = streams
        .iter()
        .map(|&(silence, limit, skip)| {
            (Stream::new(shared.model.clone(), usual(silence, limit)), demo().client, &audio[skip..], Vec::new())
        })
        .collect();
    while running.iter().any(|(_, _, rest, _)| !rest.is_empty()) {
        let turn = random.below(running.len());
        let (stream, client, rest, found) = &mut running[turn];
        let (part, others) = rest.split_at(random.below(20_000).min(rest.len()));
        *rest = others;
        stream.push(part);
        found.extend(drain(stream, client));
    }
    for ((mut stream, mut client, _, mut found), alone) in running.into_iter().zip(&alone) {
        found.extend(support::finish(&mut stream, &mut client, &[]));
        assert_eq!(&found, alone);
    }

    // A thread each, at once.
    thread::scope(|scope| {
        let running: Vec<_> = streams
            .map(|(silence, limit, skip)| {
                let audio = &audio[skip..];
                scope.spawn(move || {
                    let SharedModel { model, mut client, .. } = demo();
                    events_of(&model, &mut client, usual(silence, limit), audio)
                })
            })
            .into_iter()
            .collect();
        for (stream, alone) in running.into_iter().zip(&alone) {
            assert_eq!(&stream.join().unwrap(), alone);
        }
    });
}

/// A call that was broken off is made again, and what it left in the buffers does no harm.
#[test]
fn every_call_can_be_broken_off() {
    let SharedModel { model, mut client, .. } = tiny();
    let speech = support::recording("speech.wav");
    let lengths = (8_000..12_000).step_by(120).chain((30_000..40_000).step_by(700));
    for (samples, chunk) in
        lengths.flat_map(|samples| [(samples, [5, 10, 5]), (samples, [0, 4, 2]), (samples, [0, 2, 0])])
    {
        let mut network = Observed::new(&mut client);
        let expected = events_of(&model, &mut network, one_utterance(chunk), &speech[..samples]);
        let windows = network.windows;

        let mut observed = Observed::new(&mut client);
        let mut stream = Stream::new(model.clone(), one_utterance(chunk));
        stream.push(&speech[..samples]);
        stream.finish();
        {
            let mut network = Flaky { network: &mut observed, failed: false };
            loop {
                match stream.step(&mut network, None) {
                    Ok(false) => break,
                    Ok(true) | Err(Error::Cancelled) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }
        let found: Vec<Event> = std::iter::from_fn(|| stream.next_event()).collect();
        assert_eq!(observed.windows, windows, "rows of each window, {samples} samples by {chunk:?}");
        assert_eq!(found, expected, "{samples} samples by {chunk:?}");
    }
}

/// Another thread breaks off the wait at any moment, and lets go at once or later.
#[test]
fn cancelling_at_random_moments_loses_nothing() {
    let SharedModel { model, mut client, .. } = tiny();
    let audio = [support::recording("speech.wav"), support::recording("noise.wav")].concat();
    let expected = events_of(&model, &mut client, usual(800, 3000), &audio);
    let (canceller, stop) = (client.canceller(), AtomicBool::new(false));
    let mut cancelled = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(3);
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(random.below(3000) as u64));
                canceller.cancel();
                thread::sleep(Duration::from_micros(random.below(200) as u64));
                canceller.resume();
            }
        });
        for _ in 0..5 {
            let mut stream = Stream::new(model.clone(), usual(800, 3000));
            stream.push(&audio);
            stream.finish();
            loop {
                match stream.step(&mut client, None) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(Error::Cancelled) => cancelled += 1,
                    Err(e) => panic!("{e}"),
                }
            }
            let found: Vec<Event> = std::iter::from_fn(|| stream.next_event()).collect();
            assert_eq!(found, expected);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(cancelled > 20, "cancelled only {cancelled} times");
}

/// A wait that is broken off and let go again in one breath is broken off all the same, and never hangs.
#[test]
fn a_short_cancel_is_a_cancel() {
    let (gate, opened) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let (worker, mut first) =
        gstparaformer::scheduler::RecognitionWorker::spawn("test", Duration::from_millis(1), (), move || {
            Ok(vec![Box::new(Gated { opened, entered }) as Box<dyn gstparaformer::engine::Network>])
        })
        .unwrap();
    let mut second = worker.client().unwrap();
    let canceller = second.canceller();
    let (told, results) = mpsc::channel();
    let call = |client: &mut gstparaformer::scheduler::RecognitionClient| {
        use gstparaformer::engine::{EncoderInput, EncoderOutput, Network};
        client.encode(EncoderInput { features: &[0.0; 560], frames: 1 }, &mut EncoderOutput::default())
    };
    let busy = thread::spawn(move || call(&mut first));
    inside.recv().unwrap();
    let waiting = thread::spawn(move || {
        let result = call(&mut second);
        told.send(result).unwrap();
    });
    // The worker is busy, so the second call can only be waiting, once it has had the time to begin.
    thread::sleep(Duration::from_millis(100));
    canceller.cancel();
    canceller.resume();
    let result = results.recv_timeout(Duration::from_secs(5));
    gate.send(()).unwrap();
    let _ = gate.send(());
    assert_eq!(busy.join().unwrap(), Ok(()));
    assert_eq!(result, Ok(Err(Error::Cancelled)), "while the worker was busy with another call");
    waiting.join().unwrap();
}

/// A network that takes its time.
struct Gated {
    opened: mpsc::Receiver<()>,
    entered: mpsc::Sender<()>,
}

impl gstparaformer::engine::Network for Gated {
    fn encode(
        &mut self,
        _: gstparaformer::engine::EncoderInput<'_>,
        _: &mut gstparaformer::engine::EncoderOutput,
    ) -> gstparaformer::engine::Result<()> {
        let _ = self.entered.send(());
        let _ = self.opened.recv();
        Ok(())
    }

    fn decode(
        &mut self,
        _: gstparaformer::engine::DecoderInput<'_>,
        _: &mut gstparaformer::engine::DecoderOutput,
    ) -> gstparaformer::engine::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_reset_nothing_is_left() {
    let SharedModel { model, mut client, .. } = tiny();
    let audio = support::recording("speech.wav");
    let expected = events_of(&model, &mut client, usual(800, 2000), &audio);
    let mut stream = Stream::new(model.clone(), usual(800, 2000));
    let mut random = Random(4);
    for _ in 0..12 {
        stream.push(&support::recording("noise.wav")[..random.below(60_000)]);
        if random.below(2) == 0 {
            stream.finish();
        }
        for _ in 0..random.below(9) {
            // Some calls fail, so that the reset comes between the encoder and the decoder, too.
            let mut network = Flaky { network: &mut client, failed: random.below(2) == 0 };
            let _ = stream.step(&mut network, None);
        }
        stream.reset();
        assert_eq!(stream.samples(), 0);
        assert_eq!(support::finish(&mut stream, &mut client, &audio), expected);
        stream.reset();
    }
}

#[test]
fn finishing_twice_says_nothing_twice() {
    let SharedModel { model, mut client, .. } = tiny();
    let audio = support::recording("noise.wav");
    let mut stream = Stream::new(model, one_utterance([5, 10, 5]));
    let empty = support::finish(&mut stream, &mut client, &[]);
    assert!(tokens(&empty).is_empty() && finals(&empty).is_empty(), "{empty:?}");
    let first = support::finish(&mut stream, &mut client, &audio);
    assert_utterances(&first, 1);
    let again = support::finish(&mut stream, &mut client, &[]);
    assert!(tokens(&again).is_empty() && finals(&again).is_empty(), "{again:?}");
    assert!(!stream.step(&mut client, None).unwrap());
}

/// What follows an end is a new utterance, with the tokens that it would have alone, later by what came before.
#[test]
fn utterances_after_a_finish_begin_anew() {
    let SharedModel { model, mut client, .. } = tiny();
    let (speech, noise) = (support::recording("speech.wav"), support::recording("noise.wav"));
    let mut stream = Stream::new(model.clone(), one_utterance([5, 10, 5]));
    let mut before = 0;
    for (utterance, audio) in
        [&speech[..], &noise, &speech[..50_001], &noise[..401], &speech[..100]].into_iter().enumerate()
    {
        let alone = events_of(&model, &mut client, one_utterance([5, 10, 5]), audio);
        let found = support::finish(&mut stream, &mut client, audio);
        let shift_ns = before as u64 * 62_500;
        let shifted: Vec<_> = pieces(&alone).into_iter().map(|(text, ms)| (text, ms + shift_ns as f64 / 1e6)).collect();
        support::compare(&pieces(&found), &shifted, 1e-6).unwrap();
        for (found, alone) in tokens(&found).iter().zip(tokens(&alone)) {
            assert_eq!((found.start_ns, found.end_ns), (alone.start_ns + shift_ns, alone.end_ns + shift_ns));
        }
        for found in finals(&found) {
            assert_eq!(found.utterance, utterance as u64);
        }
        before += audio.len();
    }
}

/// Checkpoint C10: windows, fires of each call, and what the sum of alphas keeps, which shows in the times.
#[test]
fn c10_chunk_bookkeeping() {
    let mut random = Random(5);
    let audio: Vec<f32> = (0..40_000).map(|_| random.sample() * 0.3).collect();
    let cases: [(&[usize], &[usize], &[usize]); 4] = [
        (&[9600, 9600, 9600, 3200], &[20, 20, 20, 13], &[1, 3, 3, 3]),
        (&[9600, 9600, 500], &[20, 20, 11], &[1, 3, 2]),
        (&[9600, 9600, 7000], &[20, 20, 17], &[1, 3, 4]),
        (&[5000], &[15], &[1]),
    ];
    for (parts, windows, fires) in cases {
        let samples: usize = parts.iter().sum();
        let mut fake = Fake::steady();
        let mut network = Observed::new(&mut fake);
        let events = events_of(&fake::model(0.45), &mut network, one_utterance([5, 10, 5]), &audio[..samples]);
        let found: Vec<usize> = network.ids.iter().map(Vec::len).collect();
        assert_eq!((network.windows.as_slice(), found.as_slice()), (windows, fires), "{parts:?}");

        let pieces = pieces(&events);
        assert_eq!(pieces.len(), fires.iter().sum::<usize>());
        let end_ms = samples as f64 / 16.0;
        // Each row holds 0.3 of a token and spans 60 ms, the first from -17.5 ms; the tail's token ends with the audio.
        let rows = (samples - 400) / 160 / 6 + 1;
        for (number, (text, ms)) in (1..).zip(&pieces) {
            let expected = f64::from(number) / 0.3 * 60.0 - 17.5;
            let in_rows = f64::from(number) <= rows as f64 * 0.3 + 1e-3;
            let expected = if in_rows { expected.min(end_ms) } else { end_ms };
            assert!((ms - expected).abs() < 0.01, "{parts:?} token {number}: {ms}, expected {expected}");
            assert_eq!(text, fake::PIECES[(number as usize - 1) % fake::PIECES.len()]);
        }
    }
}

/// Parting an utterance that is too long moves no token and loses none.
#[test]
fn splits_lose_and_double_nothing() {
    let mut random = Random(6);
    for round in 0..12 {
        let audio = bursts(&mut random, 3 * MINUTE / 2, 40_000);
        for limit in [60, 600, 3000, 20_000] {
            let options = usual(0, limit);
            let whole = events_of(&fake::model(0.45), &mut Fake::hearing(), usual(0, 0), &audio);
            let parted = events_of(&fake::model(0.45), &mut Fake::hearing(), options, &audio);
            assert_eq!(finals(&whole).len(), 1);
            assert_utterances(&parted, if limit > 3000 { 2 } else { 8 });
            let all = |events: &[Event]| -> Vec<Piece> {
                finals(events).iter().flat_map(|hypothesis| hypothesis.pieces.clone()).collect()
            };
            assert_eq!(all(&parted), all(&whole), "round {round}, limit {limit} ms");
        }
    }
}

/// A piece of a word that is still open goes on with its word, also where it fired together with the word before.
#[test]
fn a_split_takes_no_word_apart() {
    let piece = |text: &str, end_ns| Piece { text: text.into(), start_ns: 0, end_ns, fire_ns: end_ns, confidence: 1.0 };
    let mut recognised = Recognised::new(StreamOptions::default().spacing);
    recognised.push(piece("你", 5));
    recognised.push(piece("he@@", 5));
    recognised.push(piece("llo", 20));
    let first = recognised.split(10).unwrap();
    let second = recognised.finish().unwrap();
    assert_eq!((first.text.as_str(), first.pieces.len()), ("你", 1));
    assert_eq!((second.text.as_str(), second.pieces.len()), ("hello", 2));
}

/// Every law of a stream's events.
fn assert_lawful(events: &[Event], samples: usize, what: &str) {
    let end_ns = samples as u64 * 62_500;
    let (mut last_end, mut last_start, mut advanced, mut utterance) = (0, 0, 0, 0);
    for event in events {
        match event {
            Event::Token(token) => {
                assert!(token.start_ns <= token.end_ns, "{what}: {token:?}");
                assert!(last_start <= token.start_ns && last_end <= token.end_ns, "{what}: {token:?} after {last_end}");
                assert!(token.end_ns <= end_ns, "{what}: {token:?} beyond {end_ns}");
                assert!((0.0..=1.0).contains(&token.confidence), "{what}: {token:?}");
                assert!(!token.text.is_empty() && token.text.trim() == token.text, "{what}: {token:?}");
                (last_start, last_end) = (token.start_ns, token.end_ns);
            }
            Event::Advanced { until_ns, .. } => {
                assert!(advanced <= *until_ns, "{what}: {until_ns} after {advanced}");
                advanced = *until_ns;
            }
            Event::Hypothesis(hypothesis) => {
                assert_eq!(hypothesis.utterance, utterance, "{what}");
                assert_eq!(hypothesis.text, joined(&hypothesis.tokens), "{what}");
                assert!(hypothesis.pieces.is_sorted_by_key(|piece| piece.fire_ns), "{what}");
                for piece in &hypothesis.pieces {
                    assert!(piece.start_ns <= piece.end_ns && piece.end_ns <= piece.fire_ns, "{what}: {piece:?}");
                    assert!(piece.fire_ns <= end_ns, "{what}: {piece:?} beyond {end_ns}");
                }
                utterance += u64::from(hypothesis.is_final);
            }
            Event::Heard(heard) => panic!("{what}: {heard:?} was not asked for"),
            Event::Preview(tokens) => {
                assert!(!tokens.is_empty() && tokens.is_sorted_by_key(|token| token.start_ns), "{what}: {tokens:?}");
                assert!(tokens.iter().all(|token| last_start <= token.start_ns && token.end_ns <= end_ns), "{what}");
            }
        }
    }
    assert!(advanced >= end_ns, "{what}: told of {advanced} of {end_ns}");
    let same = |a: &DisplayToken, b: &DisplayToken| {
        (&a.text, a.start_ns, a.end_ns, a.confidence) == (&b.text, b.start_ns, b.end_ns, b.confidence)
    };
    let told = tokens(events);
    let last: Vec<&DisplayToken> = finals(events).into_iter().flat_map(|hypothesis| &hypothesis.tokens).collect();
    assert_eq!(told.len(), last.len(), "{what}: tokens told of, and tokens of the utterances");
    for (told, last) in told.iter().zip(&last) {
        assert!(same(told, last), "{what}: {told:?} was told of, {last:?} is in its utterance");
    }
}

/// Streams of every kind by the fake network, whose tail holds this alpha.
fn assert_fakes_lawful(tail: f32, rounds: usize) {
    let mut random = Random(7);
    let all_options = [
        one_utterance([5, 10, 5]),
        one_utterance([0, 1, 0]),
        one_utterance([0, 10, 0]),
        usual(800, 0),
        usual(200, 900),
        usual(800, 3000),
    ];
    for round in 0..rounds {
        let samples = random.below(20 * 16000);
        let audio = bursts(&mut random, samples, 30_000);
        for options in all_options {
            let what = format!("round {round}, {samples} samples, {options:?}");
            let alphas: [fn(&[f32]) -> f32; 3] = [|_| 0.3, |_| 1.0, |row| (row[3].abs() * 7.0).fract()];
            for mut fake in alphas.map(|alpha| Fake { alpha }).into_iter().chain([Fake::hearing()]) {
                assert_lawful(&events_of(&fake::model(tail), &mut fake, options, &audio), samples, &what);
            }
        }
    }
}

/// A configuration may have another tail than the published 0.45.
#[test]
fn events_are_lawful_with_a_high_tail_threshold() {
    assert_fakes_lawful(0.95, 20);
}

#[test]
fn events_are_lawful() {
    assert_fakes_lawful(0.45, 30);
    for SharedModel { model, mut client, .. } in [tiny(), demo()] {
        let audio = speech_with_pauses();
        for options in [one_utterance([5, 10, 5]), usual(800, 3000), usual(300, 30_000), usual(0, 1000)] {
            let events = events_of(&model, &mut client, options, &audio);
            assert_lawful(&events, audio.len(), &format!("{options:?}"));
        }
    }
}

/// The events of streams of sound and silence, their samples, and what to call them.
fn advances() -> Vec<(Vec<Event>, usize, String)> {
    let mut random = Random(10);
    let mut all = Vec::new();
    for round in 0..20 {
        let samples = random.below(20 * 16000);
        let audio = bursts(&mut random, samples, 30_000);
        for options in [one_utterance([5, 10, 5]), one_utterance([0, 10, 0]), usual(800, 0)] {
            let events = events_of(&fake::model(0.45), &mut Fake::hearing(), options, &audio);
            all.push((events, samples, format!("round {round}, {samples} samples, {options:?}")));
        }
    }
    all
}

/// A row's weight lies up to 17.5 ms before its number times 60 ms.
const ROW_LEAD_NS: u64 = 17_500_000;

/// Tokens of rows that have been given out have come, and nobody can know of audio that has not.
#[test]
fn no_token_fires_before_an_advance() {
    for (events, samples, what) in advances() {
        let (mut until, mut utterance, mut told) = (0, 0, 0);
        for event in events {
            match event {
                Event::Advanced { until_ns, .. } => {
                    assert!(until_ns <= samples as u64 * 62_500, "{what}: told of {until_ns}, beyond the audio");
                    until = until_ns;
                }
                Event::Hypothesis(hypothesis) => {
                    told = if hypothesis.utterance == utterance { told } else { 0 };
                    utterance = hypothesis.utterance;
                    for piece in hypothesis.pieces.get(told..).unwrap_or_default() {
                        // The pieces of a word are told of when it closes, and the last one closes it.
                        if piece.text.ends_with("@@") {
                            continue;
                        }
                        assert!(piece.fire_ns + ROW_LEAD_NS >= until, "{what}: {piece:?} fired before {until}");
                    }
                    told = hypothesis.pieces.len();
                }
                // Its last piece has not fired yet.
                Event::Preview(_) => told -= 1,
                Event::Token(_) | Event::Heard(_) => {}
            }
        }
    }
}

/// "No token that is still to come starts before this time, but for one that waited over 600 ms for its last part."
#[test]
fn no_token_starts_before_the_safe_time() {
    for (events, _, what) in advances() {
        let pieces: Vec<Piece> = finals(&events).iter().flat_map(|hypothesis| hypothesis.pieces.clone()).collect();
        let mut safe = 0;
        for event in events {
            match event {
                Event::Advanced { safe_ns, .. } => safe = safe_ns,
                Event::Token(token) => {
                    let first = pieces.iter().find(|piece| piece.start_ns == token.start_ns).unwrap();
                    let waited = first.fire_ns - first.start_ns > 600_000_000;
                    assert!(waited || token.start_ns >= safe, "{what}: {token:?} starts before {safe}");
                }
                Event::Hypothesis(_) | Event::Preview(_) | Event::Heard(_) => {}
            }
        }
    }
}

/// The features of 16-bit samples, by the definition and in double precision: they must be taken for whole numbers.
#[test]
fn the_fbank_is_its_definition() {
    let mut random = Random(8);
    let speech = support::recording("speech.wav");
    let loud: Vec<f32> =
        (0..4000).map(|_| (random.below(65536) as i32 - 32768) as i16).map(|x| f32::from(x) / 32768.0).collect();
    for audio in [&speech[20_000..26_000], &speech[90_000..96_000], &loud] {
        let mut frames = Vec::new();
        Fbank::default().push(&FbankPlan::default(), audio, &mut frames);
        let whole: Vec<f64> = audio.iter().map(|&x| f64::from(x) * 32768.0).collect();
        assert!(whole.iter().all(|x| x.fract() == 0.0));
        let expected: Vec<f64> = whole.windows(400).step_by(160).flat_map(naive_fbank).collect();
        assert_eq!(frames.len(), expected.len());
        for (number, (found, expected)) in frames.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(error < 2e-3, "frame {} bin {}: {found}, expected {expected}", number / 80, number % 80);
        }
    }
}

/// One frame: mean, pre-emphasis, Hamming window, a Fourier transform by its sum, triangles in mel, logarithm.
fn naive_fbank(window: &[f64]) -> Vec<f64> {
    let mean = window.iter().sum::<f64>() / 400.0;
    let x: Vec<f64> = window.iter().map(|x| x - mean).collect();
    let angle = 2.0 * std::f64::consts::PI;
    let shaped = |n: usize| {
        let hamming = 0.54 - 0.46 * (angle * n as f64 / 399.0).cos();
        (x[n] - 0.97 * x[n.saturating_sub(1)]) * hamming
    };
    let y: Vec<f64> = (0..400).map(shaped).collect();
    let power = |k: usize| {
        let sum = |f: fn(f64) -> f64| -> f64 {
            y.iter().enumerate().map(|(n, y)| y * f(angle * (k * n) as f64 / 512.0)).sum()
        };
        sum(f64::cos).powi(2) + sum(f64::sin).powi(2)
    };
    let powers: Vec<f64> = (0..256).map(power).collect();
    let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
    let edge = |bin: usize| mel(20.0) + (mel(8000.0) - mel(20.0)) * bin as f64 / 81.0;
    let energy = |bin: usize| -> f64 {
        let weight = |k: usize| {
            let m = mel(31.25 * k as f64);
            let (rising, falling) =
                ((m - edge(bin)) / (edge(bin + 1) - edge(bin)), (edge(bin + 2) - m) / (edge(bin + 2) - edge(bin + 1)));
            rising.min(falling).max(0.0)
        };
        (0..256).map(|k| weight(k) * powers[k]).sum()
    };
    (0..80).map(|bin| energy(bin).max(f64::from(f32::EPSILON)).ln()).collect()
}

/// Says that this process is the one that measures its own memory.
const MEASURING: &str = "PARAFORMER_TEST_MEASURES";

/// An hour uses the memory of its first ten minutes. In a process of its own: other tests use memory, too.
#[test]
fn an_hour_uses_the_memory_of_ten_minutes() {
    if std::env::var_os(MEASURING).is_none() {
        let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
        let output = itself
            .args(["--exact", "an_hour_uses_the_memory_of_ten_minutes", "--nocapture"])
            .env(MEASURING, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("grew by") || said.contains("skipped:"), "{said}");
        return;
    }
    if resident_kib().is_none() {
        println!("skipped: no /proc/self/status on this system");
        return;
    }
    let mut random = Random(9);
    let minute = bursts(&mut random, MINUTE, 60_000);
    let silence = vec![0.0; MINUTE];
    for (options, minute) in [
        (usual(800, 30_000), &minute),
        (usual(0, 30_000), &minute),
        (usual(800, 30_000), &silence),
        (usual(0, 0), &silence),
    ] {
        let (mut stream, mut network) = (Stream::new(fake::model(0.45), options), Fake::hearing());
        let mut after_ten = 0;
        for number in 0..60 {
            for part in minute.chunks(333) {
                stream.push(part);
                while stream.step(&mut network, None).unwrap() {}
                while stream.next_event().is_some() {}
            }
            if number == 9 {
                after_ten = resident_kib().unwrap();
            }
        }
        let grown = resident_kib().unwrap().saturating_sub(after_ten);
        println!("grew by {grown} KiB from {after_ten} KiB");
        assert!(grown < 256, "grew by {grown} KiB in 50 minutes, {options:?}");
    }
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}
