//! The decoder call of one window: token ids and confidences, and the FSMN caches carried from call to call.

use super::network::{DecoderInput, DecoderOutput, Network};
use super::{Error, Result};

/// What the decoder says of one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded {
    /// The id with the highest logit; the lowest of them where several are equal.
    pub id: usize,
    /// Its probability, 0 to 1.
    pub confidence: f32,
}

/// The decoder's state over one utterance.
#[derive(Debug, Clone)]
pub struct Decoder {
    vocabulary_size: usize,
    caches: Vec<Vec<f32>>,
    output: DecoderOutput,
}

impl Decoder {
    /// At the start of an utterance: `layers` caches of `cache_size` zeros.
    pub fn new(vocabulary_size: usize, layers: usize, cache_size: usize) -> Self {
        Self { vocabulary_size, caches: vec![vec![0.0; cache_size]; layers], output: DecoderOutput::default() }
    }

    /// Starts a new utterance.
    pub fn reset(&mut self) {
        self.caches.iter_mut().for_each(|cache| cache.fill(0.0));
    }

    /// Decodes `embeddings` `[tokens, dim]` (at least one) in the context of `encoded` `[frames, dim]`, and appends the
    /// tokens to `decoded`. Where it fails, the caches stay as they were.
    ///
    /// Errors: those of the network; [`Error::Network`] where sizes are wrong.
    pub fn decode(
        &mut self,
        network: &mut dyn Network,
        encoded: &[f32],
        frames: usize,
        embeddings: &[f32],
        tokens: usize,
        decoded: &mut Vec<Decoded>,
    ) -> Result<()> {
        self.call(network, encoded, frames, embeddings, tokens)?;
        std::mem::swap(&mut self.caches, &mut self.output.caches);
        decoded.extend(self.output.logits.chunks_exact(self.vocabulary_size).map(best));
        Ok(())
    }

    /// What one more token would be: as [`decode`](Self::decode), and the caches stay as they were.
    pub fn preview(
        &mut self,
        network: &mut dyn Network,
        encoded: &[f32],
        frames: usize,
        embedding: &[f32],
    ) -> Result<Decoded> {
        self.call(network, encoded, frames, embedding, 1)?;
        Ok(best(&self.output.logits))
    }

    fn call(
        &mut self,
        network: &mut dyn Network,
        encoded: &[f32],
        frames: usize,
        embeddings: &[f32],
        tokens: usize,
    ) -> Result<()> {
        let input = DecoderInput { encoded, frames, embeddings, tokens, caches: &self.caches };
        network.decode(input, &mut self.output)?;
        let fits = self.output.logits.len() == tokens * self.vocabulary_size
            && self.output.caches.len() == self.caches.len()
            && self.output.caches.iter().zip(&self.caches).all(|(new, old)| new.len() == old.len());
        if !fits {
            return Err(Error::network(format!(
                "the decoder gave {} logits and {} caches for {tokens} tokens of {} and {} layers",
                self.output.logits.len(),
                self.output.caches.len(),
                self.vocabulary_size,
                self.caches.len()
            )));
        }
        Ok(())
    }
}

/// The highest logit's index and its softmax.
fn best(logits: &[f32]) -> Decoded {
    let (mut id, mut highest) = (0, f32::NEG_INFINITY);
    for (i, &logit) in logits.iter().enumerate() {
        if logit > highest {
            (id, highest) = (i, logit);
        }
    }
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    Decoded { id, confidence: if sum.is_finite() { 1.0 / sum } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_highest_wins() {
        assert_eq!(best(&[0.0, 3.0, 3.0]).id, 1);
        let even = best(&[2.0, 2.0]);
        assert_eq!((even.id, even.confidence), (0, 0.5));
        assert_eq!(best(&[f32::NAN, f32::NAN]), Decoded { id: 0, confidence: 0.0 });
    }
}
