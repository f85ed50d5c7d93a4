//! The seam between the engine and what computes the graphs.

use super::Result;

/// What one encoder call takes.
#[derive(Debug, Clone, Copy)]
pub struct EncoderInput<'a> {
    /// `[frames, feature_dim]`, row by row: stacked, normalised, scaled, with position.
    pub features: &'a [f32],
    /// How many rows.
    pub frames: usize,
}

/// What one encoder call gives. The buffers are reused from call to call.
#[derive(Debug, Default, Clone)]
pub struct EncoderOutput {
    /// `[frames, encoder_dim]`.
    pub encoded: Vec<f32>,
    /// `[frames]`, each 0 to 1: how much of a token the frame holds.
    pub alphas: Vec<f32>,
}

/// What one decoder call takes.
#[derive(Debug, Clone, Copy)]
pub struct DecoderInput<'a> {
    /// `[frames, encoder_dim]`: the whole window of the encoder call.
    pub encoded: &'a [f32],
    /// Rows of `encoded`.
    pub frames: usize,
    /// `[tokens, encoder_dim]`: what CIF fired.
    pub embeddings: &'a [f32],
    /// How many tokens; at least 1.
    pub tokens: usize,
    /// One FSMN cache `[encoder_dim, cache_len]` for each layer that has one.
    pub caches: &'a [Vec<f32>],
}

/// What one decoder call gives. The buffers are reused from call to call.
#[derive(Debug, Default, Clone)]
pub struct DecoderOutput {
    /// `[tokens, vocabulary_size]`, before the softmax.
    pub logits: Vec<f32>,
    /// The caches after these tokens, as in [`DecoderInput::caches`].
    pub caches: Vec<Vec<f32>>,
}

/// The encoder and the decoder graph of a model.
///
/// A call that fails leaves the stream as it was before, so it can be made again.
pub trait Network: Send {
    /// Encodes one window. Errors: [`Error::Network`](super::Error::Network), [`Error::Cancelled`](super::Error::Cancelled).
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()>;

    /// Decodes the tokens that fired in one window. Errors: as [`encode`](Self::encode).
    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()>;

    /// Encodes windows of several streams, all of as many frames. What each gives does not depend on the others.
    ///
    /// Errors: as [`encode`](Self::encode); then all are still to be made.
    fn encode_all(&mut self, calls: &mut [(EncoderInput<'_>, &mut EncoderOutput)]) -> Result<()> {
        calls.iter_mut().try_for_each(|(input, output)| self.encode(*input, output))
    }

    /// Decodes tokens of several streams, whose windows have as many frames. As [`encode_all`](Self::encode_all).
    fn decode_all(&mut self, calls: &mut [(DecoderInput<'_>, &mut DecoderOutput)]) -> Result<()> {
        calls.iter_mut().try_for_each(|(input, output)| self.decode(*input, output))
    }
}

/// What one call of a voice activity detector takes.
#[derive(Debug, Clone, Copy)]
pub struct VadInput<'a> {
    /// `[frames, 400]`: five fbank frames each, normalised.
    pub features: &'a [f32],
    /// How many frames are scored.
    pub frames: usize,
    /// The FSMN caches.
    pub caches: &'a [Vec<f32>],
}

/// What one call of a voice activity detector gives. The buffers are reused from call to call.
#[derive(Debug, Default, Clone)]
pub struct VadOutput {
    /// `[frames]`: the probability of silence, 0 to 1.
    pub silence: Vec<f32>,
    /// The caches after these frames, as in [`VadInput::caches`].
    pub caches: Vec<Vec<f32>>,
}

/// The graph of a voice activity detector.
///
/// A call that fails leaves the stream as it was before, so it can be made again.
pub trait VadNetwork: Send {
    /// Scores frames. Errors: as [`Network::encode`].
    fn score(&mut self, input: VadInput<'_>, output: &mut VadOutput) -> Result<()>;
}
