//! The calls that workers serve, and their clients as the networks that a stream uses.

use std::time::Duration;

use super::worker::{Call, Client, Worker};
use crate::engine::{
    DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Network, Result, VadInput, VadNetwork, VadOutput,
};

/// How long a decoder's call may wait: streams that were encoded together come one shortly after the other.
const SHORT: Duration = Duration::from_millis(3);

/// A stream's way to a Paraformer.
pub type RecognitionClient = Client<RecognitionCall>;
/// The thread of a Paraformer.
pub type RecognitionWorker = Worker<RecognitionCall>;
/// A stream's way to a voice activity detector.
pub type VadClient = Client<VadCall>;
/// The thread of a voice activity detector.
pub type VadWorker = Worker<VadCall>;

/// A call of an encoder or a decoder.
#[derive(Debug, Default)]
pub struct RecognitionCall {
    graph: Graph,
    frames: usize,
    tokens: usize,
    features: Vec<f32>,
    encoded: EncoderOutput,
    embeddings: Vec<f32>,
    caches: Vec<Vec<f32>>,
    decoded: DecoderOutput,
}

#[derive(Debug, Clone, Copy, Default)]
enum Graph {
    #[default]
    Encoder,
    Decoder,
}

impl Call for RecognitionCall {
    type Network = dyn Network;

    fn kind(&self) -> Option<usize> {
        Some(2 * self.frames + usize::from(matches!(self.graph, Graph::Decoder)))
    }

    fn run(calls: &mut [&mut Self], network: &mut Self::Network) -> Result<()> {
        match calls.first().map(|call| call.graph) {
            Some(Graph::Encoder) => {
                network.encode_all(&mut calls.iter_mut().map(|call| call.encoder()).collect::<Vec<_>>())
            }
            Some(Graph::Decoder) => {
                network.decode_all(&mut calls.iter_mut().map(|call| call.decoder()).collect::<Vec<_>>())
            }
            None => Ok(()),
        }
    }
}

impl RecognitionCall {
    fn encoder(&mut self) -> (EncoderInput<'_>, &mut EncoderOutput) {
        (EncoderInput { features: &self.features, frames: self.frames }, &mut self.encoded)
    }

    fn decoder(&mut self) -> (DecoderInput<'_>, &mut DecoderOutput) {
        let input = DecoderInput {
            encoded: &self.encoded.encoded,
            frames: self.frames,
            embeddings: &self.embeddings,
            tokens: self.tokens,
            caches: &self.caches,
        };
        (input, &mut self.decoded)
    }
}

impl Network for RecognitionClient {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        let call = self.call(self.patience(), |call| {
            (call.graph, call.frames) = (Graph::Encoder, input.frames);
            refill(&mut call.features, input.features);
            std::mem::swap(&mut call.encoded, output);
        })?;
        std::mem::swap(&mut call.encoded, output);
        Ok(())
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        // Whoever was encoded together decodes at the same time.
        let call = self.call(self.patience().min(SHORT), |call| {
            (call.graph, call.frames, call.tokens) = (Graph::Decoder, input.frames, input.tokens);
            refill(&mut call.encoded.encoded, input.encoded);
            refill(&mut call.embeddings, input.embeddings);
            refill_all(&mut call.caches, input.caches);
            std::mem::swap(&mut call.decoded, output);
        })?;
        std::mem::swap(&mut call.decoded, output);
        Ok(())
    }
}

/// A call of a voice activity detector.
#[derive(Debug, Default)]
pub struct VadCall {
    features: Vec<f32>,
    frames: usize,
    caches: Vec<Vec<f32>>,
    output: VadOutput,
}

impl Call for VadCall {
    type Network = dyn VadNetwork;

    fn kind(&self) -> Option<usize> {
        None
    }

    fn run(calls: &mut [&mut Self], network: &mut Self::Network) -> Result<()> {
        calls.iter_mut().try_for_each(|call| {
            let input = VadInput { features: &call.features, frames: call.frames, caches: &call.caches };
            network.score(input, &mut call.output)
        })
    }
}

impl VadNetwork for VadClient {
    fn score(&mut self, input: VadInput<'_>, output: &mut VadOutput) -> Result<()> {
        let call = self.call(self.patience(), |call| {
            call.frames = input.frames;
            refill(&mut call.features, input.features);
            refill_all(&mut call.caches, input.caches);
            std::mem::swap(&mut call.output, output);
        })?;
        std::mem::swap(&mut call.output, output);
        Ok(())
    }
}

/// Copies into a buffer that travels with a call.
pub(super) fn refill<T: Clone>(target: &mut Vec<T>, source: &[T]) {
    target.clear();
    target.extend_from_slice(source);
}

fn refill_all(target: &mut Vec<Vec<f32>>, source: &[Vec<f32>]) {
    target.resize(source.len(), Vec::new());
    target.iter_mut().zip(source).for_each(|(target, source)| refill(target, source));
}
