//! What each stage of the engine takes, for a chunk of 600 ms. Samples to features may take 0.4 ms.
//!
//! cargo bench --bench stages
//!
//! Times are those that the processor worked for this thread, not those that passed, so a busy machine shows little.

#![allow(clippy::unwrap_used)] // A benchmark that cannot run says why and stops.
#![allow(missing_docs)] // criterion_group! makes a function without.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use fake::Fake;
use gstparaformer::engine::cif::Cif;
use gstparaformer::engine::decoder::Decoder;
use gstparaformer::engine::detokenizer::{Detokenizer, Spacing};
use gstparaformer::engine::frontend::cmvn::Cmvn;
use gstparaformer::engine::frontend::fbank::{Fbank, FbankPlan};
use gstparaformer::engine::frontend::{FEATURE_DIM, Frontend, MEL_BINS};
use gstparaformer::engine::{
    DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Network, Result, Stream, StreamOptions,
};
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/support/fake.rs"]
#[allow(dead_code)] // The tests use more.
mod fake;

/// Samples of a chunk.
const CHUNK: usize = 9600;
/// Sizes of the published model.
const DIM: usize = 512;
const VOCABULARY: usize = 8404;

/// The time that this thread has worked.
struct ProcessorTime;

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Values between -1 and 1, the same in every run.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn cmvn() -> Cmvn {
    Cmvn::new(Path::new("am.mvn"), FEATURE_DIM, vec![-8.0; FEATURE_DIM], vec![0.2; FEATURE_DIM]).unwrap()
}

fn front_end(criterion: &mut Criterion<ProcessorTime>) {
    let (samples, cmvn, plan) = (noise(CHUNK), cmvn(), FbankPlan::default());
    let (mut fbank, mut frames) = (Fbank::default(), Vec::new());
    criterion.bench_function("fbank", |bencher| {
        bencher.iter(|| {
            frames.clear();
            fbank.push(&plan, black_box(&samples), &mut frames);
        });
    });
    let (mut front, mut rows) = (Frontend::default(), Vec::new());
    let features = noise(60 * MEL_BINS);
    criterion.bench_function("LFR, CMVN, position", |bencher| {
        bencher.iter(|| {
            rows.clear();
            front.push(&cmvn, 22.6, black_box(&features), &mut rows);
        });
    });
    let (mut fbank, mut front) = (Fbank::default(), Frontend::default());
    criterion.bench_function("front end, all of it", |bencher| {
        bencher.iter(|| {
            frames.clear();
            rows.clear();
            fbank.push(&plan, black_box(&samples), &mut frames);
            front.push(&cmvn, 22.6, &frames, &mut rows);
        });
    });
}

fn cif(criterion: &mut Criterion<ProcessorTime>) {
    let (rows, mut cif, mut embeddings) = (noise(10 * DIM), Cif::new(1.0, DIM), Vec::new());
    criterion.bench_function("CIF, 10 rows, 3 tokens", |bencher| {
        bencher.iter(|| {
            embeddings.clear();
            for row in black_box(&rows).chunks_exact(DIM) {
                cif.integrate(0.3, row, &mut embeddings);
            }
        });
    });
}

/// Gives the same logits each time.
struct Logits(Vec<f32>);

impl Network for Logits {
    fn encode(&mut self, _: EncoderInput<'_>, _: &mut EncoderOutput) -> Result<()> {
        Ok(())
    }

    fn decode(&mut self, _: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        output.logits.clone_from(&self.0);
        Ok(())
    }
}

fn text(criterion: &mut Criterion<ProcessorTime>) {
    let (mut network, mut decoder, mut decoded) =
        (Logits(noise(3 * VOCABULARY)), Decoder::new(VOCABULARY, 0, 0), Vec::new());
    criterion.bench_function("tokens and confidences of 3 x 8404 logits", |bencher| {
        bencher.iter(|| {
            decoded.clear();
            decoder.decode(&mut network, &[], 0, &[], 3, &mut decoded).unwrap();
        });
    });
    let mut words = Vec::new();
    criterion.bench_function("detokenise 12 pieces", |bencher| {
        bencher.iter(|| {
            words.clear();
            let mut detokenizer = Detokenizer::new(Spacing::None);
            for (number, piece) in fake::PIECES.iter().enumerate() {
                detokenizer.push(number, piece, &mut words);
            }
            detokenizer.finish(&mut words);
        });
    });
}

fn whole(criterion: &mut Criterion<ProcessorTime>) {
    let (samples, mut network) = (noise(CHUNK), Fake::hearing());
    let mut stream = Stream::new(fake::model(0.45), StreamOptions::default());
    criterion.bench_function("a chunk through the engine, but for the network", |bencher| {
        bencher.iter(|| {
            stream.push(black_box(&samples));
            while stream.step(&mut network, None).unwrap() {}
            while stream.next_event().is_some() {}
        });
    });
}

criterion_group! {
    name = stages;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = front_end, cif, text, whole
}
criterion_main!(stages);
