//! How much of a chunk is our own: everything but the two graphs' runs, from samples to text.
//!
//! cargo bench --bench overhead -- [MODEL_DIR [WAV]]
//!
//! Without a folder: the demonstration model. One thread, chunk size [5,10,5], each figure the median of five runs.

#![allow(clippy::expect_used)] // A benchmark that cannot run says why and stops.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gstparaformer::engine::{
    DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Network, Result, SAMPLE_RATE, Stream, StreamOptions,
};
use gstparaformer::runtime::registry::{self, ModelRequest};
use gstparaformer::runtime::{LibraryRequest, ModelSource, Precision};
use gstparaformer::scheduler::RecognitionClient;

/// Measures the time spent in the network, the way to its thread and back included or not.
struct Timed<'a> {
    client: &'a mut RecognitionClient,
    calls: u32,
    inside: Duration,
}

impl Network for Timed<'_> {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        let started = Instant::now();
        let result = self.client.encode(input, output);
        self.inside += started.elapsed();
        self.calls += 1;
        result
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        let started = Instant::now();
        let result = self.client.decode(input, output);
        self.inside += started.elapsed();
        result
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|argument| argument != "--bench").map(PathBuf::from).collect();
    let wav = arguments
        .get(1)
        .cloned()
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/recording.wav"));
    let mut reader = hound::WavReader::open(&wav).expect("a WAV file");
    assert_eq!(reader.spec().sample_rate, SAMPLE_RATE);
    let samples: Vec<f32> =
        reader.samples::<i16>().map(|sample| f32::from(sample.expect("a sample")) / 32768.0).collect();
    let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
    let mut shared = registry::open(&ModelRequest {
        source: arguments.first().cloned().map_or(ModelSource::BuiltIn, ModelSource::Directory),
        precision: Precision::Auto,
        library: LibraryRequest { threads: 1, ..LibraryRequest::default() },
    })
    .expect("a model");
    let (mut chunk, mut own, mut total) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..6 {
        let mut stream = Stream::new(shared.model.clone(), StreamOptions::default());
        let mut network = Timed { client: &mut shared.client, calls: 0, inside: Duration::ZERO };
        let started = Instant::now();
        // A tenth of a second at a time, as a live source gives it.
        for part in samples.chunks(1600) {
            stream.push(part);
            while stream.step(&mut network, None).expect("a step") {}
        }
        stream.finish();
        while stream.step(&mut network, None).expect("a step") {}
        let all = started.elapsed().as_secs_f64();
        // The first run warms up.
        if run > 0 {
            let calls = f64::from(network.calls);
            chunk.push(all / calls * 1e3);
            own.push((all - network.inside.as_secs_f64()) / calls * 1e3);
            total.push(all);
        }
    }
    let (chunk, own, total) = (median(chunk), median(own), median(total));
    println!("a chunk of 600 ms, from samples to text     {chunk:8.3} ms");
    println!("of it our own, around the network           {own:8.3} ms, {:.1} %", 100.0 * own / chunk);
    println!(
        "real-time factor                            {:8.4}, {:.0} times as fast as real time",
        total / seconds,
        seconds / total
    );
}
