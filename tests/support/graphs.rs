//! A model's graphs in ONNX Runtime without the engine: any batch, any lengths, as published or rewritten.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gstparaformer::runtime::library::LIBRARY_VARIABLE;
use gstparaformer::runtime::operators;
use gstparaformer::runtime::rewrite::{Report, Rewrites, rewrite};
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, ValueType};

/// Values between -1 and 1 that are the same in every run.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * self.next()).collect()
    }
}

fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let path = std::env::var_os(LIBRARY_VARIABLE).map_or_else(|| PathBuf::from("libonnxruntime.so"), PathBuf::from);
        let threads = GlobalThreadPoolOptions::default().with_intra_threads(1).unwrap();
        let environment = ort::init_from(path).unwrap().with_global_thread_pool(threads).build().unwrap();
        operators::introduce(&environment).unwrap();
        environment
    })
}

/// One graph, ready to run, and what was done to it.
pub struct Graph {
    session: Session,
    pub report: Report,
    /// The name and the fixed dimensions of each input.
    inputs: Vec<(String, Vec<i64>)>,
}

/// What one stream brings to a call.
#[derive(Clone)]
pub struct Row {
    /// Frames of `[frames, width]`: features for an encoder, its rows for a decoder.
    pub frames: Vec<f32>,
    /// Embeddings `[tokens, width]`, for a decoder.
    pub tokens: Vec<f32>,
    /// FSMN caches, for a decoder.
    pub caches: Vec<Vec<f32>>,
}

/// What one stream gets from a call, by output: all floating point outputs, in the graph's order.
pub type Outputs = Vec<(String, Vec<f32>)>;

impl Graph {
    pub fn new(file: &Path, rewrites: Rewrites) -> Self {
        let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Self::of(bytes.into(), rewrites).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }

    pub fn of(bytes: Cow<'static, [u8]>, rewrites: Rewrites) -> Result<Self, String> {
        let rewritten = rewrite(bytes, rewrites);
        let builder = SessionBuilder::new(environment()).unwrap();
        let mut builder = builder.with_optimization_level(GraphOptimizationLevel::All).unwrap();
        builder = builder.with_operators(operators::domain(rewritten.weights, 1).unwrap()).unwrap();
        let session = builder.commit_from_memory(&rewritten.bytes).map_err(|e| e.to_string())?;
        let inputs = session.inputs().iter().map(|input| {
            let ValueType::Tensor { shape, .. } = input.dtype() else { panic!("{} is no tensor", input.name()) };
            (input.name().to_owned(), shape.to_vec())
        });
        let inputs = inputs.collect();
        Ok(Self { session, report: rewritten.report, inputs })
    }

    /// The last dimension of the input `name`.
    pub fn width(&self, name: &str) -> usize {
        let input = self.inputs.iter().find(|(input, _)| input == name);
        *input.unwrap().1.last().unwrap() as usize
    }

    /// A stream's input of `frames` and `tokens`, noise of magnitude `scale`.
    pub fn row(&self, noise: &mut Noise, frames: usize, tokens: usize, scale: f32) -> Row {
        if self.inputs.len() == 2 {
            let frames = noise.take(frames * self.width("speech"), scale);
            return Row { frames, tokens: Vec::new(), caches: Vec::new() };
        }
        let width = self.width("enc");
        let caches = self.inputs.iter().filter(|(name, _)| name.starts_with("in_cache"));
        let caches = caches.map(|(_, dims)| noise.take((dims[1] * dims[2]) as usize, scale)).collect();
        Row { frames: noise.take(frames * width, scale), tokens: noise.take(tokens * width, scale), caches }
    }

    /// One call for streams, each padded with zeros to the longest; each gets its own part, cut to its own length.
    pub fn run(&mut self, rows: &[Row]) -> Vec<Outputs> {
        let batch = rows.len();
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
        let padded = |parts: Vec<&Vec<f32>>, width: usize| -> (Tensor<f32>, usize) {
            let longest = parts.iter().map(|part| part.len() / width).max().unwrap();
            let mut data = vec![0.0; batch * longest * width];
            data.chunks_mut(longest * width).zip(&parts).for_each(|(to, part)| to[..part.len()].copy_from_slice(part));
            (Tensor::from_array(([batch, longest, width], data)).unwrap(), longest)
        };
        let lengths = |parts: Vec<&Vec<f32>>, width: usize| {
            let lengths: Vec<i32> = parts.iter().map(|part| (part.len() / width) as i32).collect();
            Tensor::from_array(([batch], lengths)).unwrap()
        };
        let (mut frames, mut tokens) = ((0, 0), (0, 0));
        for (name, dims) in &self.inputs {
            let width = *dims.last().unwrap() as usize;
            let value: SessionInputValue<'_> = match name.as_str() {
                "speech" | "enc" => {
                    let (tensor, longest) = padded(rows.iter().map(|row| &row.frames).collect(), width);
                    frames = (longest, width);
                    tensor.into()
                }
                "acoustic_embeds" => {
                    let (tensor, longest) = padded(rows.iter().map(|row| &row.tokens).collect(), width);
                    tokens = (longest, width);
                    tensor.into()
                }
                "speech_lengths" | "enc_len" => lengths(rows.iter().map(|row| &row.frames).collect(), frames.1).into(),
                "acoustic_embeds_len" => lengths(rows.iter().map(|row| &row.tokens).collect(), tokens.1).into(),
                cache => {
                    let layer: usize = cache.strip_prefix("in_cache_").unwrap().parse().unwrap();
                    let data: Vec<f32> = rows.iter().flat_map(|row| row.caches[layer].clone()).collect();
                    Tensor::from_array(([batch, dims[1] as usize, width], data)).unwrap().into()
                }
            };
            inputs.push((name.clone().into(), value));
        }
        let longest = |name: &str| if name == "logits" { tokens } else { frames };
        let outputs = self.session.run(inputs).unwrap();
        let mut results = vec![Outputs::new(); batch];
        for (name, value) in &outputs {
            let Ok((_, values)) = value.try_extract_tensor::<f32>() else { continue };
            let each = values.len() / batch;
            for ((result, row), part) in results.iter_mut().zip(rows).zip(values.chunks(each)) {
                let (longest, width) = longest(name);
                let own = if name == "logits" { &row.tokens } else { &row.frames }.len() / width;
                let cut = if name.starts_with("out_cache") { each } else { each / longest * own };
                result.push((name.to_owned(), part[..cut].to_vec()));
            }
        }
        results
    }
}

/// The greatest difference between two outputs; those of other names or lengths are no match.
pub fn difference(a: &Outputs, b: &Outputs) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|((name, a), (other, b))| {
        assert_eq!((name, a.len()), (other, b.len()));
        a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() })
    });
    pairs.fold(0.0, |most, difference| if difference > most || difference.is_nan() { difference } else { most })
}

/// How far `a` is from `b` in all outputs, as a part of `b`'s length.
pub fn error(a: &Outputs, b: &Outputs) -> f64 {
    let (mut apart, mut length) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b).flat_map(|((_, a), (_, b))| a.iter().zip(b)) {
        apart += f64::from(a - b).powi(2);
        length += f64::from(*b).powi(2);
    }
    (apart / length).sqrt()
}
