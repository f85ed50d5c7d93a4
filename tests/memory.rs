//! What a model and its streams take of memory. In a process of its own, because what is measured is the process.
//!
//! PARAFORMER_LARGE_MODEL=DIR cargo test --test memory -- --ignored --nocapture
//!
//! measures the published model's shape (tests/tools/make_model.py makes one).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use gstparaformer::engine::{Stream, StreamOptions};
use gstparaformer::runtime::Precision;
use support::{drain, model_directory, open, read_wav, root};

const SECOND: usize = 16_000;

/// A figure of the process's status, in kB: `VmRSS`, what is resident; `VmHWM`, the most that ever was.
fn status_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Plays speech through streams side by side, each on a thread of its own; gives what is resident while all are there.
fn resident_kb(directory: &Path, streams: usize, seconds: usize) -> u64 {
    let recording = read_wav(&root().join("examples/recording.wav"));
    let samples: Vec<f32> = recording.iter().copied().cycle().take(seconds * SECOND).collect();
    let (played, measured) = (Barrier::new(streams + 1), Barrier::new(streams + 1));
    thread::scope(|scope| {
        for _ in 0..streams {
            scope.spawn(|| {
                let mut shared = open(directory, Precision::Int8);
                let mut stream = Stream::new(shared.model.clone(), StreamOptions::default());
                for part in samples.chunks(SECOND / 10) {
                    stream.push(part);
                    drain(&mut stream, &mut shared.client);
                }
                played.wait();
                measured.wait();
            });
        }
        played.wait();
        let resident = status_kb("VmRSS");
        measured.wait();
        resident
    })
}

/// Streams share the model: another one takes no more than its own state.
#[test]
fn a_stream_takes_less_than_4_mib() {
    let directory = model_directory("demo");
    let _held = open(&directory, Precision::Int8);
    let one = resident_kb(&directory, 1, 12);
    let many = resident_kb(&directory, 9, 12);
    let each = many.saturating_sub(one) / 8;
    println!("one stream {one} kB, nine {many} kB: {each} kB for each more");
    assert!(each < 4096, "{each} kB for each stream more");
}

#[test]
#[ignore = "takes minutes, and the large shape"]
fn the_large_shape() {
    let Some(directory) = std::env::var_os("PARAFORMER_LARGE_MODEL").map(PathBuf::from) else {
        eprintln!("skipped: PARAFORMER_LARGE_MODEL is not set");
        return;
    };
    let files = ["model_quant.onnx", "decoder_quant.onnx"];
    let files_kb = files.map(|file| std::fs::metadata(directory.join(file)).unwrap().len() / 1024).iter().sum::<u64>();
    let before = status_kb("VmRSS");
    let _held = open(&directory, Precision::Int8);
    let (peak, loaded) = (status_kb("VmHWM"), status_kb("VmRSS"));
    println!("files {files_kb} kB; before {before}, at most {peak} while loading, then {loaded} kB");
    let seconds = std::env::var("SECONDS_OF_AUDIO").ok().map_or(30, |seconds| seconds.parse().unwrap());
    let one = resident_kb(&directory, 1, seconds);
    let many = resident_kb(&directory, 16, seconds);
    println!("one stream {one} kB, 16 streams {many} kB: {:.3} times as much", many as f64 / one as f64);
    assert!(10 * many < 13 * one, "16 streams take {many} kB, one {one} kB");
}
