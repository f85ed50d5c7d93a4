//! Calls of several streams as one: inputs one behind the other, outputs taken apart.
//!
//! Streams differ in how many tokens fired. The shorter ones are padded at their end, where nothing before it sees it: the
//! decoder's memory looks back, and its attention looks at the encoder's rows alone. Only the caches that come out may have
//! seen the padding; they are then put right from those that went in.

use crate::engine::{DecoderInput, DecoderOutput, EncoderInput, EncoderOutput};

/// How calls of several streams can be made as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// Not at all: what a stream gets would depend on the others.
    None,
    /// The caches that come out have seen the padding.
    Padded,
    /// Each stream's caches end with its own tokens.
    Own,
}

/// The inputs of several calls, one behind the other.
#[derive(Debug, Default)]
pub struct Stacked {
    /// `[streams, frames, feature_dim]`, or `[streams, frames, encoder_dim]`.
    pub rows: Vec<f32>,
    /// `[streams]`: rows of each.
    pub lengths: Vec<i32>,
    /// `[streams, tokens, encoder_dim]`.
    pub embeddings: Vec<f32>,
    /// `[streams]`: tokens of each.
    pub tokens: Vec<i32>,
    /// For each layer `[streams, encoder_dim, cache_len]`.
    pub caches: Vec<Vec<f32>>,
}

impl Stacked {
    /// The windows of calls, all of as many rows.
    pub fn encoder(&mut self, calls: &[(EncoderInput<'_>, &mut EncoderOutput)]) {
        self.clear();
        for (input, _) in calls {
            self.rows.extend_from_slice(input.features);
            self.lengths.push(input.frames as i32);
        }
    }

    /// The tokens of calls, whose windows have as many rows. Gives the number of tokens that each is padded to.
    pub fn decoder(&mut self, calls: &[(DecoderInput<'_>, &mut DecoderOutput)], dim: usize) -> usize {
        self.clear();
        let most = calls.iter().map(|(input, _)| input.tokens).max().unwrap_or(0);
        let layers = calls.first().map_or(0, |(input, _)| input.caches.len());
        self.caches.resize(layers, Vec::new());
        for (number, (input, _)) in calls.iter().enumerate() {
            self.rows.extend_from_slice(input.encoded);
            self.lengths.push(input.frames as i32);
            self.embeddings.extend_from_slice(input.embeddings);
            self.embeddings.resize((number + 1) * most * dim, 0.0);
            self.tokens.push(input.tokens as i32);
            for (stacked, cache) in self.caches.iter_mut().zip(input.caches) {
                stacked.extend_from_slice(cache);
            }
        }
        most
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.lengths.clear();
        self.embeddings.clear();
        self.tokens.clear();
        self.caches.iter_mut().for_each(Vec::clear);
    }
}

impl Batching {
    /// Whether these calls can be made as one. Padding must not push out of a cache what was never in one.
    pub fn allows(self, calls: &[(DecoderInput<'_>, &mut DecoderOutput)], cache_len: usize) -> bool {
        let tokens = || calls.iter().map(|(input, _)| input.tokens);
        let can_unpad = tokens().max() == tokens().min() || tokens().max().is_some_and(|most| most <= cache_len);
        match self {
            Self::None => false,
            Self::Padded => can_unpad,
            Self::Own => true,
        }
    }
}

/// The part of a stream, `number` of those that `all` holds one behind the other, as its own; `kept` values of it.
pub fn part(all: &[f32], streams: usize, number: usize, kept: usize, target: &mut Vec<f32>) {
    let length = all.len() / streams.max(1);
    target.clear();
    target.extend_from_slice(&all[number * length..][..kept.min(length)]);
}

/// The cache of a stream after `tokens` tokens, where `padded` is what came out after `most`, and `before` what went in:
/// `[dim, cache_len]` each. `most` is at most `cache_len`, or `tokens`.
pub fn unpad_cache(
    before: &[f32],
    padded: &[f32],
    cache_len: usize,
    tokens: usize,
    most: usize,
    target: &mut Vec<f32>,
) {
    target.clear();
    // A cache holds the last steps of what went in and the tokens; each token of padding has pushed one of them out.
    let lost = most - tokens;
    for (before, padded) in before.chunks_exact(cache_len).zip(padded.chunks_exact(cache_len)) {
        if lost > 0 {
            target.extend_from_slice(&before[tokens..most]);
        }
        target.extend_from_slice(&padded[..cache_len - lost]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of one channel: the last `length` of what went in and the tokens.
    fn after(before: &[f32], tokens: &[f32]) -> Vec<f32> {
        let all = [before, tokens].concat();
        all[all.len() - before.len()..].to_vec()
    }

    #[test]
    fn padding_leaves_no_trace_in_a_cache() {
        let length = 5;
        let before: Vec<f32> = (0..length).map(|step| step as f32).collect();
        for tokens in 0..=length {
            for most in tokens..=length {
                let spoken: Vec<f32> = (0..tokens).map(|token| 100.0 + token as f32).collect();
                let padded = after(&before, &[spoken.clone(), vec![-1.0; most - tokens]].concat());
                let mut found = Vec::new();
                unpad_cache(&before, &padded, length, tokens, most, &mut found);
                assert_eq!(found, after(&before, &spoken), "{tokens} of {most}");
            }
        }
        // As many tokens as there are, however many.
        let many = vec![7.0; 9];
        let mut found = Vec::new();
        unpad_cache(&before, &after(&before, &many), length, 9, 9, &mut found);
        assert_eq!(found, [7.0; 5]);
    }

    #[test]
    fn tokens_are_padded_to_the_most() {
        let (rows, caches) = ([0.5; 6], [vec![1.0; 4]]);
        let (short, long) = ([2.0, 3.0], [4.0, 5.0, 6.0, 7.0]);
        let input =
            |embeddings, tokens| DecoderInput { encoded: &rows, frames: 3, embeddings, tokens, caches: &caches };
        let (mut a, mut b) = (DecoderOutput::default(), DecoderOutput::default());
        let calls = [(input(&short[..], 1), &mut a), (input(&long[..], 2), &mut b)];
        let mut stacked = Stacked::default();
        assert_eq!(stacked.decoder(&calls, 2), 2);
        assert_eq!(stacked.embeddings, [2.0, 3.0, 0.0, 0.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!((stacked.tokens.as_slice(), stacked.lengths.as_slice()), ([1, 2].as_slice(), [3, 3].as_slice()));
        assert_eq!((stacked.rows.len(), stacked.caches[0].len()), (12, 8));
        assert!(Batching::Padded.allows(&calls, 2) && !Batching::Padded.allows(&calls, 1));
        assert!(Batching::Own.allows(&calls, 1) && !Batching::None.allows(&calls, 2));
        let mut own = Vec::new();
        part(&stacked.rows, 2, 1, 5, &mut own);
        assert_eq!(own.len(), 5);
    }
}
