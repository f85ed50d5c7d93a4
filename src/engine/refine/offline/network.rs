//! The seam between the second pass and what computes its graphs.

use crate::engine::Result;

/// Ids of one hotword, as the embedder takes them: longer ones are cut, shorter ones are filled up with zeros.
pub const HOTWORD_IDS: usize = 10;

/// The hotwords as vectors, `[rows, width]`; the last row is that of `<s>`, which stands for none of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bias {
    /// Row by row.
    pub vectors: Vec<f32>,
    /// How many rows: one more than there are hotwords.
    pub rows: usize,
}

/// What one recognition takes: a whole utterance.
#[derive(Debug, Clone, Copy)]
pub struct OfflineInput<'a> {
    /// `[frames, 560]`, row by row: stacked and normalised. Scale and positions are in the graph.
    pub features: &'a [f32],
    /// How many rows; at least 1.
    pub frames: usize,
    /// The hotwords, where the model takes some.
    pub bias: Option<&'a Bias>,
}

/// What one recognition gives. The buffers are reused from call to call.
#[derive(Debug, Default, Clone)]
pub struct OfflineOutput {
    /// `[rows, vocabulary_size]`: log-softmax. Rows from `token_num` on are padding.
    pub logits: Vec<f32>,
    /// How many tokens fired; 0 where none did, and then nothing else is given.
    pub token_num: usize,
    /// `[3 * frames]`: how much of a token each 20 ms hold (`us_alphas`). Empty where the model gives no times.
    pub alphas: Vec<f32>,
    /// `[3 * frames]`: their running sum, over the threshold where a token begins (`us_cif_peak`). Empty as `alphas`.
    pub peaks: Vec<f32>,
}

/// The graphs of an offline Paraformer.
///
/// A call that fails leaves everything as it was before, so it can be made again.
pub trait OfflineNetwork: Send {
    /// Recognises one utterance. Errors: [`Error::Network`](crate::engine::Error::Network),
    /// [`Error::Cancelled`](crate::engine::Error::Cancelled).
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()>;

    /// Embeds hotwords: ids `[words, 10]` in, vectors `[10, words, width]` out, the state after each id.
    /// Errors: as [`recognise`](Self::recognise), and for a model that takes no hotwords.
    fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()>;
}
