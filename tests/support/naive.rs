//! The host once more, slow and plain: a whole utterance at once, every array cut from the whole. From the spec, not
//! from the engine, whose front end alone it takes (its int8 results hang on each bit of the features).

use std::path::Path;

use gstparaformer::engine::frontend::fbank::{Fbank, FbankPlan};
use gstparaformer::engine::model::Sizes;
use gstparaformer::engine::{DecoderInput, DecoderOutput, EncoderInput, EncoderOutput, Network};

use super::best;

const BINS: usize = 80;
const DIM: usize = 560;
const SPECIAL: [&str; 4] = ["<blank>", "<s>", "</s>", "<unk>"];

/// A rule of the algorithm that can be broken: goldens that do not notice are worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Each decoder call has fresh FSMN caches.
    CachesZeroed,
    /// The rows before those that a call gives out are zeros.
    LeftContextZeroed,
    /// The alphas of the look-ahead count in the call that looks ahead, too.
    LookAheadMaskedWrongly,
    /// Positions count on over utterances.
    PositionNotRestarted,
    /// Two copies of the first frame before it, not three.
    LfrPadOffByOne,
    /// Nothing tops up the last token.
    TailMissing,
    /// Each call begins with a sum of 0.
    CifCarryDropped,
    /// Features are not normalised.
    CmvnSkipped,
}

/// All of them.
pub const MUTATIONS: [Mutation; 8] = [
    Mutation::CachesZeroed,
    Mutation::LeftContextZeroed,
    Mutation::LookAheadMaskedWrongly,
    Mutation::PositionNotRestarted,
    Mutation::LfrPadOffByOne,
    Mutation::TailMissing,
    Mutation::CifCarryDropped,
    Mutation::CmvnSkipped,
];

/// What one utterance gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Utterance {
    /// The token ids of each call.
    pub calls: Vec<Vec<usize>>,
    /// Pieces and fire times in ms, without special tokens.
    pub tokens: Vec<(String, f64)>,
}

/// The host: one model at one chunk size.
pub struct Naive {
    shift: Vec<f32>,
    scale: Vec<f32>,
    pieces: Vec<String>,
    sizes: Sizes,
    chunk: [usize; 3],
    pub mutation: Option<Mutation>,
}

impl Naive {
    pub fn new(directory: &Path, sizes: Sizes, chunk: [i64; 3]) -> Self {
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let cmvn = read("am.mvn");
        let after = |tag: &str| -> Vec<f32> {
            let line = cmvn.lines().skip_while(|line| !line.starts_with(tag)).nth(1).unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            words[3..words.len() - 1].iter().map(|word| word.parse().unwrap()).collect()
        };
        Self {
            shift: after("<AddShift>"),
            scale: after("<Rescale>"),
            pieces: serde_json::from_str(&read("tokens.json")).unwrap(),
            sizes,
            chunk: chunk.map(|rows| rows as usize),
            mutation: None,
        }
    }

    /// A stream of utterances, one after the other. Times count from the start of each.
    pub fn run(&self, network: &mut dyn Network, utterances: &[&[f32]]) -> Vec<Utterance> {
        let mut first_position = 1;
        let mut run = |samples: &&[f32]| {
            let rows = self.rows(samples, first_position);
            if self.is(Mutation::PositionNotRestarted) {
                first_position += rows.len();
            }
            self.utterance(network, samples.len(), &rows)
        };
        utterances.iter().map(&mut run).collect()
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The encoder's input rows of a whole utterance.
    fn rows(&self, samples: &[f32], first_position: usize) -> Vec<Vec<f32>> {
        let mut flat = Vec::new();
        Fbank::default().push(&FbankPlan::default(), samples, &mut flat);
        let frames: Vec<&[f32]> = flat.chunks_exact(BINS).collect();
        let pad = if self.is(Mutation::LfrPadOffByOne) { 2 } else { 3 };
        let frame = |number: usize| frames[number.saturating_sub(pad).min(frames.len() - 1)];
        let stack = |g: usize| (6 * g..6 * g + 7).flat_map(|number| frame(number).to_vec()).collect::<Vec<f32>>();
        let factor = (self.sizes.encoder_dim as f64).sqrt() as f32;
        let row = |g: usize| {
            let mut row = stack(g);
            if !self.is(Mutation::CmvnSkipped) {
                for ((x, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                    *x = (*x + shift) * scale;
                }
            }
            let position = (first_position + g) as f64;
            for (j, x) in row.iter_mut().enumerate() {
                let half = DIM / 2;
                let w = (-((j % half) as f64) * 10000f64.ln() / (half - 1) as f64).exp();
                let encoding = if j < half { (position * w).sin() } else { (position * w).cos() };
                *x = *x * factor + encoding as f32;
            }
            row
        };
        (0..frames.len().div_ceil(6)).map(row).collect()
    }

    fn utterance(&self, network: &mut dyn Network, samples: usize, rows: &[Vec<f32>]) -> Utterance {
        let [left, stride, ahead] = self.chunk;
        let frames = if samples < 400 { 0 } else { (samples - 400) / 160 + 1 };
        // Rows that need no padding on the right are there before the end is known.
        let early = if frames + 3 < 7 { 0 } else { (frames + 3 - 7) / 6 + 1 };
        let end_ms = samples as f64 / 16.0;
        let zeros = vec![0.0; DIM];
        let row = |g: isize| if g < 0 { &zeros } else { &rows[g as usize] };

        let mut result = Utterance::default();
        let dim = self.sizes.encoder_dim;
        let (mut integral, mut hidden) = (0f32, vec![0f32; dim]);
        let fresh = vec![vec![0f32; dim * self.sizes.cache_len]; self.sizes.decoder_layers];
        let mut caches = fresh.clone();
        let mut encoded = EncoderOutput::default();
        let (mut done, mut last) = (0, rows.is_empty());
        while !last {
            last = early - done.min(early) < stride && rows.len() - done <= stride;
            let end = if last { rows.len() } else { done + stride };
            let first = done as isize - (left + ahead) as isize;
            let mut window: Vec<f32> = (first..end as isize).flat_map(|g| row(g).clone()).collect();
            if self.is(Mutation::LeftContextZeroed) {
                window[..left * DIM].fill(0.0);
            }
            let mut fired: Vec<(Vec<f32>, f64)> = Vec::new();
            if self.is(Mutation::CifCarryDropped) {
                (integral, hidden) = (0.0, vec![0.0; dim]);
            }
            let count = window.len() / DIM;
            // Without context and new rows there is nothing to encode; the tail then sees the last window.
            if count > 0 {
                network.encode(EncoderInput { features: &window, frames: count }, &mut encoded).unwrap();
                let stop = if last || self.is(Mutation::LookAheadMaskedWrongly) { count } else { left + stride };
                for at in left..stop {
                    let (alpha, h) = (encoded.alphas[at], &encoded.encoded[at * dim..(at + 1) * dim]);
                    if integral + alpha < 1.0 {
                        integral += alpha;
                        hidden.iter_mut().zip(h).for_each(|(sum, x)| *sum += alpha * x);
                        continue;
                    }
                    let rest = 1.0 - integral;
                    let embedding = hidden.iter().zip(h).map(|(sum, x)| sum + rest * x).collect();
                    let part = f64::from(rest) / f64::from(alpha);
                    let ms = 60.0 * ((first + at as isize) as f64 + part - 0.5) + 12.5;
                    fired.push((embedding, ms.clamp(0.0, end_ms)));
                    integral = integral + alpha - 1.0;
                    hidden = h.iter().map(|x| integral * x).collect();
                }
            }
            if last && integral + 0.45 >= 1.0 && !self.is(Mutation::TailMissing) {
                fired.push((hidden.clone(), end_ms));
            }
            let mut ids = Vec::new();
            if !fired.is_empty() {
                if self.is(Mutation::CachesZeroed) {
                    caches.clone_from(&fresh);
                }
                let embeddings: Vec<f32> = fired.iter().flat_map(|(embedding, _)| embedding.clone()).collect();
                let mut output = DecoderOutput::default();
                let input = DecoderInput {
                    encoded: &encoded.encoded,
                    frames: encoded.alphas.len(),
                    embeddings: &embeddings,
                    tokens: fired.len(),
                    caches: &caches,
                };
                network.decode(input, &mut output).unwrap();
                ids = output.logits.chunks_exact(self.sizes.vocabulary_size).map(best).collect();
                caches = output.caches;
            }
            for (&id, (_, ms)) in ids.iter().zip(&fired) {
                if !SPECIAL.contains(&self.pieces[id].as_str()) {
                    result.tokens.push((self.pieces[id].clone(), *ms));
                }
            }
            result.calls.push(ids);
            done = end;
        }
        result
    }
}
