//! What recognition costs with many streams in a process: processor time of a chunk of 600 ms, how long its text takes,
//! memory. As in the element: a thread for each stream, the streams' calls made together by the scheduler.
//!
//! cargo bench --bench streams -- --model DIR --precision int8 --streams 16
//!
//! All streams get a chunk at the same moment, and the next once all are done. Prints one JSON line, in the form of
//! benches/peers/streams.py, which does the same with other implementations.

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use gstparaformer::engine::{Event, Stream, StreamOptions};
use gstparaformer::runtime::registry::{self, ModelRequest, SharedModel};
use gstparaformer::runtime::{LibraryRequest, ModelSource, Precision};
use support::speech::{self, RATE, Speech};
use support::{need, percentile, rounded, stop};

mod support;

/// Samples of a chunk: 600 ms.
const CHUNK: usize = 9600;
/// Samples of a buffer, as live sources give them: 100 ms.
const BUFFER: usize = 1600;
/// Chunks that are not counted: with the second, every implementation has made a call.
const WARM_UP: usize = 2;
/// How long calls wait for each other, as the element has it for live streams.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Parser)]
struct Arguments {
    /// Model folder. Left out: the demonstration model
    #[arg(long)]
    model: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Name::Int8)]
    precision: Name,
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Threads for inference
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Speech of each stream
    #[arg(long, default_value_t = 30)]
    seconds: usize,
    /// Folder of the speech, which is made where it is missing
    #[arg(long, default_value_os_t = support::audio_folder())]
    audio: PathBuf,
    /// Only make the speech
    #[arg(long)]
    prepare: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Int8,
    Int8Exact,
    Float32,
}

impl Arguments {
    fn open(&self) -> SharedModel {
        let request = ModelRequest {
            source: ModelSource::Directory(self.model.clone().unwrap_or_else(support::demonstration_model)),
            precision: match self.precision {
                Name::Int8 => Precision::Int8,
                Name::Int8Exact => Precision::Int8Exact,
                Name::Float32 => Precision::Float32,
            },
            library: LibraryRequest { threads: self.threads, ..LibraryRequest::default() },
        };
        need(registry::open(&request), "the model")
    }
}

/// When the rounds begin, and that all have ended.
struct Rounds {
    barrier: Barrier,
    zero: Instant,
    /// Of the present round, in ns after `zero`.
    start_ns: AtomicU64,
    count: usize,
}

/// One stream: all its rounds. Gives how long each took after the warm-up, in ms, and the number of tokens.
fn run(arguments: &Arguments, number: usize, rounds: &Rounds) -> (Vec<f64>, usize) {
    let SharedModel { model, mut client, .. } = arguments.open();
    client.set_patience(PATIENCE);
    let mut stream = Stream::new(model, StreamOptions::default());
    let mut speech = Speech::open(&arguments.audio, number);
    let (mut times, mut tokens) = (Vec::new(), 0);
    for round in 0..rounds.count {
        let samples: Vec<f32> = speech.take(CHUNK).iter().map(|&sample| f32::from(sample) / 32768.0).collect();
        rounds.barrier.wait();
        for buffer in samples.chunks(BUFFER) {
            stream.push(buffer);
            while need(stream.step(&mut client, None), "recognition") {
                while let Some(event) = stream.next_event() {
                    if let Event::Hypothesis(hypothesis) = event
                        && hypothesis.is_final
                    {
                        tokens += hypothesis.pieces.len();
                    }
                }
            }
        }
        if round >= WARM_UP {
            let took_ns = rounds.zero.elapsed().as_nanos() as u64 - rounds.start_ns.load(Ordering::Acquire);
            times.push(took_ns as f64 / 1e6);
        }
        rounds.barrier.wait();
    }
    (times, tokens + stream.hypothesis().pieces.len())
}

fn main() {
    let arguments = Arguments::parse();
    let count = arguments.seconds * RATE / CHUNK;
    if count <= WARM_UP || arguments.streams == 0 {
        stop("more seconds, or streams, are needed");
    }
    speech::prepare(&arguments.audio, arguments.streams, arguments.seconds);
    if arguments.prepare {
        return;
    }
    // Held over all of it, so that the model is; and nothing is measured before it is there.
    let shared = arguments.open();
    while !shared.client.is_settled() {
        thread::sleep(Duration::from_millis(10));
    }
    let barrier = Barrier::new(arguments.streams + 1);
    let rounds = Rounds { barrier, zero: Instant::now(), start_ns: AtomicU64::new(0), count };
    let (done, wall, processor) = thread::scope(|scope| {
        let running: Vec<_> = (0..arguments.streams)
            .map(|number| {
                let (arguments, rounds) = (&arguments, &rounds);
                scope.spawn(move || run(arguments, number, rounds))
            })
            .collect::<Vec<thread::ScopedJoinHandle<'_, _>>>();
        let mut since = (Instant::now(), support::processor_time());
        for round in 0..count {
            if round == WARM_UP {
                since = (Instant::now(), support::processor_time());
            }
            rounds.start_ns.store(rounds.zero.elapsed().as_nanos() as u64, Ordering::Release);
            rounds.barrier.wait();
            rounds.barrier.wait();
        }
        let used = (since.0.elapsed(), support::processor_time() - since.1);
        let done: Vec<_> =
            running.into_iter().map(|stream| stream.join().unwrap_or_else(|_| stop("a stream has failed"))).collect();
        (done, used.0.as_secs_f64(), used.1.as_secs_f64())
    });
    let tokens: usize = done.iter().map(|(_, tokens)| tokens).sum();
    let mut times: Vec<f64> = done.into_iter().flat_map(|(times, _)| times).collect();
    let (chunks, seconds) = (times.len(), times.len() as f64 * CHUNK as f64 / RATE as f64);
    let result = serde_json::json!({
        "streams": arguments.streams,
        "threads": arguments.threads,
        "chunks": chunks,
        "cpu_ms": rounded(1e3 * processor / chunks as f64),
        "cpu_rtf": processor / seconds,
        "wall_rtf": wall / seconds,
        "p50_ms": rounded(percentile(&mut times, 50)),
        "p95_ms": rounded(percentile(&mut times, 95)),
        "tokens": tokens,
        "mean_batch": rounded(shared.client.mean_batch()),
        "peak_mb": support::memory_mb("VmHWM"),
        "rss_mb": support::memory_mb("VmRSS"),
    });
    println!("{result}");
}
