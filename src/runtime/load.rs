//! A model folder, read and checked: everything that can be known to be wrong is found before a session is made.

use std::path::{Path, PathBuf};

use ort::session::Session;

use super::graph::GraphHeader;
use super::layout::{Folder, Graphs, ModelSource};
use super::library::Library;
use super::rewrite::{Report, Rewrites, Rewritten, rewrite};
use super::session::session;
use crate::engine::config::{Config, metadata_value};
use crate::engine::frontend::FEATURE_DIM;
use crate::engine::frontend::cmvn::Cmvn;
use crate::engine::model::{Model, Sizes};
use crate::engine::vocabulary::Vocabulary;
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};

/// A graph, as the file that it is in: the largest are hundreds of megabytes, so the bytes are read for its session and
/// not held before.
#[derive(Debug)]
pub struct Graph {
    /// The file.
    pub file: PathBuf,
    source: ModelSource,
}

impl Graph {
    /// The graph in this file of a folder.
    pub fn new(folder: &Folder<'_>, file: &Path) -> Self {
        Self { file: file.into(), source: folder.source().clone() }
    }

    /// Makes sessions of the graph, rewritten, to run side by side: as many as `most` where they share its weights, else one.
    /// Says what was done to it. Nothing of the file stays in memory beside them.
    ///
    /// Errors: [`Error::NotFound`], and [`Error::Model`] naming the file that ONNX Runtime does not take.
    pub fn sessions(&self, library: &Library, rewrites: Rewrites, most: usize) -> Result<(Vec<Session>, Report)> {
        let Rewritten { bytes, weights, report } = self.rewritten(rewrites)?;
        let count = if report.is_shared() { most } else { 1 };
        let one = |_| session(library, &self.file, &bytes, weights.clone(), count > 1);
        Ok(((0..count).map(one).collect::<Result<_>>()?, report))
    }

    /// Makes the only session of the graph. Errors: as [`Graph::sessions`].
    pub fn session(&self, library: &Library, rewrites: Rewrites) -> Result<Session> {
        let Rewritten { bytes, weights, .. } = self.rewritten(rewrites)?;
        session(library, &self.file, &bytes, weights, false)
    }

    fn rewritten(&self, rewrites: Rewrites) -> Result<Rewritten> {
        Ok(rewrite(Folder::of(&self.source).read(&self.file)?, rewrites))
    }
}

/// A model whose files fit each other.
#[derive(Debug)]
pub struct LoadedFiles {
    /// All but the graphs.
    pub model: Model,
    /// Encoder and alpha predictor.
    pub encoder: Graph,
    /// Decoder.
    pub decoder: Graph,
}

const ENCODER_INPUTS: [&str; 2] = ["speech", "speech_lengths"];
const ENCODER_OUTPUTS: [&str; 3] = ["enc", "enc_len", "alphas"];
const DECODER_INPUTS: [&str; 5] = ["enc", "enc_len", "acoustic_embeds", "acoustic_embeds_len", "in_cache_0"];
const DECODER_OUTPUTS: [&str; 2] = ["logits", "out_cache_0"];

/// Reads and checks the files of a model. Errors: [`Error::NotFound`] and [`Error::Model`] naming the file.
pub fn load(folder: &Folder<'_>, graphs: &Graphs) -> Result<LoadedFiles> {
    let (encoder, encoder_header) = graph(folder, &graphs.encoder)?;
    encoder_header.require(&encoder.file, "a streaming Paraformer's encoder", &ENCODER_INPUTS, &ENCODER_OUTPUTS)?;
    let (decoder, decoder_header) = graph(folder, &graphs.decoder)?;
    decoder_header.require(&decoder.file, "a streaming Paraformer's decoder", &DECODER_INPUTS, &DECODER_OUTPUTS)?;

    let sherpa = encoder_header.metadata.iter().any(|(key, _)| key == "neg_mean");
    let (config_file, config, yaml) = configuration(folder, sherpa, &encoder.file, &encoder_header)?;
    let (vocabulary_file, vocabulary) = vocabulary(folder, yaml.as_ref().map(|yaml| (config_file.as_path(), yaml)))?;
    let cmvn = cmvn(folder, sherpa, &encoder.file, &encoder_header)?;

    let check = |file: &Path, what: &str, expected: Option<usize>, found: Option<usize>| match (expected, found) {
        (Some(expected), Some(found)) if expected != found => {
            Err(Error::model(file, format!("{what} {expected}"), found.to_string()))
        }
        _ => Ok(()),
    };
    let sizes = sizes(&encoder, &encoder_header, &decoder, &decoder_header, &config)?;
    check(&encoder.file, "features (speech) of width", Some(FEATURE_DIM), encoder_header.dim("speech", 2))?;
    for port in ["enc", "acoustic_embeds"] {
        let what = format!("{port} of the width that the encoder gives,");
        check(&decoder.file, &what, Some(sizes.encoder_dim), decoder_header.dim(port, 2))?;
    }
    for layer in 0..sizes.decoder_layers {
        let port = format!("in_cache_{layer}");
        check(&decoder.file, &format!("{port} of width"), Some(sizes.encoder_dim), decoder_header.dim(&port, 1))?;
        check(&decoder.file, &format!("{port} of length"), Some(sizes.cache_len), decoder_header.dim(&port, 2))?;
    }
    let graph_says = |what: &str| format!("{what}, as the graphs have,");
    check(&config_file, &graph_says("the encoder's output size"), Some(sizes.encoder_dim), config.encoder_dim)?;
    check(
        &config_file,
        &graph_says("the number of decoder layers"),
        Some(sizes.decoder_layers),
        config.decoder_layers,
    )?;
    check(&config_file, &graph_says("the decoder's kernel size"), Some(sizes.cache_len + 1), config.decoder_kernel)?;
    check(&config_file, &graph_says("the vocabulary's size"), Some(sizes.vocabulary_size), config.vocabulary_size)?;
    check(&vocabulary_file, "as many tokens as the decoder has,", Some(sizes.vocabulary_size), Some(vocabulary.len()))?;

    let model = Model::new(sizes, config.cif_threshold, config.cif_tail_threshold, cmvn, vocabulary);
    Ok(LoadedFiles { model, encoder, decoder })
}

/// Reads the header of a graph. Errors: [`Error::NotFound`], [`Error::Model`].
pub(super) fn graph(folder: &Folder<'_>, path: &Path) -> Result<(Graph, GraphHeader)> {
    let bytes = folder.read(path)?;
    let header = GraphHeader::parse(path, &bytes)?;
    Ok((Graph::new(folder, path), header))
}

/// The configuration, the file it stands in, and the YAML where it is that.
fn configuration(
    folder: &Folder<'_>,
    sherpa: bool,
    encoder_file: &Path,
    header: &GraphHeader,
) -> Result<(PathBuf, Config, Option<Yaml>)> {
    if sherpa {
        return Ok((encoder_file.into(), Config::from_metadata(encoder_file, &header.metadata)?, None));
    }
    let Some(name) = folder.first(&["config.yaml", "asr.yaml"]) else {
        let hint = "missing; a FunASR model has it, and sherpa-onnx's has metadata (neg_mean) in its encoder instead";
        return Err(Error::not_found(folder.path("config.yaml"), hint));
    };
    let file = folder.path(name);
    let yaml = Yaml::parse(&file, &folder.read_text(&file)?)?;
    let config = Config::from_yaml(&file, &yaml)?;
    Ok((file, config, Some(yaml)))
}

/// The vocabulary, and the file it stands in. A file of its own goes before the list in a legacy configuration, which
/// is sometimes stripped of its `@@`.
pub(super) fn vocabulary(folder: &Folder<'_>, config: Option<(&Path, &Yaml)>) -> Result<(PathBuf, Vocabulary)> {
    if let Some(name) = folder.first(&["tokens.json", "tokens.txt"]) {
        let file = folder.path(name);
        let text = folder.read_text(&file)?;
        let read = if name == "tokens.json" { Vocabulary::from_json } else { Vocabulary::from_text };
        let vocabulary = read(&file, &text)?;
        return Ok((file, vocabulary));
    }
    if let Some((file, yaml)) = config {
        if let Some(vocabulary) = Vocabulary::from_config(file, yaml)? {
            return Ok((file.into(), vocabulary));
        }
        let hint = "missing, and there is neither tokens.txt nor a token_list in the configuration";
        return Err(Error::not_found(folder.path("tokens.json"), hint));
    }
    Err(Error::not_found(folder.path("tokens.txt"), "missing"))
}

fn cmvn(folder: &Folder<'_>, sherpa: bool, encoder_file: &Path, header: &GraphHeader) -> Result<Cmvn> {
    if !sherpa {
        let file = folder.path("am.mvn");
        return Cmvn::parse(&file, FEATURE_DIM, &folder.read_text(&file)?);
    }
    let numbers = |key: &str| -> Result<Vec<f32>> {
        let text = metadata_value(encoder_file, &header.metadata, key)?;
        let number = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| Error::model(encoder_file, format!("numbers in metadata {key}"), format!("\"{text}\"")))
        };
        text.split(',').map(number).collect()
    };
    Cmvn::new(encoder_file, FEATURE_DIM, numbers("neg_mean")?, numbers("inv_stddev")?)
}

/// The sizes, from the graphs; from the configuration where a graph leaves one open.
fn sizes(
    encoder: &Graph,
    encoder_header: &GraphHeader,
    decoder: &Graph,
    header: &GraphHeader,
    config: &Config,
) -> Result<Sizes> {
    let known = |file: &Path, what: &str, size: Option<usize>| {
        size.ok_or_else(|| {
            Error::model(file, format!("{what} that is fixed, or given in the configuration"), "neither")
        })
    };
    let layers = (0..).take_while(|layer| header.has_input(&format!("in_cache_{layer}"))).count();
    for layer in 0..layers {
        header.require(&decoder.file, "a cache for each layer", &[], &[&format!("out_cache_{layer}")])?;
    }
    Ok(Sizes {
        encoder_dim: known(&encoder.file, "a width of enc", encoder_header.dim("enc", 2).or(config.encoder_dim))?,
        decoder_layers: layers,
        cache_len: known(
            &decoder.file,
            "a length of in_cache_0",
            header.dim("in_cache_0", 2).or(config.decoder_kernel.map(|k| k - 1)),
        )?,
        vocabulary_size: known(&decoder.file, "a width of logits", header.dim("logits", 2).or(config.vocabulary_size))?,
    })
}
