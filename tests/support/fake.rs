//! A network that is a table: alphas by what a row holds, tokens in the order of the vocabulary.

use std::path::Path;
use std::sync::Arc;

use gstparaformer::engine::frontend::{FEATURE_DIM, MEL_BINS, cmvn::Cmvn};
use gstparaformer::engine::model::Sizes;
use gstparaformer::engine::vocabulary::Vocabulary;
use gstparaformer::engine::{DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Error, Model, Network, Result};

const DIM: usize = 4;
const SPECIALS: usize = 3;

/// The pieces that the fake gives, one after the other: Chinese, words, words of several pieces, letters, digits.
pub const PIECES: [&str; 12] = ["你", "he@@", "llo", "world", "好", "a", "b", "4", "2", "wo@@", "年", "it"];

/// The stub encoder of the spec's checkpoint C10, with alphas to choose. The first layer's cache counts the tokens, so
/// what a stream gives shows whether it kept its caches, and whether a token was decoded twice.
pub struct Fake {
    /// The alpha of a row that is not all zeros.
    pub alpha: fn(&[f32]) -> f32,
}

impl Fake {
    /// Every row that is not zero holds 0.3 of a token.
    pub fn steady() -> Self {
        Self { alpha: |_| 0.3 }
    }

    /// Rows of sound hold `0.3` of a token, rows of digital silence next to nothing. Where a row stands in its utterance
    /// makes no difference.
    pub fn hearing() -> Self {
        Self { alpha: |row| if is_loud(row) { 0.3 } else { 0.0005 } }
    }
}

/// Digital silence is -32 in each bin of the model below, and a single loud sample lifts a frame to 30; positions are -1
/// to 1. The middle frame decides.
fn is_loud(row: &[f32]) -> bool {
    row[3 * MEL_BINS..4 * MEL_BINS].iter().sum::<f32>() > 0.0
}

/// The model that the fake belongs to.
pub fn model(tail_threshold: f32) -> Arc<Model> {
    let pieces = ["<blank>", "<s>", "</s>"].iter().chain(&PIECES).map(|piece| (*piece).to_owned()).collect();
    let sizes = Sizes { encoder_dim: DIM, decoder_layers: 1, cache_len: 2, vocabulary_size: SPECIALS + PIECES.len() };
    let cmvn = Cmvn::new(Path::new("am.mvn"), FEATURE_DIM, vec![0.0; FEATURE_DIM], vec![1.0; FEATURE_DIM]).unwrap();
    Arc::new(Model::new(sizes, 1.0, tail_threshold, cmvn, Vocabulary::new(pieces)))
}

impl Network for Fake {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        assert_eq!(input.features.len(), input.frames * FEATURE_DIM);
        assert!(input.frames > 0);
        let rows = || input.features.chunks_exact(FEATURE_DIM);
        output.encoded = rows().flat_map(|row| row[..DIM].to_vec()).collect();
        let alpha = |row: &[f32]| if row.iter().all(|&x| x == 0.0) { 0.0 } else { (self.alpha)(row) };
        output.alphas = rows().map(alpha).collect();
        Ok(())
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        assert!(input.tokens > 0);
        assert_eq!(input.embeddings.len(), input.tokens * DIM);
        assert_eq!(input.encoded.len(), input.frames * DIM);
        let before = input.caches[0][0] as usize;
        output.logits = vec![0.0; input.tokens * (SPECIALS + PIECES.len())];
        for (token, logits) in output.logits.chunks_exact_mut(SPECIALS + PIECES.len()).enumerate() {
            logits[SPECIALS + (before + token) % PIECES.len()] = 4.0;
        }
        output.caches = input.caches.to_vec();
        output.caches[0][0] = ((before + input.tokens) % PIECES.len()) as f32;
        Ok(())
    }
}

/// Fails the first time it is asked for a call, having spoilt the output; the second time it works.
pub struct Flaky<'a> {
    pub network: &'a mut dyn Network,
    pub failed: bool,
}

impl Flaky<'_> {
    fn fails(&mut self) -> bool {
        self.failed = !self.failed;
        self.failed
    }
}

impl Network for Flaky<'_> {
    fn encode(&mut self, input: EncoderInput<'_>, output: &mut EncoderOutput) -> Result<()> {
        if self.fails() {
            *output = EncoderOutput { encoded: vec![f32::NAN; 7], alphas: vec![9.0; 3] };
            return Err(Error::Cancelled);
        }
        self.network.encode(input, output)
    }

    fn decode(&mut self, input: DecoderInput<'_>, output: &mut DecoderOutput) -> Result<()> {
        if self.fails() {
            *output = DecoderOutput { logits: vec![f32::NAN; 5], caches: vec![vec![f32::NAN; 1]; 9] };
            return Err(Error::Cancelled);
        }
        self.network.decode(input, output)
    }
}
