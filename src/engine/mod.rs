//! Samples to text: the streaming Paraformer algorithm.
//!
//! ```text
//! samples -> fbank -> LFR -> CMVN -> position -> chunk -> encoder -> CIF -> decoder -> vocabulary -> text, times
//! ```
//!
//! The engine is sans-IO. A [`Model`] is immutable and shared; a [`Stream`] is the whole mutable state of one audio
//! stream; the neural network is whatever implements [`Network`]. Nothing here knows GStreamer, ONNX Runtime, threads,
//! clocks, files or the environment, and the same samples give the same text however they are cut.
//!
//! Reference: Gao et al., "Paraformer: Fast and Accurate Parallel Transformer for Non-autoregressive End-to-End Speech
//! Recognition" (2022), and FunASR's `paraformer_streaming`.

pub mod chunk;
pub mod cif;
pub mod config;
pub mod counters;
pub mod decoder;
pub mod detokenizer;
pub mod encoder;
pub mod error;
pub mod event;
pub mod frames;
pub mod frontend;
pub mod hypothesis;
pub mod model;
pub mod network;
pub mod refine;
pub mod segment;
pub mod stream;
pub mod telling;
pub mod time;
pub mod timeline;
pub mod timing;
pub mod utterance;
pub mod vocabulary;
pub mod yaml;

pub use chunk::ChunkSize;
pub use counters::Counters;
pub use error::{Error, Result};
pub use event::{Event, Heard, StreamOptions};
pub use hypothesis::{DisplayToken, Hypothesis, Piece};
pub use model::Model;
pub use network::{DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Network};
pub use network::{VadInput, VadNetwork, VadOutput};
pub use segment::vad::VadModel;
pub use stream::Stream;

/// The sample rate of the graphs, in Hz. Other rates are resampled upstream.
pub const SAMPLE_RATE: u32 = 16_000;
