//! The voice activity detectors of this process: FSMN-VAD, as FunASR exports it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::graph::GraphHeader;
use super::layout::{Folder, ModelSource, Precision};
use super::library::{Library, LibraryRequest};
use super::load::{self, Graph};
use super::rewrite::Rewrites;
use super::session::{copy, failed};
use super::shared::{Key, SharedModels};
use crate::engine::frontend::cmvn::Cmvn;
use crate::engine::segment::vad::{VAD_FEATURE_DIM, VadModel};
use crate::engine::segment::vad_config::VadConfig;
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result, VadInput, VadNetwork, VadOutput};
use crate::scheduler::VadClient;
use crate::scheduler::calls::VadCall;

/// A network this small gains nothing from 8-bit weights, so the exact graph goes first.
const GRAPHS: [&str; 2] = ["model.onnx", "model_quant.onnx"];
const CONFIGURATIONS: [&str; 2] = ["config.yaml", "vad.yaml"];
const CMVNS: [&str; 2] = ["am.mvn", "vad.mvn"];

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VadRequest {
    /// The folder of the model.
    pub directory: PathBuf,
    /// What runs it.
    pub library: LibraryRequest,
}

/// A detector and a way to run it.
pub struct SharedVad {
    /// All but the graph.
    pub model: Arc<VadModel>,
    /// Runs the graph; calls wait until it is loaded.
    pub client: VadClient,
}

static MODELS: SharedModels<VadModel, VadCall> = SharedModels::new();

/// Finds the library and checks the model's files; the graph is then loaded in the background, unless another stream has
/// loaded it. Errors: as [`registry::open`](super::registry::open).
pub fn open(request: &VadRequest) -> Result<SharedVad> {
    let source = ModelSource::Directory(request.directory.clone());
    let folder = Folder::open(&source, "vad-model-path")?;
    let file = |names: &[&'static str], what: &str| {
        let missing = || {
            let hint = format!("missing: a FSMN-VAD has {what} in {}", names.join(" or "));
            Error::not_found(folder.path(names[0]), hint)
        };
        folder.first(names).map(|name| folder.path(name)).ok_or_else(missing)
    };
    let (path, config, cmvn) =
        (file(&GRAPHS, "its graph")?, file(&CONFIGURATIONS, "its settings")?, file(&CMVNS, "its CMVN")?);
    let library = Library::get(&request.library)?;
    let others = [&config, &cmvn].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    let others: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
    let key = Key::new(&path, &others, Precision::Float32, library.provider());
    let (model, client) = MODELS.open(key, "fsmn-vad", || {
        let (graph, header) = load::graph(&folder, &path)?;
        let sizes = Sizes::of(&graph.file, &header)?;
        let settings = VadConfig::from_yaml(&config, &Yaml::parse(&config, &folder.read_text(&config)?)?)?;
        if let Some(id) = settings.silence_ids.iter().find(|&&id| id >= sizes.scores) {
            let expected = format!("sil_pdf_ids below {}, the graph's number of scores", sizes.scores);
            return Err(Error::model(&config, expected, id.to_string()));
        }
        let cmvn = Cmvn::parse(&cmvn, VAD_FEATURE_DIM, &folder.read_text(&cmvn)?)?;
        let model = VadModel::new(cmvn, &settings, sizes.caches, sizes.width * sizes.length);
        let make = move || {
            let session = VadSession::new(library, &graph, sizes, settings.silence_ids)?;
            Ok(vec![Box::new(session) as Box<dyn VadNetwork>])
        };
        Ok((model, make))
    })?;
    Ok(SharedVad { model, client })
}

/// The sizes of the graph.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// FSMN layers, each with a cache.
    caches: usize,
    /// Width of a cache (`proj_dim`).
    width: usize,
    /// Frames that a cache holds (`lorder` less one).
    length: usize,
    /// Scores of a frame.
    scores: usize,
}

impl Sizes {
    fn of(file: &Path, header: &GraphHeader) -> Result<Self> {
        header.require(file, "a streaming FSMN-VAD", &["speech", "in_cache0"], &["logits", "out_cache0"])?;
        let caches = (0..).take_while(|layer| header.has_input(&format!("in_cache{layer}"))).count();
        for layer in 1..caches {
            header.require(file, "a cache for each layer", &[], &[&format!("out_cache{layer}")])?;
        }
        let fixed = |port: &str, axis: usize| {
            let unknown = || Error::model(file, format!("{port} with a fixed size at position {axis}"), "none");
            header.dim(port, axis).ok_or_else(unknown)
        };
        let features = fixed("speech", 2)?;
        if features != VAD_FEATURE_DIM {
            let expected = format!("features (speech) of width {VAD_FEATURE_DIM}");
            return Err(Error::model(file, expected, features.to_string()));
        }
        Ok(Self { caches, width: fixed("in_cache0", 1)?, length: fixed("in_cache0", 2)?, scores: fixed("logits", 2)? })
    }
}

/// A detector's graph, ready to run. One owner: a session runs one call at a time.
struct VadSession {
    session: Session,
    sizes: Sizes,
    silence_ids: Vec<usize>,
    cache_inputs: Vec<String>,
    cache_outputs: Vec<String>,
    scores: Vec<f32>,
}

impl VadSession {
    fn new(library: &Library, graph: &Graph, sizes: Sizes, silence_ids: Vec<usize>) -> Result<Self> {
        let names = |prefix: &str| (0..sizes.caches).map(|layer| format!("{prefix}_cache{layer}")).collect();
        let mut made = Self {
            session: graph.session(library, Rewrites::default())?,
            sizes,
            silence_ids,
            cache_inputs: names("in"),
            cache_outputs: names("out"),
            scores: Vec::new(),
        };
        // Whatever does not fit shows now.
        let caches = vec![vec![0.0; sizes.width * sizes.length]; sizes.caches];
        let input = VadInput { features: &[0.0; VAD_FEATURE_DIM], frames: 1, caches: &caches };
        let mut output = VadOutput::default();
        let wrong = |found: String| Error::model(&graph.file, "a graph that runs", found);
        made.score(input, &mut output).map_err(|e| wrong(e.to_string()))?;
        let lengths: Vec<usize> = output.caches.iter().map(Vec::len).collect();
        if output.silence.len() != 1 || lengths.iter().any(|&length| length != sizes.width * sizes.length) {
            return Err(wrong(format!("{} scores of a frame and caches of {lengths:?}", output.silence.len())));
        }
        Ok(made)
    }
}

impl VadNetwork for VadSession {
    fn score(&mut self, input: VadInput<'_>, output: &mut VadOutput) -> Result<()> {
        let features =
            TensorRef::from_array_view(([1, input.frames, VAD_FEATURE_DIM], input.features)).map_err(failed)?;
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = ort::inputs!["speech" => features];
        for (name, cache) in self.cache_inputs.iter().zip(input.caches) {
            let shape = [1, self.sizes.width, self.sizes.length, 1];
            let tensor = TensorRef::from_array_view((shape, cache.as_slice())).map_err(failed)?;
            inputs.push((name.into(), tensor.into()));
        }
        let outputs = self.session.run(inputs).map_err(failed)?;
        copy(&outputs, "logits", &mut self.scores)?;
        output.silence.clear();
        let silence = |scores: &[f32]| self.silence_ids.iter().map(|&id| scores[id]).sum::<f32>();
        output.silence.extend(self.scores.chunks_exact(self.sizes.scores).map(silence));
        output.caches.resize(self.cache_outputs.len(), Vec::new());
        self.cache_outputs.iter().zip(&mut output.caches).try_for_each(|(name, cache)| copy(&outputs, name, cache))
    }
}
