//! Transcribes WAV files with the engine and its runtime alone: no GStreamer.
//!
//! cargo run --release --example transcribe -- --model-path DIR a.wav b.wav

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use gstparaformer::engine::detokenizer::Spacing;
use gstparaformer::engine::{ChunkSize, Event, Hypothesis, SAMPLE_RATE, Stream, StreamOptions};
use gstparaformer::runtime::locate::Surroundings;
use gstparaformer::runtime::registry::{self, ModelRequest, SharedModel};
use gstparaformer::runtime::{LibraryRequest, Precision};
use indicatif::{ProgressBar, ProgressStyle};

/// Transcribes 16 kHz WAV files with a streaming Paraformer model.
#[derive(Parser)]
struct Arguments {
    /// Model folder. Left out: where FunASR's tools put the published model, else the demonstration model
    #[arg(long)]
    model_path: Option<PathBuf>,
    /// Left context, stride and look-ahead, in frames of 60 ms
    #[arg(long, default_value = "5,10,5", value_parser = chunk_size)]
    chunk_size: ChunkSize,
    /// Which graphs run
    #[arg(long, value_enum, default_value_t = PrecisionName::Auto)]
    precision: PrecisionName,
    /// Silence that ends an utterance, in ms; 0: each file is one utterance, however long
    #[arg(long, default_value_t = 800)]
    endpoint_silence: u32,
    /// Threads for inference; 0: the cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// libonnxruntime.so. Left out: $ORT_DYLIB_PATH, else the loader's search
    #[arg(long)]
    runtime_library: Option<PathBuf>,
    /// Print one JSON line for each file: {"wav", "text", "tokens": [[piece, fire time in ms], ...]}
    #[arg(long)]
    json: bool,
    /// The files
    #[arg(required = true)]
    wavs: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    Auto,
    Int8,
    Int8Exact,
    Float32,
}

fn chunk_size(text: &str) -> Result<ChunkSize, String> {
    let numbers: Option<Vec<i64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[left, stride, look_ahead]) => ChunkSize::new(left, stride, look_ahead).map_err(|e| e.to_string()),
        _ => Err("three whole numbers: left context, stride, look-ahead".into()),
    }
}

fn main() {
    if let Err(error) = run(&Arguments::parse()) {
        eprintln!("transcribe: {error}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let shared = registry::open(&ModelRequest {
        source: Surroundings::of_process().locate(arguments.model_path.as_deref()),
        precision: match arguments.precision {
            PrecisionName::Auto => Precision::Auto,
            PrecisionName::Int8 => Precision::Int8,
            PrecisionName::Int8Exact => Precision::Int8Exact,
            PrecisionName::Float32 => Precision::Float32,
        },
        library: LibraryRequest {
            path: arguments.runtime_library.clone(),
            threads: arguments.threads,
            ..LibraryRequest::default()
        },
    })?;
    shared.warnings.iter().for_each(|warning| eprintln!("transcribe: {warning}"));
    let SharedModel { model, mut client, .. } = shared;
    let options = StreamOptions {
        chunk_size: arguments.chunk_size,
        endpoint_silence_ms: arguments.endpoint_silence,
        max_utterance_ms: if arguments.endpoint_silence == 0 { 0 } else { StreamOptions::default().max_utterance_ms },
        spacing: Spacing::None,
        preview: false,
        keep_frames: false,
    };
    for wav in &arguments.wavs {
        let samples = read(wav)?;
        let bar = if arguments.json { ProgressBar::hidden() } else { progress(wav, samples.len()) };
        let started = Instant::now();
        let mut stream = Stream::new(model.clone(), options);
        let mut finals = Vec::new();
        // A second at a time, so that the bar moves; the text is the same however the samples are cut.
        for part in samples.chunks(SAMPLE_RATE as usize) {
            stream.push(part);
            while stream.step(&mut client, None)? {}
            finals.extend(take_finals(&mut stream, &bar));
            bar.inc(part.len() as u64);
        }
        stream.finish();
        while stream.step(&mut client, None)? {}
        finals.extend(take_finals(&mut stream, &bar));
        bar.finish_and_clear();
        if arguments.json {
            println!("{}", json(wav, &finals));
        } else {
            print(wav, &finals, samples.len() as f64 / f64::from(SAMPLE_RATE), started.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// The finals that have come; the bar shows what is recognised meanwhile.
fn take_finals(stream: &mut Stream, bar: &ProgressBar) -> Vec<Hypothesis> {
    let mut finals = Vec::new();
    while let Some(event) = stream.next_event() {
        match event {
            Event::Hypothesis(hypothesis) if hypothesis.is_final => finals.push(hypothesis),
            Event::Hypothesis(hypothesis) => bar.set_message(hypothesis.text),
            Event::Token(_) | Event::Preview(_) | Event::Heard(_) | Event::Advanced { .. } => {}
        }
    }
    finals
}

fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let mut reader = hound::WavReader::open(path).map_err(|e| wrong(e.to_string()))?;
    let spec = reader.spec();
    if spec.sample_rate != SAMPLE_RATE {
        let found = format!("expected {SAMPLE_RATE} Hz, found {} Hz. Convert it first:", spec.sample_rate);
        let line = format!("ffmpeg -i {} -ar {SAMPLE_RATE} -ac 1 16k.wav", path.display());
        return Err(wrong(format!("{found} {line}")).into());
    }
    let samples: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1i64 << (spec.bits_per_sample - 1)) as f32;
            reader.samples::<i32>().map(|sample| Ok(sample? as f32 * scale)).collect()
        }
    };
    let samples = samples.map_err(|e| wrong(e.to_string()))?;
    let channels = usize::from(spec.channels);
    if channels == 1 {
        return Ok(samples);
    }
    Ok(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
}

fn progress(wav: &Path, samples: usize) -> ProgressBar {
    let bar = ProgressBar::new(samples as u64);
    let name = wav.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3} % {eta:>4} left  {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(name)
}

fn json(wav: &Path, finals: &[Hypothesis]) -> serde_json::Value {
    let tokens: Vec<_> = finals
        .iter()
        .flat_map(|hypothesis| &hypothesis.pieces)
        .map(|piece| serde_json::json!([piece.text, piece.fire_ns as f64 / 1e6]))
        .collect();
    let text: String = finals.iter().map(|hypothesis| hypothesis.text.as_str()).collect::<Vec<_>>().join(" ");
    serde_json::json!({ "wav": wav.file_name().unwrap_or_default().to_string_lossy(), "text": text, "tokens": tokens })
}

fn print(wav: &Path, finals: &[Hypothesis], duration: f64, took: f64) {
    println!("{} ({duration:.1} s, {:.0} times as fast as real time)", wav.display(), duration / took.max(1e-9));
    for hypothesis in finals {
        let (Some(first), Some(last)) = (hypothesis.tokens.first(), hypothesis.tokens.last()) else { continue };
        println!("  {} - {}  {}", clock(first.start_ns), clock(last.end_ns), hypothesis.text);
    }
    if finals.is_empty() {
        println!("  (no speech)");
    }
}

fn clock(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}
