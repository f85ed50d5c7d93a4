//! The two graphs of a model as ONNX Runtime sessions.
//!
//! Inputs are borrowed, outputs are copied into the caller's buffers: the largest, the decoder's caches, are 330 kB for
//! the published model, and a call takes tens of milliseconds.

use std::borrow::Cow;
use std::path::Path;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::TensorRef;

use super::batch::{self, Batching, Stacked};
use super::library::{Library, Provider};
use super::operators::{self, weight::Weights};
use crate::engine::frontend::FEATURE_DIM;
use crate::engine::model::Sizes;
use crate::engine::{DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Error, Network, Result};

/// A model's graphs, ready to run. One owner: a session runs one call at a time.
pub struct Sessions {
    encoder: Session,
    decoder: Session,
    sizes: Sizes,
    cache_inputs: Vec<String>,
    cache_outputs: Vec<String>,
    batching: Batching,
    stacked: Stacked,
}

impl Sessions {
    /// Of encoder and decoder, with their files. Runs each once: whatever does not fit shows now, and the first words are
    /// not late.
    ///
    /// Errors: [`Error::Model`] naming the file whose graph does not do what a Paraformer's does.
    pub fn new(sizes: Sizes, encoder: (Session, &Path), decoder: (Session, &Path), batching: Batching) -> Result<Self> {
        let names = |prefix: &str| (0..sizes.decoder_layers).map(|layer| format!("{prefix}_cache_{layer}")).collect();
        let mut sessions = Self {
            encoder: encoder.0,
            decoder: decoder.0,
            sizes,
            cache_inputs: names("in"),
            cache_outputs: names("out"),
            batching,
            stacked: Stacked::default(),
        };
        sessions.rehearse(encoder.1, decoder.1)?;
        Ok(sessions)
    }

    fn rehearse(&mut self, encoder_file: &Path, decoder_file: &Path) -> Result<()> {
        let frames = 20;
        let features = vec![0.0; frames * FEATURE_DIM];
        let mut encoded = EncoderOutput::default();
        let works = |file: &Path, result: Result<()>| {
            result.map_err(|e| Error::model(file, "a graph that runs", e.to_string()))
        };
        works(encoder_file, self.encode(EncoderInput { features: &features, frames }, &mut encoded))?;
        let expected = frames * self.sizes.encoder_dim;
        if encoded.encoded.len() != expected || encoded.alphas.len() != frames {
            let found = format!("{} values and {} alphas", encoded.encoded.len(), encoded.alphas.len());
            return Err(Error::model(
                encoder_file,
                format!("{expected} values and {frames} alphas for {frames} frames"),
                found,
            ));
        }
        let cache = self.sizes.encoder_dim * self.sizes.cache_len;
        let caches = vec![vec![0.0; cache]; self.sizes.decoder_layers];
        let embeddings = &encoded.encoded[..self.sizes.encoder_dim];
        let input = DecoderInput { encoded: &encoded.encoded, frames, embeddings, tokens: 1, caches: &caches };
        let mut decoded = DecoderOutput::default();
        works(decoder_file, self.decode(input, &mut decoded))?;
        let lengths: Vec<usize> = decoded.caches.iter().map(Vec::len).collect();
        if decoded.logits.len() != self.sizes.vocabulary_size || lengths.iter().any(|&length| length != cache) {
            let expected = format!("{} logits for a token, and caches of {cache}", self.sizes.vocabulary_size);
            let found = format!("{} logits, and caches of {lengths:?}", decoded.logits.len());
            return Err(Error::model(decoder_file, expected, found));
        }
        Ok(())
    }
}

impl Network for Sessions {
    fn encode_all(&mut self, calls: &mut [(EncoderInput<'_>, &mut EncoderOutput)]) -> Result<()> {
        if calls.len() < 2 || self.batching == Batching::None {
            return calls.iter_mut().try_for_each(|(input, output)| self.encode(*input, output));
        }
        self.stacked.encoder(calls);
        let (streams, frames) = (calls.len(), calls[0].0.frames);
        let inputs = ort::inputs![
            "speech" => tensor([streams, frames, FEATURE_DIM], &self.stacked.rows)?,
            "speech_lengths" => lengths(&self.stacked.lengths)?,
        ];
        let outputs = self.encoder.run(inputs).map_err(failed)?;
        let (encoded, alphas) = (values(&outputs, "enc")?, values(&outputs, "alphas")?);
        for (number, (_, output)) in calls.iter_mut().enumerate() {
            batch::part(encoded, streams, number, frames * self.sizes.encoder_dim, &mut output.encoded);
            batch::part(alphas, streams, number, frames, &mut output.alphas);
        }
        Ok(())
    }

    fn decode_all(&mut self, calls: &mut [(DecoderInput<'_>, &mut DecoderOutput)]) -> Result<()> {
        let (dim, length) = (self.sizes.encoder_dim, self.sizes.cache_len);
        if calls.len() < 2 || !self.batching.allows(calls, length) {
            return calls.iter_mut().try_for_each(|(input, output)| self.decode(*input, output));
        }
        let most = self.stacked.decoder(calls, dim);
        let (streams, frames) = (calls.len(), calls[0].0.frames);
        let stacked = &self.stacked;
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = ort::inputs![
            "enc" => tensor([streams, frames, dim], &stacked.rows)?,
            "enc_len" => lengths(&stacked.lengths)?,
            "acoustic_embeds" => tensor([streams, most, dim], &stacked.embeddings)?,
            "acoustic_embeds_len" => lengths(&stacked.tokens)?,
        ];
        for (name, cache) in self.cache_inputs.iter().zip(&stacked.caches) {
            inputs.push((name.into(), tensor([streams, dim, length], cache)?.into()));
        }
        let outputs = self.decoder.run(inputs).map_err(failed)?;
        let logits = values(&outputs, "logits")?;
        for (number, (input, output)) in calls.iter_mut().enumerate() {
            let kept = input.tokens * self.sizes.vocabulary_size;
            batch::part(logits, streams, number, kept, &mut output.logits);
            output.caches.resize(self.cache_outputs.len(), Vec::new());
        }
        for (layer, name) in self.cache_outputs.iter().enumerate() {
            let padded = values(&outputs, name)?;
            for (number, (input, output)) in calls.iter_mut().enumerate() {
                let own = padded.get(number * dim * length..(number + 1) * dim * length).unwrap_or_default();
                let target = &mut output.caches[layer];
                match self.batching {
                    Batching::Padded => {
                        batch::unpad_cache(&input.caches[layer], own, length, input.tokens, most, target);
                    }
                    Batching::Own | Batching::None => {
                        target.clear();
                        target.extend_from_slice(own);
                    }
                }
            }
        }
        Ok(())
    }

    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        let frames = [input.frames as i32];
        let inputs = ort::inputs![
            "speech" => tensor([1, input.frames, FEATURE_DIM], input.features)?,
            "speech_lengths" => lengths(&frames)?,
        ];
        let outputs = self.encoder.run(inputs).map_err(failed)?;
        copy(&outputs, "enc", &mut output.encoded)?;
        copy(&outputs, "alphas", &mut output.alphas)
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        let (dim, length) = (self.sizes.encoder_dim, self.sizes.cache_len);
        let (frames, tokens) = ([input.frames as i32], [input.tokens as i32]);
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = ort::inputs![
            "enc" => tensor([1, input.frames, dim], input.encoded)?,
            "enc_len" => lengths(&frames)?,
            "acoustic_embeds" => tensor([1, input.tokens, dim], input.embeddings)?,
            "acoustic_embeds_len" => lengths(&tokens)?,
        ];
        for (name, cache) in self.cache_inputs.iter().zip(input.caches) {
            inputs.push((name.into(), tensor([1, dim, length], cache)?.into()));
        }
        let outputs = self.decoder.run(inputs).map_err(failed)?;
        copy(&outputs, "logits", &mut output.logits)?;
        output.caches.resize(self.cache_outputs.len(), Vec::new());
        self.cache_outputs.iter().zip(&mut output.caches).try_for_each(|(name, cache)| copy(&outputs, name, cache))
    }
}

/// Makes a session of a graph, whose large weights may lie outside it; one that is to run beside others works on the thread
/// that calls it alone. Errors: [`Error::Model`] naming the file.
pub(super) fn session(
    library: &Library,
    file: &Path,
    graph: &[u8],
    weights: Weights,
    beside_others: bool,
) -> Result<Session> {
    let build = || -> std::result::Result<Session, String> {
        let text = |e: ort::Error<SessionBuilder>| e.to_string();
        let mut builder = SessionBuilder::new(&library.environment)
            .map_err(|e| e.to_string())?
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(text)?;
        let threads = if beside_others { 1 } else { library.threads() };
        if beside_others {
            let own = builder.with_independent_thread_pool().map_err(text)?;
            builder = own.with_intra_threads(threads).map_err(text)?;
        }
        if library.provider() == Provider::Cuda {
            let cuda = ort::ep::CUDA::default().build().error_on_failure();
            builder = builder.with_execution_providers([cuda]).map_err(text)?;
        }
        let operators = operators::domain(weights, threads).map_err(|e| e.to_string())?;
        builder = builder.with_operators(operators).map_err(text)?;
        builder.commit_from_memory(graph).map_err(|e| e.to_string())
    };
    build().map_err(|reason| Error::model(file, "a graph that ONNX Runtime takes", reason))
}

/// Copies an output into `target`. Errors: [`Error::Network`].
pub(super) fn copy(outputs: &SessionOutputs<'_>, name: &str, target: &mut Vec<f32>) -> Result<()> {
    let values = values(outputs, name)?;
    target.clear();
    target.extend_from_slice(values);
    Ok(())
}

fn values<'o>(outputs: &'o SessionOutputs<'_>, name: &str) -> Result<&'o [f32]> {
    let value = outputs.get(name).ok_or_else(|| Error::network(format!("no output {name}")))?;
    Ok(value.try_extract_tensor::<f32>().map_err(failed)?.1)
}

fn lengths(lengths: &[i32]) -> Result<TensorRef<'_, i32>> {
    TensorRef::from_array_view(([lengths.len()], lengths)).map_err(failed)
}

fn tensor(shape: [usize; 3], values: &[f32]) -> Result<TensorRef<'_, f32>> {
    TensorRef::from_array_view((shape, values)).map_err(failed)
}

/// An error of ONNX Runtime as the engine's.
pub(super) fn failed(error: ort::Error) -> Error {
    Error::network(error.to_string())
}
