//! What the tests share: goldens, recordings, models, and ways to run the engine.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod distance;
pub mod fake;
pub mod naive;
#[cfg(feature = "plugin")]
pub mod pipeline;
pub mod sha256;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use gstparaformer::engine::{
    ChunkSize, DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Event, Hypothesis, Model, Network, Result,
    Stream, StreamOptions,
};
use gstparaformer::runtime::registry::{self, ModelRequest, SharedModel};
use gstparaformer::runtime::{LibraryRequest, ModelSource, Precision};
use serde_json::Value;

/// One line of a file of goldens; what the file does not have is empty.
#[derive(Debug, Clone)]
pub struct Golden {
    pub model: String,
    pub precision: Precision,
    pub chunk: [i64; 3],
    pub audio: String,
    pub samples: usize,
    pub repeat: usize,
    /// The token ids of each encoder call.
    pub calls: Vec<Vec<usize>>,
    /// Pieces and fire times in ms, without special tokens.
    pub tokens: Vec<(String, f64)>,
    /// funasr_onnx: the text of each call; none for a last one that is not comparable.
    pub pieces: Vec<Option<String>>,
    pub sha256: String,
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path in tests/data.
pub fn data(path: &str) -> PathBuf {
    root().join("tests/data").join(path)
}

/// The folder of a model by its name in the goldens.
pub fn model_directory(name: &str) -> PathBuf {
    if name == "demo" { root().join("models/demo") } else { data("models").join(name) }
}

/// The lines of a file of goldens.
pub fn goldens(file: &str) -> Vec<Golden> {
    let path = data("goldens").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines: Vec<Golden> = text.lines().map(|line| golden(&serde_json::from_str(line).unwrap())).collect();
    assert!(!lines.is_empty(), "{file} is empty");
    lines
}

fn golden(line: &Value) -> Golden {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| line[key].as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let token = |token: &Value| (token[0].as_str().unwrap().to_owned(), token[1].as_f64().unwrap());
    Golden {
        model: text("model"),
        precision: match line["precision"].as_str() {
            Some("int8") => Precision::Int8Exact,
            Some("float32") => Precision::Float32,
            other => panic!("precision {other:?}"),
        },
        chunk: [0, 1, 2].map(|i| line["chunk_size"][i].as_i64().unwrap()),
        audio: text("audio"),
        samples: number(&line["samples"]),
        repeat: number(&line["repeat"]),
        calls: list("calls").iter().map(|call| call.as_array().unwrap().iter().map(number).collect()).collect(),
        tokens: list("tokens").iter().map(token).collect(),
        pieces: list("pieces").iter().map(|piece| piece.as_str().map(str::to_owned)).collect(),
        sha256: text("sha256"),
    }
}

impl Golden {
    /// The case, for messages.
    pub fn name(&self) -> String {
        let Self { model, chunk, audio, samples, repeat, .. } = self;
        format!("{model} {} {chunk:?} {audio} {samples} x{repeat}", self.precision.name())
    }

    /// The samples of the case; recordings are in `folder`.
    pub fn samples_in(&self, folder: &Path) -> Vec<f32> {
        if self.audio == "silence" {
            return vec![0.0; self.samples];
        }
        let once = read_wav(&folder.join(&self.audio));
        assert!(once.len() * self.repeat >= self.samples, "{}: too short", self.audio);
        once.iter().copied().cycle().take(self.samples).collect()
    }

    /// The options of the reference: no endpoint, no limit.
    pub fn options(&self) -> StreamOptions {
        one_utterance(self.chunk)
    }
}

/// The whole stream is one utterance.
pub fn one_utterance(chunk: [i64; 3]) -> StreamOptions {
    let chunk_size = ChunkSize::new(chunk[0], chunk[1], chunk[2]).unwrap();
    StreamOptions {
        chunk_size,
        endpoint_silence_ms: 0,
        max_utterance_ms: 0,
        preview: false,
        ..StreamOptions::default()
    }
}

/// The samples of a 16 kHz mono recording of 16-bit samples.
pub fn read_wav(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (16000, 1, 16), "{}", path.display());
    reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0).collect()
}

/// Writes such a recording.
pub fn write_wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample((sample * 32768.0) as i16).unwrap());
    writer.finalize().unwrap();
}

/// A recording of tests/data/audio.
pub fn recording(name: &str) -> Vec<f32> {
    read_wav(&data("audio").join(name))
}

/// Asks the registry for a model, and waits until its graphs are loaded.
pub fn try_open(directory: &Path, precision: Precision) -> Result<SharedModel> {
    let source = ModelSource::Directory(directory.into());
    let shared = registry::open(&ModelRequest { source, precision, library: LibraryRequest::default() })?;
    let (told, loaded) = mpsc::channel();
    shared.client.when_loaded(move |result| told.send(result).unwrap());
    loaded.recv().unwrap()?;
    Ok(shared)
}

/// As [`try_open`], of a model that must load.
pub fn open(directory: &Path, precision: Precision) -> SharedModel {
    try_open(directory, precision).unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
}

/// Makes all the steps that can be made, and takes the events.
pub fn drain(stream: &mut Stream, network: &mut dyn Network) -> Vec<Event> {
    while stream.step(network, None).unwrap() {}
    std::iter::from_fn(|| stream.next_event()).collect()
}

/// Pushes `samples` at once, ends the utterance, and takes the events.
pub fn finish(stream: &mut Stream, network: &mut dyn Network, samples: &[f32]) -> Vec<Event> {
    stream.push(samples);
    stream.finish();
    drain(stream, network)
}

/// All events of a new stream.
pub fn events_of(model: &Arc<Model>, network: &mut dyn Network, options: StreamOptions, samples: &[f32]) -> Vec<Event> {
    finish(&mut Stream::new(model.clone(), options), network, samples)
}

/// The last words of the utterances.
pub fn finals(events: &[Event]) -> Vec<&Hypothesis> {
    let hypotheses = events.iter().filter_map(|event| match event {
        Event::Hypothesis(hypothesis) => Some(hypothesis),
        _ => None,
    });
    hypotheses.filter(|hypothesis| hypothesis.is_final).collect()
}

/// The pieces of all utterances, and their fire times in ms.
pub fn pieces(events: &[Event]) -> Vec<(String, f64)> {
    let pieces = finals(events).into_iter().flat_map(|hypothesis| &hypothesis.pieces);
    pieces.map(|piece| (piece.text.clone(), piece.fire_ns as f64 / 1e6)).collect()
}

/// The same pieces, at times no further apart than `tolerance_ms`: else, what differs first.
pub fn compare(
    found: &[(String, f64)],
    expected: &[(String, f64)],
    tolerance_ms: f64,
) -> std::result::Result<(), String> {
    for (number, (a, b)) in found.iter().zip(expected).enumerate() {
        if a.0 != b.0 || (a.1 - b.1).abs() > tolerance_ms {
            return Err(format!("token {number} is {a:?}, expected {b:?}"));
        }
    }
    if found.len() != expected.len() {
        return Err(format!("{} tokens, expected {}", found.len(), expected.len()));
    }
    Ok(())
}

/// Watches the calls of a network.
pub struct Observed<'a> {
    pub network: &'a mut dyn Network,
    /// The rows of each encoder call's window.
    pub windows: Vec<usize>,
    /// The best ids that the decoder gave after each encoder call.
    pub ids: Vec<Vec<usize>>,
}

impl<'a> Observed<'a> {
    pub fn new(network: &'a mut dyn Network) -> Self {
        Self { network, windows: Vec::new(), ids: Vec::new() }
    }
}

impl Network for Observed<'_> {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        self.network.encode(input, output)?;
        self.windows.push(input.frames);
        self.ids.push(Vec::new());
        Ok(())
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        self.network.decode(input, output)?;
        let rows = output.logits.chunks_exact(output.logits.len() / input.tokens);
        self.ids.last_mut().unwrap().extend(rows.map(best));
        Ok(())
    }
}

/// The first of the highest.
pub fn best(logits: &[f32]) -> usize {
    (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

/// Random numbers, the same in every run (Marsaglia's xorshift64*).
pub struct Random(pub u64);

impl Random {
    /// 0 to `end`, without `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % end
    }

    /// -1 to 1.
    pub fn sample(&mut self) -> f32 {
        self.below(65536) as f32 / 32768.0 - 1.0
    }
}

/// Parts `samples` at random places; some parts are empty, some hold one sample.
pub fn cut<'a>(samples: &'a [f32], random: &mut Random) -> Vec<&'a [f32]> {
    let (mut parts, mut rest) = (Vec::new(), samples);
    while !rest.is_empty() {
        let length = match random.below(8) {
            0 => 0,
            1 => 1,
            2 => random.below(400),
            3 => 960,
            4 => random.below(40000),
            _ => random.below(4000),
        };
        let (part, others) = rest.split_at(length.min(rest.len()));
        parts.push(part);
        rest = others;
    }
    parts
}
