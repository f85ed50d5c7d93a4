//! Everything of a model that is not its graphs: immutable, shared by all streams.

use super::frontend::cmvn::Cmvn;
use super::frontend::fbank::FbankPlan;
use super::vocabulary::Vocabulary;

/// The sizes of the two graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the encoder's rows.
    pub encoder_dim: usize,
    /// Decoder layers with an FSMN cache.
    pub decoder_layers: usize,
    /// Steps that each FSMN cache holds: the kernel's taps less one.
    pub cache_len: usize,
    /// Logits of a token.
    pub vocabulary_size: usize,
}

/// A model: sizes, thresholds, normalisation, vocabulary, and the front end's tables.
#[derive(Debug)]
pub struct Model {
    pub(crate) sizes: Sizes,
    pub(crate) cif_threshold: f32,
    pub(crate) cif_tail_threshold: f32,
    pub(crate) cmvn: Cmvn,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) fbank: FbankPlan,
}

impl Model {
    /// From its parts, which must fit each other: the loader checks them, and names the file that is wrong.
    pub fn new(sizes: Sizes, cif_threshold: f32, cif_tail_threshold: f32, cmvn: Cmvn, vocabulary: Vocabulary) -> Self {
        Self { sizes, cif_threshold, cif_tail_threshold, cmvn, vocabulary, fbank: FbankPlan::default() }
    }

    /// The sizes of the graphs.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the normalised rows are multiplied by: FunASR scales them by the square root of the encoder's width.
    pub(crate) fn feature_scale(&self) -> f32 {
        (self.sizes.encoder_dim as f64).sqrt() as f32
    }
}
