//! What the engine takes from the allocator: nothing for a chunk that yields no text, once a stream has warmed up.
//!
//! In a process of its own, because it counts with an allocator of its own. The networks' allocations are not counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts, and hands on")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use gstparaformer::engine::frontend::cmvn::Cmvn;
use gstparaformer::engine::segment::vad::{VAD_FEATURE_DIM, VadModel};
use gstparaformer::engine::segment::vad_config::VadConfig;
use gstparaformer::engine::yaml::Yaml;
use gstparaformer::engine::{
    DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Event, Network, Result, Stream, StreamOptions, VadInput,
    VadNetwork, VadOutput,
};
use support::Random;
use support::fake::{self, Fake};

const SECOND: usize = 16_000;

thread_local! {
    /// Allocations of this thread; none while it is in a network.
    static COUNTED: Cell<u64> = const { Cell::new(0) };
    static IN_NETWORK: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if !IN_NETWORK.get() {
        COUNTED.set(COUNTED.get() + 1);
    }
}

// SAFETY: all is done by the system's allocator; counting touches two cells of the thread and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many allocations `work` makes on this thread, outside networks.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNTED.get();
    work();
    COUNTED.get() - before
}

fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    IN_NETWORK.set(true);
    let result = work();
    IN_NETWORK.set(false);
    result
}

/// A network whose allocations are not the engine's.
struct Outside {
    network: Fake,
    /// Tokens that it decoded.
    tokens: usize,
}

impl Outside {
    fn new() -> Self {
        Self { network: Fake::hearing(), tokens: 0 }
    }
}

impl Network for Outside {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        uncounted(|| self.network.encode(input, output))
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        self.tokens += input.tokens;
        uncounted(|| self.network.decode(input, output))
    }
}

/// A detector that hears whatever is louder than digital silence.
struct Ears;

impl VadNetwork for Ears {
    fn score(&mut self, input: VadInput<'_>, output: &mut VadOutput) -> Result<()> {
        uncounted(|| {
            let rows = input.features.chunks_exact(VAD_FEATURE_DIM);
            output.silence = rows.map(|row| if row.iter().sum::<f32>() > 0.0 { 0.05 } else { 0.95 }).collect();
            output.caches = input.caches.to_vec();
            Ok(())
        })
    }
}

fn detector() -> Arc<VadModel> {
    let file = Path::new("vad.yaml");
    let config =
        VadConfig::from_yaml(file, &Yaml::parse(file, "model_conf:\n  speech_noise_thres: 0.6\n").unwrap()).unwrap();
    let cmvn = Cmvn::new(file, VAD_FEATURE_DIM, vec![0.0; VAD_FEATURE_DIM], vec![1.0; VAD_FEATURE_DIM]).unwrap();
    Arc::new(VadModel::new(cmvn, &config, 4, 128 * 19))
}

fn stream(detected: bool) -> Stream {
    let (model, options) = (fake::model(0.45), StreamOptions::default());
    if detected { Stream::with_vad(model, detector(), options) } else { Stream::new(model, options) }
}

/// What one buffer made: its allocations, and whether text came of it, if only a piece of a word that is still open.
struct Made {
    allocations: u64,
    has_text: bool,
}

/// Pushes a buffer, makes the steps that there are, and takes the events.
fn buffer(stream: &mut Stream, network: &mut Outside, samples: &[f32]) -> Made {
    let (mut has_text, tokens) = (false, network.tokens);
    let allocations = allocations(|| {
        stream.push(samples);
        while stream.step(network, Some(&mut Ears)).unwrap() {}
        while let Some(event) = stream.next_event() {
            has_text |= !matches!(event, Event::Advanced { .. });
        }
    });
    Made { allocations, has_text: has_text || network.tokens > tokens }
}

/// Talk and pauses in turn, 4 s each.
fn talk_and_pauses(seconds: usize) -> Vec<f32> {
    let mut random = Random(5);
    (0..seconds * SECOND).map(|at| if (at / (4 * SECOND)).is_multiple_of(2) { random.sample() } else { 0.0 }).collect()
}

#[test]
fn an_allocation_is_counted_and_a_network_s_is_not() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1);
    assert_eq!(allocations(|| uncounted(|| drop(std::hint::black_box(vec![1u8; 100])))), 0);
}

#[test]
fn a_chunk_without_text_allocates_nothing() {
    let (warm_up, talk, silence) = (talk_and_pauses(9), talk_and_pauses(16), vec![0.0; 16 * SECOND]);
    for detected in [false, true] {
        for length in [160, 9600, 1, 333, 1601, 4411, 20_001] {
            let (mut stream, mut network) = (stream(detected), Outside::new());
            for part in warm_up.chunks(length) {
                buffer(&mut stream, &mut network, part);
            }
            let mut without_text = 0;
            for part in talk.chunks(length).chain(silence.chunks(length)) {
                let made = buffer(&mut stream, &mut network, part);
                if !made.has_text {
                    assert_eq!(made.allocations, 0, "buffers of {length}, detector: {detected}");
                    without_text += part.len();
                }
            }
            assert!(without_text > 16 * SECOND, "{without_text} samples without text in buffers of {length}");
            assert!(stream.counters().calls > 10, "detector: {detected}");
        }
    }
}

/// What is told of an utterance is all of its text so far, so it takes the more the longer the utterance is: two strings
/// for each piece, that of the piece and that of the display token.
#[test]
fn a_chunk_with_text_allocates_for_its_text_alone() {
    let mut random = Random(5);
    let talk: Vec<f32> = (0..20 * SECOND).map(|_| random.sample()).collect();
    let (mut stream, mut network) = (stream(false), Outside::new());
    for pass in 0..2 {
        let mut chunks = 0;
        for part in talk.chunks(9600) {
            let made = buffer(&mut stream, &mut network, part);
            let pieces = stream.hypothesis().pieces.len() as u64;
            if pass > 0 && made.has_text && pieces > 0 {
                let allowed = 2 * pieces + 16;
                assert!(made.allocations <= allowed, "{} allocations, {pieces} pieces", made.allocations);
                chunks += 1;
            }
        }
        buffer(&mut stream, &mut network, &vec![0.0; 2 * SECOND]);
        assert!(pass == 0 || chunks > 20, "{chunks}");
    }
}
